"""Dynamic convolutions, and the unit and stem of Dite-HRNet, which hold them."""

from __future__ import annotations

from typing import Annotated, Literal

from archlab.blocks.wiring import Map, Maps, Wiring, WiringError
from archlab.yamlio import AtLeast, MultipleOf

Ratio = Annotated[int, AtLeast(1)]
GROUPS, KERNELS, RATIOS = (1, 1, 2, 4), (4, 4, 2, 1), (4, 4, 8, 8)
"""For each resolution, fine to coarse: groups of depthwise kernels, kernels that are mixed, ratio of the context."""


def dynamic_context_unit(
    g: Wiring, xs: Maps, *, ratio: Ratio = 8, pooling: Literal["runs", "cells"] = "runs"
) -> list[Map]:
    """y = shuffle(first half, context(depthwise(H(second half)))), the depthwise convolutions dynamic.

    H weighs channels across resolutions by attention-weighted sums. pooling: over runs of the flattened memory, as
    released, or over spatial cells, as described. Dite-HRNet, section 3.3.
    """
    if len(xs) > len(GROUPS):
        raise WiringError(f"at most {len(GROUPS)} resolutions, here {len(xs)}")
    kept, moving = zip(*(g.halves(x) for x in xs), strict=True)
    with g.scope("cross_resolution"):
        weighted = dense_context_weighting(g, moving, ratio=ratio, pooling=pooling)
    mixed = [split_depthwise(g, x, i) for i, x in enumerate(weighted)]
    made = [global_context(g, x, ratio=RATIOS[i], name=f"context{i}") for i, x in enumerate(mixed)]
    return [g.shuffle(g.concat(a, b)) for a, b in zip(kept, made, strict=True)]


def dense_context_weighting(g: Wiring, xs: Maps, *, ratio: int, pooling: Literal["runs", "cells"]) -> list[Map]:
    """x_s * upsample(w_s), (w_1 ...) = sigmoid(W2 relu(BN(W1 concat(sums(x_1) ... x_n)))); W2 alone has a bias.

    sums: to the coarsest size, weighted by a softmax over all positions of a 1x1 convolution. Dite-HRNet, section 3.2.
    """
    size = xs[-1].size
    pooled = [_sums(g, x, g.softmax(g.conv(x, 1, bias=True, name=f"mask{i}"), "positions"), size, pooling)
              for i, x in enumerate(xs[:-1])]  # fmt: skip
    together = g.concat(*pooled, xs[-1])
    hidden = g.conv_norm(together, max(1, together.channels // ratio), act="relu", name="reduce")
    weights = g.act(g.conv(hidden, together.channels, bias=True, name="expand"), "sigmoid")
    parts = g.split(weights, [x.channels for x in xs])
    return [g.multiply(x, g.resize(w, x.size)) for x, w in zip(xs, parts, strict=True)]


def _sums(g: Wiring, x: Map, mask: Map, size: tuple[int, int], pooling: Literal["runs", "cells"]) -> Map:
    if pooling == "runs":
        return g.weighted_runs(x, mask, size)
    positions = x.size[0] * x.size[1] // (size[0] * size[1])
    return g.add(g.pool_to(g.multiply(x, mask), size), scales=(positions,))


def split_depthwise(g: Wiring, x: Map, branch: int) -> Map:
    """Depthwise dynamic convolutions of 3x3, 5x5, ... on equal groups of channels, each with BN, shuffled."""
    groups = GROUPS[branch]
    widths = [x.channels // groups] * groups
    widths[0] += x.channels - sum(widths)
    with g.scope(f"depthwise{branch}"):
        parts = [
            g.norm(dynamic_conv(g, part, part.channels, kernel=2 * i + 3, depthwise=True, kernels=KERNELS[branch],
                                name=f"kernel{i}"), name=f"norm{i}")
            for i, part in enumerate(g.split(x, widths))
        ]  # fmt: skip
        joined = g.concat(*parts)
        return g.shuffle(joined, groups=groups) if groups > 1 else joined


def global_context(g: Wiring, x: Map, *, ratio: int, name: str) -> Map:
    """BN(x * sigmoid(W2 relu(BN(W1 p)))), p the sum of x weighted by a softmax over positions of W x. W, W2: bias."""
    with g.scope(name):
        mask = g.softmax(g.conv(x, 1, bias=True, name="mask"), "positions")
        hidden = g.conv_norm(
            g.weighted_sum(x, mask, "positions"), max(1, x.channels // ratio), act="relu", name="reduce"
        )
        weights = g.act(g.conv(hidden, x.channels, bias=True, name="expand"), "sigmoid")
        return g.norm(g.multiply(x, weights))


def dynamic_conv(
    g: Wiring,
    x: Map,
    width: int,
    *,
    kernel: int = 1,
    stride: int = 1,
    depthwise: bool = False,
    kernels: int = 4,
    name: str,
) -> Map:
    """Convolution by a sum of kernels weighted by a = sigmoid(W2 relu(BN(W1 mean(x)))); an ordinary one for one kernel.

    The hidden width is floor(C / 4), the number of kernels for RGB; W2 has a bias. Dite-HRNet, section 3.1.
    """
    groups = x.channels if depthwise else 1
    with g.scope(name):
        if kernels == 1:
            return g.conv(x, width, kernel=kernel, stride=stride, groups=groups)
        reduced = kernels if x.channels == 3 else max(1, x.channels // 4)
        hidden = g.conv_norm(g.global_pool(x), reduced, act="relu", name="reduce")
        attention = g.act(g.conv(hidden, kernels, bias=True, name="attention"), "sigmoid")
        return g.dynamic_conv(x, attention, width, kernel=kernel, stride=stride, groups=groups)


def dynamic_context_stem(g: Wiring, x: Map, *, width: Annotated[int, AtLeast(8), MultipleOf(8)] = 32) -> Map:
    """A 3x3 stride-2 convolution, then two halves of dynamic convolutions and context: to (width, H/4, W/4).

    Dite-HRNet, section 3.3 and figure 4.
    """
    x = g.conv_norm(x, width, kernel=3, stride=2, act="relu", name="conv")
    first, second = g.halves(x)
    half = width // 2
    with g.scope("first"):
        first = global_context(g, _depthwise(g, first, stride=2, name="depthwise"), ratio=4, name="context")
        first = g.act(g.norm(dynamic_conv(g, first, half, name="pointwise")))
    with g.scope("second"):
        second = global_context(g, _depthwise(g, second, stride=1, name="depthwise1"), ratio=4, name="context")
        second = g.act(g.norm(dynamic_conv(g, second, half // 4, name="reduce")))
        second = g.norm(dynamic_conv(g, second, half, name="expand"))
        second = g.act(_depthwise(g, second, stride=2, name="depthwise2"))
    return g.shuffle(g.concat(first, second))


def _depthwise(g: Wiring, x: Map, *, stride: int, name: str) -> Map:
    return g.norm(dynamic_conv(g, x, x.channels, kernel=3, stride=stride, depthwise=True, name=name))
