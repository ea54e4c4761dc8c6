"""Complexity against accuracy as data: the panels of the figure and their points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from archlab.ablation.captions import TOO_SMALL, too_small_to_rank
from archlab.ablation.counted_systems import CountedSystem
from archlab.ablation.row import PAPER_INPUTS, Published
from archlab.ablation.rows import Reported, Setting, compares, count_network, runs_in, settings_of
from archlab.ablation.study import Ablation, PublishedPanel, Scatter
from archlab.ablation.timed import Timing, timed_panel
from archlab.core.notes import note
from archlab.counting.count import MEBI
from archlab.report.pareto import Panel, Point
from archlab.report.tables import letters
from archlab.tasks import find_task
from archlab.tasks.metrics import used

PUBLISHED = (("COCO val, 256×192", "coco", "ap", "AP"), ("MPII val, 256×256", "mpii", "pckh", "PCKh@0.5"))
"""The paper's panels: data and input, the prefix of its costs, its score and that score's title."""
QUOTED = "Scores as published, each after its own training. Multiply-adds as counted here."
"""The remark of a panel of systems."""


def panels(
    study: Scatter | Ablation,
    rows: Sequence[Reported],
    plugin: Sequence[str] = (),
    quoted: Sequence[Panel] = (),
    timing: Timing | None = None,
) -> list[Panel]:
    """Return the published panels that have points, then those of each setting in which any row was measured.

    quoted: further published panels. timing: the axis is time; a panel without any is left out, with a note.
    A scatter compares, so a setting with one measured row has no panel in it.
    """
    shown: list[Panel] = []
    for title, dataset, score, y_label in PUBLISHED:
        hashes = _hashes(study, dataset, plugin) if timing else {}
        if points := _published(study, dataset, score, hashes):
            source = study.source if isinstance(study, Ablation) else f"{study.source}, ({letters(len(shown))})"
            shown.append(Panel(f"Published: {title}", source, y_label, points, measured=False))
    shown += quoted
    for setting in settings_of(rows):
        if compares(rows, setting) or not isinstance(study, Scatter):
            shown += _measured(rows, setting, plugin)
    if timing:
        shown = [*_timed(shown, timing)]
    return [replace(panel, title=f"({letters(i)}) {panel.title}") for i, panel in enumerate(shown)]


def _timed(panels: Sequence[Panel], timing: Timing) -> Iterator[Panel]:
    timed = [timed_panel(panel, timing) for panel in panels]
    yield from (panel for panel in timed if panel.points)
    for title in dict.fromkeys(panel.title for panel in timed if not panel.points):
        note(f"left out, since no network in it has a record of time: {title}")


def _hashes(study: Scatter | Ablation, dataset: str, plugin: Sequence[str]) -> dict[str, str]:
    """Return the canonical hashes of rows with a network, by name, at the input of the paper's costs."""
    at = next(each for each in PAPER_INPUTS if each.key == dataset)
    named = [row for row in study.rows if row.spec]
    return {row.name: count_network(row.spec, row.fields, at.input, at.outputs, plugin=plugin).hash for row in named}


def published_panel(panel: PublishedPanel, systems: Sequence[CountedSystem]) -> Panel:
    """Return a panel of the systems that are counted and have its score."""
    shown = [
        each
        for each in systems
        if each.count and panel.score in each.system.scores and panel.input in (None, each.system.input)
    ]
    labels = [each.system.label for each in shown]
    points = []
    for each, label in zip(shown, labels, strict=True):
        assert each.count
        size = f" ({each.system.size[0]}×{each.system.size[1]})" if labels.count(label) > 1 else ""
        score, key = each.system.scores[panel.score], each.hash
        points.append(Point(label + size, each.count.paper, score, hash=key))
    return Panel(f"Published: {panel.title}", QUOTED, panel.y_label, tuple(points), measured=False)


def published_flops(figures: Published, dataset: str) -> float | None:
    """Return the printed multiply-adds, from M (2^20) or G (2^30), whichever is printed."""
    mega, giga = getattr(figures, f"{dataset}_mflops"), getattr(figures, f"{dataset}_gflops")
    if mega is not None:
        return float(mega) * MEBI
    return None if giga is None else float(giga) * MEBI * 1024


def _published(study: Scatter | Ablation, dataset: str, score: str, hashes: Mapping[str, str]) -> tuple[Point, ...]:
    found = []
    for row in study.rows:
        flops, value = published_flops(row.published, dataset), getattr(row.published, score)
        if flops is not None and value is not None:
            found.append(Point(row.name, flops, value, hash=hashes.get(row.name, "")))
    return tuple(found)


def _measured(rows: Sequence[Reported], setting: Setting, plugin: Sequence[str]) -> list[Panel]:
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
            Point(label, runs.count.paper, spread.mean, spread.deviation, runs.runs[0].spec_hash)
            for label, (runs, spread) in spreads.items()
            if spread
        ]
        if points:
            title = f"Measured: {setting.data}, {height}×{width}"
            remark = _remark(rows, setting)
            made.append(Panel(title, remark, metric.title, tuple(points), measured=True, direction=metric.direction))
    return made


def _remark(rows: Sequence[Reported], setting: Setting) -> str:
    machines = sorted({run.device for run in runs_in(rows, setting)})
    remark = f"Recipe {setting.recipe}, on {' and '.join(machines)}."
    return f"{remark}\n{TOO_SMALL}." if too_small_to_rank(setting.data) else remark
