"""The learning curves of a run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from archlab.core.figures import new_figure
from archlab.tasks.base import Task
from archlab.tasks.metrics import Scores, used
from archlab.training.budgets import samples_text
from archlab.training.metrics_log import Row
from archlab.training.runs import Record

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LOSS = "#1f4e79"
FEW_TIMES, MANY_DECADES = 5.0, 1e4
"""Ratios of the largest loss to the smallest: below, ticks at equal steps; from there on, at decades alone."""


def curves(rows: Sequence[Row], record: Record, task: Task[Any, Any]) -> Figure:
    """Draw loss and learning rate by iteration, and the validation scores with those of the task's baselines.

    Scores at budgets are drawn by samples on a logarithmic axis, others by iteration.
    """
    figure = new_figure(12, 4)
    loss, scores = figure.subplots(1, 2)
    _draw_loss(loss, [row for row in rows if "loss" in row])
    at_budgets = [(row["budget"]["samples"], row["budget"]["scores"]) for row in rows if "budget" in row]
    others = [(row["iteration"], row["validation"]) for row in rows if "validation" in row]
    _draw_scores(scores, at_budgets or others, record, task)
    if at_budgets:
        _by_samples(scores, [samples for samples, _ in at_budgets])
    else:
        _by_iteration(scores)
    figure.suptitle(run_title(record), fontsize=10)
    return figure


def _draw_loss(axes: Axes, rows: Sequence[Row]) -> None:
    iterations = [row["iteration"] for row in rows]
    small = bool(rows) and rows[-1]["loss"] < 0.1
    axes.plot(iterations, [(1000 if small else 1) * row["loss"] for row in rows], color=LOSS, label="training loss")
    _logarithmic(axes, [row["loss"] for row in rows])
    axes.set_ylabel("training loss, thousandths" if small else "training loss")
    _by_iteration(axes)
    rate = axes.twinx()
    rate.plot(iterations, [row["lr"] for row in rows], "--", color="#999999", linewidth=1, label="learning rate")
    rate.set_ylim(bottom=0)
    rate.set_ylabel("learning rate")
    lines = [*axes.get_lines(), *rate.get_lines()]
    axes.legend(lines, [str(line.get_label()) for line in lines], loc="upper right", fontsize=8)


def _logarithmic(axes: Axes, values: Sequence[float]) -> None:
    """Make the y axis logarithmic, with ticks at round values for small ranges and at decades for large ones."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

    held = [value for value in values if value > 0]
    span = max(held) / min(held) if held else 1.0
    axes.set_yscale("log")
    subs = (1.0, 2.0, 5.0) if span < MANY_DECADES else (1.0,)
    axes.yaxis.set_major_locator(MaxNLocator(8) if span < FEW_TIMES else LogLocator(subs=subs))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter("{x:g}")


def _draw_scores(
    axes: Axes, scored: Sequence[tuple[int, dict[str, Scores]]], record: Record, task: Task[Any, Any]
) -> None:
    """Draw one line per score and view, and each baseline's score as a dotted line of the same colour."""
    drawn = used(task.metrics, "curve")
    for view, style in zip(task.views, ("o-", "s--", "^:"), strict=False):
        suffix = "" if view is task.views[0] else f", {view.title}"
        for metric in drawn:
            found = [(place, scores.get(view.key, {}).get(metric.key)) for place, scores in scored]
            shown = [(place, value) for place, value in found if value is not None]
            if shown:
                label = f"{metric.title}{suffix}: {metric.text(shown[-1][1])}"
                axes.plot(*zip(*shown, strict=True), style, color=metric.colour, markersize=4, label=label)
    for key, title in task.baselines.items():
        for metric in drawn:
            if (value := record.baseline.get(key, {}).get(metric.key)) is not None:
                label = f"{metric.title} of {title}: {metric.text(value)}"
                axes.axhline(value, color=metric.colour, linestyle=":", linewidth=1.2, label=label)
    axes.set_ylim(0, 100)
    axes.set_ylabel("validation score, 0-100")
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0)


def _by_iteration(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("iteration")
    axes.grid(alpha=0.25, which="both")


def _by_samples(axes: Axes, budgets: Sequence[int]) -> None:
    from matplotlib.ticker import NullLocator

    axes.set_xscale("log")
    axes.set_xticks(budgets, [samples_text(budget) for budget in budgets])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("training samples")
    axes.grid(alpha=0.25, which="both")


def run_title(record: Record) -> str:
    """Return a figure's title: network, input size, recipe, data, seed and samples."""
    size = "x".join(map(str, record.input[1:]))
    parts = (record.spec, size, f"recipe {record.recipe}", record.data["kind"], f"seed {record.seed}")
    return ", ".join((*parts, f"{record.samples} samples"))
