"""The rows of a study as flat records at full precision, for CSV files and data frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from archlab.ablation.rows import Measured, Reported, Setting, Spread, runs_in
from archlab.counting.count import MEBI
from archlab.tasks import find_task
from archlab.tasks.metrics import Metric, View
from archlab.training.runs import Record

FIGURES = ("params_m", "coco_mflops", "ap", "ap50", "ap75", "ar", "mpii_mflops", "pckh")


def flat(rows: Sequence[Reported], shown: Sequence[Setting], plugin: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return one record for each row and setting that it was measured in; one record of costs for other rows."""
    metrics = {setting: score_columns(setting, runs_in(rows, setting), plugin) for setting in shown}
    records = []
    for row in rows:
        scored = [
            circumstances(setting, row.measured[setting]) | scores(row.measured[setting], metrics[setting])
            for setting in shown
            if setting in row.measured
        ]
        records += [costs(row) | found | published(row) for found in scored or [{}]]
    return records


def costs(row: Reported) -> dict[str, Any]:
    """Return the counts at every input. `paper_flops` is before, `paper_mflops` after the division by 2^20."""
    values: dict[str, Any] = {"model": row.row.name, "spec": row.row.spec}
    for at, network in row.counted.items():
        count = network.count
        found = {"params": count.params, "fvcore_flops": count.fvcore, "paper_flops": count.paper,
                 "paper_mflops": count.paper / MEBI, "activations": count.activations}  # fmt: skip
        values |= {f"{at.key}_{name}": value for name, value in found.items()}
    return values


def circumstances(setting: Setting, measured: Measured) -> dict[str, Any]:
    """Return where a network's scores come from: recipe, data, input, runs, devices."""
    runs = measured.runs
    seconds = Spread.of(run.seconds for run in runs)
    assert seconds is not None
    return {
        "recipe": setting.recipe,
        "recipe_hash": setting.recipe_hash,
        "data": setting.data,
        "data_fingerprint": setting.data_fingerprint,
        "input": "x".join(map(str, setting.input)),
        "input_paper_flops": measured.count.paper,
        "input_fvcore_flops": measured.count.fvcore,
        "runs": len(runs),
        "seeds": " ".join(str(run.seed) for run in runs),
        "samples": max(run.samples for run in runs),
        "seconds": seconds.mean,
        "devices": "; ".join(sorted({run.device for run in runs})),
        "date": max(run.date for run in runs),
    }


def score_columns(setting: Setting, runs: Iterable[Record], plugin: Sequence[str] = ()) -> list[tuple[View, Metric]]:
    """Return all views of the setting's task, each with the metrics that any of the runs has in any view."""
    task = find_task(setting.task, plugin)
    known = {key for run in runs for scores in run.scores.values() for key in scores}
    return [(view, metric) for view in task.views for metric in task.metrics if metric.key in known]


def scores(measured: Measured, columns: Sequence[tuple[View, Metric]]) -> dict[str, Any]:
    """Return means and sample standard deviations (`_sd`) over seeds."""
    values: dict[str, Any] = {}
    for view, metric in columns:
        spread = measured.score(view.key, metric.key)
        values[f"{view.key}_{metric.key}"] = spread.mean if spread else None
        values[f"{view.key}_{metric.key}_sd"] = spread.deviation if spread else None
    return values


def published(row: Reported) -> dict[str, Any]:
    """Return the paper's figures, None where it prints none."""
    return {f"published_{figure}": getattr(row.row.published, figure) for figure in FIGURES}
