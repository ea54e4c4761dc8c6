"""The training loop: stopping and going on, the order of samples, and losses that are no numbers."""

import importlib.util
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import tiny
from helpers.faulty import Breaks, FaultyNet, assert_same, trained
from helpers.refused import refused
from helpers.training import fit, samples_of, step
from torch import Tensor, nn

from archlab.core.distributed import World
from archlab.tasks.pose.data.coco import load_people
from archlab.tasks.pose.data.dataset import PoseDataset
from archlab.tasks.pose.options import Augmentation
from archlab.training.divergence import TrainingError
from archlab.training.loop import Halted, Plan, batches, plan
from archlab.training.metrics_log import flat, read_rows
from archlab.training.recipe import Recipe
from archlab.training.schedule import Optimiser
from archlab.training.state import Average

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_data(tmp_path_factory.mktemp("loop"))


@pytest.fixture
def dataset(root: Path) -> PoseDataset:
    people = load_people(root, "train2017", aspect=1.0)
    return PoseDataset(people, (64, 64), augmentation=Augmentation(), seed=5, cache_bytes=10**8)


@pytest.mark.parametrize(
    "recipe",
    [
        tiny.RECIPE,
        tiny.RECIPE.changed(optimiser=Optimiser("sgd", lr=0.1)),
        tiny.RECIPE.changed(accumulate=2, ema=0.9),
        tiny.RECIPE.changed(pipeline="batched", workers=1),
    ],
)
@pytest.mark.parametrize("step_of_the_fault", [2, 3, 6, 10])
def test_training_broken_off_and_taken_up_again_ends_with_the_same_bits(
    dataset: PoseDataset, tmp_path: Path, recipe: Recipe, step_of_the_fault: int
) -> None:
    whole = trained(dataset, tmp_path / "whole", recipe)
    with pytest.raises(Breaks):
        trained(dataset, tmp_path / "broken", recipe, breaks_at=step_of_the_fault)
    again = trained(dataset, tmp_path / "broken", recipe)
    none_saved = step_of_the_fault <= 2 * recipe.accumulate
    assert again.calls < whole.calls or none_saved  # it did not start anew, but where no checkpoint was
    assert_same(whole, again)


@pytest.mark.parametrize("keep_gigabytes", [0.0, 1.0])
def test_the_batched_pipeline_has_the_losses_of_the_samples(
    dataset: PoseDataset, tmp_path: Path, keep_gigabytes: float
) -> None:
    batched = tiny.RECIPE.changed(pipeline="batched", keep_gigabytes=keep_gigabytes, log_every=1)
    trained(dataset, tmp_path / "samples", tiny.RECIPE.changed(log_every=1))
    trained(dataset, tmp_path / "batched", batched)
    curves = [[row["loss"] for row in read_rows(tmp_path / way / "metrics.jsonl")] for way in ("samples", "batched")]
    assert curves[1] == pytest.approx(curves[0], rel=1e-3)
    assert len(curves[0]) == tiny.RECIPE.iterations


def test_metrics_hold_every_row_once_after_a_break(dataset: PoseDataset, tmp_path: Path) -> None:
    trained(dataset, tmp_path / "whole")
    with pytest.raises(Breaks):
        trained(dataset, tmp_path / "broken", tiny.RECIPE.changed(checkpoint_every=3), breaks_at=9)
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
    trained(dataset, tmp_path / "fine", tiny.RECIPE.changed(log_every=1))
    trained(dataset, tmp_path / "coarse", tiny.RECIPE.changed(log_every=4))
    fine = [row["loss"] for row in read_rows(tmp_path / "fine" / "metrics.jsonl")]
    coarse = [row["loss"] for row in read_rows(tmp_path / "coarse" / "metrics.jsonl")]
    assert coarse == pytest.approx([np.mean(fine[:4]), np.mean(fine[4:8]), np.mean(fine[8:])], rel=1e-6)


def test_the_order_and_augmentation_do_not_depend_on_workers_or_on_where_one_starts(dataset: PoseDataset) -> None:
    course = plan(tiny.RECIPE, len(dataset))

    def seen(start: int, workers: int) -> list[Tensor]:
        return [
            torch.cat([batch["image"].flatten(), batch["index"].float()])
            for batch in batches(samples_of(dataset, tiny.RECIPE.changed(workers=workers)), course, 5, start=start)
        ]

    alone = seen(0, 0)
    assert len(alone) == 10
    for start, workers in ((0, 3), (4, 0), (7, 2)):
        for one, other in zip(alone[start:], seen(start, workers), strict=True):
            assert torch.equal(one, other)


def test_an_epoch_shows_every_person_at_most_once_and_each_epoch_in_another_order(dataset: PoseDataset) -> None:
    course = plan(tiny.RECIPE, len(dataset))
    found = [b["index"] for b in batches(samples_of(dataset, tiny.RECIPE), course, 5, start=0)]
    first, second = torch.cat(found[:3]).tolist(), torch.cat(found[3:6]).tolist()
    assert len(set(first)) == len(set(second)) == 12
    assert first != second


def test_epochs_become_steps_and_a_set_smaller_than_a_batch_is_one_batch() -> None:
    recipe = tiny.RECIPE.changed(iterations=None, epochs=5)
    assert (plan(recipe, 14).steps, plan(recipe, 14).total, plan(recipe, 14).unit) == (3, 15, 3)
    assert (plan(recipe, 3).batch, plan(recipe, 3).total) == (3, 5)
    assert (plan(tiny.RECIPE, 14).total, plan(tiny.RECIPE, 14).unit) == (10, 1)


def test_a_loss_that_is_no_number_stops_training_with_its_step_and_rate(dataset: PoseDataset, tmp_path: Path) -> None:
    recipe = tiny.RECIPE.changed(schedule=replace(tiny.RECIPE.schedule, decay="constant"), checkpoint_every=4)
    with refused("nan", "iteration 7", "0.002", error=TrainingError):
        trained(dataset, tmp_path / "run", recipe, nan_at=7)
    assert [row["iteration"] for row in read_rows(tmp_path / "run" / "metrics.jsonl")] == [4]
    state = torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)
    assert state["iteration"] == 4
    assert all(values.isfinite().all() for values in state["state_dict"].values())


def test_no_checkpoint_is_written_over_a_good_one_once_the_loss_is_no_number(
    dataset: PoseDataset, tmp_path: Path
) -> None:
    recipe = tiny.RECIPE.changed(checkpoint_every=1, log_every=10)
    with refused("iteration 3", error=TrainingError):
        trained(dataset, tmp_path / "run", recipe, nan_at=3)
    assert torch.load(tmp_path / "run" / "checkpoint.pt", weights_only=True)["iteration"] == 2


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", None])
def test_a_damaged_or_foreign_checkpoint_is_refused(
    dataset: PoseDataset, tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "checkpoint.pt"
    if content is None:
        torch.save(FaultyNet().state_dict(), path)
    else:
        path.write_bytes(content)
    with refused(file=tmp_path / "checkpoint.pt"):
        trained(dataset, tmp_path)


def test_in_bf16_the_weights_stay_in_float32(dataset: PoseDataset, tmp_path: Path) -> None:
    network = trained(dataset, tmp_path, tiny.RECIPE.changed(precision="bf16", iterations=2))
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
    def score(network: nn.Module) -> dict[str, dict[str, float]]:
        network.eval()
        return {"ground_truth_boxes": {"pck": 1.0}}

    (tmp_path / "with").mkdir()
    torch.manual_seed(5)
    network = FaultyNet()
    recipe = tiny.RECIPE.changed(validate_every=3)
    fit(network, dataset, recipe, seed=5, folder=tmp_path / "with", device=CPU, validate=score)
    rows = read_rows(tmp_path / "with" / "metrics.jsonl")
    assert [row["iteration"] for row in rows if "validation" in row] == [3, 6, 9]
    assert_same(network, trained(dataset, tmp_path / "without"))


def test_micro_batches_take_the_step_of_the_whole_batch_at_the_same_rate(dataset: PoseDataset, tmp_path: Path) -> None:
    # Without dropout and batch statistics, which see a micro-batch alone.
    ends = []
    for accumulate in (1, 2, 4):
        (tmp_path / str(accumulate)).mkdir()
        torch.manual_seed(5)
        network = nn.Sequential(nn.Conv2d(3, 8, 5, stride=4, padding=2), nn.ReLU(), nn.Conv2d(8, 17, 3, padding=1))
        recipe = tiny.RECIPE.changed(accumulate=accumulate, log_every=1)
        fit(network, dataset, recipe, seed=5, folder=tmp_path / str(accumulate), device=CPU)
        rows = read_rows(tmp_path / str(accumulate) / "metrics.jsonl")
        ends.append(([row["loss"] for row in rows], [row["lr"] for row in rows], network[2].weight.detach().numpy()))
    for losses, rates, weights in ends[1:]:
        assert losses == pytest.approx(ends[0][0], rel=1e-5)
        assert rates == ends[0][1]
        np.testing.assert_allclose(weights, ends[0][2], atol=1e-5)


def test_a_batch_that_cannot_be_shared_out_is_refused() -> None:
    assert (plan(tiny.RECIPE.changed(accumulate=2), 14).parts, plan(tiny.RECIPE, 14, 2).parts) == (2, 2)
    with refused("4 people", "3 processes", field="batch"):
        plan(tiny.RECIPE, 14, 3)
    with refused("1 people", field="batch"):
        plan(tiny.RECIPE.changed(accumulate=2), 1)


def test_processes_share_out_the_people_of_each_step_that_one_alone_would_see(dataset: PoseDataset) -> None:
    alone, shared = plan(tiny.RECIPE.changed(accumulate=2), 14), plan(tiny.RECIPE, 14, 2)

    def seen(course: Plan, world: World) -> list[list[int]]:
        found = batches(samples_of(dataset, tiny.RECIPE), course, 5, start=1, world=world)
        return [batch["index"].tolist() for batch in found]

    one, first, second = seen(alone, World()), seen(shared, World(0, 2)), seen(shared, World(1, 2))
    assert len(first) == len(second) == 9
    assert one == [part for pair in zip(first, second, strict=True) for part in pair]


def test_the_average_of_weights_forgets_by_its_decay_and_fast_at_first() -> None:
    network = nn.BatchNorm1d(1)
    average = Average(network, 0.5)
    expected = 1.0
    for step_number, (weight, decay) in enumerate(zip((3.0, 5.0, 7.0), (1 / 10, 2 / 11, 3 / 12), strict=True)):
        nn.init.constant_(network.weight, weight)
        network.num_batches_tracked += 1
        average.update(network, step_number)
        expected = decay * expected + (1 - decay) * weight
        assert average.network.weight.item() == pytest.approx(expected)
    average.update(network, 1000)  # 1001 / 1010 is more than the decay
    assert average.network.weight.item() == pytest.approx(0.5 * expected + 0.5 * 7.0)
    assert average.network.num_batches_tracked.item() == 3


def test_averaged_weights_are_scored_saved_and_left_in_the_network_and_training_does_not_notice(
    dataset: PoseDataset, tmp_path: Path
) -> None:
    plain = trained(dataset, tmp_path / "plain")
    averaged = trained(dataset, tmp_path / "averaged", tiny.RECIPE.changed(ema=0.9))
    values = torch.load(tmp_path / "averaged" / "checkpoint.pt", weights_only=True)
    for name, tensor in averaged.state_dict().items():
        assert torch.equal(tensor, values["state_dict"][name])
        assert torch.equal(plain.state_dict()[name], values["trained"][name])
    assert not torch.equal(averaged.last.weight, plain.last.weight)
    scored = []
    torch.manual_seed(5)
    network = FaultyNet()
    (tmp_path / "validated").mkdir()
    recipe = tiny.RECIPE.changed(ema=0.9, validate_every=9)
    fit(network, dataset, recipe, seed=5, folder=tmp_path / "validated", device=CPU,
        validate=lambda given: scored.append(given) or {})  # type: ignore[func-returns-value]  # fmt: skip
    assert len(scored) == 1
    assert scored[0] is not network
    assert_same(network, averaged)


def test_rows_tell_speed_waiting_and_memory(dataset: PoseDataset, tmp_path: Path) -> None:
    trained(dataset, tmp_path / "run")
    for row in read_rows(tmp_path / "run" / "metrics.jsonl"):
        assert row["images_per_second"] > 0
        assert 0 < row["data_wait"] < 1
        assert row["memory_mib"] > 50  # PyTorch alone takes more


def test_tensorboard_draws_the_numbers_of_the_rows_where_it_is_installed_and_is_asked_for_where_not(
    dataset: PoseDataset, tmp_path: Path
) -> None:
    (tmp_path / "run").mkdir()
    options = {"seed": 5, "folder": tmp_path / "run", "device": CPU, "board": True}
    if importlib.util.find_spec("tensorboard") is None:
        with refused("pip install 'archlab[tensorboard]'"):
            fit(FaultyNet(), dataset, tiny.RECIPE, **options)
    else:
        fit(FaultyNet(), dataset, tiny.RECIPE, **options)
        assert [path.stat().st_size > 0 for path in (tmp_path / "run" / "tensorboard").iterdir()] == [True]
        assert len(read_rows(tmp_path / "run" / "metrics.jsonl")) == 3


def test_a_row_is_drawn_by_the_path_of_its_numbers() -> None:
    row = {"validation": {"ground_truth_boxes": {"AP": 1.5, "APL": None}}, "loss": 2.0}
    assert list(flat(row)) == [("validation/ground_truth_boxes/AP", 1.5), ("loss", 2.0)]


class Judged:
    """A training whose scores are how often it has been scored, and whose judge keeps what it is told."""

    def __init__(self, dataset: PoseDataset, folder: Path, recipe: Recipe = tiny.RECIPE) -> None:
        self.dataset, self.folder, self.recipe = dataset, folder, recipe
        self.scored, self.told = 0, []
        folder.mkdir()

    def score(self, network: nn.Module) -> dict[str, dict[str, float]]:
        network.eval()
        self.scored += 1
        return {"ground_truth_boxes": {"pck": float(self.scored)}}

    def train(self, rungs: tuple[int, ...], *, ends_at: int = -1, breaks_at: int = -1) -> nn.Module:
        def judge(rung: int, scores: dict[str, dict[str, float]]) -> bool:
            self.told.append((rung, scores["ground_truth_boxes"]["pck"]))
            if rung == breaks_at:
                raise Breaks
            return rung != ends_at

        torch.manual_seed(5)
        network = FaultyNet()
        fit(network, self.dataset, self.recipe, seed=5, folder=self.folder, device=CPU, validate=self.score, rungs=rungs,
            judge=judge)  # fmt: skip
        return network

    @property
    def validations(self) -> list[tuple[int, float]]:
        rows = [row for row in read_rows(self.folder / "metrics.jsonl") if "validation" in row]
        return [(row["iteration"], row["validation"]["ground_truth_boxes"]["pck"]) for row in rows]


@pytest.mark.parametrize("recipe", [tiny.RECIPE, tiny.RECIPE.changed(accumulate=2, ema=0.9)])
def test_a_training_that_a_judge_ends_is_saved_and_goes_on_to_the_same_bits(
    dataset: PoseDataset, tmp_path: Path, recipe: Recipe
) -> None:
    whole = trained(dataset, tmp_path / "whole", recipe)
    judged = Judged(dataset, tmp_path / "judged", recipe)
    with pytest.raises(Halted, match="stopped at rung 2 of 3, iteration 5"):
        judged.train((3, 5, 8), ends_at=1)
    assert torch.load(judged.folder / "checkpoint.pt", weights_only=True)["iteration"] == 5
    assert judged.told == [(0, 1.0), (1, 2.0)]
    assert_same(whole, judged.train(()))
    assert judged.told == [(0, 1.0), (1, 2.0)]
    rows = [
        [row for row in read_rows(tmp_path / name / "metrics.jsonl") if "loss" in row] for name in ("whole", "judged")
    ]
    assert [(row["iteration"], row["loss"]) for row in rows[0]] == [(row["iteration"], row["loss"]) for row in rows[1]]


def test_a_training_taken_up_at_a_rung_is_judged_by_the_scores_it_has_and_beyond_one_not(
    dataset: PoseDataset, tmp_path: Path
) -> None:
    judged = Judged(dataset, tmp_path / "judged")
    with pytest.raises(Breaks):  # as by a kill: nothing is saved where it happens
        judged.train((3, 5), breaks_at=1)
    with pytest.raises(Halted):
        judged.train((3, 5), ends_at=1)
    assert (judged.told, judged.scored) == ([(0, 1.0), (1, 2.0), (1, 2.0)], 2)
    assert_same(judged.train((3, 5)), trained(dataset, tmp_path / "whole"))
    assert (judged.told, judged.scored) == ([(0, 1.0), (1, 2.0), (1, 2.0), (1, 2.0)], 2)
    assert judged.validations == [(3, 1.0), (5, 2.0)]


def test_a_rung_where_the_recipe_scores_too_is_scored_once(dataset: PoseDataset, tmp_path: Path) -> None:
    judged = Judged(dataset, tmp_path / "judged", tiny.RECIPE.changed(validate_every=3))
    judged.train((4, 6))
    assert judged.validations == [(3, 1.0), (4, 2.0), (6, 3.0), (9, 4.0)]
    assert judged.told == [(0, 2.0), (1, 3.0)]


@pytest.mark.parametrize("rungs", [(0,), (10,), (5, 3), (3, 3)])
def test_rungs_that_do_not_rise_within_the_training_are_refused(
    dataset: PoseDataset, tmp_path: Path, rungs: tuple[int, ...]
) -> None:
    with refused("10 iterations", field="rungs") as caught:
        Judged(dataset, tmp_path / "judged").train(rungs)
    assert [problem.field for problem in caught.value.problems] == ["rungs"]
