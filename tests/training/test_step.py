"""A step on fixed buffers against a step as it comes, and recorded as a CUDA graph where there is a GPU."""

import copy
from collections import Counter
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import tiny
from helpers.refused import refused
from helpers.training import fit, learner, step, train
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

import archlab
from archlab.tasks.pose.data.coco import load_people
from archlab.tasks.pose.data.dataset import PoseDataset
from archlab.training.loop import Halted, make_optimiser
from archlab.training.metrics_log import read_rows
from archlab.training.recipe import Recipe
from archlab.training.schedule import Optimiser
from archlab.training.step import FixedStep, put_back, set_rate, update

CPU = torch.device("cpu")
RATES = (2e-5, 1e-3, 2e-3, 0.7e-3, 1e-4)
OPTIMISERS = {
    "adam": Optimiser(),
    "adam with decay": Optimiser(weight_decay=1e-2),
    "sgd with momentum": Optimiser("sgd", lr=0.1),
    "sgd without momentum": Optimiser("sgd", lr=0.1, momentum=0.0),
}
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="records a CUDA graph, and there is no GPU here")


def network(device: torch.device = CPU) -> nn.Module:
    torch.manual_seed(5)
    spec = archlab.load("lite_hrnet_18", input=(3, 32, 32), **{"stages.modules": [1, 1]})
    return archlab.build(spec).train().to(device)


def batch(seed: int, size: int = 4, device: torch.device = CPU) -> dict[str, Tensor]:
    made = torch.Generator().manual_seed(seed)
    images, targets = torch.randn(size, 3, 32, 32, generator=made), torch.rand(size, 17, 8, 8, generator=made)
    weights = torch.randint(0, 2, (size, 17, 1), generator=made).float()
    return {"image": images.to(device), "target": targets.to(device), "weight": weights.to(device)}


def taken(
    way: str, choice: Optimiser, parts: int, *, bf16: bool = False, device: torch.device = CPU
) -> tuple[list[float], dict[str, Tensor]]:
    """Losses, and all that training has changed, after five steps: weights, statistics and moments."""
    trained = network(device)
    optimiser = make_optimiser(trained, choice, recordable=way == "fixed")
    fixed = FixedStep(learner(trained, optimiser, bf16=bf16), device)
    losses = []
    for number, lr in enumerate(RATES):
        micro = [batch(10 * number + part, device=device) for part in range(parts)]
        if way == "fixed":
            losses.append(fixed(*micro, lr=lr))
        else:
            losses.append(step(trained, optimiser, *micro, lr=lr, bf16=bf16, device=device))
    moments = {
        f"{name} {kind}": value
        for name, weight in trained.named_parameters()
        for kind, value in optimiser.state.get(weight, {}).items()
        if isinstance(value, Tensor)
    }
    return [loss.item() for loss in losses], {**trained.state_dict(), **moments}


@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_a_step_on_fixed_buffers_does_what_a_step_does_bit_for_bit(optimiser: str, parts: int) -> None:
    losses, state = taken("as it comes", OPTIMISERS[optimiser], parts)
    fixed_losses, fixed_state = taken("fixed", OPTIMISERS[optimiser], parts)
    assert fixed_losses == losses
    assert len(set(losses)) == 5
    assert fixed_state.keys() == state.keys()
    assert any("running_mean" in name for name in state)
    assert any("exp_avg_sq" in name or "momentum_buffer" in name for name in state) == ("without" not in optimiser)
    for name, values in state.items():
        assert torch.equal(fixed_state[name], values), name


def test_another_shape_is_worked_on_as_it_comes_and_that_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    ends = []
    for way in ("fixed", "as it comes"):
        trained = network()
        optimiser = make_optimiser(trained, Optimiser(), recordable=way == "fixed")
        fixed = FixedStep(learner(trained, optimiser), CPU)
        for number, size in enumerate((4, 2, 3, 4)):
            if way == "fixed":
                fixed(batch(number, size), lr=1e-3)
            else:
                step(trained, optimiser, batch(number, size), lr=1e-3, bf16=False, device=CPU)
        ends.append(trained.state_dict())
    assert capsys.readouterr().err.splitlines() == ["a batch of another shape runs without the CUDA graph"]
    assert all(torch.equal(one, other) for one, other in zip(*(end.values() for end in ends), strict=True))


def test_the_loss_of_a_step_is_its_own_memory() -> None:
    trained = network()
    fixed = FixedStep(learner(trained, make_optimiser(trained, Optimiser(), recordable=True)), CPU)
    first = fixed(batch(0), lr=1e-3)
    before = first.item()
    assert fixed(batch(1), lr=1e-3).item() != before
    assert first.item() == before


class NothingWaits(TorchDispatchMode):
    """Refuses what makes the host wait for a device, by which a recording would fail; counts all else."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        name = func.overloadpacket.__name__
        assert name not in {"_local_scalar_dense", "is_nonzero", "nonzero", "equal"}, name
        self.seen[str(func)] += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_nothing_in_an_update_waits_for_the_device_and_the_rate_is_read_from_its_tensor(
    optimiser: str, bf16: bool
) -> None:
    trained = network()
    made = make_optimiser(trained, OPTIMISERS[optimiser], recordable=True)
    for _ in range(2):
        with NothingWaits() as mode:
            update(learner(trained, made, bf16=bf16), [batch(0)])
    assert mode.seen[f"aten._fused_{optimiser.split()[0]}_.tensor_lr"] == 1
    assert mode.seen["aten.convolution_backward.default"] > 20


def test_a_rate_is_the_same_number_as_a_tensor_and_as_a_float() -> None:
    for choice in OPTIMISERS.values():
        rates = []
        for recordable in (False, True):
            optimiser = make_optimiser(nn.Linear(1, 1), choice, recordable=recordable)
            tensor = optimiser.param_groups[0]["lr"]
            set_rate(optimiser, 1 / 3)
            assert (optimiser.param_groups[0]["lr"] is tensor) == recordable
            rates.append(float(optimiser.param_groups[0]["lr"]))
        assert rates == [float(np.float32(1 / 3))] * 2


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("steps_before", [0, 2])
def test_after_a_warm_up_all_is_as_if_there_had_been_none(optimiser: str, steps_before: int) -> None:
    """In place, too: what a graph reads and writes is where it was."""
    ends = []
    for warm in (False, True):
        trained = network()
        adam = make_optimiser(trained, OPTIMISERS[optimiser], recordable=True)
        for number in range(steps_before):
            update(learner(trained, adam, bf16=False), [batch(number)])
        if warm:
            tensors = [
                *trained.state_dict().values(),
                *(v for s in adam.state.values() for v in s.values() if v is not None),
            ]
            places, values = [tensor.data_ptr() for tensor in tensors], copy.deepcopy(tensors)
            random = torch.get_rng_state()
            with put_back(trained, adam):
                for number in range(3):
                    update(learner(trained, adam, bf16=False), [batch(50 + number)])
                torch.rand(3)
                assert not all(torch.equal(now, then) for now, then in zip(tensors, values, strict=True))
            assert [tensor.data_ptr() for tensor in tensors] == places
            assert all(torch.equal(now, then) for now, then in zip(tensors, values, strict=True))
            assert torch.equal(torch.get_rng_state(), random)
            assert all(weight.grad is None for weight in trained.parameters())
        for number in range(7, 9):
            update(learner(trained, adam, bf16=False), [batch(number)])
        ends.append(trained.state_dict())
    for name, values in ends[0].items():
        assert torch.equal(ends[1][name], values), name


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_data(tmp_path_factory.mktemp("capture"))


def fitted(root: Path, folder: Path, recipe: Recipe, iterations: int | None = None) -> dict[str, Tensor]:
    """With `iterations`, broken off there by a judge."""
    folder.mkdir(exist_ok=True)
    dataset = PoseDataset(load_people(root, "train2017", aspect=1.0), (64, 64), seed=5)
    torch.manual_seed(5)
    made = archlab.build(tiny.make_spec(folder))
    options = {"rungs": (iterations,), "judge": lambda *_: False, "validate": lambda _: {}} if iterations else {}
    with pytest.raises(Halted) if iterations else nullcontext():
        fit(made, dataset, recipe, seed=5, folder=folder, device=CPU, **options)  # type: ignore[arg-type]
    return made.state_dict()


@pytest.mark.parametrize("optimiser", OPTIMISERS)
@pytest.mark.parametrize("turns", [("eager", "graph"), ("graph", "eager"), ("graph", "graph")])
def test_a_run_that_goes_on_by_another_execution_ends_with_the_same_bits(
    root: Path, tmp_path: Path, turns: tuple[str, str], optimiser: str
) -> None:
    """On a CPU `graph` is the step on fixed buffers, with the optimiser that a recording needs."""
    recipe = tiny.RECIPE.changed(optimiser=OPTIMISERS[optimiser], accumulate=2)
    whole = fitted(root, tmp_path / "whole", recipe)
    before, after = (recipe.changed(execution=turn) for turn in turns)
    half = fitted(root, tmp_path / "two", before, iterations=5)
    ended = fitted(root, tmp_path / "two", after)
    assert not all(torch.equal(half[name], values) for name, values in whole.items())
    for name, values in whole.items():
        assert torch.equal(ended[name], values), name


@pytest.mark.slow
def test_a_compiled_training_computes_what_an_eager_one_does(root: Path, tmp_path: Path) -> None:
    eager, compiled = (
        fitted(root, tmp_path / execution, tiny.RECIPE.changed(execution=execution))
        for execution in ("eager", "compile")
    )
    assert list(compiled) == list(eager)
    begun = archlab.build(tiny.make_spec(tmp_path)).state_dict()
    for name, values in eager.items():
        torch.testing.assert_close(compiled[name], values, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(eager["last.conv.weight"], begun["last.conv.weight"], atol=1e-4)


def test_without_a_gpu_a_recipe_with_a_cuda_graph_is_refused_with_the_device(root: Path, tmp_path: Path) -> None:
    with refused("'cpu'", field="execution"):
        train(tiny.make_spec(tmp_path), tiny.RECIPE.changed(execution="graph"), root, out=tmp_path, device="cpu")
    assert not list(tmp_path.glob("*/record.json"))


@needs_gpu
@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("parts", [1, 2])
@pytest.mark.parametrize("optimiser", OPTIMISERS)
def test_a_recorded_step_does_what_a_step_does(optimiser: str, parts: int, bf16: bool) -> None:
    """Up to the order in which a GPU adds. The bounds are guesses: a step too many or too few would change a fifth."""
    device = torch.device("cuda")
    losses, state = taken("as it comes", OPTIMISERS[optimiser], parts, bf16=bf16, device=device)
    recorded_losses, recorded_state = taken("fixed", OPTIMISERS[optimiser], parts, bf16=bf16, device=device)
    assert recorded_losses == pytest.approx(losses, rel=1e-2 if bf16 else 1e-3)
    counted = {name for name in state if "tracked" in name or name.endswith(" step")}
    for name in counted:
        assert torch.equal(recorded_state[name], state[name]), name
    begun = {name: value.float() for name, value in network(device).state_dict().items() if name not in counted}
    moved = sum((state[name] - value).square().sum() for name, value in begun.items())
    apart = sum((state[name] - recorded_state[name]).square().sum() for name in begun)
    assert apart < (0.1 if bf16 else 0.02) ** 2 * moved


@needs_gpu
def test_a_run_recorded_on_a_gpu_and_gone_on_with_has_the_losses_of_one_that_is_not(root: Path, tmp_path: Path) -> None:
    """The whole loop, with threads that take pinned memory while the step is recorded."""
    recipe = tiny.RECIPE.changed(pipeline="batched", workers=2, log_every=1)
    for execution in ("eager", "graph"):
        spec = tiny.make_spec(tmp_path)
        train(spec, recipe.changed(execution=execution), root, out=tmp_path / execution, device="cuda")
    curves = [
        [row["loss"] for row in read_rows(next((tmp_path / execution).glob("*/metrics.jsonl"))) if "loss" in row]
        for execution in ("eager", "graph")
    ]
    assert len(curves[0]) == 10
    assert curves[1] == pytest.approx(curves[0], rel=1e-3)
