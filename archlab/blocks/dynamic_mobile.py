"""MobileNetV2's block with the convolutions of Dynamic Convolution and the activation of Dynamic ReLU."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from archlab.blocks.wiring import Map, Wiring
from archlab.yamlio import Above, AtLeast

Width = Annotated[int, AtLeast(1)]


def dynamic_residual(
    g: Wiring,
    x: Map,
    *,
    width: Width | None = None,
    expansion: Width = 6,
    hidden: Width | None = None,
    kernel: Literal[3, 5] = 3,
    stride: Annotated[int, AtLeast(1)] = 1,
    kernels: Width = 1,
    temperature: Annotated[float, Above(0)] = 1.0,
    relu: Literal["relu6", "dynamic"] = "relu6",
) -> Map:
    """y = BN(W2 a(BN(depthwise(relu6(BN(W1 x)))))), plus x if the shapes agree; no W1 at expansion 1 without `hidden`.

    kernels: the number of kernels that each convolution mixes by a softmax at `temperature`.
    relu: a, ReLU6 or dynamic. Dynamic Convolution, section 3; Dynamic ReLU, section 3.
    """
    width, y = width or x.channels, x
    if hidden or expansion > 1:
        y = _mixed(g, y, hidden or x.channels * expansion, kernels, temperature, name="expand")
        y = g.act(y, "relu6")
    y = _mixed(
        g, y, y.channels, kernels, temperature, name="depthwise", kernel=kernel, stride=stride, groups=y.channels
    )
    y = dynamic_relu(g, y) if relu == "dynamic" else g.act(y, "relu6")
    y = _mixed(g, y, width, kernels, temperature, name="project")
    return g.add(x, y) if y.shape == x.shape else y


def _mixed(g: Wiring, x: Map, width: int, kernels: int, temperature: float, *, name: str, **conv: Any) -> Map:
    """BN of a convolution whose kernel is a sum of `kernels` by a = softmax((W2 relu(W1 mean(x)) + b) / temperature).

    W1 has floor(C / 4) + 1 channels and no bias. Dynamic Convolution, figure 3.
    """
    if kernels == 1:
        return g.conv_norm(x, width, name=name, **conv)
    with g.scope(name):
        hidden = g.act(g.conv(g.global_pool(x), x.channels // 4 + 1, name="reduce"))
        attention = g.softmax(g.conv(hidden, kernels, bias=True, name="attention"), "channels", temperature=temperature)
        return g.norm(g.dynamic_conv(x, attention, width, **conv))


def dynamic_relu(g: Wiring, x: Map, *, ratio: int = 8) -> Map:
    """max_k(a_k x + b_k) in each channel, with numbers of 2 sigmoid(W2 relu(W1 mean(x))) - 1. Dynamic ReLU, type B.

    2 sigmoid(z) - 1 is sigmoid(z) - sigmoid(-z).
    """
    with g.scope("dynamic_relu"):
        hidden = g.act(g.conv(g.global_pool(x), max(1, x.channels // ratio), bias=True, name="reduce"))
        z = g.conv(hidden, 4 * x.channels, bias=True, name="expand")
        theta = g.add(g.act(z, "sigmoid"), g.act(g.add(z, scales=(-1,)), "sigmoid"), scales=(1, -1))
        return g.dynamic_relu(x, theta)
