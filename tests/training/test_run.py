"""Training a spec by a recipe: killed and gone on with, the run folder, and what is refused before it begins."""

import json
import math
import socket
import subprocess
import sys
from pathlib import Path

import cv2
import pytest
import torch
from helpers import tiny
from helpers.paths import REPOSITORY
from helpers.refused import refused
from helpers.training import train

import archlab
from archlab.core.device import using_threads
from archlab.core.errors import InputError
from archlab.tasks.pose.data.coco import fingerprint as data_fingerprint
from archlab.tasks.pose.data.coco import load_people
from archlab.tasks.pose.keypoints import COCO
from archlab.tasks.terms import digest_of
from archlab.training import lock
from archlab.training.divergence import TrainingError
from archlab.training.metrics_log import read_rows
from archlab.training.recipe import load_recipe
from archlab.training.run import run_folder
from archlab.training.runs import find_runs, read_record
from archlab.training.schedule import Optimiser

# Kills itself by the signal that cannot be caught, when it loads its so many-th sample.
SUICIDE = """
import os, signal, sys
from pathlib import Path
from helpers import tiny
from archlab.tasks.pose.data.dataset import PoseDataset
from helpers.training import train

folder, root, at = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
load, loaded = PoseDataset.__getitem__, []

def load_and_die(self, index):
    loaded.append(index)
    if len(loaded) == at:
        os.kill(os.getpid(), signal.SIGKILL)
    return load(self, index)

PoseDataset.__getitem__ = load_and_die
train(tiny.make_spec(folder), tiny.RECIPE, root, out=folder / "runs")
"""


# Kills itself when it is judged at its second rung.
KILLED_IN_JUDGEMENT = """
import os, signal, sys
from pathlib import Path
from helpers import tiny
from helpers.training import train

folder, root = Path(sys.argv[1]), Path(sys.argv[2])

def judge(rung, scores):
    if rung == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return True

train(tiny.make_spec(folder), tiny.RECIPE, root, out=folder / "runs", rungs=(3, 5, 7), judge=judge)
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_data(tmp_path_factory.mktemp("train"))


@pytest.fixture(scope="module")
def done(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing has disturbed."""
    folder = tmp_path_factory.mktemp("done")
    recipe = tiny.RECIPE.changed(boxes="both", validate_every=6)
    return train(
        tiny.make_spec(folder), recipe, root, out=folder / "runs", fields={"width": 8}, threads=1, pictures=True
    )


def weights(run: Path) -> dict[str, torch.Tensor]:
    state = torch.load(run / "checkpoint.pt", weights_only=True)
    assert isinstance(state["state_dict"], dict)
    return state["state_dict"]


def test_a_run_killed_in_the_middle_of_an_epoch_and_run_again_ends_with_the_same_bits(
    root: Path, tmp_path: Path
) -> None:
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    whole = train(tiny.make_spec(tmp_path / "whole"), tiny.RECIPE, root, out=tmp_path / "whole" / "runs")
    # Sample 30 of 4 a step: in step 8, the second of epoch 3, after the checkpoint at step 6.
    command = [sys.executable, "-c", SUICIDE, str(tmp_path / "killed"), str(root), "30"]
    killed = subprocess.run(command, cwd=REPOSITORY / "tests", capture_output=True, text=True, check=False)
    assert killed.returncode == -9, killed.stderr
    [record] = find_runs(tmp_path / "killed" / "runs")
    assert (record.state, record.scores) == ("running", {})
    folder = tmp_path / "killed" / "runs" / record.fingerprint
    assert torch.load(folder / "checkpoint.pt", weights_only=True)["iteration"] == 6
    again = train(tiny.make_spec(tmp_path / "killed"), tiny.RECIPE, root, out=tmp_path / "killed" / "runs")
    assert again == folder
    assert again.name == whole.name
    one, other = weights(whole), weights(again)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert read_record(again).scores == read_record(whole).scores
    losses = [[(r["iteration"], r.get("loss")) for r in read_rows(run / "metrics.jsonl")] for run in (whole, again)]
    assert losses[0] == losses[1]


def test_a_run_killed_while_it_is_judged_is_judged_again_by_the_same_scores_and_ends_with_the_same_bits(
    root: Path, tmp_path: Path
) -> None:
    (tmp_path / "killed").mkdir()
    whole = train(tiny.make_spec(tmp_path), tiny.RECIPE, root, out=tmp_path / "runs")
    command = [sys.executable, "-c", KILLED_IN_JUDGEMENT, str(tmp_path / "killed"), str(root)]
    killed = subprocess.run(command, cwd=REPOSITORY / "tests", capture_output=True, text=True, check=False)
    assert killed.returncode == -9, killed.stderr
    told = []

    def judge(rung: int, scores: dict[str, dict[str, float | None]]) -> bool:
        told.append((rung, scores))
        return rung < 2

    spec, out = tiny.make_spec(tmp_path / "killed"), tmp_path / "killed" / "runs"
    again = train(spec, tiny.RECIPE, root, out=out, rungs=(3, 5, 7), judge=judge)
    rows = [row for row in read_rows(again / "metrics.jsonl") if "validation" in row]
    assert [row["iteration"] for row in rows] == [3, 5, 7]
    assert told == [(1, rows[1]["validation"]), (2, rows[2]["validation"])]
    assert "pck" in told[0][1]["ground_truth_boxes"]
    record = read_record(again)
    assert (record.state, record.reason, record.scores) == ("stopped", "stopped at rung 3 of 3, iteration 7", {})
    assert train(spec, tiny.RECIPE, root, out=out) == again
    assert read_record(again).state == "done"
    assert again.name == whole.name  # rungs are no part of a run's identity
    assert not (again / "curves.png").exists()
    one, other = weights(whole), weights(again)
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert read_record(again).scores == read_record(whole).scores


def test_a_run_that_a_judge_ends_keeps_no_weights_unless_asked_and_starts_over(root: Path, tmp_path: Path) -> None:
    spec, ends = tiny.make_spec(tmp_path), {"rungs": (3,), "judge": lambda rung, scores: False}
    kept = train(spec, tiny.RECIPE, root, out=tmp_path / "kept", **ends)
    dropped = train(spec, tiny.RECIPE, root, out=tmp_path / "dropped", keep_stopped=False, **ends)
    assert [(each / "checkpoint.pt").is_file() for each in (kept, dropped)] == [True, False]
    assert read_record(kept).reason == read_record(dropped).reason == "stopped at rung 1 of 1, iteration 3"
    for out in ("kept", "dropped"):
        train(spec, tiny.RECIPE, root, out=tmp_path / out)
    one, other = weights(kept), weights(dropped)
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.slow
@pytest.mark.parametrize("attempt", range(3))
def test_a_run_killed_from_outside_again_and_again_ends_with_the_same_bits(
    root: Path, tmp_path: Path, attempt: int
) -> None:
    """Each start is killed as soon as it has written so many more lines to its standard error."""
    (tmp_path / "killed").mkdir()
    whole = train(tiny.make_spec(tmp_path), tiny.RECIPE, root, out=tmp_path / "runs")
    script = SUICIDE.replace("if len(loaded) == at", "print(len(loaded), flush=True)\n    if False")
    command = [sys.executable, "-c", script, str(tmp_path / "killed"), str(root), "0"]
    for samples in (17 + attempt, 11 + 2 * attempt, 5 + attempt):
        with subprocess.Popen(command, cwd=REPOSITORY / "tests", stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout
            for _ in range(samples):
                process.stdout.readline()
            process.kill()
    again = train(tiny.make_spec(tmp_path / "killed"), tiny.RECIPE, root, out=tmp_path / "killed" / "runs")
    one, other = weights(whole), weights(again)
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_record_says_what_was_done_to_what(done: Path, root: Path) -> None:
    record = read_record(done)
    spec = tiny.make_spec(done)
    cost = archlab.cost(spec)
    assert record.fingerprint == done.name
    assert (record.state, record.spec, record.fields) == ("done", "tiny", {"width": 8})
    assert record.spec_hash == archlab.spec_hash(spec)
    assert (record.input, record.outputs, record.seed, record.recipe) == ((3, 64, 64), 17, 1, "tiny")
    assert record.cost["params"] == cost.params == sum(p.numel() for p in archlab.build(spec).parameters())
    assert record.cost["flops"] == dict(cost.flops)
    kind = {"root": "people", "kind": "synthetic quick", "fingerprint": data_fingerprint(root)}
    assert record.data == {**kind, "train_people": 14, "val_people": 6, "keypoints": list(COCO.names)}
    assert set(record.scores) == {"ground_truth_boxes", "detector_boxes"}
    assert 0 <= (record.scores["ground_truth_boxes"]["pck"] or 0) <= 100
    people = load_people(root, "val2017", aspect=1.0)
    for view, scores in record.scores.items():
        terms = record.terms_of(view)
        assert terms is not None
        assert terms.samples == digest_of(people.annotation_ids)
        assert {key: ratio.figure for key, ratio in terms.ratios.items()} == {
            "pck": scores["pck"],
            "mean_oks": pytest.approx(scores["mean_oks"], abs=1e-3),
        }
    assert record.baseline["mean_pose"]["pck"] > 0
    assert (record.samples, record.threads) == (40, 1)
    assert record.seconds > 0
    assert record.device.startswith("cpu: ")
    assert {"archlab", "torch", "python", "numpy"} <= set(record.versions)
    # Strict JSON, whatever a score may be.
    json.loads((done / "record.json").read_text(), parse_constant=lambda name: pytest.fail(name))


def test_the_run_folder_stands_on_its_own(done: Path) -> None:
    names = {path.name for path in done.iterdir()}
    assert names >= {"spec.yaml", "recipe.yaml", "metrics.jsonl", "checkpoint.pt", "curves.png", "predictions.png"}
    assert archlab.spec_hash(archlab.load(done / "spec.yaml")) == read_record(done).spec_hash
    recipe = load_recipe(done / "recipe.yaml")
    assert recipe == tiny.RECIPE.changed(boxes="both", validate_every=6)


def test_metrics_hold_validation_on_the_labelled_boxes_and_at_the_end_on_both(done: Path) -> None:
    rows = [row for row in read_rows(done / "metrics.jsonl") if "validation" in row]
    assert [(row["iteration"], sorted(row["validation"])) for row in rows] == [
        (6, ["ground_truth_boxes"]),
        (10, ["detector_boxes", "ground_truth_boxes"]),
    ]
    assert rows[-1]["validation"] == read_record(done).scores


def test_the_pictures_are_pictures_with_something_on_them(done: Path) -> None:
    for name in ("curves.png", "predictions.png"):
        image = cv2.imread(str(done / name))
        assert min(image.shape[:2]) > 300
        assert image.std() > 20


def test_a_finished_run_is_not_touched_and_started_fresh_it_is_made_anew(root: Path, tmp_path: Path) -> None:
    spec, recipe = tiny.make_spec(tmp_path), tiny.RECIPE.changed(iterations=2)
    run = train(spec, recipe, root, out=tmp_path)
    times = {path.name: path.stat().st_mtime_ns for path in run.iterdir() if path.name != "lock"}
    assert train(spec, recipe.changed(name="another name", log_every=1), root, out=tmp_path) == run
    assert {path.name: path.stat().st_mtime_ns for path in run.iterdir() if path.name != "lock"} == times
    before = weights(run)
    assert train(spec, recipe, root, out=tmp_path, resume=False) == run
    assert (run / "checkpoint.pt").stat().st_mtime_ns > times["checkpoint.pt"]
    assert all(torch.equal(before[name], values) for name, values in weights(run).items())
    assert len(read_rows(run / "metrics.jsonl")) == 2


def test_other_seeds_are_other_runs_and_the_recipes_seed_is_only_a_default(root: Path, tmp_path: Path) -> None:
    spec = tiny.make_spec(tmp_path)
    recipe = tiny.RECIPE.changed(seed=7)
    assert run_folder(spec, recipe, root, seed=7, out=tmp_path) != run_folder(spec, recipe, root, seed=8, out=tmp_path)
    short = recipe.changed(iterations=1)
    seeds = [read_record(train(spec, short, root, seed=seed, out=tmp_path)).seed for seed in (None, 8)]
    assert seeds == [7, 8]


def test_a_failed_run_says_why_in_its_record_and_tries_again(root: Path, tmp_path: Path) -> None:
    recipe = tiny.RECIPE.changed(optimiser=Optimiser(lr=1e30), log_every=1)
    for _ in range(2):
        with pytest.raises(TrainingError) as caught:
            train(tiny.make_spec(tmp_path), recipe, root, out=tmp_path / "runs")
        assert caught.value.iteration > 0
        [record] = find_runs(tmp_path / "runs")
        assert record.state == "failed"
        assert record.reason == f"TrainingError: {caught.value}"
    rows = read_rows(tmp_path / "runs" / record.fingerprint / "metrics.jsonl")
    assert all(math.isfinite(row["loss"]) for row in rows)


def test_a_run_that_another_process_is_training_is_waited_for(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = tiny.make_spec(tmp_path)
    folder = run_folder(spec, tiny.RECIPE, root, seed=1, out=tmp_path)
    hold = "import sys; from pathlib import Path; from archlab.training.lock import locked\n"
    hold += "with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", hold, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        holder.stdout.readline()

        def end_the_other(seconds: float) -> None:
            assert not (folder / "record.json").exists()
            holder.kill()
            holder.wait()

        monkeypatch.setattr(lock.time, "sleep", end_the_other)
        assert train(spec, tiny.RECIPE, root, out=tmp_path) == folder
    assert read_record(folder).state == "done"
    lines = capsys.readouterr().err.splitlines()
    assert [line for line in lines if "is training" in line] == [
        f"{folder}: process {holder.pid} on {socket.gethostname()} is training in this folder; waiting for it to end"
    ]


def test_a_spec_that_fits_neither_recipe_nor_data_is_refused_with_both_reasons(root: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        train(tiny.make_spec(tmp_path, size=32, outputs=16), tiny.RECIPE, root, out=tmp_path / "runs")
    assert [problem.field for problem in caught.value.problems] == ["input", "outputs"]
    assert list((tmp_path / "runs").iterdir()) == []


def test_a_data_folder_without_annotations_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with refused("person_keypoints"):
        train(tiny.make_spec(tmp_path), tiny.RECIPE, tmp_path / "empty", out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_run_whose_pictures_cannot_be_written_is_done_without_them(root: Path, tmp_path: Path, monkeypatch) -> None:
    spec = tiny.make_spec(tmp_path)
    folder = run_folder(spec, tiny.RECIPE, root, seed=1, out=tmp_path)
    (folder / "predictions.png").mkdir(parents=True)  # a picture cannot replace a folder
    said = []
    monkeypatch.setattr("archlab.core.notes.note", said.append)
    train(spec, tiny.RECIPE, root, out=tmp_path, pictures=True)
    assert read_record(folder).state == "done"
    assert any(str(folder / "predictions.png") in text for text in said)


def test_threads_are_set_inside_and_put_back_outside() -> None:
    before = torch.get_num_threads()
    with using_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
