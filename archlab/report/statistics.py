"""Statistics of a few seeds: confidence intervals of means, and the agreement of two orders."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from archlab.report.correlation import pair_signs, tau_b

CONFIDENCE = 0.95
ALL_ORDERS = 9
"""The largest number of items for which all orders are tried (9! = 362,880); beyond it, `SHUFFLES` random ones."""
SHUFFLES = 100_000


@dataclass(frozen=True)
class Interval:
    """A mean over `n` seeds and its confidence interval. One seed has no interval."""

    mean: float
    low: float | None
    high: float | None
    n: int


@dataclass(frozen=True)
class Agreement:
    """Kendall's tau-b of two orders of `n` items. p: how often random orders give a tau at least as far from 0."""

    tau: float
    p: float
    n: int


def interval(values: Sequence[float]) -> Interval | None:
    """Return mean -+ t(n - 1, 0.975) s / sqrt(n), with the sample standard deviation s; None without values."""
    n = len(values)
    if n < 2:
        return Interval(values[0], None, None, 1) if n else None
    from scipy.special import stdtrit

    mean = statistics.fmean(values)
    half = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * statistics.stdev(values) / math.sqrt(n)
    return Interval(mean, mean - half, mean + half, n)


def agreement(xs: Sequence[float], ys: Sequence[float]) -> Agreement | None:
    """Return Kendall's tau-b (`tau_b`) with a two-sided permutation test.

    p is the share of the orders of ys whose |tau| is not smaller, including the observed order. Returns None for fewer
    than two items, or if all of xs or all of ys are equal.
    """
    signs_x, signs_y = pair_signs(xs), pair_signs(ys)
    tau = tau_b(signs_x, signs_y)
    if tau is None:
        return None
    signs_x, signs_y = signs_x.astype(np.int64), signs_y.astype(np.int64)
    observed = int((signs_x * signs_y).sum())
    as_far = tried = 0
    for orders in _orders(len(xs)):
        found = sum(
            signs_x[i, j] * signs_y[orders[:, i], orders[:, j]] for i, j in itertools.combinations(range(len(xs)), 2)
        )
        as_far += int((np.abs(2 * np.asarray(found)) >= abs(observed)).sum())
        tried += len(orders)
    return Agreement(tau, as_far / tried, len(xs))


def _orders(n: int) -> Iterator[np.ndarray[Any, Any]]:
    """Yield batches of all orders of n items or, for many items, of the given order and random ones."""
    if n <= ALL_ORDERS:
        every = itertools.permutations(range(n))
        while some := list(itertools.islice(every, 50_000)):
            yield np.asarray(some)
        return
    yield np.arange(n)[None]
    yield np.random.default_rng(0).permuted(np.tile(np.arange(n), (SHUFFLES, 1)), axis=1)
