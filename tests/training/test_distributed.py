"""Two processes that train together on the CPU, started by torchrun as a user would."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import tiny
from helpers.paths import REPOSITORY
from helpers.training import train

from archlab.core.distributed import ALONE, TORCHRUN, World, is_first_process, joined
from archlab.network.checkpoint import load_file
from archlab.training.evaluate import evaluate_run
from archlab.training.metrics_log import read_rows
from archlab.training.runs import find_runs, read_record
from archlab.training.saved import read_checkpoint
from archlab.training.schedule import Schedule

# Runs archlab; the processes of a training first tell each other what they know.
SCRIPT = """
import json, sys
from contextlib import contextmanager
from pathlib import Path
import torch
from archlab.cli import main
from archlab.core.distributed import joined
from archlab.training import run

@contextmanager
def telling(kind):
    with joined(kind) as world:
        network = torch.nn.BatchNorm1d(2)
        network.running_mean += 1 + world.rank
        world.agree(network)
        told = {
            "means": network.running_mean.tolist(), "mean": world.mean(torch.tensor([world.rank * 1.0])).item(),
            "any": [world.any(False), world.any(world.rank == 1)], "all": world.gather(world.rank),
        }
        Path(f"told{world.rank}.json").write_text(json.dumps(told))
        yield world

run.joined = telling
sys.exit(main(sys.argv[1:]))
"""
# Trains; at its so many-th sample a process says its number and waits for a signal.
WAITS = """
import os, signal, sys
from pathlib import Path
from helpers import tiny
from archlab.tasks.pose.data.dataset import PoseDataset
from archlab.training.recipe import load_recipe
from helpers.training import train

folder, root, at = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
load, loaded = PoseDataset.__getitem__, []
woken, wake = os.pipe()
os.set_blocking(wake, False)
signal.set_wakeup_fd(wake)

def load_and_wait(self, index):
    loaded.append(index)
    if len(loaded) == at:
        os.write(1, f"{os.getpid()}\\n".encode())  # in one piece, since two processes write there
        os.read(woken, 1)
    return load(self, index)

PoseDataset.__getitem__ = load_and_wait
train(tiny.make_spec(folder), load_recipe(folder / "tiny_recipe.yaml"), root, out=folder / "runs", pictures=False)
"""
RECIPE = tiny.RECIPE.changed(log_every=1, validate_every=5, boxes="both")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_data(tmp_path_factory.mktemp("distributed"))


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *arguments]
    environment = {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "PYTHONPATH": str(REPOSITORY / "tests")}
    pipe = subprocess.PIPE
    made = subprocess.Popen(command, cwd=folder, env={**os.environ, **environment}, stdout=pipe, stderr=pipe, text=True)
    with made:
        try:
            yield made
        except BaseException:  # a test that fails must not wait for what waits for it
            made.terminate()
            raise


def torchrun(folder: Path, *arguments: str) -> None:
    with started(folder, *arguments) as made:
        _, errors = made.communicate(timeout=300)
    assert made.returncode == 0, errors


@pytest.fixture(scope="module")
def together(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of two processes, in the folder that they worked in."""
    folder = tmp_path_factory.mktemp("together")
    tiny.make_spec(folder)
    (folder / "tiny_recipe.yaml").write_text(RECIPE.to_yaml())
    (folder / "script.py").write_text(SCRIPT)
    torchrun(folder, "script.py", "train", "tiny.yaml", "--recipe", "tiny_recipe.yaml", "--data", str(root))
    [record] = find_runs(folder / "runs")
    assert record.state == "done"
    return folder / "runs" / record.fingerprint


def test_two_processes_have_the_losses_of_one_that_accumulates_over_two_micro_batches(
    root: Path, together: Path, tmp_path: Path
) -> None:
    # Batch statistics are a micro-batch's own, on one process as on two.
    alone = train(tiny.make_spec(tmp_path), RECIPE.changed(accumulate=2), root, out=tmp_path)
    losses = [[row["loss"] for row in read_rows(run / "metrics.jsonl") if "loss" in row] for run in (alone, together)]
    assert len(losses[0]) == 10
    assert losses[1] == pytest.approx(losses[0], rel=1e-6)
    one, two = (load_file(run / "checkpoint.pt")["state_dict"] for run in (alone, together))
    trained = [name for name in one if "running" not in name and "tracked" not in name]
    assert trained
    for name in trained:
        torch.testing.assert_close(two[name], one[name], rtol=1e-4, atol=1e-5)


def test_the_scores_of_two_processes_are_those_of_one_on_the_same_weights(root: Path, together: Path) -> None:
    scores = find_runs(together.parent)[0].scores
    again = evaluate_run(together, root, device="cpu")
    assert scores.keys() == again.keys() == {"ground_truth_boxes", "detector_boxes"}
    for kind, figures in scores.items():
        assert {name for name in figures if figures[name] is None} == {n for n in again[kind] if again[kind][n] is None}
        for name, value in figures.items():
            assert value is None or value == pytest.approx(again[kind][name], rel=1e-9), name
        assert (figures["pck"] or 0) > 0


def ended(folder: Path, root: Path, number: int, at: int) -> str:
    """Start two processes, send them a signal when each has loaded `at` samples, see them end; standard error."""
    with started(folder, "script.py", str(folder), str(root), str(at)) as made:
        assert made.stdout
        waiting = [int(made.stdout.readline()) for _ in range(2)]
        if number == signal.SIGKILL:
            for process in waiting:
                os.kill(process, number)
        else:
            made.send_signal(number)  # torchrun hands it on
        _, errors = made.communicate(timeout=300)
        assert made.returncode != 0
    return errors


@pytest.mark.slow
def test_two_processes_asked_to_end_and_later_killed_go_on_to_the_bits_of_two_that_were_not_disturbed(
    root: Path, together: Path, tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text(WAITS)
    (tmp_path / "tiny_recipe.yaml").write_text(RECIPE.to_yaml())
    run = tmp_path / "runs" / together.name
    # In step 4, at 2 samples a step and process.
    assert ended(tmp_path, root, signal.SIGTERM, 7).count("stopped by SIGTERM") == 1
    record = read_record(run)
    assert record.state == "stopped"
    assert "SIGTERM" in record.reason
    assert read_checkpoint(run / "checkpoint.pt")["iteration"] == 4
    # In step 8, after three more and, at step 5, 3 samples of the validation; the checkpoint before is at step 6.
    ended(tmp_path, root, signal.SIGKILL, 3 * 2 + 3 + 1)
    assert read_record(run).state == "running"
    assert read_checkpoint(run / "checkpoint.pt")["iteration"] == 6
    torchrun(tmp_path, "script.py", str(tmp_path), str(root), "0")
    assert (read_record(run).state, read_record(run).processes) == ("done", 2)
    one, other = (load_file(folder / "checkpoint.pt")["state_dict"] for folder in (together, run))
    for name, values in one.items():
        assert torch.equal(other[name], values), name
    rows = [[row for row in read_rows(folder / "metrics.jsonl") if "loss" in row] for folder in (together, run)]
    assert [(row["iteration"], row["loss"]) for row in rows[0]] == [(row["iteration"], row["loss"]) for row in rows[1]]
    assert len(rows[0]) == 10


@pytest.mark.slow
def test_two_processes_train_branches_and_score_each_budget_once(root: Path, tmp_path: Path) -> None:
    budgets = {"iterations": None, "validate_every": None, "budgets": (18, 40), "cooldown": 0.5, "ema": 0.9}
    recipe = RECIPE.changed(**budgets, schedule=Schedule(warm_up=3))
    tiny.make_spec(tmp_path)
    (tmp_path / "tiny_recipe.yaml").write_text(recipe.to_yaml())
    (tmp_path / "script.py").write_text(SCRIPT)
    torchrun(tmp_path, "script.py", "train", "tiny.yaml", "--recipe", "tiny_recipe.yaml", "--data", str(root))
    [record] = find_runs(tmp_path / "runs")
    assert (record.state, record.processes) == ("done", 2)
    assert [(each.budget, each.samples) for each in record.budgets] == [(18, 16), (40, 40)]
    rows = read_rows(tmp_path / "runs" / record.fingerprint / "metrics.jsonl")
    assert [row["budget"]["budget"] for row in rows if "budget" in row] == [18, 40]
    again = evaluate_run(tmp_path / "runs" / record.fingerprint, root, device="cpu")
    assert again["ground_truth_boxes"]["mean_oks"] == pytest.approx(record.scores["ground_truth_boxes"]["mean_oks"])
    alone = train(tiny.make_spec(tmp_path), recipe.changed(accumulate=2), root, out=tmp_path / "alone")
    one, two = (read_checkpoint(run / "checkpoint.pt") for run in (alone, tmp_path / "runs" / record.fingerprint))
    for name, value in one["trained"].items():
        if "running" not in name and "tracked" not in name:
            torch.testing.assert_close(two["trained"][name], value, rtol=1e-4, atol=1e-5)


def test_only_one_process_writes(together: Path) -> None:
    rows = read_rows(together / "metrics.jsonl")
    assert [row["iteration"] for row in rows if "loss" in row] == list(range(1, 11))
    assert [row["iteration"] for row in rows if "validation" in row] == [5, 10]
    record = json.loads((together / "record.json").read_text())
    assert (record["samples"], record["processes"]) == (40, 2)


def test_processes_agree_on_statistics_means_and_wishes(together: Path) -> None:
    told = [json.loads((together.parent.parent / f"told{rank}.json").read_text()) for rank in (0, 1)]
    assert told[0] == told[1] == {"means": [1.0, 1.0], "mean": 0.5, "any": [False, True], "all": [0, 1]}


def test_without_torchrun_a_process_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")  # as a cluster's scheduler may set, which starts no processes of ours
    monkeypatch.delenv("RANK", raising=False)
    with joined("cpu") as world:
        assert world == ALONE == World(0, 1, 0)
        assert world.gather("x") == ["x"]
        assert world.mean(torch.tensor([1.0, 2.0])).tolist() == [1.0, 2.0]
        assert np.array_equal(np.arange(world.rank, 5, world.size), np.arange(5))


def test_only_the_first_of_torchruns_processes_prints(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TORCHRUN:
        monkeypatch.delenv(name, raising=False)
    assert is_first_process()
    monkeypatch.setenv("RANK", "1")  # a scheduler's, without torchrun
    assert is_first_process()
    for name in TORCHRUN:
        monkeypatch.setenv(name, "1")
    assert not is_first_process()
    monkeypatch.setenv("RANK", "0")
    assert is_first_process()
