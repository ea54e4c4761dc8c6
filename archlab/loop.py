"""The training loop: it knows no model, and stopped at any moment it goes on without a trace in the weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from archlab.data.batched import BatchedPipeline
from archlab.data.dataset import PoseDataset
from archlab.data.loading import Batch, load_batches
from archlab.data.targets import joints_mse
from archlab.distributed import ALONE, World
from archlab.errors import InputError, Problem
from archlab.faults import SoundSamples, Stopped, StopRequest, TrainingError, save_nan_batch, within_memory
from archlab.journal import Journal
from archlab.recipe import Optimiser, Recipe
from archlab.state import Average, State

Validate = Callable[[nn.Module], dict[str, Any]]
CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class Plan:
    """`batch` people a step, `steps` an epoch, `total` steps; the recipe's length and milestones count `unit` steps.

    A step's people go through the network in `parts` of equal size, each in one process.
    """

    people: int
    batch: int
    steps: int
    total: int
    unit: int
    parts: int = 1


def plan(recipe: Recipe, people: int, processes: int = 1) -> Plan:
    """What a recipe asks for with so many people to train on; InputError if its batch cannot be shared out.

    `batch` is the whole step's over all processes and micro-batches, and the learning rate is that of the whole batch:
    neither `accumulate` nor the number of processes changes it.
    """
    parts = recipe.accumulate * processes
    batch = min(recipe.batch, people) // parts * parts
    if batch == 0 or recipe.batch % parts:
        shares = f"{processes} processes with {recipe.accumulate} micro-batches each"
        raise InputError(Problem(f"{min(recipe.batch, people)} people cannot be shared out to {shares}", "batch"))
    steps = people // batch
    unit = steps if recipe.epochs else 1
    return Plan(people, batch, steps, (recipe.epochs or recipe.iterations or 0) * unit, unit, parts)


REGION_PIXELS = 640 * 480
"""What the batched pipeline keeps of a person: 0.05 grey levels from the reference in the mean, 387 kB (COCO)."""


def fit(
    network: nn.Module,
    dataset: PoseDataset,
    recipe: Recipe,
    *,
    seed: int,
    folder: Path,
    device: torch.device,
    validate: Validate | None = None,
    world: World = ALONE,
    stop: StopRequest | None = None,
    board: bool = False,
) -> Journal:
    """Train `network` in place, from the checkpoint in `folder` if there is one; metrics and checkpoints go there.

    `validate` scores the network during training, as often as the recipe says; with `ema` it sees the averaged weights,
    and they are what `network` has at the end. `board`: rows go to TensorBoard too. Raises TrainingError when the loss
    is NaN or infinite, with the iteration, the learning rate and a file that names the people of that step; InputError
    with the batch that fits if memory does not suffice; Stopped, after saving, when `stop` is asked for.
    """
    course = plan(recipe, len(dataset), world.size)
    journal = Journal(folder / "metrics.jsonl", course.batch, course.steps, writes=world.first)
    average = Average(network, recipe.ema) if recipe.ema else None
    state = State(network, make_optimiser(network, recipe.optimiser), journal, average, world)
    state.restore(folder / CHECKPOINT)
    if board:
        journal.draw_on_board(folder)
    try:
        _train(state, dataset, recipe, course, seed, folder, device, validate, stop or StopRequest())
    except Stopped:
        state.save(folder / CHECKPOINT)
        raise
    except TrainingError as error:
        raise save_nan_batch(error, state.people_of(error.iteration), dataset.people, folder) from None
    finally:
        journal.close()
    scored = state.scored()
    if scored is not network:
        network.load_state_dict(scored.state_dict())
    return journal


def _train(
    state: State,
    dataset: PoseDataset,
    recipe: Recipe,
    course: Plan,
    seed: int,
    folder: Path,
    device: torch.device,
    validate: Validate | None,
    stop: StopRequest,
) -> None:
    """All steps that are left."""
    network, journal, world = state.network.train(), state.journal, state.world
    parallel = world.parallel(network, device)
    samples = _samples(dataset, recipe, folder, device, world)
    loaded = batches(samples, course, seed, start=journal.iteration, workers=recipe.workers, device=device, world=world)
    loaded = journal.waiting(loaded)
    with stop.waiting(), world.progress("training", course.total, done=journal.iteration) as advance:
        while journal.iteration < course.total:
            due = _due(journal.iteration, recipe.validate_every, course.unit) and journal.validated < journal.iteration
            if validate and due and journal.iteration:
                with stop.waiting(world.size > 1):  # several processes stop together or not at all
                    journal.append({"validation": validate(state.scored())})
                network.train()
            micro = [next(loaded) for _ in range(recipe.accumulate)]
            lr = recipe.optimiser.lr * recipe.schedule.at(journal.iteration, total=course.total, unit=course.unit)
            bf16 = recipe.precision == "bf16"
            update = partial(step, parallel, state.optimiser, lr=lr, bf16=bf16, device=device)
            loss = within_memory(update, micro, trial=world.size == 1)
            state.count(loss, lr, torch.cat([batch["index"] for batch in micro]))
            last, row = journal.iteration == course.total, journal.iteration % recipe.log_every == 0
            if last or row:
                state.write_row()
            agree = last or row or world.size == 1  # several processes only now and then: it makes a GPU wait
            old = agree and world.any(state.older_than(recipe.checkpoint_seconds))
            if last or old or _due(journal.iteration, recipe.checkpoint_every):
                state.save(folder / CHECKPOINT)
            advance(1, journal.note)
            if agree and not last:
                stop.number = max(world.gather(stop.number))
                stop.look()


def _samples(
    dataset: PoseDataset, recipe: Recipe, folder: Path, device: torch.device, world: World
) -> PoseDataset | BatchedPipeline:
    """Where batches come from: sample by sample, corrupt images stood in for, or made at once on the device."""
    if recipe.pipeline == "samples":
        return cast(PoseDataset, SoundSamples(dataset, folder, writes=world.first))
    budget = int(recipe.keep_gigabytes * 1e9)
    return BatchedPipeline(
        dataset, device=device, budget_bytes=budget, region_pixels=REGION_PIXELS, workers=recipe.workers
    )


def step(
    network: nn.Module, optimiser: torch.optim.Optimizer, *micro: Batch, lr: float, bf16: bool, device: torch.device
) -> Tensor:
    """One update of the weights by the mean gradient of micro-batches of equal size, one after the other.

    Returns the mean loss, which stays on the device so that no step waits for it. The rate is the whole batch's.
    """
    for group in optimiser.param_groups:
        group["lr"] = lr
    optimiser.zero_grad(set_to_none=True)
    losses = []
    for number, batch in enumerate(micro, start=1):
        images, targets, weights = (batch[name].to(device, non_blocking=True) for name in ("image", "target", "weight"))
        with _gradients_kept_here(network, number < len(micro)):
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
                heatmaps = network(images)
            loss = joints_mse(heatmaps.float(), targets, weights) / len(micro)
            loss.backward()  # type: ignore[no-untyped-call]
        losses.append(loss.detach())
    optimiser.step()
    return torch.stack(losses).sum()


def _gradients_kept_here(network: nn.Module, kept: bool) -> AbstractContextManager[None]:
    """Processes exchange gradients once a step, at its last micro-batch."""
    parallel = kept and isinstance(network, DistributedDataParallel)
    return cast(DistributedDataParallel, network).no_sync() if parallel else nullcontext()


def batches(
    dataset: PoseDataset | BatchedPipeline,
    course: Plan,
    seed: int,
    *,
    start: int,
    workers: int,
    device: torch.device,
    world: World = ALONE,
) -> Iterator[Batch]:
    """The micro-batches of this process from iteration `start` to the end of training.

    The order of an epoch follows from (seed, epoch) and the augmentation of a sample from (seed, epoch, index) alone,
    so that neither a restart nor the number of workers changes what is seen. A step's people are split into `parts`,
    dealt out to the processes in turn: what a step sees does not depend on how many there are.
    """
    while start < course.total:
        epoch, done = divmod(start, course.steps)
        dataset.set_epoch(epoch)
        order = np.random.default_rng((seed, epoch)).permutation(course.people)[: course.steps * course.batch]
        steps = order.reshape(course.steps, course.parts, -1)[done : done + course.total - start]
        rows = steps[:, world.rank :: world.size].reshape(-1, steps.shape[-1]).tolist()
        if isinstance(dataset, BatchedPipeline):
            yield from dataset.stream(rows)
        else:
            yield from load_batches(dataset, rows, workers=workers, pin=device.type == "cuda")
        start += len(steps)


def make_optimiser(network: nn.Module, choice: Optimiser) -> torch.optim.Optimizer:
    """Adam or SGD, in its fused form: one call for all parameters, of which Lite-HRNet has some 800 small ones."""
    fused = next(network.parameters()).device.type in {"cpu", "cuda"}
    decay = choice.weight_decay
    if choice.name == "adam":
        return torch.optim.Adam(network.parameters(), choice.lr, choice.betas, weight_decay=decay, fused=fused)
    return torch.optim.SGD(network.parameters(), choice.lr, choice.momentum, weight_decay=decay, fused=fused)


def _due(iteration: int, every: int | None, unit: int = 1) -> bool:
    return every is not None and iteration % (every * unit) == 0
