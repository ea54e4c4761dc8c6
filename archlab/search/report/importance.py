"""How much of the spread of scores each parameter of a space accounts for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from archlab.search.report.bands import DRAWS, LEVEL, Bounded

MOST_LEVELS = 5
"""A number with more values than this is read in as many groups of about equal count."""
LEAST = 20
"""Fewer candidates than this say nothing of a dozen parameters."""
INACTIVE = "inactive"
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Level:
    """One value of a parameter, or one group of values: how many candidates have it, and their mean score."""

    value: str
    n: int
    mean: float


@dataclass(frozen=True)
class Importance:
    """The share of the variance of scores that a parameter's main effect accounts for (1 = all of it)."""

    parameter: str
    share: Bounded
    levels: tuple[Level, ...]


def importances(
    points: Sequence[Mapping[str, Any]], scores: Sequence[float], parameters: Sequence[str]
) -> list[Importance]:
    """Main effects, the greatest first; a parameter without two values, or with too many to compare, is left out.

    For a parameter whose k levels split the n scores y, with SS the sums of squares about the means:

        share = (SS_between - (k - 1) SS_within / (n - k)) / SS_total

    This is the first-order term of functional ANOVA, Var(E[y | x_i]) / Var(y) (Hutter, Hoos and Leyton-Brown, 2014),
    estimated from the candidates themselves and not through a forest, less what chance alone would give to k levels
    (Kelley's epsilon squared, 1935); so it can be slightly negative. Its limits: interactions are not in it; where a
    sampler has learnt, parameters come correlated, and one can show the effect of another; few candidates make wide
    intervals. A conditional parameter that is inactive has a value of its own, `inactive`. The interval is the
    percentile bootstrap's, moved onto the estimate, since samples with repeats inflate the share.
    """
    y = np.asarray(scores, float)
    if len(y) < LEAST or np.ptp(y) == 0:
        return []
    weights = np.random.default_rng(0).multinomial(len(y), np.full(len(y), 1 / len(y)), size=DRAWS).astype(float)
    found = []
    for parameter in parameters:
        values = grouped([point.get(parameter) for point in points])
        names = list(dict.fromkeys(values))
        if not 1 < len(names) <= len(y) // 2:
            continue
        member = np.array([[value == name for name in names] for value in values], float)
        share = float(_shares(np.ones((1, len(y))), member, y)[0])
        drawn = _shares(weights, member, y)
        low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) - drawn.mean() + share
        levels = (
            Level(name, int(member[:, i].sum()), float(y[member[:, i] > 0].mean())) for i, name in enumerate(names)
        )
        found.append(Importance(parameter, Bounded(share, float(low), float(high)), tuple(sorted(levels, key=_rank))))
    return sorted(found, key=lambda each: -each.share.value)


def _shares(weights: Array, member: Array, y: Array) -> Array:
    """The share for each row of weights (samples, n), with `member` (n, levels) one where a candidate has a level."""
    n, centred = weights.sum(axis=1), y - y.mean()
    counts, sums = weights @ member, weights @ (member * centred[:, None])
    mean = weights @ centred / n
    total = weights @ centred**2 - n * mean**2
    between = np.divide(sums**2, counts, out=np.zeros_like(sums), where=counts > 0).sum(axis=1) - n * mean**2
    k = (counts > 0).sum(axis=1)
    within = np.maximum(total - between, 0.0) / np.maximum(n - k, 1)
    shares: Array = np.divide(between - (k - 1) * within, total, out=np.zeros_like(total), where=total > 0)
    return shares


def grouped(values: Sequence[Any]) -> list[str]:
    """Values as text; numbers of more than `MOST_LEVELS` values as ranges of about equal count."""
    numbers = {value for value in values if _is_number(value)}
    if len(numbers) <= MOST_LEVELS:
        return [as_text(value) for value in values]
    held = sorted(value for value in values if _is_number(value))
    edges = np.unique([held[len(held) * i // MOST_LEVELS - 1] for i in range(1, MOST_LEVELS)])
    ranges: dict[int, list[float]] = {}
    for value in numbers:
        ranges.setdefault(int(np.searchsorted(edges, value)), []).append(value)
    names = {
        value: as_text(min(group)) if len(group) == 1 else f"{as_text(min(group))} to {as_text(max(group))}"
        for group in ranges.values()
        for value in group
    }
    return [names[value] if _is_number(value) else as_text(value) for value in values]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_text(value: Any) -> str:
    """A parameter's value as a reader sees it."""
    match value:
        case None:
            return INACTIVE
        case bool():
            return "true" if value else "false"
        case float():
            return f"{value:g}"
        case list() | tuple():
            return f"[{', '.join(map(as_text, value))}]"
        case dict():
            return f"{{{', '.join(f'{key}: {as_text(each)}' for key, each in value.items())}}}"
    return str(value)


def _rank(level: Level) -> float:
    return -level.mean
