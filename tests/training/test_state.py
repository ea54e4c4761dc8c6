"""Requests to stop and damaged checkpoints: a training resumes to the same weights."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import tiny
from helpers.faulty import assert_same, trained
from helpers.paths import REPOSITORY
from helpers.training import train
from torch import nn

from archlab.core.errors import InputError
from archlab.core.signals import Stopped, StopRequest
from archlab.tasks.metrics import Scores
from archlab.tasks.pose.data.coco import People, load_people
from archlab.tasks.pose.data.dataset import PoseDataset
from archlab.tasks.pose.options import Augmentation
from archlab.training.metrics_log import read_rows
from archlab.training.runs import find_runs
from archlab.training.saved import previous, read_checkpoint

# Asks itself to end when it loads its so many-th sample.
ASKS = """
import os, signal, sys
from pathlib import Path
from helpers import tiny
from archlab.tasks.pose.data.dataset import PoseDataset
from archlab.tasks.pose.samples import _SoundSamples
from helpers.training import samples_of, train

folder, root, at = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
load, loaded = PoseDataset.__getitem__, []

def load_and_ask(self, index):
    loaded.append(index)
    if len(loaded) == at:
        os.kill(os.getpid(), signal.SIGTERM)
    return load(self, index)

PoseDataset.__getitem__ = load_and_ask
train(tiny.make_spec(folder), tiny.RECIPE, root, out=folder / "runs")
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_data(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def people(root: Path) -> People:
    return load_people(root, "train2017", aspect=1.0)


@pytest.fixture
def dataset(people: People) -> PoseDataset:
    return PoseDataset(people, (64, 64), augmentation=Augmentation(), seed=5, cache_bytes=10**8)


def test_a_run_asked_to_end_saves_says_so_and_goes_on_to_the_same_bits(root: Path, tmp_path: Path) -> None:
    for name in ("whole", "asked"):
        (tmp_path / name).mkdir()
    whole = train(tiny.make_spec(tmp_path / "whole"), tiny.RECIPE, root, out=tmp_path / "whole" / "runs")
    # Sample 27 of 4 a step: while step 7 is loaded, one after the checkpoint at step 6.
    command = [sys.executable, "-c", ASKS, str(tmp_path / "asked"), str(root), "27"]
    asked = subprocess.run(command, cwd=REPOSITORY / "tests", capture_output=True, text=True, check=False)
    assert asked.returncode == 143, asked.stderr
    assert "SIGTERM" in asked.stderr
    assert "Traceback" not in asked.stderr
    [record] = find_runs(tmp_path / "asked" / "runs")
    assert record.state == "stopped"
    assert "SIGTERM" in record.reason
    folder = tmp_path / "asked" / "runs" / record.fingerprint
    assert read_checkpoint(folder / "checkpoint.pt")["iteration"] == 7
    assert train(tiny.make_spec(tmp_path / "asked"), tiny.RECIPE, root, out=tmp_path / "asked" / "runs") == folder
    ends = [read_checkpoint(run / "checkpoint.pt")["state_dict"] for run in (whole, folder)]
    assert ends[0].keys() == ends[1].keys()
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])
    assert not previous(folder / "checkpoint.pt").exists()


def test_a_request_during_validation_ends_it_at_once_and_validation_is_made_up_for(
    dataset: PoseDataset, tmp_path: Path
) -> None:
    recipe = tiny.RECIPE.changed(validate_every=3, checkpoint_every=None)

    def score(network: nn.Module) -> dict[str, Scores]:
        network.eval()
        return {"ground_truth_boxes": {"pck": 1.0}}

    def ask(network: nn.Module) -> dict[str, Scores]:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("went on after the request")

    whole = trained(dataset, tmp_path / "whole", recipe, validate=score)
    with StopRequest().caught() as stop, pytest.raises(Stopped) as stopped:
        trained(dataset, tmp_path / "asked", recipe, validate=ask, stop=stop)
    assert stopped.value.code == 143
    assert read_checkpoint(tmp_path / "asked" / "checkpoint.pt")["iteration"] == 3
    again = trained(dataset, tmp_path / "asked", recipe, validate=score)
    assert_same(whole, again)
    rows = [[(row["iteration"], "validation" in row) for row in read_rows(tmp_path / name / "metrics.jsonl")]
            for name in ("whole", "asked")]  # fmt: skip
    assert rows[0] == rows[1]
    assert [place for place, validation in rows[1] if validation] == [3, 6, 9]


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def flip(path: Path) -> None:
    """One bit inside a tensor, which loading alone would not notice."""
    data = bytearray(path.read_bytes())
    weights = read_checkpoint(path)["state_dict"]["last.weight"].numpy().tobytes()
    data[data.index(weights) + 5] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [cut, flip, Path.unlink])
def test_a_damaged_checkpoint_falls_back_to_the_one_before(
    dataset: PoseDataset, tmp_path: Path, capsys: pytest.CaptureFixture[str], damage: object
) -> None:
    whole = trained(dataset, tmp_path / "whole")
    trained(dataset, tmp_path / "half")
    path = tmp_path / "half" / "checkpoint.pt"
    assert [read_checkpoint(each)["iteration"] for each in (path, previous(path))] == [10, 8]
    damage(path)  # type: ignore[operator]
    capsys.readouterr()
    again = trained(dataset, tmp_path / "half")
    assert str(previous(path)) in capsys.readouterr().err
    assert again.calls == 2
    assert_same(whole, again)
    assert [read_checkpoint(each)["iteration"] for each in (path, previous(path))] == [10, 8]


def test_if_both_checkpoints_are_damaged_the_newer_ones_fault_is_told(dataset: PoseDataset, tmp_path: Path) -> None:
    trained(dataset, tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoint.pt", tmp_path / "run" / "checkpoint.previous.pt"):
        cut(path)
    with pytest.raises(InputError) as caught:
        trained(dataset, tmp_path / "run")
    assert caught.value.problems[0].file == str(tmp_path / "run" / "checkpoint.pt")
