"""Gates: maps multiplied by weights that follow from their mean."""

from __future__ import annotations

from archlab.blocks.wiring import Activation, Map, Wiring


def squeeze_excitation(g: Wiring, x: Map, *, width: int, gate: Activation = "sigmoid") -> Map:
    """x * gate(W2 relu(W1 mean(x))), both 1x1 with bias, hidden `width`. Squeeze-and-Excitation, figure 3."""
    with g.scope("gate"):
        hidden = g.act(g.conv(g.global_pool(x), width, bias=True, name="reduce"), "relu")
        return g.multiply(x, g.act(g.conv(hidden, x.channels, bias=True, name="expand"), gate))
