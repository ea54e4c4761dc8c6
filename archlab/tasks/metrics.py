"""The figures of a task's scores: their names, their keys in a record, and how they are displayed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Direction = Literal["maximize", "minimize"]
Use = Literal["objective", "curve", "scatter", "table"]
Scores = dict[str, float | None]
"""Figures by metric key; None if undefined."""


@dataclass(frozen=True)
class Metric:
    """One figure of a score.

    name: in a search's objectives and on the command line, as `ap`.
    key: in a record's scores, as `AP`.
    title: in plots and sentences, as `PCK@0.1`.
    short: the heading of its table column; the title if empty.
    direction: which values are better.
    digits: after the decimal point, in tables and plots.
    uses: where it appears. Records and CSV files hold every figure; `objective`: a search may optimise it.
    views: the views whose tables show it; all if empty.
    datasets: the data sets that have it; all if empty.
    meaning: its definition for a table's caption, if the heading does not define it.
    """

    name: str
    key: str
    title: str
    short: str = ""
    direction: Direction = "maximize"
    unit: str = "0-100"
    digits: int = 1
    colour: str = "#1f4e79"
    uses: frozenset[Use] = frozenset({"objective", "curve", "scatter", "table"})
    views: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    meaning: str = ""

    @property
    def heading(self) -> str:
        """The heading of its table column."""
        return self.short or self.title

    def text(self, value: float | None) -> str:
        """Return a value as tables and plots show it; `-` for None."""
        return "-" if value is None else f"{value:.{self.digits}f}"


@dataclass(frozen=True)
class View:
    """One way of scoring a run, as pose is scored in ground-truth boxes and in detected boxes.

    key: in a record's scores. title: in tables; empty if the task has one view only.
    """

    key: str
    title: str = ""


def used(metrics: Iterable[Metric], use: Use, *, view: str = "", dataset: str = "") -> tuple[Metric, ...]:
    """Return the metrics with this use, restricted to those of a view and of a data set if these are given."""
    return tuple(
        metric
        for metric in metrics
        if use in metric.uses
        and (not view or not metric.views or view in metric.views)
        and (not dataset or not metric.datasets or dataset in metric.datasets)
    )


def first_view(scores: Mapping[str, Scores]) -> Scores:
    """Return the figures of the first view, none if there is no view."""
    return next(iter(scores.values()), {})


def headline(metrics: Iterable[Metric], scores: Mapping[str, Scores]) -> tuple[Metric, float | None] | None:
    """Return the first metric in the scores of the first view, with its value; None if there is none."""
    first = first_view(scores)
    return next(((metric, first[metric.key]) for metric in metrics if metric.key in first), None)
