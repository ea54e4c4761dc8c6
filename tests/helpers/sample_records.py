"""Small hand-made run records: data for the tests of reports."""

import json
from pathlib import Path
from typing import Any

import archlab
from archlab.training.runs import Record

QUICK = {
    "root": "quick",
    "kind": "synthetic quick",
    "fingerprint": "d1" * 8,
    "train_people": 1000,
    "val_people": 200,
}
NOTHING = {"AP": 0.5, "AP50": 2.0, "AP75": 0.0, "AR": 3.0, "mean_oks": 10.0, "pck": 15.0}


def scores(pck: float, *, ap: float = 20.0) -> dict[str, float | None]:
    return {
        "AP": ap,
        "AP50": ap + 20,
        "AP75": ap - 10,
        "APM": None,
        "APL": ap,
        "AR": ap + 5,
        "AR50": ap + 25,
        "AR75": ap - 5,
        "ARM": None,
        "ARL": ap + 5,
        "mean_oks": 40.0,
        "pck": pck,
    }


def record(spec: str, spec_hash: str, **given: Any) -> Record:
    """A finished run; `pck` and `ap` are short for its scores in ground-truth boxes."""
    found = scores(given.pop("pck", 50.0), ap=given.pop("ap", 20.0))
    values: dict[str, Any] = {
        "fingerprint": f"{spec}-{spec_hash[:8]}-{given.get('seed', 1)}-{given.get('recipe_hash', 'r1')}",
        "state": "done",
        "spec": spec,
        "spec_hash": spec_hash,
        "fields": {},
        "recipe": "quick",
        "recipe_hash": "r1" * 8,
        "data": QUICK,
        "seed": 1,
        "input": (3, 128, 96),
        "outputs": 17,
        "cost": {"params": 1_000_000, "flops": {"fvcore": 50_000_000, "paper": 52_428_800}, "activations": 1_000_000},
        "scores": {"ground_truth_boxes": found},
        "baseline": {"mean_pose": dict(NOTHING)},
        "samples": 5000,
        "seconds": 80.0,
        "device": "cpu: a processor",
        "threads": 2,
        "versions": {"archlab": "0.1.0", "torch": "2.13.0"},
        "commit": None,
        "command": "archlab train",
        "date": "2026-01-02",
    }
    return Record(**(values | given))


def run_of(spec: str, **given: Any) -> Record:
    """A finished run of a built-in network, under its own hash."""
    return record(spec, archlab.spec_hash(archlab.load(spec, input=(3, 128, 96), outputs=17)), **given)


def write_records(folder: Path, *records: Record) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for each in records:
        each.write(folder)
        (folder / "record.json").rename(folder / f"{each.fingerprint}.json")
    return folder


def read(path: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return values
