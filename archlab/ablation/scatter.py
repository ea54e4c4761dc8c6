"""Complexity against accuracy as data: the panels of the figure and their points."""

from __future__ import annotations

from collections.abc import Sequence

from archlab.ablation.captions import TOO_SMALL, too_small_to_rank
from archlab.ablation.row import Published
from archlab.ablation.rows import Reported, Setting, runs_in, settings_of
from archlab.ablation.study import Ablation, Scatter
from archlab.counting.count import MEBI
from archlab.report.pareto import Panel, Point
from archlab.report.tables import letters
from archlab.tasks import find_task
from archlab.tasks.metrics import used

PUBLISHED = (("COCO val, 256×192", "coco", "ap", "AP"), ("MPII val, 256×256", "mpii", "pckh", "PCKh@0.5"))
"""The paper's panels: data and input, the prefix of its costs, its score and that score's title."""


def panels(study: Scatter | Ablation, rows: Sequence[Reported], plugin: Sequence[str] = ()) -> list[Panel]:
    """Return the published panels that have points, then those of each setting in which any row was measured."""
    shown: list[Panel] = []
    for title, dataset, score, y_label in PUBLISHED:
        if points := _published(study, dataset, score):
            letter = letters(len(shown))
            source = study.source if isinstance(study, Ablation) else f"{study.source}, ({letter})"
            shown.append(Panel(f"({letter}) Published: {title}", source, y_label, points, measured=False))
    for setting in settings_of(rows):
        shown += _measured(rows, setting, len(shown), plugin)
    return shown


def published_flops(figures: Published, dataset: str) -> float | None:
    """Return the printed multiply-adds, from M (2^20) or G (2^30), whichever is printed."""
    mega, giga = getattr(figures, f"{dataset}_mflops"), getattr(figures, f"{dataset}_gflops")
    if mega is not None:
        return float(mega) * MEBI
    return None if giga is None else float(giga) * MEBI * 1024


def _published(study: Scatter | Ablation, dataset: str, score: str) -> tuple[Point, ...]:
    found = []
    for row in study.rows:
        flops, value = published_flops(row.published, dataset), getattr(row.published, score)
        if flops is not None and value is not None:
            found.append(Point(row.name, flops, value))
    return tuple(found)


def _measured(rows: Sequence[Reported], setting: Setting, first: int, plugin: Sequence[str]) -> list[Panel]:
    """Return a panel for each metric of the task's scatter plots, in the first view that has any of them."""
    task = find_task(setting.task, plugin)
    metrics = used(task.metrics, "scatter")
    measured = {row.row.name: row.measured[setting] for row in rows if setting in row.measured}
    view = next(
        (v.key for v in task.views if any(runs.score(v.key, m.key) for runs in measured.values() for m in metrics)),
        task.views[0].key,
    )
    height, width = setting.input[1:]
    made: list[Panel] = []
    for metric in metrics:
        spreads = {label: (runs, runs.score(view, metric.key)) for label, runs in measured.items()}
        points = [
            Point(label, runs.count.paper, spread.mean, spread.deviation)
            for label, (runs, spread) in spreads.items()
            if spread
        ]
        if points:
            title = f"({letters(first + len(made))}) Measured: {setting.data}, {height}×{width}"
            remark = _remark(rows, setting)
            made.append(Panel(title, remark, metric.title, tuple(points), measured=True, direction=metric.direction))
    return made


def _remark(rows: Sequence[Reported], setting: Setting) -> str:
    machines = sorted({run.device for run in runs_in(rows, setting)})
    remark = f"Recipe {setting.recipe}, on {' and '.join(machines)}."
    return f"{remark}\n{TOO_SMALL}." if too_small_to_rank(setting) else remark
