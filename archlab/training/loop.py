"""The training loop: it knows no model, and stopped at any moment it goes on without a trace in the weights."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from archlab.core.distributed import ALONE, World
from archlab.core.errors import InputError, Problem
from archlab.core.signals import Stopped, StopRequest
from archlab.tasks.loading import Batch, load_batches
from archlab.tasks.pose.data.batched import BatchedPipeline
from archlab.tasks.pose.data.dataset import PoseDataset
from archlab.training.faults import (
    DamagedImages,
    SoundSamples,
    TrainingError,
    save_nan_batch,
    within_memory,
)
from archlab.training.metrics_log import Journal
from archlab.training.recipe import Optimiser, Recipe
from archlab.training.runs import Scores
from archlab.training.state import Average, State
from archlab.training.step import FixedStep, step

Validate = Callable[[nn.Module], dict[str, Any]]
Judge = Callable[[int, dict[str, Scores]], bool]
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


@dataclass(frozen=True)
class Exam:
    """Where a network is scored during training: as often as the recipe says, and at the `rungs`, in iterations.

    At rung number i, from 0, `judge(i, scores)` says whether training goes on.
    """

    validate: Validate | None = None
    rungs: tuple[int, ...] = ()
    judge: Judge | None = None

    def check(self, course: Plan) -> None:
        """InputError if the rungs do not rise within the training."""
        if list(self.rungs) != sorted({rung for rung in self.rungs if 0 < rung < course.total}):
            told = (
                f"{list(self.rungs)} must rise from each to the next and lie before the end, {course.total} iterations"
            )
            raise InputError(Problem(told, "rungs"))
        assert self.validate or not self.rungs, "a rung needs scores"


class Halted(Exception):  # noqa: N818  not an error: a judge ended the training, which is saved and can go on from there
    """What a judge ended, as the record says it."""


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
    rungs: Sequence[int] = (),
    judge: Judge | None = None,
) -> Journal:
    """Train `network` in place, from the checkpoint in `folder` if there is one; metrics and checkpoints go there.

    `validate` scores the network during training, as often as the recipe says; with `ema` it sees the averaged weights,
    and they are what `network` has at the end. `board`: rows go to TensorBoard too. Raises TrainingError when the loss
    is NaN or infinite, with the iteration, the learning rate and a file that names the people of that step; InputError
    with the batch that fits if memory does not suffice; Stopped, after saving, when `stop` is asked for.

    When training reaches iteration `rungs[i]` the network is scored too, and rank 0's `judge(i, scores)` says whether
    it goes on; if not, Halted, after saving. A training taken up again at a rung is judged again, by the scores that
    are in its journal; one taken up beyond it is not.
    """
    course = plan(recipe, len(dataset), world.size)
    exam = Exam(validate, tuple(rungs), judge)
    exam.check(course)
    journal = Journal(folder / "metrics.jsonl", course.batch, course.steps, writes=world.first)
    average = Average(network, recipe.ema) if recipe.ema else None
    recordable = recipe.execution == "graph" and world.size == 1
    optimiser = make_optimiser(network, recipe.optimiser, recordable=recordable)
    state = State(network, optimiser, journal, average, world)
    state.restore(folder / CHECKPOINT)
    if board:
        journal.draw_on_board(folder)
    try:
        _train(state, dataset, recipe, course, seed, folder, device, exam, stop or StopRequest())
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
    exam: Exam,
    stop: StopRequest,
) -> None:
    """All steps that are left."""
    journal, world = state.journal, state.world
    update = _update(state, recipe, device)
    samples = _samples(dataset, recipe, folder, device, world)
    loaded = batches(samples, course, seed, start=journal.iteration, workers=recipe.workers, device=device, world=world)
    loaded = journal.waiting(loaded)
    with stop.deferring(), world.progress("training", course.total, done=journal.iteration) as advance:
        while journal.iteration < course.total:
            _examine(state, exam, folder, stop, due=_due(journal.iteration, recipe.validate_every, course.unit))
            micro = [next(loaded) for _ in range(recipe.accumulate)]
            lr = recipe.optimiser.lr * recipe.schedule.at(journal.iteration, total=course.total, unit=course.unit)
            loss = within_memory(partial(update, lr=lr), micro, trial=world.size == 1)
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
                stop.check()


def _examine(state: State, exam: Exam, folder: Path, stop: StopRequest, *, due: bool) -> None:
    """Score the network where the recipe (`due`) or a rung asks for it; Halted where the judge ends its training."""
    journal, world = state.journal, state.world
    here = journal.iteration
    at_rung = here in exam.rungs
    if exam.validate is None or here == 0 or not (due or at_rung):
        return
    if at_rung and state.saved_at != here:  # killed from here on, it is taken up again at the rung
        state.save(folder / CHECKPOINT)
    if journal.validated < here:
        with stop.deferring(world.size > 1):  # several processes stop together or not at all
            journal.append({"validation": exam.validate(state.scored())})
        state.network.train()
    if at_rung and exam.judge:
        rung = exam.rungs.index(here)
        if world.any(world.first and not exam.judge(rung, journal.scores)):
            raise Halted(f"stopped at rung {rung + 1} of {len(exam.rungs)}, iteration {here}")


def _samples(
    dataset: PoseDataset, recipe: Recipe, folder: Path, device: torch.device, world: World
) -> PoseDataset | BatchedPipeline:
    """Where batches come from: sample by sample, corrupt images stood in for, or made at once on the device."""
    if recipe.pipeline == "samples":
        return cast(PoseDataset, SoundSamples(dataset, folder, writes=world.first))
    budget = int(recipe.keep_gigabytes * 1e9)
    return BatchedPipeline(
        dataset,
        device=device,
        budget_bytes=budget,
        region_pixels=REGION_PIXELS,
        workers=recipe.workers,
        stand_ins=DamagedImages(dataset.people, folder, writes=world.first).without,
    )


def _update(state: State, recipe: Recipe, device: torch.device) -> Callable[..., Tensor]:
    """How this process takes a step, as the recipe says: `update(*micro, lr=...)` is the mean loss."""
    world, bf16 = state.world, recipe.precision == "bf16"
    network = state.network.train()
    if recipe.execution == "compile":
        network = cast(nn.Module, torch.compile(network))
    parallel = world.parallel(network, device)
    if recipe.execution == "graph" and world.size == 1:
        return FixedStep(parallel, state.optimiser, bf16=bf16, device=device)
    if recipe.execution == "graph" and world.first:
        print("several processes take their steps without a CUDA graph", file=sys.stderr, flush=True)
    return partial(step, parallel, state.optimiser, bf16=bf16, device=device)


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


def make_optimiser(network: nn.Module, choice: Optimiser, *, recordable: bool = False) -> torch.optim.Optimizer:
    """Adam or SGD, in its fused form: one call for all parameters, of which Lite-HRNet has some 800 small ones.

    `recordable` in a CUDA graph, it reads its rate from a tensor beside the parameters: a number, or a tensor on the
    host, would be recorded as the constant that it happened to be.
    """
    device = next(network.parameters()).device
    fused = device.type in {"cpu", "cuda"}
    decay = choice.weight_decay
    lr = torch.tensor(choice.lr, device=device) if recordable else choice.lr
    if choice.name == "adam":
        capturable = recordable and device.type == "cuda"
        return torch.optim.Adam(
            network.parameters(), lr, choice.betas, weight_decay=decay, fused=fused, capturable=capturable
        )
    return torch.optim.SGD(network.parameters(), lr, choice.momentum, weight_decay=decay, fused=fused)


def _due(iteration: int, every: int | None, unit: int = 1) -> bool:
    return every is not None and iteration % (every * unit) == 0
