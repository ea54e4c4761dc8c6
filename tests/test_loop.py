"""The training loop: stopping and going on, the order of samples, and losses that are no numbers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from torch import Tensor, nn

from archlab.data.coco import load_people
from archlab.data.crops import Augmentation
from archlab.data.dataset import PoseDataset
from archlab.errors import InputError
from archlab.journal import read_rows
from archlab.loop import TrainingError, batches, fit, plan, step
from archlab.recipe import Optimiser, Recipe

CPU = torch.device("cpu")


class Breaks(Exception):  # noqa: N818
    """Stands for anything that ends a process between two steps."""


class TinyNet(nn.Module):
    """With dropout, so that it draws random numbers, and with a fault at one step if asked for."""

    def __init__(self, *, breaks_at: int = 0, nan_at: int = 0) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 5, stride=4, padding=2)
        self.norm = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(0.2)
        self.last = nn.Conv2d(8, 17, 3, padding=1)
        self.calls, self.breaks_at, self.nan_at = 0, breaks_at, nan_at

    def forward(self, image: Tensor) -> Tensor:
        self.calls += self.training
        if self.calls == self.breaks_at:
            raise Breaks
        maps: Tensor = self.last(self.drop(self.norm(self.first(image)).relu()))
        return maps * torch.nan if self.calls == self.nan_at else maps


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_data(tmp_path_factory.mktemp("loop"))


@pytest.fixture
def dataset(root: Path) -> PoseDataset:
    people = load_people(root, "train2017", aspect=1.0)
    return PoseDataset(people, (64, 64), augmentation=Augmentation(), seed=5, cache_bytes=10**8)


def trained(dataset: PoseDataset, folder: Path, recipe: Recipe = tiny.RECIPE, **faults: int) -> nn.Module:
    folder.mkdir(exist_ok=True)
    torch.manual_seed(5)
    network = TinyNet(**faults)
    fit(network, dataset, recipe, seed=5, folder=folder, device=CPU)
    return network


def assert_same(first: nn.Module, second: nn.Module) -> None:
    for (name, one), other in zip(first.state_dict().items(), second.state_dict().values(), strict=True):
        assert torch.equal(one, other), name


@pytest.mark.parametrize("recipe", [tiny.RECIPE, replace(tiny.RECIPE, optimiser=Optimiser("sgd", lr=0.1))])
@pytest.mark.parametrize("step_of_the_fault", [2, 3, 6, 10])
def test_training_broken_off_and_taken_up_again_ends_with_the_same_bits(
    dataset: PoseDataset, tmp_path: Path, recipe: Recipe, step_of_the_fault: int
) -> None:
    whole = trained(dataset, tmp_path / "whole", recipe)
    with pytest.raises(Breaks):
        trained(dataset, tmp_path / "broken", recipe, breaks_at=step_of_the_fault)
    again = trained(dataset, tmp_path / "broken", recipe)
    assert again.calls < whole.calls or step_of_the_fault == 2  # it did not start anew, but where no checkpoint was
    assert_same(whole, again)


def test_metrics_hold_every_row_once_after_a_break(dataset: PoseDataset, tmp_path: Path) -> None:
    trained(dataset, tmp_path / "whole")
    with pytest.raises(Breaks):
        trained(dataset, tmp_path / "broken", replace(tiny.RECIPE, checkpoint_every=3), breaks_at=9)
    path = tmp_path / "broken" / "metrics.jsonl"
    assert [row["iteration"] for row in read_rows(path)] == [4, 8]  # 8 is after the checkpoint at 6
    path.write_text(path.read_text() + '{"iteration": 9, "ep')  # as a kill in the middle of a line leaves it
    trained(dataset, tmp_path / "broken")

    def told(folder: str) -> list[tuple[float, ...]]:
        rows = read_rows(tmp_path / folder / "metrics.jsonl")
        return [(row["iteration"], row["epoch"], row["loss"], row["lr"]) for row in rows]

    assert [row[0] for row in told("whole")] == [4, 8, 10]
    assert told("broken") == told("whole")


def test_a_row_holds_the_mean_loss_since_the_row_before(dataset: PoseDataset, tmp_path: Path) -> None:
    trained(dataset, tmp_path / "fine", replace(tiny.RECIPE, log_every=1))
    trained(dataset, tmp_path / "coarse", replace(tiny.RECIPE, log_every=4))
    fine = [row["loss"] for row in read_rows(tmp_path / "fine" / "metrics.jsonl")]
    coarse = [row["loss"] for row in read_rows(tmp_path / "coarse" / "metrics.jsonl")]
    assert coarse == pytest.approx([np.mean(fine[:4]), np.mean(fine[4:8]), np.mean(fine[8:])], rel=1e-6)


def test_the_order_and_augmentation_do_not_depend_on_workers_or_on_where_one_starts(dataset: PoseDataset) -> None:
    course = plan(tiny.RECIPE, len(dataset))

    def seen(start: int, workers: int) -> list[Tensor]:
        return [
            torch.cat([batch["image"].flatten(), batch["index"].float()])
            for batch in batches(dataset, course, 5, start=start, workers=workers, device=CPU)
        ]

    alone = seen(0, 0)
    assert len(alone) == 10
    for start, workers in ((0, 3), (4, 0), (7, 2)):
        for one, other in zip(alone[start:], seen(start, workers), strict=True):
            assert torch.equal(one, other)


def test_an_epoch_shows_every_person_at_most_once_and_each_epoch_in_another_order(dataset: PoseDataset) -> None:
    course = plan(tiny.RECIPE, len(dataset))
    found = [b["index"] for b in batches(dataset, course, 5, start=0, workers=0, device=CPU)]
    first, second = torch.cat(found[:3]).tolist(), torch.cat(found[3:6]).tolist()
    assert len(set(first)) == len(set(second)) == 12
    assert first != second


def test_epochs_become_steps_and_a_set_smaller_than_a_batch_is_one_batch() -> None:
    recipe = replace(tiny.RECIPE, iterations=None, epochs=5)
    assert (plan(recipe, 14).steps, plan(recipe, 14).total, plan(recipe, 14).unit) == (3, 15, 3)
    assert (plan(recipe, 3).batch, plan(recipe, 3).total) == (3, 5)
    assert (plan(tiny.RECIPE, 14).total, plan(tiny.RECIPE, 14).unit) == (10, 1)


def test_a_loss_that_is_no_number_stops_training_with_its_step_and_rate(dataset: PoseDataset, tmp_path: Path) -> None:
    recipe = replace(tiny.RECIPE, schedule=replace(tiny.RECIPE.schedule, decay="constant"), checkpoint_every=4)
    with pytest.raises(TrainingError, match=r"nan at iteration 7, with the learning rate 0\.002"):
        trained(dataset, tmp_path / "run", recipe, nan_at=7)
    assert [row["iteration"] for row in read_rows(tmp_path / "run" / "metrics.jsonl")] == [4]
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert state["iteration"] == 4
    assert all(values.isfinite().all() for values in state["state_dict"].values())


def test_no_checkpoint_is_written_over_a_good_one_once_the_loss_is_no_number(
    dataset: PoseDataset, tmp_path: Path
) -> None:
    recipe = replace(tiny.RECIPE, checkpoint_every=1, log_every=10)
    with pytest.raises(TrainingError, match="iteration 3"):
        trained(dataset, tmp_path / "run", recipe, nan_at=3)
    assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["iteration"] == 2


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_a_damaged_or_foreign_checkpoint_is_refused(
    dataset: PoseDataset, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "checkpoint.pt"
    if content is None:
        torch.save(TinyNet().state_dict(), path)
    else:
        path.write_bytes(content)
    with pytest.raises(InputError, match="checkpoint"):
        trained(dataset, tmp_path)


def test_in_bf16_the_weights_stay_in_float32(dataset: PoseDataset, tmp_path: Path) -> None:
    network = trained(dataset, tmp_path, replace(tiny.RECIPE, precision="bf16", iterations=2))
    assert {values.dtype for values in network.parameters()} == {torch.float32}


def test_a_step_moves_the_weights_by_the_rate_it_is_given() -> None:
    # SGD without momentum: w - lr * dL/dw; L = mean((w * (h - t))^2) over the two maps of one pixel, h = weight * 2.
    network = nn.Conv2d(1, 2, 1, bias=False)
    nn.init.constant_(network.weight, 1.0)
    optimiser = torch.optim.SGD(network.parameters(), lr=99.0)
    batch = {
        "image": torch.full((1, 1, 1, 1), 2.0),
        "target": torch.zeros(1, 2, 1, 1),
        "weight": torch.tensor([[[1.0], [0.0]]]),
    }
    loss = step(network, optimiser, batch, lr=0.1, bf16=False, device=CPU)
    assert loss.item() == pytest.approx(2.0)  # (2^2 + 0) / 2: the joint without a label counts in the mean
    assert network.weight.flatten().tolist() == pytest.approx([1 - 0.1 * 4.0, 1.0])  # dL/dw = 2 * 2 * 2 / 2


def test_validation_comes_as_often_as_asked_and_leaves_no_trace_in_the_weights(
    dataset: PoseDataset, tmp_path: Path
) -> None:
    def score(network: nn.Module) -> dict[str, float]:
        network.eval()
        return {"pck": 1.0}

    (tmp_path / "with").mkdir()
    torch.manual_seed(5)
    network = TinyNet()
    recipe = replace(tiny.RECIPE, validate_every=3)
    fit(network, dataset, recipe, seed=5, folder=tmp_path / "with", device=CPU, validate=score)
    rows = read_rows(tmp_path / "with" / "metrics.jsonl")
    assert [row["iteration"] for row in rows if "validation" in row] == [3, 6, 9]
    assert_same(network, trained(dataset, tmp_path / "without"))
