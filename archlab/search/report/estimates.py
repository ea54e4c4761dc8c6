"""The estimate of each candidate in each objective: a mean over its seeds with an interval, or one value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from archlab.core.errors import InputError, Problem, nearest
from archlab.report.statistics import Interval, interval
from archlab.search.report.front import hypervolume, non_dominated, worst_with_room
from archlab.search.report.quantities import COSTS
from archlab.search.results import Candidate, Objective, Result

Certainty = Literal["clear", "overlapping", "unknown"]
MEASURED = ("latency",)
COUNTED = tuple(name for name in COSTS if name not in MEASURED)


@dataclass(frozen=True)
class Growth:
    """The hypervolume after `finished` candidates, `seconds` after the study began."""

    finished: int
    seconds: float
    hypervolume: float


@dataclass(frozen=True)
class Domination:
    """A candidate with a better mean than a reference in every objective, and whether the intervals confirm it."""

    winner: Candidate
    loser: Candidate
    certainty: Certainty


def known(candidate: Candidate, name: str) -> Interval | None:
    """Return a candidate's score, cost or proxy; None if it has none.

    A score over several seeds is their mean with its 95 % t-interval; with one seed it is that of the last rung
    reached, without an interval. The objectives of a stopped candidate are not used: at a rung with a proxy they hold
    the proxy in place of the score.
    """
    seeds = [scores[name] for scores in candidate.seeds.values() if math.isfinite(scores.get(name, math.nan))]
    if len(seeds) > 1:
        return interval(seeds)
    ended = (candidate.values,) if candidate.outcome == "complete" else ()
    for found in (*candidate.rungs[-1:], candidate.cost, *ended, candidate.proxies):
        if math.isfinite(found.get(name, math.nan)):
            return Interval(float(found[name]), None, None, 1)
    return None


def by_rung(result: Result, candidate: Candidate) -> dict[int, Mapping[str, float]]:
    """Return the scores by index of the rung; a reference has scores at the last rung only."""
    skipped = len(result.rungs) - len(candidate.rungs) if candidate.outcome == "complete" else 0
    return dict(enumerate(candidate.rungs, max(skipped, 0)))


def deepest(result: Result, candidate: Candidate) -> str:
    """Return the label of the last rung at which a candidate was scored; empty if there is none."""
    reached = max(by_rung(result, candidate), default=-1)
    return result.rungs[reached].label if 0 <= reached < len(result.rungs) else ""


def score_names(candidates: Sequence[Candidate]) -> list[str]:
    """Return the names of all scores, without proxies."""
    names = dict.fromkeys(n for c in candidates for scores in (*c.rungs, *c.seeds.values()) for n in scores)
    return [name for name in names if not any(name in candidate.proxies for candidate in candidates)]


def shown_scores(result: Result, candidates: Sequence[Candidate]) -> list[str]:
    """Return the scores that reports show: objectives first, then the task's own."""
    order = (*(objective.name for objective in result.objectives), *(score.name for score in result.scores))
    there = score_names(candidates)
    return [name for name in dict.fromkeys(order) if name in there]


def all_known(candidates: Sequence[Candidate], objectives: Sequence[Objective]) -> list[Candidate]:
    """Return the candidates that have a value in every objective."""
    return [c for c in candidates if all(known(c, objective.name) for objective in objectives)]


def vector(candidate: Candidate, objectives: Sequence[Objective]) -> tuple[float, ...]:
    """Return the candidate's mean in each objective."""
    found = [known(candidate, objective.name) for objective in objectives]
    return tuple(each.mean for each in found if each)


def directions(objectives: Sequence[Objective]) -> tuple[str, ...]:
    return tuple(objective.direction for objective in objectives)


def front(result: Result, objectives: Sequence[Objective] | None = None) -> list[Candidate]:
    """Return the complete candidates that none dominates by means, from least to most in the last objective."""
    sought = result.objectives if objectives is None else objectives
    held = all_known(result.complete, sought)
    if not held:
        return []
    points = [vector(candidate, sought) for candidate in held]
    best = non_dominated(points, directions(sought))
    chosen = [(point[::-1], c.number, c) for point, c, keep in zip(points, held, best, strict=True) if keep]
    return [candidate for *_, candidate in sorted(chosen, key=lambda each: each[:2])]


def reference_point(result: Result, given: Mapping[str, float] | None = None) -> dict[str, float]:
    """Return the reference point: as given, else the worst complete candidate moved by a tenth of the range.

    It uses the scores that candidates had when they finished, as `growth` does. Empty without a complete candidate.
    Raises InputError for a name that is no objective.
    """
    names = [objective.name for objective in result.objectives]
    if wrong := [name for name in given or {} if name not in names]:
        hints = (f"no objective is called {name!r}{nearest(name, names)}" for name in wrong)
        raise InputError(Problem(hint, field="reference point") for hint in hints)
    finished = [_at_first(candidate, result.objectives) for candidate in result.complete]
    points = [point for point in finished if point]
    default = worst_with_room(points, directions(result.objectives)) if points else ()
    worst = dict(zip(names, default, strict=bool(points)))
    return {**worst, **(given or {})} if set(names) <= {*worst, *(given or {})} else {}


def growth(result: Result, reference: Mapping[str, float]) -> list[Growth]:
    """Return the hypervolume after each finished candidate, with the scores of that time, before other seeds."""
    names, ways = [objective.name for objective in result.objectives], directions(result.objectives)
    points: list[tuple[float, ...]] = []
    steps: list[Growth] = []
    for i, candidate in enumerate(sorted(result.candidates, key=lambda c: (c.finished, c.number)), 1):
        point = _at_first(candidate, result.objectives) if candidate.outcome == "complete" and reference else None
        volume = steps[-1].hypervolume if steps else 0.0
        if point:
            kept = non_dominated([*points, point], ways)
            points = [p for p, keep in zip([*points, point], kept, strict=True) if keep]
            if kept[-1]:  # otherwise the others cover it
                volume = hypervolume(points, ways, [reference[name] for name in names])
        steps.append(Growth(i, candidate.finished, volume))
    return steps


def _at_first(candidate: Candidate, objectives: Sequence[Objective]) -> tuple[float, ...] | None:
    """Return a candidate's objectives as they were when it finished."""
    found = {**candidate.cost, **candidate.values, **(candidate.rungs[-1] if candidate.rungs else {})}
    if not all(math.isfinite(found.get(objective.name, math.nan)) for objective in objectives):
        return None
    return tuple(float(found[objective.name]) for objective in objectives)


def dominations(
    winners: Sequence[Candidate], losers: Sequence[Candidate], objectives: Sequence[Objective]
) -> list[Domination]:
    """Return every pair in which the winner's mean is strictly better in every objective."""
    return [
        Domination(winner, loser, certainty(winner, loser, objectives))
        for loser in all_known(losers, objectives)
        for winner in all_known(winners, objectives)
        if all(_lead(winner, loser, objective) > 0 for objective in objectives)
    ]


def certainty(winner: Candidate, loser: Candidate, objectives: Sequence[Objective]) -> Certainty:
    """Return how certain a domination is.

    clear        the 95 % intervals do not overlap in any score; this is stricter than a test of the difference at 5 %
    overlapping  they overlap in a score
    unknown      a score has one seed only

    Counted costs are exact.
    """
    apart = [_apart(winner, loser, objective) for objective in objectives]
    if None in apart:
        return "unknown"
    return "clear" if all(apart) else "overlapping"


def _lead(a: Candidate, b: Candidate, objective: Objective) -> float:
    return (
        vector(a, [objective])[0] - vector(b, [objective])[0]
        if objective.direction == "maximize"
        else (vector(b, [objective])[0] - vector(a, [objective])[0])
    )


def _apart(winner: Candidate, loser: Candidate, objective: Objective) -> bool | None:
    if objective.name in COUNTED:
        return True
    better, worse = known(winner, objective.name), known(loser, objective.name)
    if not (better and worse) or better.low is None or better.high is None or worse.low is None or worse.high is None:
        return None
    return better.low > worse.high if objective.direction == "maximize" else better.high < worse.low
