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

    def grid_pool(self, x: Map, grid: tuple[int, int], *, layer: bool = True) -> Map:
        """Adaptive average pooling to a grid of cells. layer: the paper's counter sees it."""
        check_width(min(grid))
        other = {} if layer else {"layer": False}
        return self._lay("grid_pool", (x,), (x.channels, *grid), name="grid_pool", grid=grid, **other)

    def avg_pool(self, x: Map, *, kernel: Pair = 3, stride: Pair = 2, padding: int = 0) -> Map:
        """Mean over windows, (height, width) or one side; padded zeros count as elements."""
        kernel, stride = _pair(kernel), _pair(stride)
        size = tuple((side + 2 * padding - k) // s + 1 for side, k, s in zip(x.size, kernel, stride, strict=True))
        check_size(size, x, f"a {kernel[0]}x{kernel[1]} average pool")
        return self._lay("avg_pool", (x,), (x.channels, *size), name="avg_pool", kernel=kernel, stride=stride,
                         padding=padding)  # fmt: skip

    def max_pool(
        self, x: Map, *, kernel: int = 3, stride: int = 2, padding: int | None = None, layer: bool = True
    ) -> Map:
        """Maximum over windows. layer: the paper's counter sees it; otherwise it is a function."""
        padding = (kernel - 1) // 2 if padding is None else padding
        size = tuple((side + 2 * padding - kernel) // stride + 1 for side in x.size)
        check_size(size, x, f"a {kernel}x{kernel} max pool of stride {stride}")
        other = {} if layer else {"layer": False}
        return self._lay("max_pool", (x,), (x.channels, *size), name="max_pool", kernel=kernel, stride=stride,
                         padding=padding, **other)  # fmt: skip

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

    def softmax(self, x: Map, axis: Axis | Literal["channels"], *, temperature: float = 1.0) -> Map:
        """exp(x / temperature) / its sum over an axis."""
        return self._lay("softmax", (x,), x.shape, axis=axis, temperature=temperature)

    def weighted_sum(self, x: Map, weights: Map, axis: Axis) -> Map:
        """The sum of x * weights over an axis, as a product of matrices; one map of weights serves all channels."""
        if stretched(x, weights) != x.shape:
            raise WiringError(f"weights of {shown(weights.shape)} do not fit a map of {shown(x.shape)}")
        return self._lay("weighted_sum", (x, weights), _without(x, axis), axis=axis)

    def weighted_runs(self, x: Map, weights: Map, size: tuple[int, int]) -> Map:
        """Weighted sums over runs of consecutive elements of the flattened memory, (C, H, W) to (C, *size).

        Both maps are viewed as h w runs of H W / (h w) elements, x as (h w, C, run): a run mixes channels and
        positions. An accident of the released Dite-HRNet, behind its published accuracies.
        """
        runs = size[0] * size[1]
        if weights.shape != (1, *x.size) or x.size[0] * x.size[1] % runs:
            raise WiringError(f"{shown(x.shape)} and weights of {shown(weights.shape)} do not divide into {runs} runs")
        return self._lay("weighted_runs", (x, weights), (x.channels, *size), size=size)

    def layer_norm(self, x: Map, *, name: str = "layer_norm") -> Map:
        """Layer normalisation over the channels of each position, with gain and offset."""
        return self._lay("layer_norm", (x,), x.shape, name=name)

    def learned_scale(self, x: Map, axis: Literal["height", "width"], length: int, *, name: str = "scale") -> Map:
        """x * a learned number for each row (height) or column, the first of `length` of them."""
        if x.size[axis == "width"] > length:
            raise WiringError(f"a map of {shown(x.shape)} has more than the {length} learned weights over its {axis}")
        return self._lay("learned_scale", (x,), x.shape, name=name, axis=axis, length=length)

    def dynamic_conv(
        self, x: Map, attention: Map, width: int, *, kernel: int = 1, stride: int = 1, groups: int = 1
    ) -> Map:
        """Convolution by each sample's own sum of K kernels, weighted by `attention` (K, 1, 1). Dynamic Convolution."""
        check_width(width)
        if x.channels % groups or width % groups:
            raise WiringError(f"{x.channels} and {width} channels do not divide into {groups} groups")
        if attention.size != (1, 1) or kernel % 2 == 0:
            raise WiringError(
                f"expected an odd kernel and weights of one position, not {kernel}, {shown(attention.shape)}"
            )
        size = tuple((side - 1) // stride + 1 for side in x.size)
        return self._lay("dynamic_conv", (x, attention), (width, *size), name="kernels", kernels=attention.channels,
                         kernel=kernel, stride=stride, padding=(kernel - 1) // 2, groups=groups)  # fmt: skip

    def dynamic_relu(self, x: Map, theta: Map) -> Map:
        """max(a_1 x + b_1, a_2 x + b_2) for each channel. Dynamic ReLU, Eq. 2.

        theta: (4 C, 1, 1), or (4, 1, 1) for one function for all channels, of values from -1 to 1:
        (a_1, a_2, b_1, b_2) = theta * (1, 1, 0.5, 0.5) + (1, 0, 0, 0).
        """
        if theta.shape not in ((4 * x.channels, 1, 1), (4, 1, 1)):
            raise WiringError(
                f"a dynamic ReLU of {shown(x.shape)} has 4 numbers, or 4 a channel; not {shown(theta.shape)}"
            )
        return self._lay("dynamic_relu", (x, theta), x.shape)


def _pair(value: Pair) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else value


def _without(x: Map, axis: Axis) -> tuple[int, int, int]:
    height, width = x.size
    return x.channels, 1 if axis != "width" else height, 1 if axis != "height" else width
