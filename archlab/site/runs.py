"""Runs side by side: one self-contained HTML page with their scores, costs, curves and predictions."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import archlab
from archlab.core.errors import InputError, Problem
from archlab.core.figures import new_figure
from archlab.core.files import write_text
from archlab.counting.count import MEBI
from archlab.report import web
from archlab.site import render
from archlab.tasks import find_task
from archlab.tasks.base import Task
from archlab.tasks.metrics import Metric, Scores, first_view, headline, used
from archlab.training.listing import state_of
from archlab.training.metrics_log import Row, read_rows
from archlab.training.runs import Record, runs_of_tasks

if TYPE_CHECKING:
    from matplotlib.axes import Axes

HERE = Path(__file__).parent
PICTURES = {"curves.png": "Learning curves", "predictions.png": "Predictions"}
MOST_LINES = 24
"""Lines in a plot; beyond, they could not be told apart."""
FACTS = ("run", "network", "recipe", "seed", "state")


@dataclass(frozen=True)
class Compared:
    """A run on the page. label: of its lines in plots."""

    record: Record
    folder: Path
    rows: Sequence[Row]

    @property
    def label(self) -> str:
        return f"{self.record.spec}, {self.record.recipe}, seed {self.record.seed}"

    def samples(self, row: Row) -> float:
        """Return the training samples seen at a row of the metrics, which has iterations and epochs."""
        return float(row["epoch"]) * self.record.train_samples

    def losses(self) -> list[tuple[float, float]]:
        """Return (samples, training loss), rising in samples."""
        return [(self.samples(row), row["loss"]) for row in self.rows if "loss" in row]

    def scores(self, metric: Metric) -> list[tuple[float, float]]:
        """Return (samples, score) of the first view, rising in samples: at budgets, else at validations."""
        points: list[tuple[float, dict[str, Scores]]] = [
            (row["budget"]["samples"], row["budget"]["scores"]) for row in self.rows if "budget" in row
        ] or [(self.samples(row), row["validation"]) for row in self.rows if "validation" in row]
        found = [(at, first_view(scores).get(metric.key)) for at, scores in points]
        return [(at, value) for at, value in found if value is not None]


def write_runs(root: Path, path: Path, *, plugin: Sequence[str] = ()) -> Path:
    """Write a page that compares the runs in the folder `root`; return its path.

    plugin: modules or files with tasks that the runs use.

    Raises InputError if the folder is missing or holds no run.
    """
    if not root.is_dir():
        raise InputError(Problem("no such folder of runs", file=str(root)))
    known = runs_of_tasks(root, plugin)
    found = [Compared(record, file.parent, read_rows(file.parent / "metrics.jsonl")) for record, file in known]
    if not found:
        raise InputError(Problem("holds no run", file=str(root)))
    write_text(path, runs_page(found, plugin=plugin))
    return path


def runs_page(found: Sequence[Compared], *, plugin: Sequence[str] = ()) -> str:
    """Return the whole document; runs of one task share a table and a plot."""
    tasks = dict.fromkeys(each.record.task for each in found)
    groups = [(find_task(name, plugin), [each for each in found if each.record.task == name]) for name in tasks]
    places = {
        "over": f"archlab {archlab.__version__}, {date.today().isoformat()}",
        "lead": f"{len(found)} runs",
        "groups": "\n".join(_group(task, runs) for task, runs in groups),
        "runs": "\n".join(map(_details, found)),
    }
    body = web.filled(HERE / "runs.html", places)
    return web.document("archlab: runs", body, style=HERE / "site.css", script=HERE / "site.js", images=True)


def _group(task: Task[Any, Any], runs: Sequence[Compared]) -> str:
    """Return the table and the plot of one task's runs."""
    metrics = [m for m in used(task.metrics, "table") if any(_score(run, m) is not None for run in runs)]
    costs = ("parameters", "multiply-adds, fvcore, 10⁶", "MFLOPs, as paper, 2²⁰")
    heads = [*FACTS, *(metric.heading for metric in metrics), *costs, "samples", "seconds", "date", "device"]
    head = "".join(web.sortable(at, name, is_text=at < len(FACTS)) for at, name in enumerate(heads))
    body = "\n".join(_row(run, metrics) for run in runs)
    table = f'<table class="data sorted"><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>'
    scroll = f'<div class="scroll" tabindex="0" role="region" aria-label="Runs for {task.name}">{table}</div>'
    heading = f'<h2 id="task-{task.name}">{escape(task.name.capitalize())}</h2>'
    return f'<section aria-labelledby="task-{task.name}">{heading}\n{scroll}\n{_plot(task, runs)}\n</section>'


def _row(run: Compared, metrics: Sequence[Metric]) -> str:
    record = run.record
    flops = record.cost["flops"]
    facts = (record.spec, record.recipe, str(record.seed), state_of(record, run.folder))
    costs = (f"{record.cost['params']:,}", f"{flops['fvcore'] / 1e6:,.1f}", f"{flops['paper'] / MEBI:,.1f}")
    ends = (f"{record.samples:,}", f"{record.seconds:,.0f}", record.date, record.device)
    scores = tuple(metric.text(_score(run, metric)) for metric in metrics)
    name = escape(run.folder.name)
    link = f'<th scope="row" class="l"><a href="#run-{name}">{name}</a></th>'
    cells = (
        f"<td{web.end(at < len(facts))}>{escape(text)}</td>" for at, text in enumerate((*facts, *scores, *costs, *ends))
    )
    return f'<tr data-name="{name} {escape(run.label)}">{link}{"".join(cells)}</tr>'


def _score(run: Compared, metric: Metric) -> float | None:
    return first_view(run.record.scores).get(metric.key)


def _plot(task: Task[Any, Any], runs: Sequence[Compared]) -> str:
    """Return the runs' losses and scores by training samples, empty if no run has any."""
    drawn = [run for run in runs if run.losses()][:MOST_LINES]
    found = next((found for run in runs if (found := headline(task.metrics, run.record.scores))), None)
    if not drawn:
        return ""
    figure = new_figure(12, 4.2)
    loss, score = figure.subplots(1, 2)
    for number, run in enumerate(drawn):
        look = {"color": _colour(number), "linestyle": ("-", "--", ":")[number // 8 % 3], "linewidth": 1.3}
        loss.plot(*zip(*run.losses(), strict=True), label=run.label, **look)
        if found and (points := run.scores(found[0])):
            score.plot(*zip(*points, strict=True), marker="o", markersize=3, **look)
    loss.set_yscale("log")
    _axes(loss, "training loss")
    _axes(score, found[0].title if found else "score")
    figure.legend(loc="outside lower left", ncols=2, fontsize=8, frameon=False)
    left_out = len([run for run in runs if run.losses()]) - len(drawn)
    note = f'<p class="note">{left_out} more runs are not drawn.</p>' if left_out > 0 else ""
    content = io.BytesIO()
    figure.savefig(content, format="svg", metadata={"Date": None})
    return f"{render.data_image(content.getvalue(), render.TYPES['.svg'], 'Losses and scores by samples')}{note}"


def _axes(axes: Axes, label: str) -> None:
    from matplotlib.ticker import EngFormatter, ScalarFormatter

    for formatted in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        formatted(ScalarFormatter())
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlabel("training samples")
    axes.set_ylabel(label)
    axes.set_xlim(left=0)
    axes.grid(alpha=0.25)


def _colour(number: int) -> str:
    from archlab.report.curve_plot import COLOURS

    return COLOURS[number % len(COLOURS)]


def _details(run: Compared) -> str:
    """Return a run's curves and predictions, folded under its name."""
    pictures = "".join(_picture(run.folder / name, title) for name, title in PICTURES.items())
    command = f"<p><code>{escape(run.record.command)}</code></p>"
    reason = f'<p class="note">{escape(run.record.reason)}</p>' if run.record.reason else ""
    name = escape(run.folder.name)
    attributes = f'id="run-{name}" data-name="{name} {escape(run.label)}"'
    return web.folded(attributes, run.folder.name, run.label, f"{command}{reason}{pictures}")


def _picture(path: Path, title: str) -> str:
    return f"<h4>{title}</h4>{render.image(path, title)}" if path.is_file() else ""
