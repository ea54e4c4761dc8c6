"""Blocks of segmentation networks that see far: pyramids of pools, convolutions on a smaller map, large gates."""

from __future__ import annotations

from typing import Annotated, Literal

from archlab.blocks.wiring import Activation, Map, Maps, Wiring, WiringError
from archlab.yamlio import AtLeast, Length

Width = Annotated[int, AtLeast(1)]
Numbers = Annotated[tuple[Width, ...], Length(1)]


def pyramid_pooling(g: Wiring, x: Map, *, bins: Numbers = (1, 2, 3, 6), layer: bool = True) -> Map:
    """x and relu(BN(W mean over n x n cells of x)) resized to x, for each n of `bins`, concatenated.

    Each has x's channels / the number of bins. layer: the paper's counter sees the pools. PSPNet, section 3.2.
    """
    found = [x]
    for n in bins:
        made = g.conv_norm(
            g.grid_pool(x, (n, n), layer=layer), max(1, x.channels // len(bins)), act="relu", name=f"bin{n}"
        )
        found.append(g.resize(made, x.size, mode="bilinear"))
    return g.concat(*found)


def pyramid_sum(g: Wiring, x: Map, *, windows: tuple[tuple[Width, Width, Width, Width], ...]) -> Map:
    """x plus its means over windows, resized to x. ICNet's pyramid.

    windows: height and width of each, at most x's, and its strides down and across.
    """
    height, breadth = x.size
    pools = [
        g.avg_pool(x, kernel=(min(h, height), min(w, breadth)), stride=(down, across), padding=0)
        for h, w, down, across in windows
    ]
    return g.add(x, *(g.resize(pool, x.size, mode="bilinear") for pool in pools))


def grid_pyramid(g: Wiring, x: Map, *, rows: Numbers = (8, 4, 2), width: Width = 128, pooled: Width = 42) -> Map:
    """c(concat(z, resize(c(mean over n x n W/H cells of z)) for n of `rows`)) of z = c(x), c a 1x1 after BN and ReLU.

    c makes `width` channels, of cells `pooled`. The cells have the map's own aspect ratio, and the norms the momentum
    0.005. SwiftNet, section 3.3.
    """

    def convolved(x: Map, width: int, name: str) -> Map:
        with g.scope(name):
            return g.conv(g.act(g.norm(x, momentum=0.005)), width)

    z = convolved(x, width, "reduce")
    height, breadth = x.size
    found = [z]
    for n in rows:
        cells = convolved(g.pool_to(z, (n, max(1, n * breadth // height))), pooled, f"rows{n}")
        found.append(g.resize(cells, x.size, mode="bilinear", corners=False))
    return convolved(g.concat(*found), width, "mix")


def zoomed_conv(g: Wiring, x: Map, *, width: Width, convolutions: Literal[1, 2] = 2, stride: Literal[1, 2] = 1) -> Map:
    """relu(back(conv(half))): 3x3 + BN, once or twice with a ReLU between, on the map bilinearly resized to half.

    At stride 2 the way back is left out. One ReLU layer is called for all. FasterSeg, section 3.1.
    """
    y = g.resize(x, (x.size[0] // 2, x.size[1] // 2), mode="bilinear")
    for i in range(convolutions):
        y = g.conv_norm(g.act(y, shared="act") if i else y, width, kernel=3, name=f"conv{i + 1}")
    return g.act(g.resize(y, x.size, mode="bilinear") if stride == 1 else y, shared="act")


def double_conv(g: Wiring, x: Map, *, width: Width, stride: Literal[1, 2] = 1) -> Map:
    """relu(BN(conv3x3(relu(BN(conv3x3(x)))))), the first strided; one ReLU layer is called twice. FasterSeg, 3.1."""
    y = g.act(g.conv_norm(x, width, kernel=3, stride=stride, name="conv1"), shared="act")
    return g.act(g.conv_norm(y, width, kernel=3, name="conv2"), shared="act")


def xception_block(g: Wiring, x: Map, *, width: Width, stride: Literal[1, 2] = 1) -> Map:
    """relu(x + s(s(s(x)))), s separable 3x3, the last to 4 width without ReLU; x by another s where shapes differ.

    BiSeNet's Xception39, as the authors' code has it.
    """

    def separable(x: Map, width: int, stride: int, act: Activation, name: str) -> Map:
        with g.scope(name):
            return g.conv_norm(g.depthwise(x, stride=stride), width, act=act, name="pointwise")

    y = separable(x, width, stride, "relu", "conv1")
    y = separable(y, width, 1, "relu", "conv2")
    y = separable(y, 4 * width, 1, "none", "conv3")
    return g.act(g.add(y, x if x.shape == y.shape else separable(x, 4 * width, stride, "none", "shortcut")))


def lr_aspp(g: Wiring, xs: Maps, *, width: Width = 128) -> list[Map]:
    """Of a fine and a deep map, resize(relu(BN(W deep)) * resize(sigmoid(V p))) at the size of fine, and fine.

    p is the mean of deep over windows of 49x49 (or all of it), of strides 16 and 20. `summed_maps` is the last layer.
    MobileNetV3, figure 10.
    """
    if len(xs) != 2:
        raise WiringError(f"expected two maps, fine and deep, found {len(xs)}")
    fine, deep = xs
    with g.scope("gate"):
        kernel = (min(49, deep.size[0]), min(49, deep.size[1]))
        gate = g.act(g.conv(g.avg_pool(deep, kernel=kernel, stride=(16, 20), padding=0), width), "sigmoid")
    mixed = g.multiply(g.conv_norm(deep, width, act="relu", name="mix"), g.resize(gate, deep.size, mode="bilinear"))
    return [g.resize(mixed, fine.size, mode="bilinear"), fine]


def summed_maps(g: Wiring, xs: Maps, *, outputs: Width) -> Map:
    """The last layer of several maps of one size: the sum of a 1x1 convolution with bias of each."""
    return g.add(*(g.conv(x, outputs, bias=True, name=f"from{i}") for i, x in enumerate(xs)))
