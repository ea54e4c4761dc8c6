"""What one call of each leaf operator costs, by every counter, from its arguments and shapes.

fvcore's rule is what its trace gives. The paper's is what its hooks give, which see layers only. Tests compare each
with the trace and the hooks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import prod
from typing import Any, NamedTuple

from archlab.blocks.wiring import Shape


class Count(NamedTuple):
    """Parameters, multiply-adds by counter (the paper's before its division by 2^20) and activations.

    summary: multiply-adds by HRNet's summary: convolutions alone, transposed ones at their output positions.
    """

    params: int = 0
    fvcore: int = 0
    paper: int = 0
    activations: int = 0
    summary: int = 0

    @property
    def flops(self) -> dict[str, int]:
        return {"fvcore": self.fvcore, "paper": self.paper}

    def __add__(self, other: Count) -> Count:  # type: ignore[override]
        return total((self, other))


def total(counts: Iterable[Count]) -> Count:
    """Return the sum of counts."""
    return Count(*map(sum, zip(Count(), *counts, strict=True)))


def _conv(a: Mapping[str, Any], x: Shape, y: Shape) -> Count:
    weights = y[0] * (x[0] // a["groups"]) * a["kernel"] ** 2
    bias = y[0] if a["bias"] else 0
    multiply_adds = weights * y[1] * y[2]
    return Count(weights + bias, multiply_adds, multiply_adds + bias * y[1] * y[2], prod(y), multiply_adds)


def _deconv(a: Mapping[str, Any], x: Shape, y: Shape) -> Count:
    weights = x[0] * y[0] * a["kernel"] ** 2
    bias = y[0] if a["bias"] else 0
    multiply_adds = weights * x[1] * x[2]
    paper = multiply_adds + bias * y[1] * y[2]
    return Count(weights + bias, multiply_adds, paper, prod(y), weights * y[1] * y[2])


def _dynamic_conv(a: Mapping[str, Any], x: Shape, y: Shape) -> Count:
    """The paper's counter has a convolution of one kernel; fvcore also has the product that mixes the kernels."""
    kernel = y[0] * (x[0] // a["groups"]) * a["kernel"] ** 2
    mixing, convolving = a["kernels"] * kernel, kernel * y[1] * y[2]
    return Count(mixing, convolving + mixing, convolving, prod(y) + kernel, convolving)


def _pool(a: Mapping[str, Any], x: Shape, y: Shape) -> Count:
    """The paper's counter has the global pool only, as C (H + 1) (W + 1); pooling to a larger size is a function."""
    return Count(fvcore=prod(x), paper=x[0] * (x[1] + 1) * (x[2] + 1) if a["size"] == (1, 1) else 0)


def _grid_pool(a: Mapping[str, Any], x: Shape, y: Shape) -> Count:
    """The paper's counter: C (h + 1) (w + 1) summed over the cells of h x w positions."""
    rows, columns = (sum(n + 1 for n in cells(side, number)) for side, number in zip(x[1:], y[1:], strict=True))
    return Count(fvcore=prod(x), paper=x[0] * rows * columns if a.get("layer", True) else 0)


def cells(side: int, number: int) -> list[int]:
    """Return the lengths of the cells into which adaptive pooling cuts a side; they may overlap."""
    return [-(-(i + 1) * side // number) - i * side // number for i in range(number)]


def _resize(a: Mapping[str, Any], x: Shape, y: Shape) -> Count:
    return Count(fvcore=prod(y) * (4 if a["mode"] == "bilinear" else 1))


def _upsample(a: Mapping[str, Any], x: Shape, y: Shape) -> Count:
    """The paper's counter omits the channels here."""
    return Count(fvcore=prod(y) * (4 if a.get("mode") == "bilinear" else 1), paper=y[1] * y[2])


FREE = Count()


def _free(a: Mapping[str, Any], x: Shape, y: Shape) -> Count:
    return FREE


def _product(a: Mapping[str, Any], x: Shape, y: Shape) -> Count:
    return Count(fvcore=prod(x), activations=prod(y))


RULES: dict[str, Callable[[Mapping[str, Any], Shape, Shape], Count]] = {
    "conv": _conv,
    "deconv": _deconv,
    "norm": lambda a, x, y: Count(2 * x[0], 2 * prod(x), 2 * prod(x)),
    "relu": lambda a, x, y: Count(paper=prod(y)),
    "relu6": lambda a, x, y: Count(paper=prod(y)),
    "leaky_relu": lambda a, x, y: Count(paper=prod(y)),
    "prelu": lambda a, x, y: Count(x[0], paper=prod(y)),
    "hswish": _free,
    "hswish_relu6": lambda a, x, y: Count(paper=prod(y)),
    "hsigmoid": _free,
    "hsigmoid_half": _free,
    "sigmoid": _free,
    "silu": _free,
    "pool": _pool,
    "max_pool": lambda a, x, y: Count(paper=a["kernel"] ** 2 * prod(y) if a.get("layer", True) else 0),
    "avg_pool": lambda a, x, y: Count(paper=prod(a["kernel"]) * prod(y)),
    "grid_pool": _grid_pool,
    "upsample": _upsample,
    "resize": _resize,
    "split": _free,
    "concat": _free,
    "shuffle": _free,
    "add": _free,
    "multiply": _free,
    "mean": _free,
    "softmax": _free,
    "weighted_sum": _product,
    "weighted_runs": _product,
    "layer_norm": lambda a, x, y: Count(2 * x[0], 5 * prod(x)),
    "learned_scale": lambda a, x, y: Count(params=a["length"]),
    "dynamic_conv": _dynamic_conv,
    "dynamic_relu": _free,
}
