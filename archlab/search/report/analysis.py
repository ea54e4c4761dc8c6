"""The data of a search's report, computed once: front, hypervolume, distributions and importances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from archlab.search.report import estimates
from archlab.search.report.bands import CostBand, Step, edf, equal_count_bands
from archlab.search.report.estimates import Domination, Growth
from archlab.search.report.importance import Importance, importances
from archlab.search.report.quantities import COSTS
from archlab.search.results import Candidate, Result


@dataclass(frozen=True)
class AtRung:
    """The candidates that were scored at a rung, whether they passed it or not."""

    index: int
    label: str
    candidates: tuple[Candidate, ...]
    scores: tuple[float, ...]
    costs: tuple[float, ...]
    distribution: tuple[Step, ...]
    bands: tuple[CostBand, ...]
    importances: tuple[Importance, ...]


@dataclass(frozen=True)
class Analysis:
    """The data of a report.

    score, cost: the study's first objective of each kind, which figures use.
    """

    result: Result
    score: str
    cost: str
    front: tuple[Candidate, ...]
    reference_point: Mapping[str, float]
    growth: tuple[Growth, ...]
    rungs: tuple[AtRung, ...]
    dominations: tuple[Domination, ...]

    @property
    def upwards(self) -> bool:
        """Return whether more of the score is better."""
        return is_upwards(self.result, self.score)

    @property
    def front_numbers(self) -> frozenset[int]:
        return frozenset(candidate.number for candidate in self.front)


def analyse(result: Result, given: Mapping[str, float] | None = None) -> Analysis:
    """Compute the data of a report; `given` is a reference point by objective, as for `estimates.reference_point`."""
    score = main_score(result)
    cost = next((o.name for o in result.objectives if o.name in COSTS), "macs")
    reference = estimates.reference_point(result, given)
    front = estimates.front(result)
    return Analysis(
        result,
        score,
        cost,
        tuple(front),
        reference,
        tuple(estimates.growth(result, reference)),
        tuple(found for i in range(len(result.rungs)) if (found := _at_rung(result, i, score, cost))),
        tuple(estimates.dominations(front, result.references, result.objectives)),
    )


def main_score(result: Result) -> str:
    """Return the first objective that is a score; without one the first score, empty if there is none."""
    return next((o.name for o in result.objectives if o.name not in COSTS), _first_score(result))


def best_of_front(result: Result) -> Candidate | None:
    """Return the member of the front with the best score, of equal ones the first; None without one."""
    score = main_score(result)
    scored = [(found.mean, each) for each in estimates.front(result) if (found := estimates.known(each, score))]
    which = max if is_upwards(result, score) else min
    return which(scored, key=lambda pair: pair[0])[1] if scored else None


def is_upwards(result: Result, score: str) -> bool:
    """Return whether more of a score is better; scores of unknown direction are maximised."""
    return result.directions.get(score, "maximize") == "maximize"


def _first_score(result: Result) -> str:
    return next((name for candidate in result.candidates for scores in candidate.rungs for name in scores), "")


def _at_rung(result: Result, index: int, score: str, cost: str) -> AtRung | None:
    found = [
        (c, estimates.by_rung(result, c).get(index, {}).get(score), estimates.known(c, cost)) for c in result.candidates
    ]
    held = [(c, float(value), price.mean) for c, value, price in found if value is not None and price]
    if not held:
        return None
    there, scores, costs = zip(*held, strict=True)
    upwards = is_upwards(result, score)
    return AtRung(
        index,
        result.rungs[index].label,
        there,
        scores,
        costs,
        tuple(edf(scores, upwards=upwards)),
        tuple(equal_count_bands(costs, scores, upwards=upwards)),
        tuple(importances([c.point for c in there], scores, result.parameters)),
    )
