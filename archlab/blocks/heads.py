"""Heads that end in class logits or heat-maps."""

from __future__ import annotations

from typing import Annotated, Literal

from archlab.blocks.wiring import Map, Maps, Wiring, WiringError
from archlab.yamlio import AtLeast

Width = Annotated[int, AtLeast(1)]


def fcn_head(
    g: Wiring, x: Map, *, outputs: Width, width: Width, convolutions: Width = 1, kernel: Literal[1, 3] = 3
) -> Map:
    """W y + b of y = `convolutions` times relu(BN(conv(.))) of x: (C, H, W) to (outputs, H, W). FCN, section 3."""
    for i in range(convolutions):
        x = g.conv_norm(x, width, kernel=kernel, act="relu", name=f"conv{i}")
    return g.conv(x, outputs, bias=True)


def level_heat_maps(g: Wiring, xs: Maps, *, outputs: Width) -> Map:
    """BN(resize(conv3x3(relu(BN(W x))))) of the first map x, bilinear to the size of the second. CPN, section 3.2."""
    if len(xs) != 2:
        raise WiringError("level_heat_maps reads two maps, the second for its size")
    x = g.conv_norm(xs[0], xs[0].channels, act="relu", name="mix")
    return g.norm(g.resize(g.conv(x, outputs, kernel=3), xs[1].size, mode="bilinear"))


def aggregated_levels(g: Wiring, xs: Maps, *, width: Width = 64) -> Map:
    """relu(BN(conv3x3(a + b + c))) + d + e + f of six maps, each relu(BN(W x)) at the size of the first. DFANet.

    The maps are three shallow and three deep ones; the last two share one W and BN, as in the public code.
    """
    if len(xs) != 6:
        raise WiringError(f"expected six maps, three shallow and three deep ones, found {len(xs)}")
    made = [g.conv_norm(x, width, act="relu", name=f"level{i}") for i, x in enumerate(xs[:5])]
    with g.again("level4"):
        made.append(g.act(g.norm(g.conv(xs[5], width))))
    a, b, c, *deep = [g.resize(x, xs[0].size, mode="bilinear") for x in made]
    shallow = g.conv_norm(g.add(a, b, c), width, kernel=3, bias=True, act="relu", name="shallow")
    return g.add(shallow, *deep)
