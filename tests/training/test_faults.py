"""What goes wrong in a training: requests to stop, damaged checkpoints and images, too little memory, NaN."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import tiny
from helpers.paths import REPOSITORY
from helpers.training import fit, samples_of, train
from torch import Tensor, nn

from archlab.core.errors import InputError, Problem
from archlab.core.signals import Stopped, StopRequest
from archlab.tasks.damaged_images import DamagedImages, skipped_images
from archlab.tasks.pose.data.batched import BatchedPipeline
from archlab.tasks.pose.data.coco import People, load_people
from archlab.tasks.pose.data.dataset import PoseDataset
from archlab.tasks.pose.options import Augmentation
from archlab.tasks.pose.samples import _SoundSamples
from archlab.training.divergence import TrainingError
from archlab.training.loop import batches, plan
from archlab.training.metrics_log import read_rows
from archlab.training.recipe import Recipe
from archlab.training.runs import find_runs
from archlab.training.state import previous, read_checkpoint

CPU = torch.device("cpu")

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


class Net(nn.Module):
    """With a loss that is no number at one step, or a layer that asks for too much memory, if wanted."""

    def __init__(self, *, nan_at: int = 0, most: int = 0) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 5, stride=4, padding=2)
        self.norm = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(0.2)
        self.last = nn.Conv2d(8, 17, 3, padding=1)
        self.calls, self.nan_at, self.most = 0, nan_at, most

    def forward(self, image: Tensor) -> Tensor:
        self.calls += self.training
        if self.most and len(image) > self.most:
            torch.empty(2**60)  # no machine has it: a real refusal of the allocator
        maps: Tensor = self.last(self.drop(self.norm(self.first(image)).relu()))
        return maps * torch.nan if self.calls == self.nan_at else maps


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_data(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def people(root: Path) -> People:
    return load_people(root, "train2017", aspect=1.0)


@pytest.fixture
def dataset(people: People) -> PoseDataset:
    return PoseDataset(people, (64, 64), augmentation=Augmentation(), seed=5, cache_bytes=10**8)


def trained(dataset: PoseDataset, folder: Path, recipe: Recipe = tiny.RECIPE, **options: object) -> Net:
    folder.mkdir(exist_ok=True)
    torch.manual_seed(5)
    network = Net(**{name: options.pop(name) for name in ("nan_at", "most") if name in options})  # type: ignore[arg-type]
    fit(network, dataset, recipe, seed=5, folder=folder, device=CPU, **options)  # type: ignore[arg-type]
    return network


def assert_same(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_asked_to_end_saves_says_so_and_goes_on_to_the_same_bits(root: Path, tmp_path: Path) -> None:
    for name in ("whole", "asked"):
        (tmp_path / name).mkdir()
    whole = train(tiny.make_spec(tmp_path / "whole"), tiny.RECIPE, root, out=tmp_path / "whole" / "runs")
    # Sample 27 of 4 a step: while step 7 is loaded, one after the checkpoint at step 6.
    command = [sys.executable, "-c", ASKS, str(tmp_path / "asked"), str(root), "27"]
    asked = subprocess.run(command, cwd=REPOSITORY / "tests", capture_output=True, text=True, check=False)
    assert asked.returncode == 143, asked.stderr
    assert "stopped by SIGTERM, saved in" in asked.stderr
    assert "Traceback" not in asked.stderr
    [record] = find_runs(tmp_path / "asked" / "runs")
    assert record.state == "stopped"
    assert "SIGTERM" in record.reason
    folder = tmp_path / "asked" / "runs" / record.fingerprint
    assert read_checkpoint(folder / "checkpoint.pt")["iteration"] == 7
    assert train(tiny.make_spec(tmp_path / "asked"), tiny.RECIPE, root, out=tmp_path / "asked" / "runs") == folder
    ends = [read_checkpoint(run / "checkpoint.pt")["state_dict"] for run in (whole, folder)]
    assert_same(*ends)
    assert not previous(folder / "checkpoint.pt").exists()


def test_a_request_during_validation_ends_it_at_once_and_validation_is_made_up_for(
    dataset: PoseDataset, tmp_path: Path
) -> None:
    recipe = tiny.RECIPE.changed(validate_every=3, checkpoint_every=None)

    def score(network: nn.Module) -> dict[str, float]:
        network.eval()
        return {"pck": 1.0}

    def ask(network: nn.Module) -> dict[str, float]:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("went on after the request")

    whole = trained(dataset, tmp_path / "whole", recipe, validate=score)
    with StopRequest().caught() as stop, pytest.raises(Stopped) as stopped:
        trained(dataset, tmp_path / "asked", recipe, validate=ask, stop=stop)
    assert stopped.value.code == 143
    assert read_checkpoint(tmp_path / "asked" / "checkpoint.pt")["iteration"] == 3
    again = trained(dataset, tmp_path / "asked", recipe, validate=score)
    assert_same(whole.state_dict(), again.state_dict())
    rows = [[(row["iteration"], "validation" in row) for row in read_rows(tmp_path / name / "metrics.jsonl")]
            for name in ("whole", "asked")]  # fmt: skip
    assert rows[0] == rows[1]
    assert [place for place, validation in rows[1] if validation] == [3, 6, 9]


def test_signals_are_as_before_once_nothing_is_trained() -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    with StopRequest().caught():
        assert signal.getsignal(signal.SIGTERM) != before[0]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


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
    assert "going on from the checkpoint before" in capsys.readouterr().err
    assert again.calls == 2
    assert_same(whole.state_dict(), again.state_dict())
    assert [read_checkpoint(each)["iteration"] for each in (path, previous(path))] == [10, 8]


def test_if_both_checkpoints_are_damaged_the_newer_ones_fault_is_told(dataset: PoseDataset, tmp_path: Path) -> None:
    trained(dataset, tmp_path / "run")
    for path in (tmp_path / "run" / "checkpoint.pt", tmp_path / "run" / "checkpoint.previous.pt"):
        cut(path)
    with pytest.raises(InputError) as caught:
        trained(dataset, tmp_path / "run")
    assert caught.value.problems[0].file == str(tmp_path / "run" / "checkpoint.pt")


def test_the_people_of_a_step_whose_loss_is_no_number_are_saved(dataset: PoseDataset, tmp_path: Path) -> None:
    recipe = tiny.RECIPE.changed(schedule=replace(tiny.RECIPE.schedule, decay="constant"))
    with pytest.raises(TrainingError, match=r"nan at iteration 7, .*nan_batch\.json"):
        trained(dataset, tmp_path / "run", recipe, nan_at=7)
    told = json.loads((tmp_path / "run" / "nan_batch.json").read_text())
    course = plan(recipe, len(dataset))
    index = next(batches(samples_of(dataset, recipe), course, 5, start=6))["index"].numpy()
    assert (told["iteration"], told["loss"], told["lr"]) == (7, "nan", 2e-3)
    assert told["annotation_ids"] == dataset.people.annotation_ids[index].tolist()
    assert len(set(told["annotation_ids"])) == 4
    assert told["image_files"] == [str(dataset.people.image_files[i]) for i in dataset.people.image_index[index]]


def test_out_of_memory_says_the_batch_that_fits(dataset: PoseDataset, tmp_path: Path) -> None:
    recipe = tiny.RECIPE.changed(batch=12)
    with pytest.raises(InputError, match=r"out of memory with 12 .* 3 fit: `batch: 3`, or `accumulate: 4` to .* 12"):
        trained(dataset, tmp_path / "run", recipe, most=3)
    assert trained(dataset, tmp_path / "fits", recipe.changed(accumulate=4, iterations=1), most=3).calls == 4


def test_out_of_memory_with_one_person_asks_for_a_smaller_network(dataset: PoseDataset, tmp_path: Path) -> None:
    network = Net()
    network.first.register_forward_pre_hook(lambda *_: torch.empty(2**60))
    (tmp_path / "run").mkdir()
    with pytest.raises(InputError, match="one alone does not fit either"):
        fit(network, dataset, tiny.RECIPE, seed=5, folder=tmp_path / "run", device=CPU)


def test_any_other_error_of_a_step_is_not_taken_for_too_little_memory(dataset: PoseDataset, tmp_path: Path) -> None:
    network = Net()
    network.last = nn.Conv2d(9, 17, 3)
    with pytest.raises(RuntimeError) as raised:
        fit(network, dataset, tiny.RECIPE, seed=5, folder=tmp_path, device=CPU)
    assert type(raised.value) is RuntimeError
    assert list(tmp_path.glob("*.pt")) == []


def damaged(people: People, folder: Path) -> DamagedImages:
    return DamagedImages(people.image_files, people.image_index, folder)


def many(people: People, folder: Path, times: int = 8) -> People:
    """The people in `times` as many images, copies of theirs."""
    files = []
    for number in range(times * len(people)):
        source = people.image_files[int(people.image_index[number % len(people)])]
        files.append(folder / f"{number}{source.suffix}")
        files[-1].write_bytes(source.read_bytes())
    copies = people.subset(np.tile(np.arange(len(people)), times))
    return replace(copies, image_files=tuple(files), image_index=np.arange(len(files)))


def sound_samples(samples: PoseDataset, folder: Path) -> Callable[[list[int]], list[int]]:
    sound = _SoundSamples(samples, damaged(samples.people, folder))
    return lambda rows: [sound[row]["index"] for row in rows]


def sound_pipeline(samples: PoseDataset, folder: Path) -> Callable[[list[int]], list[int]]:
    pipeline = BatchedPipeline(samples, workers=2, stand_ins=damaged(samples.people, folder).without)
    return lambda rows: next(pipeline.stream([rows]))["index"].tolist()


Sound = Callable[[PoseDataset, Path], Callable[[list[int]], list[int]]]
BOTH = pytest.mark.parametrize("sound", [sound_samples, sound_pipeline])


@BOTH
def test_a_damaged_image_is_skipped_and_counted_and_the_next_person_stands_in(
    sound: Sound, people: People, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copies = many(people, tmp_path)
    copies.image_files[3].write_bytes(b"")
    samples = PoseDataset(copies, (64, 64))
    assert sound(samples, tmp_path)([2, 3, 4, 3]) == [2, 4, 4, 4]
    assert skipped_images(tmp_path) == 1
    assert capsys.readouterr().err.count(f"skipped {copies.image_files[3]}: the image file is empty") == 1
    # Taken up again, it is known: what stands in stays the same even if the file was put right meanwhile.
    copies.image_files[3].write_bytes(copies.image_files[4].read_bytes())
    assert sound(samples, tmp_path)([3]) == [4]


@BOTH
def test_the_last_person_is_stood_in_for_by_the_first_and_a_stand_in_may_need_one(
    sound: Sound, people: People, tmp_path: Path
) -> None:
    copies = many(people, tmp_path, times=15)
    for number in (0, 209):
        cut(copies.image_files[number])
    assert sound(PoseDataset(copies, (64, 64)), tmp_path)([209, 208]) == [1, 208]
    assert skipped_images(tmp_path) == 2


@BOTH
def test_more_than_one_damaged_image_in_a_hundred_stops_with_the_whole_list(
    sound: Sound, people: People, tmp_path: Path
) -> None:
    copies = many(people, tmp_path)
    for number in (3, 50, 90):
        cut(copies.image_files[number])
    indices = sound(PoseDataset(copies, (64, 64)), tmp_path)
    assert indices([3]) == [4]
    with pytest.raises(InputError, match="more than 1% of the 112") as caught:
        indices([50])
    assert [problem.file for problem in caught.value.problems[1:]] == [str(copies.image_files[n]) for n in (3, 50, 90)]


def test_what_stands_in_has_the_same_sample_in_both_pipelines(people: People, tmp_path: Path) -> None:
    copies = many(people, tmp_path)
    copies.image_files[7].unlink()
    samples = PoseDataset(copies, (64, 64), augmentation=Augmentation(), seed=3)
    sound = _SoundSamples(samples, damaged(samples.people, tmp_path))
    stand_ins = damaged(copies, tmp_path).without
    rows = [5, 7, 20]
    batch = BatchedPipeline(samples, region_pixels=10**6, stand_ins=stand_ins).batch(rows)
    for place, row in enumerate(rows):
        assert torch.equal(batch["weight"][place], sound[row]["weight"])
        assert (batch["target"][place] - sound[row]["target"]).abs().max() <= 1e-6
    assert batch["index"].tolist() == [5, 8, 20]


def test_an_error_that_is_not_about_an_image_is_not_skipped(people: People, tmp_path: Path) -> None:
    def work(rows: list[int]) -> None:
        raise InputError(Problem("something else", file=str(tmp_path / "other.yaml")))

    with pytest.raises(InputError, match=r"other\.yaml: something else"):
        damaged(people, tmp_path).without(work, [0])
    assert skipped_images(tmp_path) == 0


@pytest.mark.parametrize("pipeline", ["samples", "batched"])
def test_a_training_with_a_damaged_image_goes_on_and_says_which(people: People, tmp_path: Path, pipeline: Any) -> None:
    copies = many(people, tmp_path)
    cut(copies.image_files[3])
    recipe = tiny.RECIPE.changed(iterations=None, epochs=1, batch=16, pipeline=pipeline)
    trained(PoseDataset(copies, (64, 64)), tmp_path / "run", recipe)
    assert list(json.loads((tmp_path / "run" / "skipped_images.json").read_text())) == [str(copies.image_files[3])]
    cut(copies.image_files[4])
    with pytest.raises(InputError, match="more than 1% of the 112"):
        trained(PoseDataset(copies, (64, 64)), tmp_path / "again", recipe)
