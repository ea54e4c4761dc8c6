"""A loss that is NaN: the samples of its step."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import tiny
from helpers.faulty import trained
from helpers.refused import refused
from helpers.training import samples_of

from archlab.tasks.pose.data.coco import People, load_people
from archlab.tasks.pose.data.dataset import PoseDataset
from archlab.tasks.pose.options import Augmentation
from archlab.training.divergence import TrainingError
from archlab.training.loop import batches, plan


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_data(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def people(root: Path) -> People:
    return load_people(root, "train2017", aspect=1.0)


@pytest.fixture
def dataset(people: People) -> PoseDataset:
    return PoseDataset(people, (64, 64), augmentation=Augmentation(), seed=5, cache_bytes=10**8)


def test_the_people_of_a_step_whose_loss_is_no_number_are_saved(dataset: PoseDataset, tmp_path: Path) -> None:
    recipe = tiny.RECIPE.changed(schedule=replace(tiny.RECIPE.schedule, decay="constant"))
    with refused("nan", "iteration 7", "nan_batch.json", error=TrainingError):
        trained(dataset, tmp_path / "run", recipe, nan_at=7)
    told = json.loads((tmp_path / "run" / "nan_batch.json").read_text())
    course = plan(recipe, len(dataset))
    index = next(batches(samples_of(dataset, recipe), course, 5, start=6))["index"].numpy()
    assert (told["iteration"], told["loss"], told["lr"]) == (7, "nan", 2e-3)
    assert told["annotation_ids"] == dataset.people.annotation_ids[index].tolist()
    assert len(set(told["annotation_ids"])) == 4
    assert told["image_files"] == [str(dataset.people.image_files[i]) for i in dataset.people.image_index[index]]
