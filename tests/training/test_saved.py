"""What a run folder may hold besides what archlab wrote: values of other types, NaN weights, damaged rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import tiny
from helpers.refused import refused
from helpers.training import train

from archlab.tasks.finite import check_finite
from archlab.training.evaluate import evaluate_run
from archlab.training.metrics_log import read_rows
from archlab.training.saved import newest_sound, previous, read_checkpoint


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_data(tmp_path_factory.mktemp("saved"))


@pytest.fixture(scope="module")
def saved(root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("run")
    run = train(tiny.make_spec(folder), tiny.RECIPE.changed(iterations=2), root, out=folder / "runs")
    return read_checkpoint(run / "checkpoint.pt")


CHANGES = {
    "iteration": "3", "seconds": float("nan"), "losses": ["a"], "rates": None, "state_dict": [1], "optimiser": 5,
    "random": 5, "random_cuda": {},
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_value_of_another_type_is_a_damaged_checkpoint(name: str, saved: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    torch.save(saved | {name: CHANGES[name]}, path)
    with refused("damaged", file=path):
        read_checkpoint(path)
    torch.save(saved, previous(path))
    found = newest_sound(path)
    assert found is not None
    assert found["iteration"] == 2


@pytest.mark.parametrize(
    "change", [{"optimiser": {}}, {"random_ranks": [5]}, {"trained": 5}, {"state_dict": {}}], ids=str
)
def test_a_checkpoint_of_another_training_is_refused(
    change: dict[str, Any], saved: dict[str, Any], root: Path, tmp_path: Path
) -> None:
    recipe = tiny.RECIPE.changed(iterations=2)
    spec = tiny.make_spec(tmp_path)
    run = train(spec, recipe, root, out=tmp_path / "runs")
    torch.save(saved | change, run / "checkpoint.pt")
    _unfinish(run)
    with refused("not a checkpoint of this training", file=run / "checkpoint.pt"):
        train(spec, recipe, root, out=tmp_path / "runs")


def test_nan_weights_have_no_score(root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tiny.RECIPE.changed(iterations=2)
    spec = tiny.make_spec(tmp_path)
    run = train(spec, recipe, root, out=tmp_path / "runs")
    values = read_checkpoint(run / "checkpoint.pt")
    values["state_dict"]["last.conv.bias"].fill_(torch.nan)
    torch.save(values, run / "checkpoint.pt")
    with refused("6 of 6"):
        evaluate_run(run, root, device="cpu")
    _unfinish(run)
    (run / "metrics.jsonl").unlink()  # its last row has the scores
    with refused("6 of 6"):
        train(spec, recipe, root, out=tmp_path / "runs")
    assert capsys.readouterr().err.count(f"1 of {len(values['state_dict'])} tensors hold NaN") == 2


def test_predictions_are_counted_by_sample() -> None:
    found = np.zeros((3, 2, 2))
    check_finite(found)
    check_finite(np.zeros((0, 2)))
    found[1] = np.inf
    found[2, 0, 0] = np.nan
    with refused("2 of 3"):
        check_finite(found)


def _unfinish(run: Path) -> None:
    record = json.loads((run / "record.json").read_text())
    (run / "record.json").write_text(json.dumps(record | {"state": "running"}))


@pytest.mark.parametrize(
    "row",
    [
        {"iteration": 2, "loss": 1.0, "lr": 0.1},
        {"iteration": "2", "epoch": 1},
        {"iteration": 2, "epoch": 1, "loss": "x", "lr": 0.1},
        {"iteration": 2, "epoch": 1, "loss": 1.0},
        {"iteration": 2, "epoch": 1, "validation": {"ground_truth_boxes": 5}},
        {"iteration": 2, "epoch": 1, "validation": {"ground_truth_boxes": {"AP": "x"}}},
        {"iteration": 2, "epoch": 1, "budget": {"budget": 64}},
        {"iteration": 2, "epoch": 1, "budget": []},
        [2],
    ],
    ids=str,
)
def test_a_row_of_metrics_with_other_values_is_left_out_with_its_line(
    row: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sound = {"iteration": 1, "epoch": 0.5, "loss": 1.0, "lr": 0.1, "validation": {"ground_truth_boxes": {"APL": None}}}
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(f"{json.dumps(each)}\n" for each in (sound, row)))
    assert read_rows(path) == [sound]
    assert f"{path}: left out 1 damaged rows, the first in line 2" in capsys.readouterr().err
