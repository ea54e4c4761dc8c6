"""COCO's ten keypoint figures by whole-array operations, identical to pycocotools' to the last digit.

Read the truth once, then a set of val2017's size is scored in a fraction of a second: cheap enough for every epoch.
Sums run over the same numbers in the same order as in pycocotools, and its oddities are kept and named where they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from archlab.tasks.pose.data.crops import Floats
from archlab.tasks.pose.metrics.coco_files import (
    DETECTIONS_PER_IMAGE,
    Bools,
    Found,
    Ints,
    Truth,
    read_found,
    read_truth,
)

FIGURES = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")
THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""T, of OKS"""
RECALLS = np.linspace(0.0, 1.0, 101)
"""R"""
AREAS = ((0.0, 1e5**2), (32.0**2, 96.0**2), (96.0**2, 1e5**2))
"""All, medium and large: square pixels, both ends included"""
SIGMAS = (
    np.array((.26, .25, .25, .35, .35, .79, .79, .72, .72, .62, .62, 1.07, 1.07, .87, .87, .89, .89)) / 10.0
)  # fmt: skip
"""COCO's spreads as pycocotools computes them: five differ in the last bit from the same numbers written out."""

_CHUNK = 1 << 14
"""Pairs whose OKS is computed at once: their arrays then stay in a core's cache"""


def score_keypoints(
    document: Any, results: Any, *, sigmas: Sequence[float] | Floats | None = None
) -> dict[str, float | None]:
    """The ten figures of a result list for an annotation document; `sigmas` are the layout's where it is not COCO's."""
    spreads = SIGMAS if sigmas is None else np.asarray(sigmas, dtype=np.float64)
    truth = read_truth(document, joints=len(spreads))
    return keypoint_figures(truth, read_found(results, truth, joints=len(spreads)), sigmas=spreads)


def keypoint_figures(
    truth: Truth, found: Found, *, sigmas: Sequence[float] | Floats = SIGMAS
) -> dict[str, float | None]:
    """AP, AP50, AP75, APM, APL, AR, AR50, AR75, ARM, ARL in 0-100; None where there is nothing to find.

    AP: mean over the thresholds and recalls, and over categories with somebody to find, of the largest precision at
    that recall or a greater one. AR: likewise of the share of people found. At most 20 detections an image.
    """
    pairs = _likely_pairs(truth, found, np.asarray(sigmas, dtype=np.float64))
    size = (len(truth.categories), len(AREAS))
    precision, recall = np.full((len(THRESHOLDS), len(RECALLS), *size), -1.0), np.full((len(THRESHOLDS), *size), -1.0)
    for a, (low, high) in enumerate(AREAS):
        ignored = truth.ignored | (truth.areas < low) | (truth.areas > high)
        matched, void = _match(pairs, truth, found, ignored)
        void |= ~matched & ((found.areas < low) | (found.areas > high))[:, None]
        for c in range(len(truth.categories)):
            there, here = (_of_category(c, cell, truth) for cell in (truth.cell, found.cell))
            if people := int(np.count_nonzero(~ignored[there])):
                curve = _curve(found.scores[here], matched[here].T, void[here].T, people)
                precision[:, :, c, a], recall[:, c, a] = curve
    # Thresholds and area of the five figures of each kind; the thresholds 0 and 5 are 0.50 and 0.75.
    parts = ((slice(None), 0), (slice(0, 1), 0), (slice(5, 6), 0), (slice(None), 1), (slice(None), 2))
    values = [_mean(table[t, ..., a]) for table in (precision, recall) for t, a in parts]
    return dict(zip(FIGURES, values, strict=True))


def _of_category(number: int, cell: Ints, truth: Truth) -> slice:
    first, last = np.searchsorted(cell, (number * len(truth.images), (number + 1) * len(truth.images)))
    return slice(int(first), int(last))


def _mean(values: Floats) -> float | None:
    defined = values[values > -1]
    return 100.0 * float(np.mean(defined)) if len(defined) else None


@dataclass(frozen=True, eq=False)
class _Pairs:
    """Detections and people of one cell whose OKS reaches the lowest threshold: row numbers and OKS, (P,) each."""

    found: Ints
    truth: Ints
    oks: Floats


def _likely_pairs(truth: Truth, found: Found, sigmas: Floats) -> _Pairs:
    first = np.searchsorted(truth.cell, found.cell, side="left")
    count = np.searchsorted(truth.cell, found.cell, side="right") - first
    one = np.repeat(np.arange(len(found)), count)
    other = np.arange(len(one)) + np.repeat(first - (np.cumsum(count) - count), count)
    oks = np.zeros(len(one))
    variances = (sigmas * 2) ** 2
    for rows, joints in _by_label_count(truth.labelled[other]):
        oks[rows] = _oks(truth, found, other[rows], one[rows], joints, variances)
    likely = oks >= THRESHOLDS[0]
    return _Pairs(one[likely], other[likely], oks[likely])


def _by_label_count(labelled: Bools) -> Iterator[tuple[Ints, Ints | None]]:
    """Rows of `labelled` (P, K) with n labels each, and which (R, n) those are; None for rows without a label.

    Summed are the labelled joints alone: a sum over all of them with zeros between rounds differently.
    """
    counts = labelled.sum(axis=1)
    for n in np.unique(counts):
        alike = np.flatnonzero(counts == n)
        for start in range(0, len(alike), _CHUNK):
            rows = alike[start : start + _CHUNK]
            yield rows, np.nonzero(labelled[rows])[1].reshape(-1, n) if n else None


def _oks(truth: Truth, found: Found, person: Ints, detection: Ints, joints: Ints | None, variances: Floats) -> Floats:
    """(R,): mean over the labelled `joints` (R, n) of exp(-d^2 / (2 sigma)^2 / (area + eps) / 2).

    Of a person without labelled joints all count, and d is how far a keypoint lies outside the box that is three
    times the person's in width and height.
    """
    if joints is None:
        x, y, w, h = truth.boxes[person].T[:, :, None]
        points = found.points[detection]
        dx, dy = _outside(points[:, :, 0], x, w), _outside(points[:, :, 1], y, h)
        spread = variances[None]
    else:
        apart = found.points[detection[:, None], joints] - truth.points[person[:, None], joints]
        dx, dy = apart[:, :, 0], apart[:, :, 1]
        spread = variances[joints]
    error = (dx**2 + dy**2) / spread / (truth.areas[person] + np.spacing(1))[:, None] / 2
    # C order, because the order in memory decides the order in which a sum is rounded.
    return np.asarray(np.exp(-error, order="C").sum(axis=1) / error.shape[1])


def _outside(values: Floats, start: Floats, side: Floats) -> Floats:
    below, above = start - side - values, values - (start + side * 2)
    return np.asarray(np.maximum(0.0, below) + np.maximum(0.0, above))


def _match(pairs: _Pairs, truth: Truth, found: Found, ignored: Bools) -> tuple[Bools, Bools]:
    """Whether a detection (D, T) found somebody at each threshold, and whether that one is ignored.

    Detections choose in the order of their scores, all images and thresholds at once: the likest person who is still
    free (a crowd always is), one who counts before an ignored one, and of equals the last in the file.
    """
    # By rank, then by detection, and therein ascending: the last free pair of a detection is its choice.
    order = np.lexsort((pairs.truth, pairs.oks, ~ignored[pairs.truth], pairs.found, found.rank[pairs.found]))
    detection, person, oks = pairs.found[order], pairs.truth[order], pairs.oks[order]
    matched = np.zeros((len(found), len(THRESHOLDS)), dtype=bool)
    void = np.zeros_like(matched)
    taken = np.zeros((len(truth), len(THRESHOLDS)), dtype=bool)
    bounds = np.searchsorted(found.rank[detection], np.arange(DETECTIONS_PER_IMAGE + 1)).tolist()
    for start, end in pairwise(bounds):
        who, whom = detection[start:end], person[start:end]
        if not len(who):
            continue
        free = (oks[start:end, None] >= THRESHOLDS) & (~taken[whom] | truth.crowd[whom, None])
        firsts = np.flatnonzero(np.diff(who, prepend=-1))
        chosen = np.maximum.reduceat(np.where(free, np.arange(len(who))[:, None], -1), firsts, axis=0)
        row, threshold = np.nonzero(chosen >= 0)
        pair = chosen[row, threshold]
        taken[whom[pair], threshold] = True
        matched[who[pair], threshold] = truth.countable[whom[pair]]
        void[who[pair], threshold] = ignored[whom[pair]]
    return matched, void


def _curve(scores: Floats, matched: Bools, void: Bools, people: int) -> tuple[Floats, Floats]:
    """Precision (T, R) at the recalls and the recall (T,) of all detections (T, D), for so many people to find."""
    order = np.argsort(-scores, kind="stable")
    matched, counts = matched[:, order], ~void[:, order]
    right = np.cumsum(matched & counts, axis=1).astype(np.float64)
    wrong = np.cumsum(~matched & counts, axis=1).astype(np.float64)
    recall = right / people
    precision = right / (wrong + right + np.spacing(1))
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    # A zero behind the last detection: what is read at a recall that is never reached.
    best = np.pad(best, ((0, 0), (0, 1)))
    at = np.stack([np.searchsorted(row, RECALLS, side="left") for row in recall])
    return np.take_along_axis(best, at, axis=1), recall[:, -1] if len(scores) else np.zeros(len(recall))
