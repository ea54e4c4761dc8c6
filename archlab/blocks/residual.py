"""Residual blocks of ResNet, MobileNetV2, ShelfNet, DFANet and MobileNeXt."""

from __future__ import annotations

from typing import Annotated, Literal

from archlab.blocks.gates import squeeze_excitation
from archlab.blocks.wiring import Activation, Map, Wiring, WiringError
from archlab.yamlio import AtLeast

Width = Annotated[int, AtLeast(1)]
Stride = Annotated[int, AtLeast(1)]


def basic_block(
    g: Wiring,
    x: Map,
    *,
    width: Width | None = None,
    stride: Stride = 1,
    act_layers: Literal[1, 2] = 1,
    act: Activation = "relu",
) -> Map:
    """y = relu(x + BN(conv3x3(act(BN(conv3x3(x)))))), `width` channels (default: those of x).

    One ReLU layer is called twice, as in torchvision and HRNet; act_layers: or two are, as in BiSeNet's code, which the
    paper's counter sees. Another `act` is a layer of its own. ResNet, figure 5 left.
    """
    width, shared = width or x.channels, "act" if act_layers == 1 and act == "relu" else ""
    y = g.act(g.conv_norm(x, width, kernel=3, stride=stride, name="conv1"), act, shared=shared)
    y = g.conv_norm(y, width, kernel=3, name="conv2")
    return g.act(g.add(y, shortcut(g, x, width, stride)), shared=shared)


def bottleneck(
    g: Wiring,
    x: Map,
    *,
    width: Width = 64,
    expansion: Width = 4,
    stride: Stride = 1,
    dilation: Annotated[int, AtLeast(1)] = 1,
    strided: Literal["conv1", "conv2"] = "conv2",
) -> Map:
    """y = relu(x + BN(W3 relu(BN(conv3x3(relu(BN(W1 x))))))), `width * expansion` channels out.

    strided: the convolution with the stride, the 3x3 (conv2) or W1 (conv1). dilation: the 3x3's. One ReLU layer is
    called three times. ResNet, figure 5 right.
    """
    out = width * expansion
    first, second = (stride, 1) if strided == "conv1" else (1, stride)
    y = g.act(g.conv_norm(x, width, stride=first, name="conv1"), shared="act")
    y = g.act(g.conv_norm(y, width, kernel=3, stride=second, dilation=dilation, name="conv2"), shared="act")
    y = g.conv_norm(y, out, name="conv3")
    return g.act(g.add(y, shortcut(g, x, out, stride)), shared="act")


def shortcut(g: Wiring, x: Map, width: int, stride: int) -> Map:
    """x itself if the shapes agree, else a strided 1x1 convolution with norm."""
    if x.channels == width and stride == 1:
        return x
    return g.conv_norm(x, width, stride=stride, name="shortcut")


def inverted_residual(
    g: Wiring,
    x: Map,
    *,
    width: Width | None = None,
    expansion: Width = 6,
    kernel: Annotated[int, AtLeast(1)] = 3,
    stride: Stride = 1,
    dilation: Annotated[int, AtLeast(1)] = 1,
    act: Activation = "relu6",
    hidden: Width | None = None,
    squeeze: Width | None = None,
    gate: Activation = "hsigmoid",
    project: Activation = "none",
) -> Map:
    """y = project(BN(W2 act(BN(depthwise(act(BN(W1 x))))))), plus x if the shapes agree; no W1 at expansion 1.

    `hidden`: the channels between, in place of C * expansion; W1 then stays, also where it keeps C. `squeeze`: squeeze
    and excitation of this hidden width after the depthwise convolution, by `gate`. MobileNetV2, section 3.3;
    MobileNetV3, figure 4.
    """
    width = width or x.channels
    y = x
    if hidden or expansion > 1:
        y = g.conv_norm(x, hidden or x.channels * expansion, act=act, name="expand")
    y = g.depthwise_norm(y, kernel=kernel, stride=stride, act=act, dilation=dilation)
    if squeeze:
        y = squeeze_excitation(g, y, width=squeeze, gate=gate)
    y = g.conv_norm(y, width, act=project, name="project")
    return g.add(x, y) if y.shape == x.shape else y


def shared_residual(g: Wiring, x: Map, *, act: Activation = "leaky_relu") -> Map:
    """y = relu(x + BN(conv(act(BN(conv(x)))))), conv one 3x3 convolution with bias, called twice. ShelfNet, fig. 2."""
    y = g.act(g.norm(g.conv(x, x.channels, kernel=3, bias=True, shared="conv"), name="norm1"), act)
    y = g.norm(g.conv(y, x.channels, kernel=3, bias=True, shared="conv"), name="norm2")
    return g.act(g.add(y, x), "relu")


def separable_residual(g: Wiring, x: Map, *, width: Annotated[int, AtLeast(4)], stride: Stride = 1) -> Map:
    """y = s(s(s(x))) + W x, s(x) = relu(BN(V depthwise(x))) with biases, of width / 4, width / 4 and width channels.

    The first s and W have the stride. DFANet, section 3.3.
    """
    y = x
    for i, (channels, step) in enumerate(((width // 4, stride), (width // 4, 1), (width, 1))):
        y = g.depthwise(y, stride=step, bias=True, name=f"depthwise{i}")
        y = g.conv_norm(y, channels, bias=True, act="relu", name=f"pointwise{i}")
    return g.add(y, g.conv(x, width, stride=stride, name="shortcut"))


def sandglass(
    g: Wiring,
    x: Map,
    *,
    width: Width | None = None,
    hidden: Width,
    stride: Stride = 1,
    depthwise: Literal["both", "last", "none"] = "both",
) -> Map:
    """y = BN(dw(a(BN(W2 BN(W1 a(BN(dw(x)))))))), a ReLU6, plus x if the shapes agree; W1 to `hidden` channels.

    dw are depthwise 3x3, the last with the stride; without the last one y ends in a. MobileNeXt, figure 3b.
    """
    if stride > 1 and depthwise == "none":
        raise WiringError("the last depthwise convolution has the stride")
    y = g.depthwise_norm(x, act="relu6", name="first") if depthwise == "both" else x
    y = g.conv_norm(y, hidden, name="reduce")
    y = g.conv_norm(y, width or x.channels, act="relu6", name="expand")
    y = y if depthwise == "none" else g.depthwise_norm(y, stride=stride, name="last")
    return g.add(x, y) if y.shape == x.shape else y
