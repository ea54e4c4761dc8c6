"""A network's leaves in one flat list with their weights, and the exact rewritings that make it shorter.

What runs, exports or prints a network reads this list alone, so that any block is covered.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from archlab.blocks.wiring import Leaf, Shape
from archlab.network.graph import Value, origin, output_values
from archlab.network.module import Network, joined, layer_name

IMAGE = 0
"""The number of the value that is the image."""
CONVOLUTIONS = ("conv", "deconv")
FRESH = (*CONVOLUTIONS, "norm", "add", "multiply", "concat", "interleave", "upsample", "resize", "pool", "max_pool")
"""Kinds whose output is memory of its own, which an activation may overwrite."""
ACTIVATIONS = ("relu", "relu6", "hswish", "hsigmoid", "sigmoid", "silu")
"""Activations without weights, which may overwrite what they read."""
RESIZING = ("upsample", "resize")


@dataclass(frozen=True, eq=False)
class Op:
    """One operator. name: its node and scope. act: the activation after it, empty for none.

    weights: `weight` and `bias`; of a norm also `mean` and `variance`. module: of other kinds, the layer.
    """

    kind: str
    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    in_shapes: tuple[Shape, ...]
    out_shapes: tuple[Shape, ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    act: str = ""
    module: nn.Module | None = None

    def __getitem__(self, name: str) -> Any:
        return self.arguments[name]

    def get(self, name: str, default: Any) -> Any:
        """Return an argument, or a default if the operator does not have it."""
        return self.arguments.get(name, default)


@dataclass(frozen=True, eq=False)
class Program:
    """Operators in the order in which they run; every value has one maker. output: the number of the last value."""

    ops: tuple[Op, ...]
    output: int

    def makers(self) -> dict[int, int]:
        """Return the position of each value's operator."""
        return {value: i for i, op in enumerate(self.ops) for value in op.outputs}

    def readers(self) -> Counter[int]:
        """Return the number of readers of each value; the output has one more."""
        return Counter([self.output, *(value for op in self.ops for value in op.inputs)])


def lower(network: Network) -> Program:
    """Return the leaves that a network's main output needs as a program, with its weights as they are."""
    graph = network.graph
    numbers: dict[Value, int] = {(-1, 0): IMAGE}
    ops = []
    for index, node in enumerate(graph.nodes):
        for leaf in joined(node):
            inputs = tuple(numbers[origin(graph, (index, value))] for value in leaf.inputs)
            outputs = tuple(numbers.setdefault((index, value), len(numbers)) for value in leaf.outputs)
            ops.append(_op(network, node.name, leaf, inputs, outputs))
    return needed(Program(tuple(ops), numbers[output_values(graph)[0]]))


def needed(program: Program) -> Program:
    """Return the program without the operators whose values nothing reads."""
    read, kept = {program.output}, []
    for op in reversed(program.ops):
        if not read.isdisjoint(op.outputs):
            read.update(op.inputs)
            kept.append(op)
    return replace(program, ops=tuple(kept[::-1]))


def _op(network: Network, node: str, leaf: Leaf, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Op:
    name = layer_name(node, leaf)
    module = network.get_submodule(name) if leaf.scope else None
    weights: dict[str, Tensor] = {}
    if isinstance(module, nn.BatchNorm2d):
        assert module.running_mean is not None
        assert module.running_var is not None
        weights = {"weight": module.weight, "bias": module.bias,
                   "mean": module.running_mean, "variance": module.running_var}  # fmt: skip
    elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        weights = {"weight": module.weight} | ({} if module.bias is None else {"bias": module.bias})
    return Op(
        leaf.kind,
        name if leaf.scope else node,
        inputs,
        outputs,
        leaf.in_shapes,
        leaf.out_shapes,
        dict(leaf.arguments),
        {key: value.detach() for key, value in weights.items()},
        module=module if leaf.scope and leaf.kind not in (*CONVOLUTIONS, "norm", *ACTIVATIONS) else None,
    )


def fold_norms(program: Program) -> Program:
    """Return the program with each norm in the convolution that only it reads: W' = W g / s, b' = (b - m) g / s + o."""
    return _absorbed(program, "norm", lambda maker, norm: maker.kind in CONVOLUTIONS, _normed)


def attach_activations(program: Program) -> Program:
    """Return the program with each activation on the operator whose output only it reads."""
    for kind in ACTIVATIONS:
        program = _absorbed(
            program,
            kind,
            lambda maker, act: maker.kind in FRESH and not maker.act,
            lambda op, act: replace(op, act=act.kind),
        )
    return program


def _absorbed(
    program: Program, kind: str, fits: Callable[[Op, Op], bool], joined_with: Callable[[Op, Op], Op]
) -> Program:
    """Return the program in which an operator of a kind is joined with the maker of its input, where that fits."""
    ops: list[Op | None] = list(program.ops)
    makers, readers = program.makers(), program.readers()
    for i, op in enumerate(program.ops):
        at = makers.get(op.inputs[0])
        maker = ops[at] if at is not None else None
        if op.kind == kind and at is not None and maker and readers[op.inputs[0]] == 1 and fits(maker, op):
            ops[at] = replace(joined_with(maker, op), outputs=op.outputs)
            ops[i] = None
            makers[op.outputs[0]] = at
    return Program(tuple(op for op in ops if op is not None), program.output)


def _normed(conv: Op, norm: Op) -> Op:
    """Return a convolution with the norm after it; computed in float64."""
    of = {name: value.double() for name, value in norm.weights.items()}
    gain = of["weight"] / torch.sqrt(of["variance"] + norm["eps"])
    weight = conv.weights["weight"]
    bias = conv.weights["bias"].double() if "bias" in conv.weights else torch.zeros_like(gain)
    folded = {
        "weight": (weight.double() * _by_output(gain, conv)).to(weight.dtype),
        "bias": ((bias - of["mean"]) * gain + of["bias"]).to(weight.dtype),
    }
    return replace(conv, weights=folded, arguments={**conv.arguments, "bias": True})


def _by_output(gain: Tensor, conv: Op) -> Tensor:
    """Return a factor per output channel in the shape of a convolution's weights; a transposed one has it second."""
    return gain[None, :, None, None] if conv.kind == "deconv" else gain[:, None, None, None]
