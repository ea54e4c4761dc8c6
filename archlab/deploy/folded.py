"""A trained network for inference alone: fewer operators, memory reused, the same function."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from archlab.core.device import channels_last
from archlab.core.errors import InputError
from archlab.deploy import operators
from archlab.deploy.operators import WHOLE, Run
from archlab.deploy.program import FRESH, IMAGE, Op, Program, lower
from archlab.deploy.simplify import simplify
from archlab.deploy.sums import factor_of, repeats
from archlab.network.module import MODULES, Network


class Folded(nn.Module):
    """A program as a module, (N, C, H, W) to (N, outputs, H', W'), without gradients.

    A value is dropped after its last reader, and overwritten by it where nothing else shares its memory.
    layers: the weights, by the position of their operator.
    """

    def __init__(self, program: Program) -> None:
        super().__init__()
        self._fused = _upsampled(program)
        self._owned = _owned(program)
        self._ops = [op for op in program.ops if op.outputs[0] not in self._fused]
        self._output = program.output
        made = {str(i): _layer(op) for i, op in enumerate(self._ops) if op.module is not None or op.weights}
        self.layers = nn.ModuleDict(made)
        self._steps = self._schedule()

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

    def _schedule(self) -> list[tuple[Run, tuple[int, ...], tuple[int, ...], tuple[int, ...]]]:
        """Return each operator's function with the values that it reads and makes, and those that are finished then."""
        sources = [tuple(self._source(v) for v in op.inputs) for op in self._ops]
        last = {v: i for i, op in enumerate(self._ops) for v in op.outputs}
        last |= {v: i for i, values in enumerate(sources) for v in values}
        steps = []
        for i, (op, inputs) in enumerate(zip(self._ops, sources, strict=True)):
            finished = tuple(v for v in {*inputs, *op.outputs} if last[v] == i and v != self._output)
            steps.append((self._run(i, op), inputs, op.outputs, finished))
        return steps

    def _source(self, value: int) -> int:
        """Return what is read for a value: of an upsampled map that a sum repeats itself, the map before."""
        return self._fused[value].inputs[0] if value in self._fused else value

    def _run(self, i: int, op: Op) -> Run:
        if str(i) in self.layers:
            return operators.layer(op, self.layers[str(i)])
        if op.kind == "add":
            factors = [factor_of(self._fused[v]) if v in self._fused else WHOLE for v in op.inputs]
            return operators.followed(
                operators.total(op, factors, [self._source(v) in self._owned for v in op.inputs]), op.act
            )
        if op.kind == "multiply" and op.inputs[0] in self._owned:
            return operators.followed(Tensor.mul_, op.act)
        return operators.followed(operators.function(op), op.act)

    def _apply(self, fn: Callable[..., Any], recurse: bool = True) -> Folded:
        """Move or convert the weights, and lay them out again."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._steps = self._schedule()
        return self


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


def _upsampled(program: Program) -> dict[int, Op]:
    """Return the nearest resizings by whole factors that only a sum with a term of full size reads, by their output."""
    readers, makers = program.readers(), program.makers()
    found: dict[int, Op] = {}
    for op in program.ops:
        candidates = [program.ops[makers[v]] for v in op.inputs if op.kind == "add" and v in makers]
        repeated = [m for m in candidates if repeats(m) and readers[m.outputs[0]] == 1]
        if len(repeated) < len(op.inputs):
            found |= {m.outputs[0]: m for m in repeated}
    return found


def _owned(program: Program) -> frozenset[int]:
    """Return the values that have memory of their own and one reader, which may overwrite them."""
    readers = program.readers()
    return frozenset(
        op.outputs[0] for op in program.ops if op.kind in FRESH and _copies(op) and readers[op.outputs[0]] == 1
    )


def _copies(op: Op) -> bool:
    """Return whether an operator's output can never be its input."""
    return op.kind != "pool" or op.in_shapes != op.out_shapes
