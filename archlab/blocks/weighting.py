"""Conditional channel weighting, the unit of Lite-HRNet, and its two weightings."""

from __future__ import annotations

from typing import Annotated, Literal

from archlab.blocks.wiring import Map, Maps, Wiring
from archlab.yamlio import AtLeast

Weighting = Literal["cross_resolution", "spatial", "none"]
Ratio = Annotated[int, AtLeast(1)]


def conditional_channel_weighting(
    g: Wiring,
    xs: Maps,
    *,
    before: Weighting = "cross_resolution",
    after: Weighting = "spatial",
    ratio: Ratio = 8,
    spatial_ratio: Ratio = 4,
) -> list[Map]:
    """Reweight half the channels by content, in place of a shuffle block's 1x1 convolutions.

    y = shuffle(first half, W_after * BN(depthwise(W_before * second half))): linear in the number of channels where a
    1x1 convolution is quadratic. `before` and `after`: the weightings before and after the depthwise convolution
    (Lite-HRNet, section 3.2; the other orders are its section 4.3). Shapes are kept.
    """
    kept, moving = zip(*(g.halves(x) for x in xs), strict=True)
    weighted = weigh(g, moving, before, ratio=ratio, spatial_ratio=spatial_ratio)
    mixed = [g.part(Wiring.depthwise_norm, x, name=f"depthwise{i}") for i, x in enumerate(weighted)]
    weighted = weigh(g, mixed, after, ratio=ratio, spatial_ratio=spatial_ratio)
    return [g.shuffle(g.concat(a, b)) for a, b in zip(kept, weighted, strict=True)]


def weigh(g: Wiring, xs: Maps, kind: Weighting, *, ratio: int, spatial_ratio: int) -> Maps:
    """Apply one weighting to every map."""
    if kind == "cross_resolution":
        with g.scope("cross_resolution"):
            return cross_resolution_weighting(g, xs, ratio=ratio)
    if kind == "spatial":
        with g.scope("spatial"):
            return [g.part(spatial_weighting, x, ratio=spatial_ratio, name=f"branch{i}") for i, x in enumerate(xs)]
    return xs


def cross_resolution_weighting(g: Wiring, xs: Maps, *, ratio: int) -> list[Map]:
    """H: x_s * upsample(w_s), with (w_1 ... w_n) = sigmoid(BN(W2 relu(BN(W1 concat(pool(x_1) ... x_n))))).

    Everything is pooled to the coarsest map; the hidden width is floor(all channels / ratio), at least 1. The second BN
    is in the released code, not in Eq. 4. Lite-HRNet, section 3.2.
    """
    pooled = g.concat(*(g.pool_to(x, xs[-1].size) for x in xs))
    hidden = g.conv_norm(pooled, max(1, pooled.channels // ratio), act="relu", name="reduce")
    weights = g.split(g.conv_norm(hidden, pooled.channels, act="sigmoid", name="expand"), [x.channels for x in xs])
    return [g.multiply(x, g.resize(w, x.size)) for x, w in zip(xs, weights, strict=True)]


def spatial_weighting(g: Wiring, x: Map, *, ratio: int, name: str) -> Map:
    """F: x * sigmoid(W2 relu(W1 mean(x))), both 1x1 with bias, hidden width floor(C / ratio), at least 1.

    Squeeze-and-excitation; "spatial" is the paper's word for weights equal at all positions. Section 3.2.
    """
    with g.scope(name):
        hidden = g.conv(g.global_pool(x), max(1, x.channels // ratio), bias=True, name="reduce")
        weights = g.conv(g.act(hidden, "relu"), x.channels, bias=True, name="expand")
        return g.multiply(x, g.act(weights, "sigmoid"))
