"""What predicts a study's trained score, and how well: proxies, costs, lower rungs, other seeds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from archlab.report.correlation import Correlation, kendall, spearman
from archlab.search.report.quantities import COSTS
from archlab.search.results import Candidate, Result

Kind = Literal["proxy", "cost", "rung", "seed"]

ENOUGH: dict[Kind, int] = {"proxy": 30, "cost": 30, "rung": 12, "seed": 12}
"""The number of candidates from which a correlation of each kind supports a conclusion."""


@dataclass(frozen=True)
class Pairing:
    """How well `name` predicts `against`: a proxy or cost the trained score, a lower rung the last, a seed another.

    n: the number of candidates that have both values.
    enough: whether n reaches `ENOUGH`: 30 for proxies and costs, 12 for rungs and seeds.
    spearman, kendall: None for fewer than 3 candidates, or if all have the same value on either side.
    """

    kind: Kind
    name: str
    against: str
    n: int
    enough: bool
    spearman: Correlation | None
    kendall: Correlation | None


def rank_correlations(result: Result, *, seed: int = 0) -> tuple[Pairing, ...]:
    """Return how well proxies, costs and lower rungs predict the trained score, and how far seeds agree.

    The score is the first objective that is no cost, at the last rung. Only candidates that reached that rung count,
    without the references; they were selected at the lower rungs, and selection makes correlations weaker. Empty for
    a study of costs alone.
    """
    score = next((objective.name for objective in result.objectives if objective.name not in COSTS), None)
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
    """Return the keys in order of first appearance."""
    return list(dict.fromkeys(name for mapping in mappings for name in mapping))


def _at(candidate: Candidate, rung: int, score: str) -> float:
    return candidate.rungs[rung].get(score, math.nan) if rung < len(candidate.rungs) else math.nan
