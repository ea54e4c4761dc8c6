"""Every kind of operator in terms of ONNX's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from archlab.deploy.onnx.builder import Builder
from archlab.deploy.onnx.modules import users_module
from archlab.deploy.program import Op

Names = list[str]
AXES_IN_RESIZE = 18
"""The first operator set in which a Resize may name its axes."""


def activate(b: Builder, kind: str, x: str) -> str:
    """Apply an activation without weights."""
    if kind == "":
        return x
    if kind in _ACTS:
        return b.add(_ACTS[kind], x)
    if kind == "relu6":
        return b.add("Clip", x, b.constant(0.0), b.constant(6.0))
    if kind == "leaky_relu":
        return b.add("LeakyRelu", x, alpha=0.01)
    if kind == "hsigmoid_half":
        return b.add("HardSigmoid", x, alpha=0.5, beta=0.5)
    gate = b.add("Sigmoid", x) if kind == "silu" else b.add("HardSigmoid", x, alpha=1 / 6, beta=0.5)
    return gate if kind == "hsigmoid" else b.add("Mul", x, gate)


_ACTS = {"relu": "Relu", "sigmoid": "Sigmoid"}


def nodes_of(b: Builder, op: Op, xs: Names) -> Names:
    """Add the nodes of an operator with the activation on it; return the names of its outputs."""
    if op.kind in _PLAIN_ACTS:
        return [activate(b, op.kind, xs[0])]
    made = _OPERATORS[op.kind](b, op, xs)
    if isinstance(made, list):
        return made
    return [activate(b, op.act, made)]


_PLAIN_ACTS = ("relu", "relu6", "leaky_relu", "hswish", "hswish_relu6", "hsigmoid", "hsigmoid_half", "sigmoid", "silu")


def _conv(b: Builder, op: Op, xs: Names) -> str:
    weights = [b.constant(op.weights["weight"], "weight")]
    weights += [b.constant(op.weights["bias"], "bias")] if "bias" in op.weights else []
    sides = {"kernel_shape": [op["kernel"]] * 2, "strides": [op["stride"]] * 2, "pads": [op["padding"]] * 4}
    if op.kind == "deconv":
        return b.add("ConvTranspose", xs[0], *weights, output_padding=[op["output_padding"]] * 2, **sides)
    return b.add("Conv", xs[0], *weights, group=op["groups"], dilations=[op["dilation"]] * 2, **sides)


def _norm(b: Builder, op: Op, xs: Names) -> str:
    of = {name: value.double() for name, value in op.weights.items()}
    gain = of["weight"] / torch.sqrt(of["variance"] + op["eps"])
    offset = of["bias"] - of["mean"] * gain
    scaled = b.add("Mul", xs[0], b.constant(gain[:, None, None].float(), "gain"))
    return b.add("Add", scaled, b.constant(offset[:, None, None].float(), "offset"))


def _of(op: Op, name: str) -> Tensor:
    """Return a tensor of an operator's layer."""
    value = getattr(op.module, name)
    assert isinstance(value, Tensor)
    return value.detach()


def _prelu(b: Builder, op: Op, xs: Names) -> str:
    return b.add("PRelu", xs[0], b.constant(_of(op, "weight")[:, None, None], "slope"))


def _pool(b: Builder, op: Op, xs: Names) -> str:
    """Adaptive average pooling as pooling over windows; as products with matrices if its windows differ in size."""
    (_, *sides), (_, *cells) = op.in_shapes[0], op.out_shapes[0]
    if cells == [1, 1]:
        return b.add("GlobalAveragePool", xs[0])
    windows = [_windows(side, cell) for side, cell in zip(sides, cells, strict=True)]
    if all(map(_uniform, windows)):
        kernel = [found[0][1] for found in windows]
        strides = [found[1][0] if len(found) > 1 else found[0][1] for found in windows]
        return b.add("AveragePool", xs[0], kernel_shape=kernel, strides=strides)
    rows, columns = (_averages(side, each) for side, each in zip(sides, windows, strict=True))
    across = b.add("MatMul", xs[0], b.constant(columns.T))
    return b.add("MatMul", b.constant(rows), across)


def _windows(side: int, cells: int) -> list[tuple[int, int]]:
    return [(i * side // cells, math.ceil((i + 1) * side / cells)) for i in range(cells)]


def _uniform(windows: list[tuple[int, int]]) -> bool:
    sizes = {end - start for start, end in windows}
    strides = {b[0] - a[0] for a, b in pairwise(windows)}
    return len(sizes) == 1 and len(strides) <= 1


def _averages(side: int, windows: list[tuple[int, int]]) -> NDArray[np.float32]:
    """Return a matrix (cells, side) whose rows average windows."""
    matrix = np.zeros((len(windows), side), np.float32)
    for row, (start, end) in zip(matrix, windows, strict=True):
        row[start:end] = 1 / (end - start)
    return matrix


def _avg_pool(b: Builder, op: Op, xs: Names) -> str:
    return b.add("AveragePool", xs[0], kernel_shape=list(op["kernel"]), strides=list(op["stride"]),
                 pads=[op["padding"]] * 4, count_include_pad=1)  # fmt: skip


def _max_pool(b: Builder, op: Op, xs: Names) -> str:
    return b.add(
        "MaxPool", xs[0], kernel_shape=[op["kernel"]] * 2, strides=[op["stride"]] * 2, pads=[op["padding"]] * 4
    )


def _resize(b: Builder, op: Op, xs: Names) -> str:
    (_, *sides), (_, *size) = op.in_shapes[0], op.out_shapes[0]
    if op.kind == "upsample":
        mode, corners = op.get("mode", "nearest"), True
    else:
        mode, corners = op["mode"], op.get("corners", True)
    if mode == "nearest":
        how = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    else:
        how = {"mode": "linear", "coordinate_transformation_mode": "align_corners" if corners else "half_pixel"}
    scales = np.array([1, 1, *(c / a for a, c in zip(sides, size, strict=True))], np.float32)
    if all(_is_exact(side, scale, c) for side, scale, c in zip(sides, scales[2:], size, strict=True)):
        return b.add("Resize", xs[0], "", b.constant(scales), **how)
    if b.opset >= AXES_IN_RESIZE:
        return b.add("Resize", xs[0], "", "", b.constant([*size]), axes=[2, 3], **how)
    kept = b.add("Slice", b.add("Shape", xs[0]), b.constant([0]), b.constant([2]))
    return b.add("Resize", xs[0], "", "", b.add("Concat", kept, b.constant([*size]), axis=0), **how)


def _is_exact(side: int, scale: np.float32, size: int) -> bool:
    """Return whether side * scale is the size in any precision, so that no runtime rounds it to another."""
    return float(scale) * side == size


def _split(b: Builder, op: Op, xs: Names) -> Names:
    return b.add_many("Split", xs[0], b.constant(list(op["widths"])), outputs=len(op["widths"]), axis=1)


def _concat(b: Builder, op: Op, xs: Names) -> str:
    return b.add("Concat", *xs, axis=1)


def _interleave(b: Builder, op: Op, xs: Names) -> str:
    return _shuffled(b, b.add("Concat", *xs, axis=1), len(xs), op)


def _shuffle(b: Builder, op: Op, xs: Names) -> str:
    return _shuffled(b, xs[0], op["groups"], op)


def _shuffled(b: Builder, x: str, groups: int, op: Op) -> str:
    width, height, breadth = op.out_shapes[0]
    apart = b.reshape(x, 0, groups, width // groups, height * breadth)
    return b.reshape(b.add("Transpose", apart, perm=[0, 2, 1, 3]), 0, width, height, breadth)


def _add(b: Builder, op: Op, xs: Names) -> str:
    """A sum; a term with a small scale is added as often, since the product with a number unpacks channels."""
    scaled = zip(xs, op["scales"], strict=True)
    terms = [[x] * scale if 0 < scale < 4 else [b.add("Mul", x, b.constant(float(scale)))] for x, scale in scaled]
    first, *rest = [each for term in terms for each in term]
    for term in rest:
        first = b.add("Add", first, term)
    return first


def _multiply(b: Builder, op: Op, xs: Names) -> str:
    return b.add("Mul", *xs)


_AXES = {"channels": [1], "height": [2], "width": [3], "positions": [2, 3]}


def _reduce(b: Builder, kind: str, x: str, axes: list[int]) -> str:
    if b.opset >= 18 or kind == "ReduceSum":
        return b.add(kind, x, b.constant(axes), keepdims=1)
    return b.add(kind, x, axes=axes, keepdims=1)


def _mean(b: Builder, op: Op, xs: Names) -> str:
    return _reduce(b, "ReduceMean", xs[0], _AXES[op["axis"]])


def _softmax(b: Builder, op: Op, xs: Names) -> str:
    x = xs[0] if op["temperature"] == 1 else b.add("Div", xs[0], b.constant(float(op["temperature"])))
    if op["axis"] != "positions":
        return b.add("Softmax", x, axis=_AXES[op["axis"]][0])
    width, height, breadth = op.out_shapes[0]
    return b.reshape(b.add("Softmax", b.reshape(x, 0, width, -1), axis=2), 0, width, height, breadth)


def _weighted_sum(b: Builder, op: Op, xs: Names) -> str:
    x, weights = xs
    if op["axis"] == "positions":
        row, column = b.reshape(x, 0, op.in_shapes[0][0], 1, -1), b.reshape(weights, 0, op.in_shapes[1][0], -1, 1)
        return b.add("MatMul", row, column)
    turned = b.add("Transpose", weights, perm=[0, 1, 3, 2])
    return b.add("MatMul", x, turned) if op["axis"] == "width" else b.add("MatMul", turned, x)


def _weighted_runs(b: Builder, op: Op, xs: Names) -> str:
    (width, height, breadth), runs = op.out_shapes[0], op["size"][0] * op["size"][1]
    summed = b.add("MatMul", b.reshape(xs[0], 0, runs, width, -1), b.reshape(xs[1], 0, runs, -1, 1))
    return b.reshape(b.add("Transpose", summed, perm=[0, 2, 1, 3]), 0, width, height, breadth)


def _layer_norm(b: Builder, op: Op, xs: Names) -> str:
    assert isinstance(op.module, nn.LayerNorm)
    centred = b.add("Sub", xs[0], _reduce(b, "ReduceMean", xs[0], [1]))
    variance = _reduce(b, "ReduceMean", b.add("Mul", centred, centred), [1])
    deviation = b.add("Sqrt", b.add("Add", variance, b.constant(op.module.eps)))
    scaled = b.add("Mul", b.add("Div", centred, deviation), b.constant(_of(op, "weight")[:, None, None], "gain"))
    return b.add("Add", scaled, b.constant(_of(op, "bias")[:, None, None], "offset"))


def _learned_scale(b: Builder, op: Op, xs: Names) -> str:
    _, height, breadth = op.in_shapes[0]
    weight = _of(op, "weight")[:, :, :height] if op["axis"] == "height" else _of(op, "weight")[..., :breadth]
    return b.add("Mul", xs[0], b.constant(weight, "weight"))


def _dynamic_conv(b: Builder, op: Op, xs: Names) -> str:
    """Convolve by every kernel, then weigh the results: ONNX has no convolution with kernels of each sample."""
    weight = _of(op, "weight")
    kernels, width, *kernel = weight.shape
    by_output = weight.transpose(0, 1).reshape(width * kernels, *kernel)
    made = b.add("Conv", xs[0], b.constant(by_output, "weight"), group=op["groups"], kernel_shape=list(kernel[1:]),
                 strides=[op["stride"]] * 2, pads=[op["padding"]] * 4)  # fmt: skip
    _, height, breadth = op.out_shapes[0]
    each = b.reshape(made, 0, width, kernels, height * breadth)
    weighed = b.add("MatMul", b.reshape(xs[1], 0, 1, 1, kernels), each)
    return b.reshape(weighed, 0, width, height, breadth)


def _dynamic_relu(b: Builder, op: Op, xs: Names) -> str:
    x, theta = xs
    channels = op.in_shapes[1][0] // 4
    parts = b.add_many("Split", b.reshape(theta, 0, channels, 4, 1), b.constant([1, 1, 1, 1]), outputs=4, axis=2)
    a1, a2, b1, b2 = parts
    half = b.constant(0.5)
    first = b.add("Add", b.add("Mul", b.add("Add", a1, b.constant(1.0)), x), b.add("Mul", b1, half))
    return b.add("Max", first, b.add("Add", b.add("Mul", a2, x), b.add("Mul", b2, half)))


_OPERATORS: Mapping[str, Callable[[Builder, Op, Names], str | Names]] = {
    "conv": _conv,
    "deconv": _conv,
    "norm": _norm,
    "prelu": _prelu,
    "pool": _pool,
    "grid_pool": _pool,
    "avg_pool": _avg_pool,
    "max_pool": _max_pool,
    "upsample": _resize,
    "resize": _resize,
    "split": _split,
    "concat": _concat,
    "interleave": _interleave,
    "shuffle": _shuffle,
    "add": _add,
    "multiply": _multiply,
    "mean": _mean,
    "softmax": _softmax,
    "weighted_sum": _weighted_sum,
    "weighted_runs": _weighted_runs,
    "layer_norm": _layer_norm,
    "learned_scale": _learned_scale,
    "dynamic_conv": _dynamic_conv,
    "dynamic_relu": _dynamic_relu,
    "module": users_module,
}
