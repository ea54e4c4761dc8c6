"""Gates: maps multiplied by weights that follow from their mean."""

from __future__ import annotations

from typing import Annotated

from archlab.blocks.wiring import Activation, Map, Maps, Wiring
from archlab.yamlio import AtLeast

Width = Annotated[int, AtLeast(1)]


def squeeze_excitation(g: Wiring, x: Map, *, width: Width, gate: Activation = "sigmoid", bias: bool = True) -> Map:
    """x * gate(W2 relu(W1 mean(x))), both 1x1, hidden `width`. Squeeze-and-Excitation, figure 3."""
    with g.scope("gate"):
        hidden = g.act(g.conv(g.global_pool(x), width, bias=bias, name="reduce"), "relu")
        return g.multiply(x, g.act(g.conv(hidden, x.channels, bias=bias, name="expand"), gate))


def global_pool(g: Wiring, x: Map) -> Map:
    """Mean over all positions: (C, H, W) to (C, 1, 1)."""
    return g.global_pool(x)


def attention_refinement(g: Wiring, x: Map, *, width: Width, act: Activation = "relu") -> Map:
    """y * sigmoid(BN(W mean(y))) of y = act(BN(conv3x3(x))). BiSeNet, section 3.2."""
    y = g.conv_norm(x, width, kernel=3, act=act, name="conv")
    with g.scope("attention"):
        return g.multiply(y, g.conv_norm(g.global_pool(y), width, act="sigmoid", name="gate"))


def feature_fusion(g: Wiring, xs: Maps, *, width: Width) -> Map:
    """y + y * sigmoid(W2 relu(W1 mean(y))) of y = relu(BN(W concat(xs))). BiSeNet, section 3.3."""
    y = g.conv_norm(g.concat(*xs), width, act="relu", name="mix")
    with g.scope("attention"):
        hidden = g.act(g.conv(g.global_pool(y), width, name="reduce"))
        weighted = g.multiply(y, g.act(g.conv(hidden, width, name="expand"), "sigmoid"))
    return g.add(y, weighted)
