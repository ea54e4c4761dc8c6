"""The distribution of scores: the share above each score, and the median and best at equal cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

DRAWS = 2000
LEVEL = 0.95
IN_A_BAND = 6
"""The smallest number of candidates in a band."""
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Bounded:
    """A figure with its bootstrap 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Step:
    """The share of candidates that are at least as good as `score`."""

    score: float
    share: Bounded


@dataclass(frozen=True)
class CostBand:
    """Candidates of similar cost, from `low` to `high`, and the median and best of their scores."""

    low: float
    high: float
    n: int
    median: Bounded
    best: Bounded


def edf(scores: Sequence[float], *, upwards: bool = True) -> list[Step]:
    """Return the empirical distribution: share(s) = |{i: score_i >= s}| / n at each score, from the lowest.

    With the error e = 100 - score this is F(e), the share with an error of at most e (Radosavovic et al., On Network
    Design Spaces for Visual Recognition, 2019, section 3.1). The bootstrap distribution of a share is binomial, so its
    interval is computed from that and not drawn.
    upwards: whether more is better; if not, share(s) = |{i: score_i <= s}| / n.
    """
    from scipy.special import bdtr

    n = len(scores)
    steps = []
    for score in sorted(set(scores)):
        count = sum(other >= score if upwards else other <= score for other in scores)
        below = bdtr(np.arange(n + 1), n, count / n)
        low, high = (int(np.searchsorted(below, (1 + side * LEVEL) / 2)) / n for side in (-1, 1))
        steps.append(Step(float(score), Bounded(count / n, low, min(high, 1.0))))
    return steps


def equal_count_bands(
    costs: Sequence[float], scores: Sequence[float], most: int = 5, *, upwards: bool = True
) -> list[CostBand]:
    """Return up to `most` cost bands of equal count, with at least `IN_A_BAND` candidates each unless there is one.

    The interval of the best is that of resamples of the same size (as in Radosavovic et al., Designing Network Design
    Spaces, 2020, section 3), so it never exceeds the best score found.
    """
    if not len(scores):
        return []
    order = np.argsort(np.asarray(costs, float), kind="stable")
    bands = []
    for members in np.array_split(order, max(1, min(most, len(order) // IN_A_BAND))):
        cost, score = np.asarray(costs, float)[members], np.asarray(scores, float)[members]
        bands.append(
            CostBand(
                float(cost.min()),
                float(cost.max()),
                len(members),
                bootstrap(score, np.median),
                bootstrap(score, np.max if upwards else np.min),
            )
        )
    return bands


def bootstrap(values: Sequence[float] | Array, statistic: Callable[..., Any], *, seed: int = 0) -> Bounded:
    """Return `statistic(values, axis)` with the percentile interval of `DRAWS` resamples with replacement."""
    given = np.asarray(values, float)
    drawn = statistic(given[np.random.default_rng(seed).integers(len(given), size=(DRAWS, len(given)))], axis=1)
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Bounded(float(statistic(given, axis=0)), float(low), float(high))
