"""Pre-activation residuals and the hourglasses that are built from them."""

from __future__ import annotations

from typing import Annotated

from archlab.blocks.wiring import Map, Wiring, WiringError
from archlab.yamlio import AtLeast, MultipleOf

Width = Annotated[int, AtLeast(2), MultipleOf(2)]
Depth = Annotated[int, AtLeast(1)]


def preactivation_residual(g: Wiring, x: Map, *, width: Width | None = None) -> Map:
    """y = x + W3 r(W2 r(W1 r(x))), r = relu(BN(.)), W2 3x3 of half the width; x by a 1x1 where the width changes.

    Every convolution has a bias; one ReLU layer is called three times. Stacked Hourglass Networks, figure 4 left.
    """
    width = width or x.channels
    y = x
    for i, (out, kernel) in enumerate(((width // 2, 1), (width // 2, 3), (width, 1)), start=1):
        y = g.act(g.norm(y, name=f"norm{i}"), shared="act")
        y = g.conv(y, out, kernel=kernel, bias=True, name=f"conv{i}")
    return g.add(y, x if x.channels == width else g.conv(x, width, bias=True, name="shortcut"))


def hourglass(g: Wiring, x: Map, *, depth: Depth = 4) -> Map:
    """y = R(x) + upsample(R(inner(R(maxpool(x))))): residuals R at depth + 1 resolutions. Shapes are kept.

    inner is an hourglass of a depth less, at depth 1 a residual. Stacked Hourglass Networks, figure 3.
    """
    if any(side % 2**depth for side in x.size):
        raise WiringError(
            f"an hourglass of depth {depth} halves a map {depth} times, so not one of {x.size[0]}x{x.size[1]}"
        )
    with g.scope(f"depth{depth}"):
        kept = _residual(g, x, "kept")
        low = _residual(g, g.max_pool(x, kernel=2, layer=False), "down")
        low = hourglass(g, low, depth=depth - 1) if depth > 1 else _residual(g, low, "inner")
        low = _residual(g, low, "up")
        return g.add(kept, g.resize(low, x.size))


def hourglass_stack(g: Wiring, x: Map, *, depth: Depth = 4, joints: Annotated[int, AtLeast(1)] = 17) -> Map:
    """x + W2 y + W4 W3 y of y = relu(BN(W1 R(hourglass(x)))): a stack that hands its heat-maps W3 y on to the next.

    joints: the number of heat-maps. Each W is 1x1 with bias. Stacked Hourglass Networks, section 3.2.
    """
    y = _residual(g, hourglass(g, x, depth=depth), "residual")
    y = g.conv_norm(y, x.channels, bias=True, act="relu", name="mix")
    maps = g.conv(y, joints, bias=True, name="maps")
    back = g.conv(maps, x.channels, bias=True, name="maps_back")
    return g.add(x, g.conv(y, x.channels, bias=True, name="mix_back"), back)


def _residual(g: Wiring, x: Map, name: str) -> Map:
    with g.scope(name):
        return preactivation_residual(g, x)
