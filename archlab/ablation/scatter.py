"""Complexity against accuracy as data: the panels of the figure, their points, and the Pareto front."""

from __future__ import annotations

from collections.abc import Sequence

from archlab.ablation.captions import ranks_nothing
from archlab.ablation.rows import Reported, Setting, settings
from archlab.ablation.study import Published, Scatter
from archlab.counting.count import MEBI
from archlab.report.pareto import Panel, Point

MEASURED = {"AP": "AP", "mean_weighted": "PCKh@0.5", "pck": "PCK@0.1 of the box"}


def panels(study: Scatter, rows: Sequence[Reported]) -> list[Panel]:
    """The published panels, then those of each setting in which any of the rows was measured."""
    figures = [row.published for row in study.rows], [row.name for row in study.rows]
    coco = _points(*figures, "coco", "ap")
    mpii = _points(*figures, "mpii", "pckh")
    shown = [
        Panel("(a) Published: COCO val, 256×192", f"{study.source}, (a)", "AP", coco, measured=False),
        Panel("(b) Published: MPII val, 256×256", f"{study.source}, (b)", "PCKh@0.5", mpii, measured=False),
    ]
    for setting in settings(rows):
        shown += _measured(rows, setting, first="abcdefghijklmnopqrstuvwxyz"[len(shown) :])
    return shown


def published_flops(figures: Published, task: str) -> float | None:
    """Multiply-adds as printed, in M (of 2^20) or G (of 2^30), whichever there is."""
    mega, giga = getattr(figures, f"{task}_mflops"), getattr(figures, f"{task}_gflops")
    if mega is not None:
        return float(mega) * MEBI
    return None if giga is None else float(giga) * MEBI * 1024


def _points(figures: Sequence[Published], names: Sequence[str], task: str, score: str) -> tuple[Point, ...]:
    found = []
    for name, published in zip(names, figures, strict=True):
        flops, value = published_flops(published, task), getattr(published, score)
        if flops is not None and value is not None:
            found.append(Point(name, flops, value))
    return tuple(found)


def _measured(rows: Sequence[Reported], setting: Setting, first: str) -> list[Panel]:
    """AP, or of MPII PCKh, and PCK in ground-truth boxes, or in the detector's where only these were scored."""
    measured = {row.row.name: row.measured[setting] for row in rows if setting in row.measured}
    known = any(runs.score("ground_truth_boxes", name) for runs in measured.values() for name in MEASURED)
    boxes = "ground_truth_boxes" if known else "detector_boxes"
    height, width = setting.input[1:]
    remark = (
        f"recipe {setting.recipe}; this scale ranks nothing" if ranks_nothing(setting) else f"recipe {setting.recipe}"
    )
    points: dict[str, list[Point]] = {name: [] for name in MEASURED}
    for name, found in points.items():
        for label, runs in measured.items():
            if spread := runs.score(boxes, name):
                found.append(Point(label, runs.count.paper, spread.mean, spread.deviation))
    title = f"Measured: {setting.data}, {height}×{width}"
    return [
        Panel(f"({letter}) {title}", remark, MEASURED[name], tuple(points[name]), measured=True)
        for letter, name in zip(first, [name for name in points if points[name]], strict=False)
    ]
