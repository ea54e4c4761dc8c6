"""The figures of a task's scores: what each is called, where it stands in a record, and how it is shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Direction = Literal["maximize", "minimize"]
Use = Literal["objective", "curve", "scatter", "table"]
Scores = dict[str, float | None]
"""Figures by their key; None where a figure is undefined."""


@dataclass(frozen=True)
class Metric:
    """One figure of a score.

    name: in a search's objectives and on the command line, as `ap`. key: in a record's scores, as `AP`.
    title: in plots and sentences, as `PCK@0.1`. short: in the head of a table's column; the title if empty.
    uses: where it is shown, beside records and CSV files, which hold every figure. `objective`: a search may seek it.
    views: the ways of scoring in whose tables it stands; all if empty. datasets: those that have it; all if empty.
    meaning: its definition for a table's caption, where the heading does not say it.
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
        return self.short or self.title

    def text(self, value: float | None) -> str:
        return "-" if value is None else f"{value:.{self.digits}f}"


@dataclass(frozen=True)
class View:
    """One way of scoring the same run, as pose is scored in ground-truth and in detected boxes.

    key: in a record's scores. title: in tables; empty where a task is scored in one way only.
    """

    key: str
    title: str = ""


def used(metrics: Iterable[Metric], use: Use, *, view: str = "", dataset: str = "") -> tuple[Metric, ...]:
    """Return the metrics with this use, of those that the view shows and the data set has, if these are given."""
    return tuple(
        metric
        for metric in metrics
        if use in metric.uses
        and (not view or not metric.views or view in metric.views)
        and (not dataset or not metric.datasets or dataset in metric.datasets)
    )


def headline(metrics: Iterable[Metric], scores: Mapping[str, Scores]) -> tuple[Metric, float | None] | None:
    """Return the first metric that the first view's scores hold, with its value; None without scores."""
    first = next(iter(scores.values()), {})
    return next(((metric, first[metric.key]) for metric in metrics if metric.key in first), None)
