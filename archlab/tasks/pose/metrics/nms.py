"""OKS-NMS of a whole set at once: the same people as image by image, in a fraction of the time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from archlab.tasks.pose.data.crops import Floats
from archlab.tasks.pose.metrics.oks import oks

Ints = NDArray[np.int64]


def suppress_doubles(
    images: Ints, points: Floats, scores: Floats, areas: Floats, sigmas: Sequence[float], *, threshold: float = 0.9
) -> Ints:
    """Rows to keep of D people in all images, image by image ascending, and the best first within an image.

    For `images` (D,), `points` (D, K, 2), `scores` (D,) and padded box `areas` (D,): what `oks_nms` keeps of every
    image. Only pairs of one image whose OKS exceeds the threshold matter, and few joints tell most others.
    """
    rows, starts = _best_first(images, scores)
    better, worse = _doubles(images[rows], points[rows], areas[rows], np.asarray(sigmas, np.float64), threshold)
    dropped = np.zeros(len(rows), dtype=bool)
    rank = better - starts[better]
    order = np.argsort(rank, kind="stable")
    # By rank, so that whether a person is kept is known before it drops others.
    for some in np.split(order, np.flatnonzero(np.diff(rank[order])) + 1):
        dropped[worse[some[~dropped[better[some]]]]] = True
    return rows[~dropped]


def _best_first(images: Ints, scores: Floats) -> tuple[Ints, Ints]:
    """Rows by image, then by falling score; and for each place where its image begins.

    Sorted image by image with numpy's default order reversed, as the reference does: of equal scores another order
    would keep another of two doubles.
    """
    rows = np.argsort(images, kind="stable")
    starts = np.flatnonzero(np.diff(images[rows], prepend=images[rows][:1] - 1))
    groups = np.split(rows, starts[1:])
    ordered = [group[np.argsort(scores[group])[::-1]] for group in groups]
    sizes = [len(group) for group in groups] if len(rows) else []
    return np.concatenate(ordered), np.repeat(starts, sizes)


def _doubles(images: Ints, points: Floats, areas: Floats, sigmas: Floats, threshold: float) -> tuple[Ints, Ints]:
    """Pairs of places, the better before the worse, in one image and more like each other than the threshold."""
    longest = int(np.unique(images, return_counts=True)[1].max(initial=0))
    count = points.shape[1]
    # OKS > t needs a sum over m joints above t K - (K - m), for the others add 1 each at most. The joints of the
    # smallest spread tell soonest; two more than must be seen are enough to tell nearly all.
    few = np.argsort(sigmas, kind="stable")[: min(count, math.ceil(count * (1 - threshold)) + 2)]
    needed = (threshold * count - (count - len(few))) / len(few) - 1e-9
    seen = np.ascontiguousarray(points[:, few])
    found = [(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))]
    for lag in range(1, longest):
        first = np.flatnonzero(images[:-lag] == images[lag:])
        second = first + lag
        area = (areas[first] + areas[second]) / 2
        near = oks(seen[first], seen[second], area, sigmas[few].tolist()) >= needed
        first, second, area = first[near], second[near], area[near]
        alike = oks(points[first], points[second], area, sigmas.tolist()) > threshold
        found.append((first[alike], second[alike]))
    better, worse = zip(*found, strict=True)
    return np.concatenate(better), np.concatenate(worse)
