"""A trained network for inference alone: fewer operators, memory reused, the same function."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from archlab.core.device import channels_last
from archlab.core.errors import InputError
from archlab.deploy.program import FRESH, IMAGE, RESIZING, Op, Program, lower, simplify
from archlab.network.module import FUNCTIONS, MODULES, Network, interleave

Run = Callable[..., Any]
IN_PLACE: dict[str, Callable[[Tensor], Tensor]] = {
    "": lambda x: x,
    "relu": torch.relu_,
    "relu6": lambda x: F.relu6(x, inplace=True),
    "hswish": lambda x: F.hardswish(x, inplace=True),
    "hsigmoid": lambda x: F.hardsigmoid(x, inplace=True),
    "sigmoid": torch.sigmoid_,
    "silu": lambda x: F.silu(x, inplace=True),
}


class Folded(nn.Module):
    """A program as a module, (N, C, H, W) to (N, outputs, H', W'), without gradients.

    A value is dropped after its last reader, and overwritten by it where nothing else shares its memory.
    """

    def __init__(self, program: Program) -> None:
        super().__init__()
        self.layers = nn.ModuleDict()
        owned = _owned(program)
        fused = _upsampled(program)
        self._steps: list[tuple[Run, tuple[int, ...], tuple[int, ...], tuple[int, ...]]] = []
        ops = [op for op in program.ops if op.outputs[0] not in fused]
        sources = [tuple(fused[v].inputs[0] if v in fused else v for v in op.inputs) for op in ops]
        last = {v: i for i, op in enumerate(ops) for v in op.outputs}
        last |= {v: i for i, values in enumerate(sources) for v in values}
        for i, (op, inputs) in enumerate(zip(ops, sources, strict=True)):
            finished = tuple(v for v in {*inputs, *op.outputs} if last[v] == i and v != program.output)
            self._steps.append((self._run(op, owned, fused), inputs, op.outputs, finished))
        self._output = program.output

    @torch.inference_mode()
    def forward(self, image: Tensor) -> Tensor:
        values: dict[int, Any] = {IMAGE: image}
        for run, inputs, outputs, finished in self._steps:
            made = run(*[values[v] for v in inputs])
            if len(outputs) == 1:
                values[outputs[0]] = made
            else:
                values.update(zip(outputs, made, strict=True))
            for value in finished:
                del values[value]
        result = values[self._output]
        assert isinstance(result, Tensor)
        return result

    def _run(self, op: Op, owned: frozenset[int], fused: dict[int, Op]) -> Run:
        act = IN_PLACE[op.act]
        if op.module is not None or op.weights:
            layer = _layer(op)
            self.layers[str(len(self.layers))] = layer
            return layer if not op.act else lambda *xs: act(layer(*xs))
        if op.kind == "add":
            return _sum(op, owned, fused, act)
        if op.kind == "multiply" and op.inputs[0] in owned:
            return lambda x, w: act(x.mul_(w))
        plain = _function(op)
        return plain if not op.act else lambda *xs: act(plain(*xs))


def fold(network: Network) -> Folded:
    """Return the network for inference: the same function, within rounding; the network itself is not changed.

    Norms are in the convolutions before them, sums take scales and upsampled maps without a copy, and activations
    overwrite what they read.
    """
    return Folded(simplify(lower(network))).eval()


def check(network: Network, folded: nn.Module) -> float:
    """Return the largest difference on random images, over the largest output; both are in evaluation mode.

    Raises InputError above 1e-4, where the two are not the same function.
    """
    weight = next(network.parameters())
    images = torch.randn(2, *network.graph.input, dtype=weight.dtype, device=weight.device)
    with torch.inference_mode():
        expected = network.eval()(images)
        found = float((folded(images) - expected).abs().max() / expected.abs().max())
    if not found < 1e-4:
        raise InputError(f"the folded network differs by {found:.1e} of the output's scale")
    return found


def _layer(op: Op) -> nn.Module:
    """Return a layer with its own copy of the weights."""
    if op.module is not None:
        return copy.deepcopy(op.module).eval()
    weight = op.weights["weight"]
    with torch.device("meta"):
        layer = MODULES[op.kind](op)  # type: ignore[arg-type]
    layer = layer.to_empty(device=weight.device).to(weight.dtype)
    names = {"mean": "running_mean", "variance": "running_var"}
    state = {names.get(name, name): value.clone() for name, value in op.weights.items()}
    layer.load_state_dict(state, strict=False)
    return channels_last(layer.requires_grad_(False).eval())


def _function(op: Op) -> Run:
    """Return an operator without weights."""
    if op.kind in _ACTS:
        return _ACTS[op.kind]
    if op.kind == "interleave":
        return interleaved
    return FUNCTIONS[op.kind](op)  # type: ignore[arg-type]


_ACTS: dict[str, Run] = {
    "relu": torch.relu,
    "relu6": F.relu6,
    "hswish": F.hardswish,
    "hsigmoid": F.hardsigmoid,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
}


def interleaved(*xs: Tensor) -> Tensor:
    """Interleave maps as `interleave` does; two float maps with adjacent channels as the parts of complex numbers."""
    a = xs[0]
    if len(xs) != 2 or a.is_contiguous() or a.dtype not in (torch.float32, torch.float64) or a.device.type != "cpu":
        return interleave(*xs)
    pairs = torch.complex(a.permute(0, 2, 3, 1), xs[1].permute(0, 2, 3, 1))
    return torch.view_as_real(pairs).flatten(3, 4).permute(0, 3, 1, 2)


def _sum(op: Op, owned: frozenset[int], fused: dict[int, Op], act: Callable[[Tensor], Tensor]) -> Run:
    """Return the sum of scaled terms, on top of a term whose memory is its own, else of the first two."""
    terms = list(range(len(op.inputs)))
    scales = op["scales"]
    factors = [_factor(fused[v]) if v in fused else (1, 1) for v in op.inputs]
    whole = [k for k in terms if factors[k] == (1, 1) and op.in_shapes[k] == op.out_shapes[0]]
    own = [k for k in whole if op.inputs[k] in owned]
    first = (own or whole or terms)[0]
    rest = sorted((k for k in terms if k != first), key=lambda k: factors[k] != (1, 1))
    overwrites = bool(own)

    def total(*xs: Tensor) -> Tensor:
        made, fresh = xs[first], overwrites
        if scales[first] != 1:
            made, fresh = made * scales[first], True
        for k in rest:
            if not fresh and factors[k] != (1, 1):
                made, fresh = made.clone(memory_format=torch.preserve_format), True
            if not fresh:
                made, fresh = torch.add(made, xs[k], alpha=scales[k]), True
            else:
                _add(made, xs[k], factors[k], scales[k])
        return act(made)

    return total


def _add(total: Tensor, x: Tensor, factor: tuple[int, int], scale: int) -> None:
    """Add scale * x, repeated `factor` times along the height and the width, in place."""
    if factor == (1, 1):
        total.add_(x, alpha=scale)
        return
    n, c, h, w = x.shape
    rows, columns = factor
    cells = total.as_strided(
        (n, h, rows, w, columns, c),
        (total.stride(0), rows * total.stride(2), total.stride(2), columns * total.stride(3), total.stride(3),
         total.stride(1)),
    )  # fmt: skip
    cells.add_(x.permute(0, 2, 3, 1)[:, :, None, :, None], alpha=scale)


def _factor(op: Op) -> tuple[int, int]:
    """Return by how much a nearest resizing enlarges height and width."""
    (_, h, w), (_, height, width) = op.in_shapes[0], op.out_shapes[0]
    return height // h, width // w


def _upsampled(program: Program) -> dict[int, Op]:
    """Return the nearest resizings by whole factors that only a sum with a term of full size reads, by their output."""
    readers, makers = program.readers(), program.makers()
    found: dict[int, Op] = {}
    for op in program.ops:
        candidates = [program.ops[makers[v]] for v in op.inputs if op.kind == "add" and v in makers]
        repeated = [m for m in candidates if _repeats(m) and readers[m.outputs[0]] == 1]
        if len(repeated) < len(op.inputs):
            found |= {m.outputs[0]: m for m in repeated}
    return found


def _repeats(op: Op) -> bool:
    """Return whether an operator repeats every pixel a whole number of times."""
    if op.kind not in RESIZING or op.act or op.arguments.get("mode", "nearest") != "nearest":
        return False
    (_, h, w), (_, height, width) = op.in_shapes[0], op.out_shapes[0]
    return height % h == 0 and width % w == 0


def _owned(program: Program) -> frozenset[int]:
    """Return the values that have memory of their own and one reader, which may overwrite them."""
    readers = program.readers()
    return frozenset(
        op.outputs[0] for op in program.ops if op.kind in FRESH and _copies(op) and readers[op.outputs[0]] == 1
    )


def _copies(op: Op) -> bool:
    """Return whether an operator's output can never be its input."""
    return op.kind != "pool" or op.in_shapes != op.out_shapes
