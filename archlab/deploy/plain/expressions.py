"""The functions of a module's `forward` as Python expressions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from archlab.blocks.wiring import Leaf
from archlab.network import layers, module

HELPERS = (module.interleave, module.shuffle, layers.mean, layers.softmax, layers.weighted_sum, layers.weighted_runs,
           layers.dynamic_relu)  # fmt: skip
"""Functions that an expression may call, and that are then copied."""


@dataclass
class Names:
    """Names in a `forward`. inputs: of its maps. shapes: their (C, H, W).

    values: collects what an expression states as a number that may differ between calls; returns its text.
    copied: collects functions whose source must be copied.
    """

    inputs: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    value: Callable[[str, Any], str]
    copied: list[Any] = field(default_factory=list)

    def size(self, size: tuple[int, int]) -> str:
        """Return the size of an input that has it, else the numbers."""
        for name, shape in zip(self.inputs, self.shapes, strict=True):
            if shape[1:] == size:
                return f"{name}.shape[2:]"
        return self.value("size", size)

    def helper(self, function: Any, *arguments: str) -> str:
        """Return a call of a function that is copied."""
        self.copied.append(function)
        return f"{function.__name__}({', '.join(arguments)})"


def expression(leaf: Leaf, xs: Sequence[str], names: Names) -> str:
    """Return the expression of a function leaf of the expressions xs."""
    return _EXPRESSIONS[leaf.kind](leaf, xs, names)


def _pool(leaf: Leaf, xs: Sequence[str], names: Names) -> str:
    size = leaf["size"] if leaf.kind == "pool" else leaf["grid"]
    return f"F.adaptive_avg_pool2d({xs[0]}, {names.size(size)})"


def _max_pool(leaf: Leaf, xs: Sequence[str], names: Names) -> str:
    stride = "" if leaf["stride"] == leaf["kernel"] else f", stride={leaf['stride']}"
    padding = f", padding={leaf['padding']}" if leaf["padding"] else ""
    return f"F.max_pool2d({xs[0]}, {leaf['kernel']}{stride}{padding})"


def _resize(leaf: Leaf, xs: Sequence[str], names: Names) -> str:
    corners = f", align_corners={leaf.get('corners', True)}" if leaf["mode"] == "bilinear" else ""
    return f'F.interpolate({xs[0]}, size={names.size(leaf["size"])}, mode="{leaf["mode"]}"{corners})'


def _split(leaf: Leaf, xs: Sequence[str], names: Names) -> str:
    widths = leaf["widths"]
    if len(set(widths)) == 1:
        return f"{xs[0]}.chunk({len(widths)}, dim=1)"
    if len(names.inputs) > 1 and widths == tuple(shape[0] for shape in names.shapes):
        return f"{xs[0]}.split([x.shape[1] for x in xs], dim=1)"
    return f"{xs[0]}.split({names.value('widths', widths)}, dim=1)"


def _add(leaf: Leaf, xs: Sequence[str], names: Names) -> str:
    text = ""
    for x, scale in zip(xs, leaf["scales"], strict=True):
        if scale in (1, 2) or not text:
            text += (" + " if text else "") + (x if scale == 1 else f"{scale} * {bracketed(x)}")
        else:  # fused multiply-add, as the network computes it
            text = f"torch.add({text}, {x}, alpha={scale})"
    return text


def _multiply(leaf: Leaf, xs: Sequence[str], names: Names) -> str:
    return f"{bracketed(xs[0])} * {bracketed(xs[1])}"


def bracketed(text: str) -> str:
    """Return an expression in brackets if it has an operator outside brackets."""
    depth = 0
    for at, sign in enumerate(text):
        depth += (sign in "([") - (sign in ")]")
        if depth == 0 and text[at : at + 3] in (" + ", " * "):
            return f"({text})"
    return text


_EXPRESSIONS: Mapping[str, Callable[[Leaf, Sequence[str], Names], str]] = {
    "pool": _pool,
    "grid_pool": _pool,
    "max_pool": _max_pool,
    "resize": _resize,
    "split": _split,
    "add": _add,
    "multiply": _multiply,
    "concat": lambda leaf, xs, names: f"torch.cat([{', '.join(xs)}], dim=1)",
    "interleave": lambda leaf, xs, names: names.helper(module.interleave, *xs),
    "shuffle": lambda leaf, xs, names: names.helper(module.shuffle, xs[0], f"groups={leaf['groups']}"),
    "mean": lambda leaf, xs, names: names.helper(layers.mean, xs[0], f'"{leaf["axis"]}"'),
    "softmax": lambda leaf, xs, names: names.helper(
        layers.softmax, xs[0], f'"{leaf["axis"]}"', f"temperature={leaf['temperature']}"
    ),
    "weighted_sum": lambda leaf, xs, names: names.helper(layers.weighted_sum, *xs, f'"{leaf["axis"]}"'),
    "weighted_runs": lambda leaf, xs, names: names.helper(
        layers.weighted_runs, *xs, f"size={names.size(leaf['size'])}"
    ),
    "dynamic_relu": lambda leaf, xs, names: names.helper(layers.dynamic_relu, *xs),
}
