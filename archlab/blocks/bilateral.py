"""The blocks of BiSeNetV2: gather-and-expansion, context embedding, guided aggregation."""

from __future__ import annotations

from typing import Annotated, Literal

from archlab.blocks.wiring import Map, Maps, Wiring, WiringError
from archlab.yamlio import AtLeast

Width = Annotated[int, AtLeast(1)]


def gather_expansion(
    g: Wiring, x: Map, *, width: Width | None = None, ratio: Width = 6, stride: Literal[1, 2] = 1
) -> Map:
    """y = relu(x + BN(W relu(BN(dw(relu(BN(conv3x3(x)))))))), dw depthwise with `ratio` maps for each channel.

    Where the shape changes dw is two, the first strided and without ReLU, and x passes a depthwise and a 1x1
    convolution.
    BiSeNetV2, figure 5.
    """
    width, inner = width or x.channels, ratio * x.channels
    y = g.conv_norm(x, x.channels, kernel=3, act="relu", name="gather")
    if stride == 1 and width == x.channels:
        y = g.conv_norm(y, inner, kernel=3, groups=x.channels, act="relu", name="expand")
        return g.act(g.add(g.conv_norm(y, width, name="project"), x))
    y = g.conv_norm(y, inner, kernel=3, stride=stride, groups=x.channels, name="expand")
    y = g.conv_norm(g.depthwise_norm(y, act="relu"), width, name="project")
    with g.scope("shortcut"):
        return g.act(g.add(y, g.conv_norm(g.depthwise_norm(x, stride=stride), width, name="pointwise")))


def context_embedding(g: Wiring, x: Map) -> Map:
    """relu(BN(conv3x3(x + relu(BN(W BN(mean(x))))))). BiSeNetV2, figure 4b."""
    pooled = g.conv_norm(g.norm(g.global_pool(x)), x.channels, act="relu", name="mix")
    return g.conv_norm(g.add_stretched(x, pooled), x.channels, kernel=3, act="relu", name="conv")


def guided_aggregation(g: Wiring, xs: Maps) -> Map:
    """Join a detailed map d and a semantic one s of a quarter of its size, each weighted by the other's sigmoid.

    relu(BN(conv3x3(D d * up(sigmoid(BN(conv3x3(s)))) + up(E d * sigmoid(S s))))): D and S are depthwise 3x3 + BN and a
    1x1 with bias, E a 3x3 of stride 2 + BN and an average pool of stride 2, up bilinear. BiSeNetV2, figure 6.
    """
    if len(xs) != 2 or xs[0].channels != xs[1].channels:
        raise WiringError("guided aggregation reads two maps of one width, the detailed and the semantic one")
    detail, semantic = xs
    width = detail.channels
    kept = g.conv(g.depthwise_norm(detail, name="detail_depthwise"), width, bias=True, name="detail")
    down = g.avg_pool(g.conv_norm(detail, width, kernel=3, stride=2, name="down"), kernel=3, stride=2, padding=1)
    gate = g.conv_norm(semantic, width, kernel=3, name="semantic_gate")
    gate = g.act(g.resize(gate, detail.size, mode="bilinear", corners=False), "sigmoid")
    own = g.conv(g.depthwise_norm(semantic, name="semantic_depthwise"), width, bias=True, name="semantic")
    low = g.resize(
        g.multiply(down, g.act(g.resize(own, down.size), "sigmoid")), detail.size, mode="bilinear", corners=False
    )
    return g.conv_norm(g.add(g.multiply(kept, gate), low), width, kernel=3, act="relu", name="conv")
