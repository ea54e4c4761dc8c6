"""Out-of-memory errors of a step."""

from pathlib import Path

import pytest
import torch
from helpers import tiny
from helpers.faulty import CPU, FaultyNet, trained
from helpers.refused import refused
from helpers.training import fit
from torch import nn

from archlab.tasks.pose.data.coco import People, load_people
from archlab.tasks.pose.data.dataset import PoseDataset
from archlab.tasks.pose.options import Augmentation


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_data(tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def people(root: Path) -> People:
    return load_people(root, "train2017", aspect=1.0)


@pytest.fixture
def dataset(people: People) -> PoseDataset:
    return PoseDataset(people, (64, 64), augmentation=Augmentation(), seed=5, cache_bytes=10**8)


def test_out_of_memory_says_the_batch_that_fits(dataset: PoseDataset, tmp_path: Path) -> None:
    recipe = tiny.RECIPE.changed(batch=12)
    with refused("12 samples", "3 fit", "`batch: 3`", "`accumulate: 4`", "steps of 12", field="batch"):
        trained(dataset, tmp_path / "run", recipe, most=3)
    assert trained(dataset, tmp_path / "fits", recipe.changed(accumulate=4, iterations=1), most=3).calls == 4


def test_out_of_memory_with_one_person_asks_for_a_smaller_network(dataset: PoseDataset, tmp_path: Path) -> None:
    network = FaultyNet()
    network.first.register_forward_pre_hook(lambda *_: torch.empty(2**60))
    (tmp_path / "run").mkdir()
    with refused("4 samples", field="batch"):
        fit(network, dataset, tiny.RECIPE, seed=5, folder=tmp_path / "run", device=CPU)


def test_any_other_error_of_a_step_is_not_taken_for_too_little_memory(dataset: PoseDataset, tmp_path: Path) -> None:
    network = FaultyNet()
    network.last = nn.Conv2d(9, 17, 3)
    with pytest.raises(RuntimeError) as raised:
        fit(network, dataset, tiny.RECIPE, seed=5, folder=tmp_path, device=CPU)
    assert type(raised.value) is RuntimeError
    assert list(tmp_path.glob("*.pt")) == []
