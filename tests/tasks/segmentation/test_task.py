"""Segmentation through the command line: trained, killed, resumed, scored, drawn and searched like any task."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import street_folder

from archlab.cli import main
from archlab.search.results import read_result
from archlab.training.evaluate import evaluate_run
from archlab.training.metrics_log import read_rows
from archlab.training.runs import Record, find_runs

FILES = {
    "net.yaml": """\
version: 1
nodes:
  quarter: {block: conv, width: 8, kernel: 5, stride: 4}
  more: {block: basic_block, repeat: 1}
""",
    "streets.yaml": """\
task: segmentation
input: [64, 64]
iterations: 8
batch: 2
optimiser: {name: sgd, lr: 1e-1}
schedule: {decay: poly}
augmentation: {}
validate_every: 4
log_every: 2
checkpoint_every: 2
threads: 1
""",
    "space.yaml": """\
version: 1
title: Tiny networks
base: net.yaml
vary:
  width: {field: nodes.quarter.width, from: 8, to: 32, step: 8}
""",
    "table.yaml": """\
kind: ablation
title: Streets
source: a test
recipe: streets.yaml
rows:
  - {name: Narrow, spec: net.yaml}
""",
    "search.yaml": """\
kind: search
space: space.yaml
recipe: streets.yaml
objectives: {miou: maximize, macs: minimize}
trials: 2
sampler: {name: random}
proxies: [gradient_norm]
""",
}
KILL = """
import os, signal, sys
from archlab.tasks.segmentation.samples import PictureSamples
batches = PictureSamples.batches
def dying(self, rows):
    for number, batch in enumerate(batches(self, rows)):
        if number == 2 and self.windows.epoch == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        yield batch
PictureSamples.batches = dying
from archlab.cli import main
sys.exit(main(sys.argv[1:]))
"""
TRAIN = ("train", "net.yaml", "--recipe", "streets.yaml", "--data", "streets")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    street_folder.write(tmp_path / "streets")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def trained(runs: str, *more: str) -> Record:
    assert main([*TRAIN, "--runs", runs, *more]) == 0
    (record,) = find_runs(Path(runs))
    return record


def weights(runs: str, record: Record) -> dict[str, torch.Tensor]:
    loaded = torch.load(Path(runs, record.fingerprint, "checkpoint.pt"), weights_only=True)
    return dict(loaded["state_dict"])


def test_it_trains_validates_scores_and_draws(folder: Path):
    record = trained("runs")
    assert (record.state, record.task, record.outputs, record.samples) == ("done", "segmentation", 3, 16)
    assert (record.train_samples, record.val_samples) == (6, 3)
    assert record.data["classes"] == ["sky", "road", "box"]
    scores = record.scores["pictures"]
    assert set(scores) == {
        "miou", "pixel_accuracy", "frequency_weighted_iou", "iou_sky", "iou_road", "iou_box",
    }  # fmt: skip
    by_class = [scores[f"iou_{name}"] or 0 for name in ("sky", "road", "box")]
    assert scores["miou"] == pytest.approx(sum(by_class) / 3)
    assert 40 < (record.baseline["mean_layout"]["miou"] or 0) < 100
    run = folder / "runs" / record.fingerprint
    rows = read_rows(run / "metrics.jsonl")
    assert [row["iteration"] for row in rows if "validation" in row] == [4, 8]
    assert {path.name for path in run.iterdir()} >= {"curves.png", "predictions.png", "checkpoint.pt"}


def test_killed_and_resumed_it_has_the_same_weights(folder: Path):
    whole = trained("whole")
    killed = subprocess.run([sys.executable, "-c", KILL, *TRAIN, "--runs", "killed"], capture_output=True, check=False)
    assert killed.returncode == -9
    (left,) = find_runs(Path("killed"))
    assert left.state == "running"
    resumed = trained("killed")
    assert (resumed.state, resumed.scores) == ("done", whole.scores)
    one, other = weights("whole", whole), weights("killed", resumed)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_threads_that_load_do_not_change_the_weights(folder: Path):
    one = trained("runs")
    other = trained("others", "--recipe-set", "workers=2")
    assert all(torch.equal(a, weights("others", other)[name]) for name, a in weights("runs", one).items())


def test_a_run_is_scored_again_and_its_predictions_score_as_it_does(folder: Path, capsys: pytest.CaptureFixture[str]):
    record = trained("runs")
    capsys.readouterr()
    assert main(["eval", f"runs/{record.fingerprint}", "--data", "streets", "--results", "found", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == record.scores
    command = ["score", "segmentation", "streets/gtFine/val", "found", "--label-ids", "--classes", "classes.yaml"]
    Path("classes.yaml").write_text("names: [sky, road, box]\nids: [23, 7, 26]\nignore: [0, 255]\n")
    for path in Path("found").iterdir():  # as label ids
        assert path.name.endswith("_gtFine_labelTrainIds.png")
        values = np.array([23, 7, 26], np.uint8)[street_folder.load(path)]
        street_folder.save(path.with_name(path.name.replace("gtFine_labelTrainIds", "leftImg8bit")), values)
        path.unlink()
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["miou"] == pytest.approx(record.scores["pictures"]["miou"], abs=1e-12)


def test_flip_and_scales_change_the_score_of_a_run_and_ignore_its_padding(folder: Path):
    record = trained("runs", "--recipe-set", "iterations=40")
    run = f"runs/{record.fingerprint}"
    found = []
    for changes in ([], ["--recipe-set", "flip_test=true"]):
        assert main(["eval", run, "--data", "streets", "--results", f"found{len(found)}", *changes]) == 0
        found.append([street_folder.load(path) for path in sorted(Path(f"found{len(found)}").iterdir())])
    assert all(one.shape == street_folder.SIZE for one in found[0])
    assert any((one != other).any() for one, other in zip(*found, strict=True))


def test_a_damaged_picture_is_replaced_and_listed(folder: Path, capsys: pytest.CaptureFixture[str]):
    street_folder.write(folder / "streets", train=120, val=1)
    bad = folder / "streets" / "leftImg8bit" / "train" / "town" / "town_007_leftImg8bit.png"
    bad.write_bytes(bad.read_bytes()[:-40])
    record = trained("runs", "--recipe-set", "iterations=60", "--recipe-set", "validate_every=null")
    assert record.data["skipped_images"] == 1
    skipped = json.loads((folder / "runs" / record.fingerprint / "skipped_images.json").read_text())
    assert [Path(name).name for name in skipped] == [bad.name]


@pytest.mark.parametrize(
    ("changes", "value"),
    [
        (["--recipe-set", "class_weights=[1, 2]"], "streets: class_weights: has 2 entries for the 3 classes"),
        (["--recipe-set", "augmentation.scale=[2, 1]"], "augmentation.scale"),
        (["--set", "outputs=4"], "3 classes, but the network has 4 outputs"),
    ],
)
def test_what_does_not_fit_is_one_line_before_training(
    folder: Path, changes: list[str], value: str, capsys: pytest.CaptureFixture[str]
):
    assert main([*TRAIN, *changes]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert value in line


def test_labels_outside_the_classes_stop_a_training_before_it_begins(folder: Path, capsys: pytest.CaptureFixture[str]):
    path = folder / "streets" / "gtFine" / "val" / "town" / "town_001_gtFine_labelIds.png"
    street_folder.save(path, np.full(street_folder.SIZE, 99, np.uint8))
    assert main([*TRAIN]) == 2
    assert f"town_001_gtFine_labelIds.png: label ids 99 ({44 * 60} pixels)" in capsys.readouterr().err


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one_that_accumulates_and_score_together(folder: Path):
    alone = trained("alone", "--recipe-set", "accumulate=2")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "archlab"]
    subprocess.run([*command, *TRAIN, "--runs", "together"], check=True, capture_output=True)
    (together,) = find_runs(Path("together"))
    assert (together.state, together.processes) == ("done", 2)
    one, two = (
        [row["loss"] for row in read_rows(Path(runs, record.fingerprint, "metrics.jsonl")) if "loss" in row]
        for runs, record in (("alone", alone), ("together", together))
    )
    assert len(one) == 4
    np.testing.assert_allclose(one, two, rtol=1e-4)
    scores = evaluate_run(Path("together", together.fingerprint), Path("streets"))
    assert scores == together.scores


def test_a_table_shows_its_figures(folder: Path):
    command = ["ablate", "table.yaml", "--data", "streets", "--seeds", "1", "--jobs", "1", "--device", "cpu"]
    assert main(command) == 0
    (record,) = find_runs(Path("runs"))
    with Path("results/table.csv").open(encoding="utf-8") as file:
        (line,) = csv.DictReader(file)
    assert float(line["pictures_miou"]) == pytest.approx(record.scores["pictures"]["miou"])
    text = Path("results/table.md").read_text()
    assert "mIoU" in text
    assert "6 pictures for training" in text
    assert "AP" not in text.replace("mAP", "")


@pytest.mark.slow
def test_it_is_searched_by_its_miou(folder: Path):
    assert main(["search", "search.yaml", "--data", "streets", "--jobs", "1", "--device", "cpu"]) == 0
    result = read_result(folder / "searches" / "search" / "result.json")
    assert len(result.complete) == 2
    for candidate in result.complete:
        assert candidate.values.keys() == {"miou", "macs"}
        assert 0 < candidate.values["miou"] < 100
        assert candidate.proxies["gradient_norm"] > 0
