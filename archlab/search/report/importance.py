"""The share of the variance of scores that each parameter of a space explains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from archlab.search.report.bands import DRAWS, LEVEL, Bounded

MOST_LEVELS = 5
"""A numeric parameter with more values is split into this many groups of about equal count."""
LEAST = 20
"""The smallest number of candidates from which importances are computed."""
INACTIVE = "inactive"
Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Level:
    """A value of a parameter or a group of values: how many candidates have it, and their mean score."""

    value: str
    n: int
    mean: float


@dataclass(frozen=True)
class Importance:
    """The share of the variance of scores that a parameter's main effect explains; 1 is all of it."""

    parameter: str
    share: Bounded
    levels: tuple[Level, ...]


def importances(
    points: Sequence[Mapping[str, Any]], scores: Sequence[float], parameters: Sequence[str]
) -> list[Importance]:
    """Return main effects, the largest first, without parameters that have one value or too many to compare.

    For a parameter whose k levels split the n scores y, with SS the sums of squares about the means:

        share = (SS_between - (k - 1) SS_within / (n - k)) / SS_total

    This is the first-order term of functional ANOVA, Var(E[y | x_i]) / Var(y) (Hutter, Hoos and Leyton-Brown, 2014),
    estimated from the candidates and not through a forest, and corrected for what chance gives to k levels (Kelley's
    epsilon squared, 1935), so it can be slightly negative. It has no interactions. A sampler that learns makes
    parameters correlated, so one can show the effect of another. Few candidates give wide intervals. An inactive
    conditional parameter has the value `inactive`. The interval is the percentile bootstrap's, shifted to the
    estimate, since resampling inflates the share.
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
    """Return the share for each row of weights (samples, n); `member` (n, levels) is 1 if a candidate has a level."""
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
    """Return values as text, and numbers with more than `MOST_LEVELS` values as ranges of about equal count."""
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
    """Return a parameter's value as text."""
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
