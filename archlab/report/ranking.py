"""Order candidates by several objectives: non-dominated rank first, then crowding distance."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from archlab.report.pareto import Losses, dominance, loss_array


def ranks(losses: Losses) -> NDArray[np.int64]:
    """Return the non-dominated ranks: 0 if nothing dominates a row, 1 if only rank 0 does, and so on.

    NSGA-II (Deb 2002), section III-A.
    """
    dominates = dominance(losses)
    found = np.full(len(dominates), -1)
    rank = 0
    while (found < 0).any():
        left = found < 0
        found[left & ~dominates[left].any(axis=0)] = rank
        rank += 1
    return found


def crowding(losses: Losses) -> NDArray[np.float64]:
    """Return the crowding distances: over objectives, sum the gap between both neighbours as a share of the range.

    Both ends of an objective are infinitely far. Meant for rows of one rank. NSGA-II (Deb 2002), section III-B.
    """
    values = loss_array(losses)
    found = np.zeros(len(values))
    for column in values.T:
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]]
        found[order[[0, -1]]] = np.inf
        if span > 0 and len(order) > 2:
            found[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return found


def best_first(losses: Losses) -> list[int]:
    """Return the positions from best to worst: by rank, and within a rank the least crowded first."""
    if not len(losses):
        return []
    rank = ranks(losses)
    gap = np.zeros(len(rank))
    for each in np.unique(rank):
        rows = np.flatnonzero(rank == each)
        gap[rows] = crowding([losses[int(row)] for row in rows])
    return [int(i) for i in np.lexsort((-gap, rank))]


def goes_on(losses: Losses, mine: int, eta: float) -> bool:
    """Return whether the row at position `mine` is among the best 1/eta of all rows; a single row always is."""
    return best_first(losses).index(mine) < max(1.0, len(losses) / eta)
