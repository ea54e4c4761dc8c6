"""Rows as flat records at full precision: what a CSV file holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from archlab.ablation.rows import BOXES, COCO, MEASURES, MPII, PCKH, Measured, Reported, Setting, Spread
from archlab.counting.count import MEBI

FIGURES = ("params_m", "coco_mflops", "ap", "ap50", "ap75", "ar", "mpii_mflops", "pckh")


def flat(rows: Sequence[Reported], shown: Sequence[Setting]) -> list[dict[str, Any]]:
    """A record for each row and setting that it was measured in; a row measured in none has one, of its costs."""
    records = []
    for row in rows:
        scored = [scores(setting, row.measured[setting]) for setting in shown if setting in row.measured]
        records += [costs(row) | found | published(row) for found in scored or [{}]]
    return records


def costs(row: Reported) -> dict[str, Any]:
    """Counts for both tasks; `paper_flops` before and `paper_mflops` after its division by 2^20."""
    values: dict[str, Any] = {"model": row.row.name, "spec": row.row.spec}
    for task, count in ((COCO, row.coco), (MPII, row.mpii)):
        found = {"params": count.params, "fvcore_flops": count.fvcore, "paper_flops": count.paper,
                 "paper_mflops": count.paper / MEBI, "activations": count.activations}  # fmt: skip
        values |= {f"{task.name.lower()}_{name}": value for name, value in found.items()}
    return values


def scores(setting: Setting, measured: Measured) -> dict[str, Any]:
    """Means and sample standard deviations (`_sd`) over seeds, and where they come from."""
    runs = measured.runs
    seconds = Spread.of(run.seconds for run in runs)
    assert seconds is not None
    values: dict[str, Any] = {
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
    for kind in BOXES:
        heads = [name for name in PCKH if any(name in run.scores.get(kind, {}) for run in runs)]
        for name in (*MEASURES, *heads):
            spread = measured.score(kind, name)
            values[f"{kind}_{name}"] = spread.mean if spread else None
            values[f"{kind}_{name}_sd"] = spread.deviation if spread else None
    return values


def published(row: Reported) -> dict[str, Any]:
    """The paper's figures, empty where it prints none."""
    return {f"published_{figure}": getattr(row.row.published, figure) for figure in FIGURES}
