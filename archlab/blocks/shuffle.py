"""Shuffle blocks of ShuffleNetV2 and a stem with one."""

from __future__ import annotations

from typing import Annotated, Literal

from archlab.blocks.wiring import Map, Wiring
from archlab.yamlio import AtLeast, MultipleOf


def shuffle_block(g: Wiring, x: Map, *, pointwise: Literal[0, 1, 2] = 2) -> Map:
    """y = shuffle(first half, relu(BN(W2 BN(depthwise(relu(BN(W1 second half))))))); the shape is kept.

    `pointwise`: the number of 1x1 convolutions that remain. One is the first of them, without any ReLU: only this fits
    the count of Table 6's "one 1x1 conv. dropped". ShuffleNetV2, figure 3c; Lite-HRNet, section 3.1 and Table 6.
    """
    kept, moving = g.halves(x)
    if pointwise >= 1:
        moving = g.conv_norm(moving, moving.channels, act="relu" if pointwise == 2 else "none", name="expand")
    moving = g.depthwise_norm(moving)
    if pointwise == 2:
        moving = g.conv_norm(moving, moving.channels, act="relu", name="project")
    return g.shuffle(g.concat(kept, moving))


def shuffle_down(g: Wiring, x: Map, *, width: Annotated[int, AtLeast(2), MultipleOf(2)]) -> Map:
    """y = shuffle(relu(BN(W3 BN(depthwise x))), relu(BN(W2 BN(depthwise(relu(BN(W1 x))))))): to (width, H/2, W/2).

    Both branches read all channels, and both depthwise convolutions have stride 2. ShuffleNetV2, figure 3d.
    """
    half = width // 2
    with g.scope("first"):
        first = g.depthwise_norm(x, stride=2)
        first = g.conv_norm(first, half, act="relu", name="project")
    with g.scope("second"):
        second = g.conv_norm(x, half, act="relu", name="expand")
        second = g.depthwise_norm(second, stride=2)
        second = g.conv_norm(second, half, act="relu", name="project")
    return g.shuffle(g.concat(first, second))


def shuffle_stem(g: Wiring, x: Map, *, width: Annotated[int, AtLeast(4), MultipleOf(4)] = 32) -> Map:
    """A 3x3 stride-2 convolution, then a stride-2 shuffle block: (3, H, W) to (width, H/4, W/4).

    Both halves are convolved, since neither can pass a stride unchanged. Lite-HRNet, Table 1.
    """
    x = g.conv_norm(x, width, kernel=3, stride=2, act="relu", name="conv")
    first, second = g.halves(x)
    with g.scope("first"):
        first = g.depthwise_norm(first, stride=2)
        first = g.conv_norm(first, width // 2, act="relu", name="pointwise")
    with g.scope("second"):
        second = g.conv_norm(second, width, act="relu", name="expand")
        second = g.depthwise_norm(second, stride=2)
        second = g.conv_norm(second, width // 2, act="relu", name="project")
    return g.shuffle(g.concat(first, second))
