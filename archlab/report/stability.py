"""Scores against training samples, and from which budget on the order of some networks is that of the largest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from archlab.report.correlation import Correlation, kendall

STABLE = 0.7
"""The rank correlation with the largest budget from which an order counts as stable."""


@dataclass(frozen=True)
class CurvePoint:
    """The scores of one network at a budget, by seed. samples: those seen by the scored weights."""

    budget: int
    samples: int
    by_seed: Mapping[int, float]

    @property
    def mean(self) -> float:
        return fmean(self.by_seed.values())

    @property
    def low(self) -> float:
        return min(self.by_seed.values())

    @property
    def high(self) -> float:
        return max(self.by_seed.values())


@dataclass(frozen=True)
class Curve:
    """The scores of one network by increasing budget. dashed: draw it as a control."""

    name: str
    points: tuple[CurvePoint, ...]
    dashed: bool = False

    def at(self, budget: int) -> Mapping[int, float]:
        """Return the scores at a budget by seed, empty if it was not reached."""
        return next((point.by_seed for point in self.points if point.budget == budget), {})


@dataclass(frozen=True)
class Order:
    """How far the order of networks at a budget is that of the largest; None for fewer than three networks.

    networks, seeds: those scored at both budgets.
    """

    budget: int
    networks: int
    seeds: tuple[int, ...]
    tau: Correlation | None


def budgets_of(curves: Sequence[Curve]) -> list[int]:
    """Return all budgets that any network reached, increasing."""
    return sorted({point.budget for curve in curves for point in curve.points})


def orders(curves: Sequence[Curve]) -> list[Order]:
    """Return Kendall's tau-b of the order at each smaller budget with that at the largest, and its interval.

    A network counts by its mean over the seeds that all compared networks have at both budgets.
    """
    budgets = budgets_of(curves)
    return [_order(curves, each, budgets[-1]) for each in budgets[:-1]]


def stable_from(found: Sequence[Order]) -> Order | None:
    """Return the smallest budget from which on every tau is at least STABLE; None if there is none."""
    first = None
    for order in reversed(found):
        if order.tau is None or order.tau.value < STABLE:
            break
        first = order
    return first


def _order(curves: Sequence[Curve], budget: int, largest: int) -> Order:
    pairs = [(curve.at(budget), curve.at(largest)) for curve in curves]
    pairs = [(here, last) for here, last in pairs if set(here) & set(last)]
    seeds = sorted(set.intersection(*({*here} & {*last} for here, last in pairs))) if pairs else []
    means = [[fmean(scores[seed] for seed in seeds) for scores in pair] for pair in pairs] if seeds else []
    tau = kendall([here for here, _ in means], [last for _, last in means])
    return Order(budget, len(means), tuple(seeds), tau)
