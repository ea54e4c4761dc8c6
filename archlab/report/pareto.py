"""Dominance between networks that are compared by several objectives, and the points and panels of a plot of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from archlab.tasks.metrics import Direction

Losses = Sequence[Sequence[float]]
"""One row for each candidate and one column for each objective; every objective is minimised."""


@dataclass(frozen=True)
class Point:
    """One network: its cost, and a score of 0 to 100 with its deviation over seeds.

    cost: multiply-adds by the paper's counter, or milliseconds. hash: canonical; empty for a network that is quoted.
    """

    label: str
    cost: float
    score: float
    deviation: float | None = None
    hash: str = ""


@dataclass(frozen=True)
class Panel:
    """One pair of axes with its points. Published and measured points never share a panel.

    direction: whether higher or lower scores are better. x_label: of costs that are not multiply-adds.
    """

    title: str
    remark: str
    y_label: str
    points: tuple[Point, ...]
    measured: bool
    direction: Direction = "maximize"
    x_label: str = ""

    @property
    def front(self) -> list[Point]:
        """The points on the Pareto front, from the cheapest to the best."""
        return pareto(self.points, self.direction)


def loss_array(losses: Losses) -> NDArray[np.float64]:
    """Return the losses as an array (candidates, objectives). No loss may be a NaN."""
    values = np.asarray(losses, float).reshape(len(losses), -1 if len(losses) else 0)
    # A NaN dominates nothing and is dominated by nothing, so it would be on every front.
    assert not np.isnan(values).any(), "a loss is not a number"
    return values


def dominance(losses: Losses) -> NDArray[np.bool_]:
    """Return D, where D[i, j] is true if i dominates j: i is nowhere worse than j and better in one objective."""
    values = loss_array(losses)
    not_worse: NDArray[np.bool_] = np.all(values[:, None] <= values[None], axis=2)
    dominates: NDArray[np.bool_] = not_worse & np.any(values[:, None] < values[None], axis=2)
    return dominates


def non_dominated(losses: Losses) -> NDArray[np.bool_]:
    """Return which candidates no other dominates. Equal candidates do not dominate each other."""
    best: NDArray[np.bool_] = ~np.any(dominance(losses), axis=0)
    return best


def pareto(points: Sequence[Point], direction: Direction = "maximize") -> list[Point]:
    """Return the points that no other dominates in cost and score, from the cheapest to the best.

    Of several equal points only the first is returned.
    """
    sign = -1.0 if direction == "maximize" else 1.0
    best = non_dominated([(point.cost, sign * point.score) for point in points])
    first: dict[tuple[float, float], Point] = {}
    for point, on_front in zip(points, best, strict=True):
        if on_front:
            first.setdefault((point.cost, point.score), point)
    return [first[place] for place in sorted(first)]
