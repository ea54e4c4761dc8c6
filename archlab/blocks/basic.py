"""Blocks of one or two layers, the parts of a `nodes:` network, and the last layer."""

from __future__ import annotations

from typing import Annotated, Literal

from archlab.blocks.wiring import Activation, Map, Maps, Norm, Wiring, WiringError
from archlab.yamlio import Above, AtLeast

Width = Annotated[int, AtLeast(1)]


def conv(
    g: Wiring,
    x: Map,
    *,
    width: Width,
    kernel: Annotated[int, AtLeast(1)] = 3,
    stride: Annotated[int, AtLeast(1)] = 1,
    groups: Annotated[int, AtLeast(1)] = 1,
    dilation: Annotated[int, AtLeast(1)] = 1,
    padding: Annotated[int, AtLeast(0)] | None = None,
    norm: Norm = "batch",
    bias: bool | None = None,
    act: Activation = "relu",
) -> Map:
    """act(BN(conv(x))): (C, H, W) to (width, H / stride, W / stride).

    `padding`: by default as much as keeps the size at stride 1. `bias`: by default only without a norm.
    """
    bias = norm == "none" if bias is None else bias
    x = g.conv(x, width, kernel=kernel, stride=stride, groups=groups, dilation=dilation, padding=padding, bias=bias)
    return g.act(g.norm(x) if norm == "batch" else x, act)


def pre_conv(
    g: Wiring, x: Map, *, width: Width, kernel: Annotated[int, AtLeast(1)] = 3, act: Activation = "relu"
) -> Map:
    """conv(act(BN(x))) without bias: (C, H, W) to (width, H, W). Pre-activation ResNet, figure 4e."""
    return g.conv(g.act(g.norm(x), act), width, kernel=kernel)


def separable_conv(
    g: Wiring,
    x: Map,
    *,
    width: Width | None = None,
    kernel: Annotated[int, AtLeast(1)] = 3,
    stride: Annotated[int, AtLeast(1)] = 1,
    middle: Literal["act", "none"] = "act",
    act: Activation = "relu",
) -> Map:
    """act(BN(W m(depthwise(x)))), m BN and act, or nothing; `width` is by default x's. Xception, section 3."""
    if middle == "act":
        y = g.depthwise_norm(x, kernel=kernel, stride=stride, act=act)
    else:
        y = g.depthwise(x, kernel=kernel, stride=stride)
    return g.conv_norm(y, width or x.channels, act=act, name="pointwise")


def deconv(
    g: Wiring,
    x: Map,
    *,
    width: Width = 256,
    kernel: Annotated[int, AtLeast(2)] = 4,
    stride: Annotated[int, AtLeast(1)] = 2,
    act: Activation = "relu",
) -> Map:
    """act(BN(transposed convolution)): (C, H, W) to (width, H * stride, W * stride). SimpleBaseline, section 2."""
    return g.act(g.norm(g.deconv(x, width, kernel=kernel, stride=stride)), act)


def max_pool(
    g: Wiring, x: Map, *, kernel: Annotated[int, AtLeast(1)] = 3, stride: Annotated[int, AtLeast(1)] = 2
) -> Map:
    """Maximum over kernel x kernel windows."""
    return g.max_pool(x, kernel=kernel, stride=stride)


def upsample(
    g: Wiring, x: Map, *, factor: Annotated[int, AtLeast(1)] = 2, mode: Literal["nearest", "bilinear"] = "nearest"
) -> Map:
    """Upsampling by a whole factor as a layer, which the paper's counter sees; bilinear aligns the corners."""
    return g.upsample(x, factor, mode=mode)


def resize(
    g: Wiring,
    xs: Maps,
    *,
    factor: Annotated[float, Above(0)] | None = None,
    corners: bool = True,
    mode: Literal["bilinear", "nearest"] = "bilinear",
) -> Map:
    """The first map at another size: by a factor, or to that of the second map.

    corners: align the corners, if bilinear; a factor then brings an odd side n to (n - 1) factor + 1.
    """
    if (factor is None) != (len(xs) == 2):
        raise WiringError("resize reads one map with a `factor:`, or two without, the second for its size")
    height, width = (n if factor is None else _scaled(n, factor, corners and mode == "bilinear") for n in xs[-1].size)
    if min(height, width) < 1:
        raise WiringError(f"a map of {xs[0].size[0]}x{xs[0].size[1]} is too small for a factor of {factor}")
    return g.resize(xs[0], (height, width), mode=mode, corners=corners)


def _scaled(n: int, factor: float, corners: bool) -> int:
    return int((n - 1) * factor) + 1 if corners and n % 2 else int(n * factor)


def norm(g: Wiring, x: Map, *, act: Activation = "none") -> Map:
    """act(BN(x))."""
    return g.act(g.norm(x), act)


def add(g: Wiring, xs: Maps, *, act: Activation = "none") -> Map:
    """act(the sum of maps of one shape)."""
    return g.act(g.add(*xs), act)


def concat(g: Wiring, xs: Maps) -> Map:
    """The channels of maps of one size, in order."""
    return g.concat(*xs)


def gather(g: Wiring, xs: Maps) -> list[Map]:
    """The maps of several nodes as one list, without an operator. It joins the blocks of single branches."""
    return list(xs)


def hrnet_stem(g: Wiring, x: Map, *, width: Width = 64) -> Map:
    """Two 3x3 stride-2 convolutions with norm, one ReLU layer called twice: (3, H, W) to (width, H/4, W/4). HRNet."""
    x = g.act(g.conv_norm(x, width, kernel=3, stride=2, name="conv1"), shared="act")
    return g.act(g.conv_norm(x, width, kernel=3, stride=2, name="conv2"), shared="act")


def heat_maps(
    g: Wiring, x: Map, *, outputs: Width, kernel: Literal[1, 3] = 1, norm: Norm = "none", bias: bool | None = None
) -> Map:
    """The last layer, a convolution without activation: (C, H, W) to (outputs, H, W).

    `bias`: by default only without a norm.
    """
    x = g.conv(x, outputs, kernel=kernel, bias=norm == "none" if bias is None else bias)
    return g.norm(x) if norm == "batch" else x
