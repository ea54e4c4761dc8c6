"""The cost of a user's `nn.Module`, and the operators in it that a counter gives nothing for.

Only this file knows fvcore, and here alone counting needs torch.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from fvcore.nn import ActivationCountAnalysis, FlopCountAnalysis
from fvcore.nn.jit_handles import get_shape
from torch import Tensor, nn

from archlab.blocks.wiring import Arguments, Shape, WiringError, shown
from archlab.counting.layers import Calls, call_layers
from archlab.counting.rules import Count

SILENT = ("aten::relu", "aten::relu_", "aten::clamp", "aten::clamp_", "aten::max")
"""What fvcore takes for free, like an operator that moves values only, though it computes."""


@dataclass(frozen=True)
class ModuleCost:
    """The cost of a module.

    uncounted: counter -> operator -> number of calls that the counter gives nothing for.
    uncalled: the names of layers with parameters of their own that are not called as layers.
    """

    count: Count
    uncounted: Mapping[str, Mapping[str, int]]
    uncalled: tuple[str, ...]


class _Holder(nn.Module):
    """Holds a module one level deeper, as in a network: the work of the scope "" is then no layer's."""

    def __init__(self, leaf: nn.Module) -> None:
        super().__init__()
        self.leaf = leaf

    def forward(self, *xs: Tensor) -> Any:
        return self.leaf(*xs)


@lru_cache(maxsize=4096)
def module_cost(arguments: Arguments, in_shapes: tuple[Shape, ...]) -> ModuleCost:
    """Return the cost of a module in evaluation mode, from one run and from fvcore's trace; remembered.

    arguments: those of its leaf, the class under `factory`.
    Raises WiringError if the module cannot be run or traced.
    """
    keywords: dict[str, Any] = dict(arguments)
    factory = keywords.pop("factory")
    try:
        with torch.random.fork_rng(devices=[]):  # the weights of a network built next do not depend on this
            return _counted(_Holder(factory(**keywords)).eval(), [torch.zeros(1, *shape) for shape in in_shapes])
    except Exception as error:
        shapes = ", ".join(map(shown, in_shapes))
        raise WiringError(f"{factory.__name__} cannot be counted on {shapes}: {_reason(error)}") from error


def _counted(holder: _Holder, inputs: Sequence[Tensor]) -> ModuleCost:
    layers = call_layers(holder, inputs)
    flops, activations = (
        _analysis(FlopCountAnalysis, holder, inputs),
        _analysis(ActivationCountAnalysis, holder, inputs),
    )
    params = sum(parameter.numel() for parameter in holder.parameters())
    count = Count(params, int(flops.total()), layers.total, int(activations.total()))
    passed_over = {_label(kind) for kind in (*flops.unsupported_ops(), *SILENT)}
    traced = _traced_operators(holder, inputs)
    calls = traced.by_operator()
    uncounted = {
        "fvcore": {name: n for name, n in sorted(calls.items()) if name in passed_over},
        "paper": dict(sorted((calls - _of_layers(traced, layers)).items())),
    }
    return ModuleCost(count, uncounted, tuple(_uncalled(holder, layers.called)))


def trace(module: nn.Module, inputs: Sequence[Tensor]) -> tuple[int, int, int]:
    """Trace and run a module at inputs; return fvcore's multiply-adds, the paper's count and fvcore's activations."""
    flops, activations = (
        _analysis(FlopCountAnalysis, module, inputs),
        _analysis(ActivationCountAnalysis, module, inputs),
    )
    return int(flops.total()), call_layers(module, inputs).total, int(activations.total())


def _analysis(kind: Callable[..., Any], module: nn.Module, inputs: Sequence[Tensor]) -> Any:
    """Return an analysis of fvcore's that logs nothing."""
    return kind(module, tuple(inputs)).unsupported_ops_warnings(False).uncalled_modules_warnings(False)


def _traced_operators(module: nn.Module, inputs: Sequence[Tensor]) -> Any:
    """Return an analysis whose count is the number of calls by operator, without those that move values only.

    The first trace finds the operators, the second counts the calls that compute maps.
    """
    bare = _analysis(FlopCountAnalysis, module, inputs).clear_op_handles()
    bare.total()
    kinds = (*bare.unsupported_ops(), *SILENT)
    return bare.set_op_handle(**{kind: _called(kind) for kind in kinds})


def _called(kind: str) -> Callable[[list[Any], list[Any]], Counter[str]]:
    """Return a handler that counts the calls of an operator, but not arithmetic on sizes, which are single numbers."""

    def called(inputs: list[Any], outputs: list[Any]) -> Counter[str]:
        shapes = [get_shape(value) for value in (*inputs, *outputs) if value.isCompleteTensor()]
        return Counter({_label(kind): 1} if any(shapes) or not shapes else {})

    return called


def _label(kind: str) -> str:
    """Return `softmax` for `aten::softmax`, `relu` for `aten::relu_`, and the class of a user's autograd function."""
    return kind.removeprefix("aten::").removeprefix("prim::").removeprefix("PythonOp.").strip("_")


def _of_layers(traced: Any, layers: Calls) -> Counter[str]:
    """Return the traced calls of the operators for which the counts of layers stand."""
    found: Counter[str] = Counter()
    for name, rule in layers.rules.items():
        if layers.counts[name]:
            own = traced.by_operator(traced.canonical_module_name(name))
            found.update({operator: n for operator, n in own.items() if operator in rule.operators})
    return found


def _uncalled(holder: _Holder, called: set[str]) -> Iterable[str]:
    for name, layer in holder.named_modules():
        is_layer = type(layer).forward is not nn.Module.forward and any(True for _ in layer.parameters(recurse=False))
        if is_layer and name not in called:
            yield name.removeprefix("leaf.")


def _reason(error: Exception) -> str:
    """Return an error's type and first line, and the function that raised it if that is fvcore's or says nothing."""
    words = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    frame = traceback.extract_tb(error.__traceback__)[-1]
    where = "" if words and "fvcore" not in frame.filename else f" in {frame.name}"
    return f"{type(error).__name__}{where}{': ' if words else ''}{words}"
