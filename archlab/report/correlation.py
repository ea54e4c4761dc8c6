"""How well one order of candidates foretells another: rank correlations with intervals, and a study's own."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from archlab.search.results import Candidate, Result

Kind = Literal["proxy", "cost", "rung", "seed"]
Signs = NDArray[np.float64]

CONFIDENCE = 0.95
RESAMPLES = 2000
FEWEST = 3
"""Candidates below which a correlation is not worth a number: two are always in the same order or in the opposite."""
ENOUGH: dict[Kind, int] = {"proxy": 30, "cost": 30, "rung": 12, "seed": 12}
"""Candidates from which a correlation may be concluded from."""


@dataclass(frozen=True)
class Correlation:
    """A rank correlation of `n` candidates, -1 to 1, and its 95 % interval."""

    value: float
    low: float
    high: float
    n: int


@dataclass(frozen=True)
class Pairing:
    """How well `name` foretells `against`: a proxy or a cost the trained score, a lower rung the last, a seed another.

    `n`: the candidates that have both. Without a correlation where they are fewer than 3, or all equal in one of both.
    `enough`: whether n reaches `ENOUGH`, 30 for proxies and costs, 12 for rungs and seeds.
    """

    kind: Kind
    name: str
    against: str
    n: int
    enough: bool
    spearman: Correlation | None
    kendall: Correlation | None


def spearman(xs: Sequence[float], ys: Sequence[float], *, seed: int = 0) -> Correlation | None:
    """Spearman's rho: Pearson's correlation of the ranks, tied values sharing their mean rank. Else as `kendall`."""
    return _with_interval(xs, ys, _rho, seed)


def kendall(xs: Sequence[float], ys: Sequence[float], *, seed: int = 0) -> Correlation | None:
    """Kendall's tau-b = sum_{i<j} sign(x_i - x_j) sign(y_i - y_j) / sqrt(untied pairs of x * untied pairs of y).

    The interval is the percentile bootstrap's: 2,000 resamples of the candidates with replacement, drawn from `seed`,
    the 2.5 % and 97.5 % quantiles of their correlations; resamples in which all of xs or all of ys are equal have none
    and are left out. A perfect order has only perfect resamples: of [1, 1] n alone says what it is worth. Candidates
    with a value that is not finite are left out. None for fewer than 3, or where all of xs or all of ys are equal.
    """
    return _with_interval(xs, ys, _tau, seed)


def pair_signs(values: Sequence[float]) -> Signs:
    """sign(v_i - v_j) as a square."""
    column = np.asarray(values, float)
    signs: Signs = np.sign(column[:, None] - column[None, :])
    return signs


def tau_b(signs_x: Signs, signs_y: Signs) -> float | None:
    """Kendall's tau-b from the signs of all pairs; None where one of both has only ties."""
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
    """tau-b of resamples, each row of `counts` saying how often every candidate was drawn."""

    def total(signs: Signs) -> NDArray[np.float64]:
        summed: NDArray[np.float64] = ((counts @ signs) * counts).sum(axis=1)
        return summed

    return _ratio(total(signs_x * signs_y), total(np.abs(signs_x)) * total(np.abs(signs_y)))


def _rho(signs_x: Signs, signs_y: Signs, counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spearman's rho of resamples: sum_j sign(v_i - v_j) is twice the rank of i, less twice the mean rank."""
    x, y = counts @ signs_x.T, counts @ signs_y.T
    squares = (counts * x * x).sum(axis=1) * (counts * y * y).sum(axis=1)
    return _ratio((counts * x * y).sum(axis=1), squares)


def _ratio(above: NDArray[np.float64], squared: NDArray[np.float64]) -> NDArray[np.float64]:
    """above / sqrt(squared), NaN where that is 0 / 0."""
    made: NDArray[np.float64] = np.divide(above, np.sqrt(squared), out=np.full_like(above, np.nan), where=squared > 0)
    return made.clip(-1, 1)


def rank_correlations(result: Result, *, seed: int = 0) -> tuple[Pairing, ...]:
    """What foretold a study's trained score: its proxies and costs, its lower rungs, and how far its seeds agree.

    The score is the first objective that is maximised, at the last rung; only candidates that reached it count, and no
    references. They were chosen at the lower rungs, and among chosen ones correlations are weaker than among all.
    Nothing for a study that maximises nothing.
    """
    score = next((objective.name for objective in result.objectives if objective.direction == "maximize"), None)
    return tuple(_pairings(result, score, seed)) if score else ()


def _pairings(result: Result, score: str, seed: int) -> Iterator[Pairing]:
    complete = result.complete
    trained = [c.values.get(score, math.nan) for c in complete]
    last = f"{score} at {result.rungs[-1].label}" if result.rungs else score
    for name in _names(c.proxies for c in complete):
        yield _pair("proxy", name, last, [c.proxies.get(name, math.nan) for c in complete], trained, seed)
    for name in _names(c.cost for c in complete):
        yield _pair("cost", name, last, [c.cost.get(name, math.nan) for c in complete], trained, seed)
    for i, rung in enumerate(result.rungs[:-1]):
        yield _pair("rung", f"{score} at {rung.label}", last, [_at(c, i, score) for c in complete], trained, seed)
    for one, other in itertools.combinations(_names(c.seeds for c in complete), 2):
        ones, others = ([c.seeds.get(s, {}).get(score, math.nan) for c in complete] for s in (one, other))
        yield _pair("seed", f"seed {one}", f"seed {other}", ones, others, seed)


def _pair(kind: Kind, name: str, against: str, xs: list[float], ys: list[float], seed: int) -> Pairing:
    n = sum(math.isfinite(x) and math.isfinite(y) for x, y in zip(xs, ys, strict=True))
    correlations = spearman(xs, ys, seed=seed), kendall(xs, ys, seed=seed)
    return Pairing(kind, name, against, n, n >= ENOUGH[kind], *correlations)


def _names(mappings: Iterator[Any]) -> list[str]:
    """Keys in the order in which they first stand."""
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def _at(candidate: Candidate, rung: int, score: str) -> float:
    return candidate.rungs[rung].get(score, math.nan) if rung < len(candidate.rungs) else math.nan
