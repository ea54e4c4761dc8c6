"""How the operators of a folded network run: each as one function of its inputs, for inference alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from archlab.deploy.program import Op
from archlab.deploy.sums import Factor
from archlab.network.module import FUNCTIONS, interleave

Run = Callable[..., Any]
WHOLE: Factor = (1, 1)
IN_PLACE: Mapping[str, Callable[[Tensor], Tensor]] = {
    "": lambda x: x,
    "relu": torch.relu_,
    "relu6": lambda x: F.relu6(x, inplace=True),
    "hswish": lambda x: F.hardswish(x, inplace=True),
    "hsigmoid": lambda x: F.hardsigmoid(x, inplace=True),
    "sigmoid": torch.sigmoid_,
    "silu": lambda x: F.silu(x, inplace=True),
}
APART: Mapping[str, Run] = {
    "relu": torch.relu,
    "relu6": F.relu6,
    "hswish": F.hardswish,
    "hsigmoid": F.hardsigmoid,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
}
"""Activations of a value that is still needed."""


def layer(op: Op, module: nn.Module) -> Run:
    """Return an operator with weights, which `module` holds, and its activation."""
    run = _convolution(op, module) if isinstance(module, nn.Conv2d) else module
    return run if not op.act or run is not module else followed(run, op.act)


def followed(run: Run, act: str) -> Run:
    """Return a function with an activation after it, which overwrites what the function returns."""
    if not act:
        return run
    activate = IN_PLACE[act]
    return lambda *xs: activate(run(*xs))


def _convolution(op: Op, conv: nn.Conv2d) -> Run:
    """Return a convolution with its activation: as a product of matrices where it is 1x1, else with packed weights."""
    weight, bias = conv.weight, conv.bias
    how: tuple[Any, ...] = conv.stride, conv.padding, conv.dilation, conv.groups

    def convolve(x: Tensor) -> Tensor:
        return torch.conv2d(x, weight, bias, *how)

    if weight.device.type != "cpu":
        return followed(convolve, op.act)
    if (op["kernel"], *how) == (1, (1, 1), (0, 0), (1, 1), 1):
        return followed(_product(op, weight.flatten(1), bias, convolve), op.act)
    return _packed(op, conv) or followed(convolve, op.act)


def _product(op: Op, matrix: Tensor, bias: Tensor | None, convolve: Run) -> Run:
    """Return a 1x1 convolution as a product; of a map of one position, without its sides."""
    if op.in_shapes[0][1:] == (1, 1):
        shape = (-1, len(matrix), 1, 1)
        return lambda x: F.linear(x.flatten(1), matrix, bias).view(shape)

    def multiply(x: Tensor) -> Any:
        if x.stride(1) != 1:
            return convolve(x)
        return F.linear(x.permute(0, 2, 3, 1), matrix, bias).permute(0, 3, 1, 2)

    return multiply


def _packed(op: Op, conv: nn.Conv2d) -> Run | None:
    """Return a convolution whose weights are laid out once, as oneDNN wants them; None if this torch cannot.

    A plain convolution lays them out at every call, which takes a fifth of the time of a small depthwise one.
    """
    available = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    available = available and hasattr(torch._C._nn, "mkldnn_reorder_conv2d_weight")
    if not available or conv.weight.dtype != torch.float32 or not hasattr(torch.ops.mkldnn, "_convolution_pointwise"):
        return None
    run, pack = torch.ops.mkldnn._convolution_pointwise, torch._C._nn.mkldnn_reorder_conv2d_weight
    how: tuple[Any, ...] = [*conv.padding], [*conv.stride], [*conv.dilation], conv.groups
    with torch.inference_mode():
        weight = pack(conv.weight.detach().to_mkldnn(), *how, [1, *op.in_shapes[0]])  # type: ignore[call-arg]
    bias, fused = conv.bias, op.act == "relu"
    rest: tuple[Any, ...] = *how, "relu" if fused else "none", [], ""
    return followed(lambda x: run(x, weight, bias, *rest), "" if fused else op.act)


def function(op: Op) -> Run:
    """Return an operator without weights and without its activation."""
    if op.kind in APART:
        return APART[op.kind]
    if op.kind == "interleave":
        return interleaved
    return FUNCTIONS[op.kind](op)  # type: ignore[arg-type]


def interleaved(*xs: Tensor) -> Tensor:
    """Interleave maps as `interleave` does; two float maps with adjacent channels as the parts of complex numbers."""
    a = xs[0]
    if len(xs) != 2 or a.is_contiguous() or a.dtype not in (torch.float32, torch.float64) or a.device.type != "cpu":
        return interleave(*xs)
    pairs = torch.complex(a.permute(0, 2, 3, 1), xs[1].permute(0, 2, 3, 1))
    return torch.view_as_real(pairs).flatten(3, 4).permute(0, 3, 1, 2)


def total(op: Op, factors: Sequence[Factor], owned: Sequence[bool]) -> Run:
    """Return a sum of scaled terms, each repeated `factors` times along the height and the width.

    owned: whether a term may be overwritten.
    """
    scales = op["scales"]
    terms = range(len(factors))
    fits = [k for k in terms if factors[k] == WHOLE and op.in_shapes[k] == op.out_shapes[0]]
    ours = [k for k in fits if owned[k]]
    first = (ours or fits or terms)[0]
    rest = sorted((k for k in terms if k != first), key=lambda k: factors[k] != WHOLE)

    def run(*xs: Tensor) -> Tensor:
        made, fresh = xs[first], bool(ours)
        if scales[first] != 1:
            made, fresh = made * scales[first], True
        for k in rest:
            x = repeated(xs[k], factors[k])
            made = made.add_(x, alpha=scales[k]) if fresh else torch.add(made, x, alpha=scales[k])
            fresh = True
        return made

    return run


def repeated(x: Tensor, factor: Factor) -> Tensor:
    """Return a map with each pixel repeated along the height and the width."""
    return x if factor == WHOLE else F.interpolate(x, scale_factor=factor)
