"""Runs that are killed at the worst places: each row stands once, and the weights and scores are those of a whole run."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import tiny
from helpers.paths import REPOSITORY
from helpers.training import train

from archlab.training.metrics_log import read_rows
from archlab.training.recipe import Recipe
from archlab.training.runs import find_runs, read_record

# Trains, and is killed by the signal that cannot be caught right after a validation row of this iteration is written.
KILLED = """
import json, os, signal, sys
from pathlib import Path
from archlab.training.metrics_log import MetricsLog
from helpers import tiny
from helpers.training import train

folder, root, at, fields = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), json.loads(sys.argv[4])
append = MetricsLog.append

def append_and_die(log, row):
    append(log, row)
    if "validation" in row and log.iteration == at:
        os.kill(os.getpid(), signal.SIGKILL)

MetricsLog.append = append_and_die
train(tiny.make_spec(folder), tiny.RECIPE.changed(**fields), root, out=folder / "runs")
"""
EPOCHS: dict[str, Any] = {"iterations": None, "epochs": 3, "validate_every": 1}  # of 3 iterations each
CASES: dict[str, tuple[dict[str, Any], int, int]] = {
    "at the end": ({}, 10, 10),
    "at the end of the last epoch": ({**EPOCHS, "checkpoint_every": 2}, 9, 9),
    "at the end of an epoch, on a checkpoint": ({**EPOCHS, "checkpoint_every": 3}, 3, 3),
    "at the end of an epoch, after a checkpoint": ({**EPOCHS, "checkpoint_every": 2}, 3, 2),
    "at the end of an epoch, before any checkpoint": ({**EPOCHS, "checkpoint_every": None}, 6, 0),
    "at the end, of averaged weights": ({"ema": 0.9, "validate_every": 5}, 10, 10),
}
"""The recipe's fields, the iteration of the validation row after which the run is killed, and that of its checkpoint."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_data(tmp_path_factory.mktemp("resume"))


def rows(run: Path) -> list[Mapping[str, Any]]:
    """The rows of a run without what a clock or the system measured."""
    kept = ("iteration", "epoch", "loss", "lr", "validation")
    return [{name: row[name] for name in kept if name in row} for row in read_rows(run / "metrics.jsonl")]


def weights(run: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(run / "checkpoint.pt", weights_only=True)["state_dict"]
    return state


@pytest.mark.parametrize("case", CASES)
def test_a_run_killed_right_after_a_validation_row_has_every_row_once_and_the_same_weights_and_scores(
    root: Path, tmp_path: Path, case: str
) -> None:
    fields, at, saved = CASES[case]
    recipe: Recipe = tiny.RECIPE.changed(**fields)
    whole = train(tiny.make_spec(tmp_path), recipe, root, out=tmp_path / "whole")
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(root), str(at), json.dumps(fields)]
    killed = subprocess.run(command, cwd=REPOSITORY / "tests", capture_output=True, text=True, check=False)
    assert killed.returncode == -9, killed.stderr
    [record] = find_runs(tmp_path / "runs")
    folder = tmp_path / "runs" / record.fingerprint
    assert (record.state, record.scores) == ("running", {})
    assert read_rows(folder / "metrics.jsonl")[-1]["validation"]
    checkpoint = folder / "checkpoint.pt"
    assert (torch.load(checkpoint, weights_only=True)["iteration"] if checkpoint.is_file() else 0) == saved

    again = train(tiny.make_spec(tmp_path), recipe, root, out=tmp_path / "runs")
    assert again == folder
    found = rows(again)
    assert found == rows(whole)
    scored = [row["iteration"] for row in found if "validation" in row]
    assert scored == sorted(set(scored))
    assert found[-1]["validation"] == read_record(again).scores == read_record(whole).scores
    one, other = weights(whole), weights(again)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_that_resumes_with_another_number_of_threads_names_both(
    root: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(root), "5", json.dumps({"validate_every": 5})]
    subprocess.run(command, cwd=REPOSITORY / "tests", capture_output=True, check=False)
    recipe, spec = tiny.RECIPE.changed(validate_every=5), tiny.make_spec(tmp_path)
    run = train(spec, recipe, root, out=tmp_path / "runs", threads=2)
    assert [text for text in caplog.messages if "threads" in text] == [
        f"{run}: begun with 1 CPU threads, resumed with 2"
    ]
    caplog.clear()
    assert train(spec, recipe, root, out=tmp_path / "runs", threads=2) == run
    assert not [text for text in caplog.messages if "threads" in text]
