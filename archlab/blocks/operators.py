"""Operators without a convolution or norm: pools, resizing, sums and products of maps, attention over an axis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from archlab.blocks.maps import Map, WiringError, check_equal, check_size, check_width, shown, stretched

Pair = int | tuple[int, int]
Axis = Literal["height", "width", "positions"]


class Operators:
    """A part of `Wiring`, by whose interpreter `_lay` applies an operator."""

    __slots__ = ()
    _lay: Callable[..., Map]

    def global_pool(self, x: Map) -> Map:
        """Mean over all positions, (C, 1, 1)."""
        return self._lay("pool", (x,), (x.channels, 1, 1), name="pool", size=(1, 1))

    def pool_to(self, x: Map, size: tuple[int, int]) -> Map:
        """Adaptive average pooling to (H, W), as a function, which the paper's counter does not see."""
        if x.size == size:
            return x
        return self._lay("pool", (x,), (x.channels, *size), name="pool", size=size)

    def grid_pool(self, x: Map, grid: tuple[int, int]) -> Map:
        """Adaptive average pooling to a grid of cells, as a layer, which the paper's counter sees."""
        check_width(min(grid))
        return self._lay("grid_pool", (x,), (x.channels, *grid), name="grid_pool", grid=grid)

    def avg_pool(self, x: Map, *, kernel: Pair = 3, stride: Pair = 2, padding: int = 0) -> Map:
        """Mean over windows, (height, width) or one side; padded zeros count as elements."""
        kernel, stride = _pair(kernel), _pair(stride)
        size = tuple((side + 2 * padding - k) // s + 1 for side, k, s in zip(x.size, kernel, stride, strict=True))
        check_size(size, x, f"a {kernel[0]}x{kernel[1]} average pool")
        return self._lay("avg_pool", (x,), (x.channels, *size), name="avg_pool", kernel=kernel, stride=stride,
                         padding=padding)  # fmt: skip

    def max_pool(self, x: Map, *, kernel: int = 3, stride: int = 2, padding: int | None = None) -> Map:
        padding = (kernel - 1) // 2 if padding is None else padding
        size = tuple((side + 2 * padding - kernel) // stride + 1 for side in x.size)
        check_size(size, x, f"a {kernel}x{kernel} max pool of stride {stride}")
        return self._lay("max_pool", (x,), (x.channels, *size), name="max_pool", kernel=kernel, stride=stride,
                         padding=padding)  # fmt: skip

    def upsample(self, x: Map, factor: int, *, mode: Literal["nearest", "bilinear"] = "nearest") -> Map:
        """Upsampling by a whole factor, as a layer, which the paper's counter sees; bilinear aligns the corners."""
        size = (x.size[0] * factor, x.size[1] * factor)
        other = {} if mode == "nearest" else {"mode": mode}
        return self._lay("upsample", (x,), (x.channels, *size), name="upsample", factor=factor, **other)

    def resize(
        self, x: Map, size: tuple[int, int], *, mode: Literal["nearest", "bilinear"] = "nearest", corners: bool = True
    ) -> Map:
        """Interpolation to (H, W), as a function; corners: bilinear aligns the corners, like the reference's head."""
        if x.size == size:
            return x
        other = {"corners": False} if mode == "bilinear" and not corners else {}
        return self._lay("resize", (x,), (x.channels, *size), size=size, mode=mode, **other)

    def add(self, *xs: Map, scales: Sequence[int] = ()) -> Map:
        """sum_k scales_k x_k, every scale 1 unless given."""
        check_equal("added", [x.shape for x in xs], xs)
        scales = tuple(scales) or (1,) * len(xs)
        if scales == (1,):
            return xs[0]
        return self._lay("add", xs, xs[0].shape, scales=scales)

    def add_stretched(self, x: Map, y: Map) -> Map:
        """x + y, where a side of 1 stretches to the other's side."""
        return self._lay("add", (x, y), stretched(x, y), scales=(1, 1))

    def multiply(self, x: Map, weights: Map) -> Map:
        """x * weights; a side of 1 of the weights stretches to that of x."""
        if stretched(x, weights) != x.shape:
            raise WiringError(f"weights of {shown(weights.shape)} do not fit a map of {shown(x.shape)}")
        return self._lay("multiply", (x, weights), x.shape)

    def mean(self, x: Map, axis: Axis) -> Map:
        """Mean over an axis, which keeps the side 1; as a function, for which no counter gives anything."""
        return self._lay("mean", (x,), _without(x, axis), axis=axis)

    def softmax(self, x: Map, axis: Axis) -> Map:
        """exp(x) / the sum of exp(x) over an axis."""
        return self._lay("softmax", (x,), x.shape, axis=axis)

    def weighted_sum(self, x: Map, weights: Map, axis: Axis) -> Map:
        """The sum of x * weights over an axis, as a product of matrices; one map of weights serves all channels."""
        if stretched(x, weights) != x.shape:
            raise WiringError(f"weights of {shown(weights.shape)} do not fit a map of {shown(x.shape)}")
        return self._lay("weighted_sum", (x, weights), _without(x, axis), axis=axis)


def _pair(value: Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _without(x: Map, axis: Axis) -> tuple[int, int, int]:
    height, width = x.size
    return x.channels, 1 if axis != "width" else height, 1 if axis != "height" else width
