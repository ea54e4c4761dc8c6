"""Spatially unidimensional self-attention, the unit of X-HRNet."""

from __future__ import annotations

from typing import Annotated, Literal

from archlab.blocks.wiring import Map, Wiring
from archlab.yamlio import AtLeast

Length = Annotated[int, AtLeast(1)]
Side = Literal["height", "width"]


def unidimensional_unit(
    g: Wiring,
    x: Map,
    *,
    form: Literal["sequential", "parallel"] = "sequential",
    rows: Length = 96,
    columns: Length = 72,
) -> Map:
    """y = shuffle(first half, after(BN(depthwise(before(second half))))), with attention in place of 1x1 convolutions.

    sequential: before weighs columns and after weighs rows. parallel: both weigh the rows of one half of the channels
    and the columns of the other, and shuffle. rows, columns: the largest map, for which weights are learned. X-HRNet,
    section 3.
    """
    lengths: dict[Side, int] = {"height": rows, "width": columns}
    kept, moving = g.halves(x)
    if form == "sequential":
        moving = unidimensional_attention(g, moving, "width", lengths["width"])
        moving = g.depthwise_norm(moving)
        moving = unidimensional_attention(g, moving, "height", lengths["height"])
    else:
        moving = g.depthwise_norm(_both(g, moving, lengths))
        moving = _both(g, moving, lengths)
    return g.shuffle(g.concat(kept, moving))


def _both(g: Wiring, x: Map, lengths: dict[Side, int]) -> Map:
    first, second = g.halves(x)
    first = unidimensional_attention(g, first, "height", lengths["height"])
    second = unidimensional_attention(g, second, "width", lengths["width"])
    return g.shuffle(g.concat(first, second))


def unidimensional_attention(g: Wiring, x: Map, axis: Side, length: int) -> Map:
    """x * sigmoid(LN(W sum over the other axis of x softmax(q))), q = depthwise(mean over the axis of x * learned).

    One weight for each position along `axis` and channel; both 1x1 convolutions have a bias. X-HRNet, section 3.2.
    """
    other: Side = "width" if axis == "height" else "height"
    with g.scope(axis):
        means = g.mean(g.learned_scale(x, axis, length), axis)
        query = g.softmax(g.depthwise(means, kernel=1, bias=True, name="query"), other)
        weights = g.conv(g.weighted_sum(x, query, other), x.channels, bias=True, name="mix")
        return g.multiply(x, g.act(g.layer_norm(weights), "sigmoid"))
