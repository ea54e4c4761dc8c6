"""Blocks that add convolved averages to a map, the unit and stem of HF-HRNet."""

from __future__ import annotations

from typing import Annotated

from archlab.blocks.weighting import cross_resolution_weighting
from archlab.blocks.wiring import Activation, Map, Maps, Wiring
from archlab.yamlio import AtLeast


def pooled_context_unit(g: Wiring, xs: Maps, *, ratio: Annotated[int, AtLeast(1)] = 8) -> list[Map]:
    """y = x + c(BN(depthwise(c(relu(BN(depthwise(H(x)))))))), c(z) = z + upsample(W avgpool(z)).

    H is the cross-resolution weighting of Lite-HRNet, on all channels. Shapes are kept. HF-HRNet as released.
    """
    with g.scope("cross_resolution"):
        weighted = cross_resolution_weighting(g, xs, ratio=ratio)
    made = []
    for i, (x, z) in enumerate(zip(xs, weighted, strict=True)):
        with g.scope(f"branch{i}"):
            z = add_context(g, g.depthwise_norm(z, act="relu", name="depthwise1"), name="context1")
            z = add_context(g, g.depthwise_norm(z, name="depthwise2"), name="context2")
            made.append(g.add(z, x))
    return made


def add_context(g: Wiring, x: Map, *, act: Activation = "none", name: str) -> Map:
    """x + upsample(act(W y)), y the mean over 3x3 windows at stride 2, nearest; W without bias or norm.

    Where a side is odd y is the mean over all positions, as in the released class for inputs of 384x288.
    """
    with g.scope(name):
        odd = x.size[0] % 2 or x.size[1] % 2
        pooled = g.global_pool(x) if odd else g.avg_pool(x, kernel=3, stride=2, padding=1)
        mixed = g.act(g.conv(pooled, x.channels), act)
        return g.add_stretched(x, mixed) if odd else g.add(x, g.upsample(mixed, 2))


def pooled_context_stem(
    g: Wiring, x: Map, *, width: Annotated[int, AtLeast(1)] = 48, first: Annotated[int, AtLeast(1)] = 32
) -> Map:
    """A 3x3 stride-2 convolution to `first`, then a stride-2 unit with context: (3, H, W) to (width, H/4, W/4).

    HF-HRNet as released.
    """
    x = g.conv_norm(x, first, kernel=3, stride=2, act="relu", name="conv")
    z = g.conv_norm(x, width, act="relu", name="expand")
    z = add_context(g, g.depthwise_norm(z, act="relu", name="depthwise1"), act="relu", name="context1")
    z = add_context(g, g.depthwise_norm(z, stride=2, name="depthwise2"), act="relu", name="context2")
    with g.scope("shortcut"):
        return g.add(z, g.conv_norm(g.depthwise_norm(x, stride=2), width, name="pointwise"))
