"""Orders of candidates by several objectives: non-dominated ranks, and crowding among equals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from archlab.report.pareto import Losses, dominance, loss_array


def ranks(losses: Losses) -> NDArray[np.int64]:
    """0 for what nothing dominates, 1 for what only rank 0 dominates, and so on. NSGA-II (Deb 2002), section III-A."""
    dominates = dominance(losses)
    found = np.full(len(dominates), -1)
    rank = 0
    while (found < 0).any():
        left = found < 0
        found[left & ~dominates[left].any(axis=0)] = rank
        rank += 1
    return found


def crowding(losses: Losses) -> NDArray[np.float64]:
    """For each the sum over objectives of the gap between its neighbours, as a share of the range; the ends infinite.

    Large where a candidate stands alone. NSGA-II (Deb 2002), section III-B; to be asked within one rank.
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
    """Positions from the best to the worst: by rank, within one from the least crowded."""
    if not len(losses):
        return []
    rank = ranks(losses)
    gap = np.zeros(len(rank))
    for each in np.unique(rank):
        rows = np.flatnonzero(rank == each)
        gap[rows] = crowding([losses[int(row)] for row in rows])
    return [int(i) for i in np.lexsort((-gap, rank))]


def goes_on(losses: Losses, mine: int, eta: float) -> bool:
    """Whether the candidate at position `mine` is among the best 1/eta of those that are there; the only one is."""
    return best_first(losses).index(mine) < max(1.0, len(losses) / eta)
