"""Rank correlations of two lists of numbers, with bootstrap intervals."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Signs = NDArray[np.float64]

CONFIDENCE = 0.95
RESAMPLES = 2000
FEWEST = 3
"""The smallest sample with a correlation: two values are always in the same or in the opposite order."""


@dataclass(frozen=True)
class Correlation:
    """A rank correlation of `n` pairs, -1 to 1, and its 95 % interval."""

    value: float
    low: float
    high: float
    n: int

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})"


def spearman(xs: Sequence[float], ys: Sequence[float], *, seed: int = 0) -> Correlation | None:
    """Return Spearman's rho: Pearson's correlation of the ranks, where tied values share their mean rank.

    The interval and the missing values are treated as by `kendall`.
    """
    return _with_interval(xs, ys, _rho, seed)


def kendall(xs: Sequence[float], ys: Sequence[float], *, seed: int = 0) -> Correlation | None:
    """Return Kendall's tau-b = sum_{i<j} sign(x_i - x_j) sign(y_i - y_j) / sqrt(untied pairs of x * those of y).

    The interval is the percentile bootstrap's: the 2.5 % and 97.5 % quantiles of the correlations of 2,000 resamples
    with replacement, drawn from `seed`. A resample in which all xs or all ys are equal has no correlation and is left
    out. A perfect order has only perfect resamples, so the interval [1, 1] must be read together with n. Pairs with a
    value that is not finite are left out. None for fewer than 3 pairs, or if all xs or all ys are equal.
    """
    return _with_interval(xs, ys, _tau, seed)


def pair_signs(values: Sequence[float]) -> Signs:
    """Return sign(v_i - v_j) as a square matrix."""
    column = np.asarray(values, float)
    signs: Signs = np.sign(column[:, None] - column[None, :])
    return signs


def tau_b(signs_x: Signs, signs_y: Signs) -> float | None:
    """Return Kendall's tau-b from the signs of all pairs; None if either has only ties."""
    value = float(_tau(signs_x, signs_y, np.ones((1, len(signs_x))))[0])
    return None if math.isnan(value) else value


def _with_interval(
    xs: Sequence[float],
    ys: Sequence[float],
    statistic: Callable[[Signs, Signs, NDArray[np.float64]], NDArray[np.float64]],
    seed: int,
) -> Correlation | None:
    pairs = np.column_stack([np.asarray(xs, float), np.asarray(ys, float)])
    pairs = pairs[np.isfinite(pairs).all(axis=1)]
    n = len(pairs)
    if n < FEWEST:
        return None
    signs_x, signs_y = pair_signs(pairs[:, 0]), pair_signs(pairs[:, 1])
    value = float(statistic(signs_x, signs_y, np.ones((1, n)))[0])
    if math.isnan(value):
        return None
    counts = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), size=RESAMPLES).astype(float)
    found = statistic(signs_x, signs_y, counts)
    low, high = np.nanquantile(found, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Correlation(value, float(low), float(high), n)


def _tau(signs_x: Signs, signs_y: Signs, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return tau-b of each resample; a row of `counts` holds how often each pair was drawn."""

    def total(signs: Signs) -> NDArray[np.float64]:
        summed: NDArray[np.float64] = ((counts @ signs) * counts).sum(axis=1)
        return summed

    return _ratio(total(signs_x * signs_y), total(np.abs(signs_x)) * total(np.abs(signs_y)))


def _rho(signs_x: Signs, signs_y: Signs, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Spearman's rho of each resample: sum_j sign(v_i - v_j) is 2 (rank of i - mean rank)."""
    x, y = counts @ signs_x.T, counts @ signs_y.T
    squares = (counts * x * x).sum(axis=1) * (counts * y * y).sum(axis=1)
    return _ratio((counts * x * y).sum(axis=1), squares)


def _ratio(above: NDArray[np.float64], squared: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return above / sqrt(squared), and NaN for 0 / 0."""
    made: NDArray[np.float64] = np.divide(above, np.sqrt(squared), out=np.full_like(above, np.nan), where=squared > 0)
    return made.clip(-1, 1)
