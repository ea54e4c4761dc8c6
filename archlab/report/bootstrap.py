"""The two-way bootstrap: intervals and p values over seeds and over scored samples at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from archlab.report.correlation import Correlation, pair_signs, tau_b
from archlab.report.statistics import CONFIDENCE, Interval
from archlab.tasks.terms import Ratio

Floats = NDArray[np.float64]
RESAMPLES = 10_000

Runs = Mapping[int, Ratio]
"""The runs of one network by seed, each with the terms of one figure over the same samples in the same order."""


@dataclass(frozen=True)
class Difference(Interval):
    """The mean difference of two networks over `n` seeds, its interval, and p of no difference.

    p: two-sided; twice the smaller share of resamples on one side of 0. samples: the number of samples scored.
    resamples: (RESAMPLES,) differences.
    """

    p: float
    samples: int
    resamples: Floats

    def p_beyond(self, margin: float) -> float:
        """Return p of a difference of at least `margin`: the larger one of two one-sided tests."""
        return max(_share(self.resamples >= margin), _share(self.resamples <= -margin))


def difference(first: Runs, second: Runs) -> Difference | None:
    """Return the difference of two networks' figures, first minus second, over the seeds of both; None without any.

    The bootstrap of crossed factors (Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 2007): seeds and
    samples are resampled independently with replacement, the same samples for both networks and all seeds, and the
    figures are ratios of sums over the drawn samples. Deviations over seeds are multiplied by sqrt(n / (n - 1)), since
    resampling n seeds has (n - 1) / n of their variance. One seed is not resampled: its interval is over samples
    alone. Bounds are quantiles of 10,000 resamples, drawn from a fixed seed.
    """
    seeds = sorted(set(first) & set(second))
    if not seeds:
        return None
    drawn = resampled([first[seed] for seed in seeds]) - resampled([second[seed] for seed in seeds])
    found = _over_seeds(drawn)
    mean = float(np.mean([_figure(first[seed]) - _figure(second[seed]) for seed in seeds]))
    low, high = _bounds(found)
    p = min(1.0, 2 * min(_share(found <= 0), _share(found >= 0)))
    return Difference(mean, low, high, len(seeds), p, len(first[seeds[0]].parts), found)


def mean_figure(runs: Runs) -> Interval | None:
    """Return a network's mean figure over its seeds with the two-way interval of `difference`; None without runs."""
    if not runs:
        return None
    low, high = _bounds(_over_seeds(resampled([*runs.values()])))
    return Interval(float(np.mean([_figure(each) for each in runs.values()])), low, high, len(runs))


def order_agreement(networks: Sequence[Runs], values: Sequence[float]) -> Correlation | None:
    """Return Kendall's tau-b of the networks' mean figures with `values`, over the seeds that all have.

    The interval is the two-way bootstrap's of `difference`. None for fewer than two networks or without a common seed.
    """
    seeds = sorted(set.intersection(*map(set, networks))) if networks else []
    if len(networks) < 2 or not seeds:
        return None
    drawn = np.stack([_over_seeds(resampled([runs[seed] for seed in seeds])) for runs in networks], axis=1)
    means = [float(np.mean([_figure(runs[seed]) for seed in seeds])) for runs in networks]
    signs = pair_signs(values)
    tau = tau_b(pair_signs(means), signs)
    if tau is None:
        return None
    upper = np.triu_indices(len(values), 1)
    ours = np.sign(drawn[:, upper[0]] - drawn[:, upper[1]])
    theirs = signs[upper]
    untied = np.abs(ours).sum(axis=1) * np.abs(theirs).sum()
    found = (ours * theirs).sum(axis=1) / np.sqrt(np.maximum(untied, 1))
    return Correlation(tau, *_bounds(found), len(networks))


def holm(values: Sequence[float]) -> list[float]:
    """Return p values corrected for their number by Holm's step-down method (1979), in the given order."""
    order = np.argsort(values, kind="stable")
    corrected, largest = [0.0] * len(values), 0.0
    for rank, index in enumerate(order.tolist()):
        largest = max(largest, min(1.0, (len(values) - rank) * values[index]))
        corrected[index] = largest
    return corrected


def resampled(runs: Sequence[Ratio]) -> Floats:
    """Return the figures (RESAMPLES, len(runs)) over samples drawn with replacement, the same for every run.

    All runs of all calls draw the same samples if they have equally many, so differences are paired.
    """
    return np.stack([_resampled(run) for run in runs], axis=1)


def _resampled(run: Ratio) -> Floats:
    """Return the figures (RESAMPLES,) of one run. Sums of counts below 2^24 are exact in float32."""
    counts = _counts(len(run.parts))
    above, below = (counts @ np.stack([run.parts, run.wholes], axis=1).astype(np.float32)).astype(np.float64).T
    figures: Floats = 100.0 * above / np.where(below > 0, below, np.nan)
    return figures


@lru_cache(maxsize=2)
def _counts(samples: int) -> NDArray[np.float32]:
    """Return how often each resample (RESAMPLES, samples) draws each sample."""
    random = np.random.default_rng(0)
    drawn = np.empty((RESAMPLES, samples), np.float32)
    for row in drawn:
        row[:] = np.bincount(random.integers(0, samples, samples), minlength=samples)
    return drawn


def _over_seeds(drawn: Floats) -> Floats:
    """Return the means (RESAMPLES,) over seeds drawn with replacement from the columns."""
    n = drawn.shape[1]
    means: Floats = drawn.mean(axis=1)
    if n == 1:
        return means
    chosen = np.random.default_rng(1).integers(0, n, (RESAMPLES, n))
    deviations: Floats = np.take_along_axis(drawn, chosen, axis=1).mean(axis=1) - means
    spread: Floats = means + deviations * np.sqrt(n / (n - 1))
    return spread


def _bounds(found: Floats) -> tuple[float, float]:
    low, high = np.nanquantile(found, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _share(hit: NDArray[np.bool_]) -> float:
    """Return the share of resamples, never 0: (1 + hits) / (1 + resamples)."""
    return float((1 + hit.sum()) / (1 + len(hit)))


def _figure(run: Ratio) -> float:
    figure = run.figure
    return np.nan if figure is None else figure
