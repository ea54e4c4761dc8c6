"""Object keypoint similarity, rescoring of instances by their keypoints, and suppression of duplicates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archlab.tasks.pose.data.crops import Floats


def oks(
    first: Floats, second: Floats, areas: Floats | float, sigmas: Sequence[float], visible: NDArray[Any] | None = None
) -> Floats:
    """Return the mean over the joints of exp(-e), e = d^2 / (2 sigma_k)^2 / (area + eps) / 2.

    Shapes broadcast: (..., K, 2) and areas (...) give (...).

    visible: (..., K); the mean is over the joints where it is positive, and 0 if there is none.
    """
    variances = (2.0 * np.asarray(sigmas, dtype=np.float64)) ** 2
    squares = ((np.asarray(first, np.float64) - np.asarray(second, np.float64)) ** 2).sum(axis=-1)
    areas = np.asarray(areas, dtype=np.float64)[..., None]
    likeness = np.exp(-squares / variances / (areas + np.spacing(1)) / 2)
    if visible is None:
        return np.asarray(likeness.mean(axis=-1))
    labelled = np.broadcast_to(np.asarray(visible) > 0, likeness.shape)
    count = labelled.sum(axis=-1)
    return np.asarray(np.where(labelled, likeness, 0.0).sum(axis=-1) / np.maximum(count, 1))


def rescore(box_scores: Floats, maxvals: Floats, *, threshold: float = 0.2) -> Floats:
    """Return instance scores (N,): box score times the mean of the keypoint scores (N, K) above `threshold`, or 0."""
    counted = maxvals > threshold
    total = np.where(counted, maxvals, 0.0).sum(axis=1, dtype=np.float64)
    return np.asarray(box_scores * total / np.maximum(counted.sum(axis=1), 1))


def oks_nms(
    keypoints: Floats,
    scores: Floats,
    areas: Floats,
    sigmas: Sequence[float],
    *,
    threshold: float = 0.9,
    soft: bool = False,
    limit: int = 20,
) -> NDArray[np.int64]:
    """Return the instances of one image to keep, best first.

    Hard: repeatedly keep the best and drop those whose OKS with it (over all joints, mean of the two areas) exceeds
    `threshold`. Soft: keep all, up to `limit`, by scores multiplied by exp(-OKS^2 / threshold) for each one kept.

    keypoints, scores, areas: (P, K, 2), (P,) and (P,), of padded boxes.
    """
    if len(scores) == 0:
        return np.zeros(0, dtype=np.int64)
    likeness = oks(keypoints[:, None], keypoints[None], (areas[:, None] + areas[None]) / 2, sigmas)
    return _soft(likeness, scores, threshold, limit) if soft else _hard(likeness, scores, threshold)


def _hard(likeness: Floats, scores: Floats, threshold: float) -> NDArray[np.int64]:
    order = np.argsort(scores)[::-1]
    keep = []
    while len(order):
        best, rest = order[0], order[1:]
        keep.append(best)
        order = rest[likeness[best, rest] <= threshold]
    return np.array(keep, dtype=np.int64)


def _soft(likeness: Floats, scores: Floats, threshold: float, limit: int) -> NDArray[np.int64]:
    order = np.argsort(scores)[::-1]
    left = np.asarray(scores, dtype=np.float64)[order]
    keep: list[int] = []
    while len(order) and len(keep) < limit:
        best, order = order[0], order[1:]
        keep.append(best)
        left = left[1:] * np.exp(-(likeness[best, order] ** 2) / threshold)
        again = np.argsort(left)[::-1]
        order, left = order[again], left[again]
    return np.array(keep, dtype=np.int64)
