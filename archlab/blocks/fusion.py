"""Blocks that join resolutions in a high-resolution network: transitions, fusions and heads."""

from __future__ import annotations

from typing import Annotated, Literal

from archlab.blocks.wiring import Activation, Map, Maps, Wiring, WiringError
from archlab.yamlio import AtLeast

Width = Annotated[int, AtLeast(1)]
Convolution = Literal["separable", "dense"]


def transition(
    g: Wiring,
    xs: Maps,
    *,
    widths: tuple[Width, ...],
    convolution: Convolution = "separable",
    act: Activation = "relu",
) -> list[Map]:
    """Bring maps to `widths`, one per branch, adding coarser branches from the coarsest map.

    A branch that has its width already passes unchanged. Otherwise it is convolved 3x3 (+ 1x1 if separable) with BN and
    `act`; a new branch likewise, with stride 2. HRNet, section 3; separable: the released Lite-HRNet; no activation:
    the released X-HRNet.
    """
    if len(widths) < len(xs):
        raise WiringError(f"a transition only adds branches: it cannot bring {len(xs)} maps to {len(widths)}")
    made = [
        x if x.channels == width else _resample(g, x, width, 1, act, convolution, f"kept{i}")
        for i, (x, width) in enumerate(zip(xs, widths, strict=False))
    ]
    coarsest = xs[-1]
    for i in range(len(xs), len(widths)):
        coarsest = _resample(g, coarsest, widths[i], 2, act, convolution, f"new{i}")
        made.append(coarsest)
    return made


def fusion(
    g: Wiring,
    xs: Maps,
    *,
    sum: Literal["released", "released_in_place", "plain"] = "released",
    down: Convolution = "separable",
    doubled: Literal["once", "twice"] = "once",
) -> list[Map]:
    """Exchange between all resolutions, y_i = relu(sum_j f_ij(x_j)), f_ii the identity.

    f_ij is 1x1 + BN + nearest upsampling from coarse to fine, and steps of stride-2 convolutions from fine to coarse.

    sum="plain": the sum above, HRNet's Eq. 1. sum="released": the sum of the released Lite-HRNet, an accident of
    in-place addition behind its published accuracies (a port found the plain sum 0.5-1 AP worse):
    y_0 = 2 x_0 + sum_{j>=1} f_0j(x_j), and then, with y_0 before its ReLU in place of x_0,
    y_i = 2 f_i0(y_0) + x_i + sum_{j>=1, j!=i} f_ij(x_j).
    sum="released_in_place": the same with y_0 after its ReLU, which works in place in the released Dite-HRNet.
    The released code evaluates f_i0 twice (doubled="twice"). doubled="once" evaluates it once and doubles it, with the
    same output and gradient and 18 % fewer convolutions. The norms of the released code see the batch twice per step,
    so here they have momentum 1 - 0.9^2 = 0.19.
    """
    if len(xs) == 1:
        return list(xs)
    twice = 0 if sum == "plain" else 1 if doubled == "once" else 2
    y0 = _gather(g, xs, 0, twice, down)
    if sum == "released_in_place":
        y0 = g.act(y0, shared="act")
        ys = [_gather(g, [y0, *xs[1:]], i, twice, down) for i in range(1, len(xs))]
        return [y0, *(g.act(y, shared="act") for y in ys)]
    sources = [y0, *xs[1:]] if sum == "released" else list(xs)
    ys = [y0] + [_gather(g, sources, i, twice, down) for i in range(1, len(xs))]
    return [g.act(y, shared="act") for y in ys]


def no_fusion(g: Wiring, xs: Maps) -> list[Map]:
    """y_i = x_i: no exchange at the end of a module, a baseline for fusions."""
    return list(xs)


def _gather(g: Wiring, xs: Maps, i: int, twice: int, down: Convolution) -> Map:
    """sum_j f_ij(x_j) before its ReLU; the first term is doubled (`twice` 1) or evaluated again (2)."""
    with g.scope(f"to{i}"):
        terms, scales = [], []
        for j, x in enumerate(xs):
            momentum = 0.19 if twice == 1 and j == 0 else 0.1
            repeated = twice == 2 and i > 0 and j == 0
            with g.scope(f"from{j}"):
                terms.append(g.part(_exchange, x, width=xs[i].channels, i=i, j=j, down=down, momentum=momentum))
            if repeated:
                with g.again(f"from{j}"):
                    terms.append(g.part(_exchange, x, width=xs[i].channels, i=i, j=j, down=down, momentum=momentum))
            scales += [1, 1] if repeated else [2 if twice and j == 0 else 1]
    return g.add(*terms, scales=scales)


def _exchange(g: Wiring, x: Map, *, width: int, i: int, j: int, down: Convolution, momentum: float) -> Map:
    """f_ij: from branch j to the size of branch i and its `width`."""
    if j > i:
        return g.upsample(g.conv_norm(x, width, name="pointwise"), 2 ** (j - i))
    for step in range(i - j):
        last = step == i - j - 1
        act: Activation = "none" if last else "relu"
        x = _resample(g, x, width if last else x.channels, 2, act, down, f"step{step}", momentum)
    return x


def _resample(
    g: Wiring,
    x: Map,
    width: int,
    stride: int,
    act: Activation,
    convolution: Convolution,
    name: str,
    momentum: float = 0.1,
) -> Map:
    """3x3 (stride) to `width` with norm: one dense convolution, or depthwise + 1x1, each with a norm."""
    if convolution == "dense":
        return g.conv_norm(x, width, kernel=3, stride=stride, act=act, momentum=momentum, name=name)
    with g.scope(name):
        x = g.depthwise_norm(x, stride=stride, momentum=momentum)
        return g.conv_norm(x, width, act=act, momentum=momentum, name="pointwise")


def iterative_head(g: Wiring, xs: Maps) -> Map:
    """From coarse to fine: s = s + bilinear(previous), then separable 3x3 + BN + ReLU to the next finer width.

    The finest keeps its width and is returned. Every released Lite-HRNet has this head; the paper's tables omit it.
    """
    coarse_to_fine = list(reversed(xs))
    y = coarse_to_fine[0]
    for k, (x, finer) in enumerate(zip(coarse_to_fine, [*coarse_to_fine[1:], xs[0]], strict=True)):
        if k:
            y = g.add(x, g.resize(y, x.size, mode="bilinear"))
        y = _resample(g, y, finer.channels, 1, "relu", "separable", f"project{k}")
    return y


def finest(g: Wiring, xs: Maps) -> Map:
    """The finest map; what only the other maps need is pruned."""
    return xs[0]


def concat_head(g: Wiring, xs: Maps) -> Map:
    """All maps upsampled (bilinear) to the finest and concatenated, then 1x1 + BN + ReLU. HRNetV2, section 3.2."""
    joined = g.concat(*(g.resize(x, xs[0].size, mode="bilinear") for x in xs))
    return g.conv_norm(joined, joined.channels, act="relu", name="mix")
