"""The training loop. It depends on no network or task; a run stopped at any moment resumes to the same weights."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from archlab.core import notes
from archlab.core.distributed import ALONE, World
from archlab.core.errors import InputError, Problem
from archlab.core.progress import Advance
from archlab.core.signals import Stopped, StopRequest
from archlab.tasks.base import Samples
from archlab.tasks.metrics import Scores
from archlab.tasks.terms import Scored
from archlab.training.budgets import Budget, budgets_in_steps, falling
from archlab.training.divergence import TrainingError, save_nan_batch
from archlab.training.memory import within_memory
from archlab.training.metrics_log import MetricsLog
from archlab.training.recipe import Recipe
from archlab.training.schedule import Optimiser
from archlab.training.state import Average, State
from archlab.training.step import Batch, FixedStep, Learner, Loss, step

Validate = Callable[[nn.Module], Scored]
Judge = Callable[[int, dict[str, Scores]], bool]
CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True)
class Plan:
    """The lengths of a training.

    samples: in the data set. batch: samples per step. steps: per epoch. total: steps in all.
    unit: steps per unit of the recipe's length and milestones. parts: equal micro-batches per step, over all processes.
    budgets: those of the recipe; `total` then ends at the last one's fork.
    """

    samples: int
    batch: int
    steps: int
    total: int
    unit: int
    parts: int = 1
    budgets: tuple[Budget, ...] = ()


def plan(recipe: Recipe, samples: int, processes: int = 1) -> Plan:
    """Return the lengths of the recipe's training on `samples`. Raises InputError if the batch cannot be divided.

    `batch` counts the samples of a step over all processes and micro-batches, and the learning rate is for this whole
    batch: neither `accumulate` nor the number of processes changes it.
    """
    parts = recipe.accumulate * processes
    batch = min(recipe.batch, samples) // parts * parts
    if batch == 0 or recipe.batch % parts:
        shares = f"{processes} processes with {recipe.accumulate} micro-batches each"
        rule = f"{min(recipe.batch, samples)} {recipe.task.unit} cannot be divided among {shares}"
        raise InputError(Problem(rule, "batch"))
    steps = samples // batch
    unit = steps if recipe.epochs else 1
    budgets = budgets_in_steps(recipe.budgets, batch, recipe.cooldown)
    total = budgets[-1].fork if budgets else (recipe.epochs or recipe.iterations or 0) * unit
    return Plan(samples, batch, steps, total, unit, parts, budgets)


@dataclass(frozen=True)
class Exam:
    """When a network is scored during training: as often as the recipe requires, and at each rung and budget.

    validate: scores at a rung or during training. score: scores at a budget.
    rungs: iterations. judge: `judge(i, scores)` returns whether training continues at rung number i, from 0.
    """

    validate: Validate | None = None
    score: Validate | None = None
    rungs: tuple[int, ...] = ()
    judge: Judge | None = None

    def check(self, course: Plan) -> None:
        """Raise InputError unless the rungs increase and lie within the training."""
        if list(self.rungs) != sorted({rung for rung in self.rungs if 0 < rung < course.total}):
            rule = f"{list(self.rungs)} must increase and lie before the end, {course.total} iterations"
            raise InputError(Problem(rule, "rungs"))
        assert self.validate or not self.rungs, "a rung needs scores"


class Halted(Exception):  # noqa: N818  not an error: a judge ended the training, which is saved and can resume
    """A judge ended the training; the message is the record's reason."""


@dataclass(frozen=True)
class Training:
    """The inputs of one training: network, samples, loss, recipe and seed; the run folder, device and process."""

    network: nn.Module
    samples: Samples
    loss: Loss
    recipe: Recipe
    seed: int
    folder: Path
    device: torch.device
    world: World = ALONE

    @property
    def plan(self) -> Plan:
        return plan(self.recipe, len(self.samples), self.world.size)


def fit(
    training: Training, exam: Exam | None = None, *, stop: StopRequest | None = None, board: bool = False
) -> MetricsLog:
    """Train the network in place, from the checkpoint in the run folder if there is one; return the metrics log.

    With `ema` the averaged weights are scored, and the network has them at the end. With `budgets` it has those of the
    last budget that was reached. `board`: also write rows to TensorBoard.

    When training reaches a rung, the network is scored and rank 0's judge decides whether it continues. A training
    that resumes at a rung is judged again by the scores in its log; a training that resumes beyond it is not.

    Raises TrainingError if the loss is NaN or infinite, with the iteration, the learning rate and a file that names the
    samples of that step; InputError with the batch that fits if memory is exhausted; Stopped, after saving, on a
    signal; Halted, after saving, if the judge ends the training.
    """
    exam, course = exam or Exam(), training.plan
    exam.check(course)
    state = _restored(training, course)
    if board:
        state.log.open_board(training.folder)
    _refuse_passed(state, training, course)
    try:
        _train(state, training, course, exam, stop or StopRequest())
    except Stopped:
        state.save(training.folder / CHECKPOINT)
        raise
    except TrainingError as error:
        rows = state.rows_of(error.iteration)
        raise save_nan_batch(error, rows, training.samples, training.folder) from None
    finally:
        state.log.close()
    scored = state.scored()
    if state.at_budget or scored is not training.network:
        training.network.load_state_dict(state.at_budget or scored.state_dict())
    return state.log


def _restored(training: Training, course: Plan) -> State:
    """Return the training's state at its last checkpoint, or at the start."""
    network, recipe, world = training.network, training.recipe, training.world
    log = MetricsLog(training.folder / "metrics.jsonl", course.batch, course.steps, writes=world.first)
    average = Average(network, recipe.ema) if recipe.ema else None
    recordable = recipe.execution == "graph" and world.size == 1
    optimiser = make_optimiser(network, recipe.optimiser, recordable=recordable)
    state = State(network, optimiser, log, average, world)
    state.restore(training.folder / CHECKPOINT)
    return state


def _refuse_passed(state: State, training: Training, course: Plan) -> None:
    """Raise InputError for budgets that were added too late: the main line is past their forks."""
    reached = {*state.log.budgets, state.budget}
    passed = [each.asked for each in course.budgets if each.asked not in reached and each.fork < state.log.iteration]
    if passed:
        rule = f"the run in {training.folder} is past {', '.join(map(str, passed))} samples; start over to add them"
        raise InputError(Problem(rule, "budgets", training.recipe.name))


def _train(state: State, training: Training, course: Plan, exam: Exam, stop: StopRequest) -> None:
    """Take all remaining steps, and score the network at the budgets."""
    branches = sum(each.steps - each.fork for each in course.budgets if each.asked not in state.log.budgets)
    work = max(course.total, state.log.iteration) + branches
    with stop.deferring(), state.world.progress("training", work, done=state.log.iteration) as advance:
        walk = _Walk(state, training, course, exam, stop, _update(state, training), advance)
        for budget in course.budgets:
            if budget.asked not in state.log.budgets:
                walk.to(budget.fork)
                walk.score_at(budget)
        walk.to(course.total)


@dataclass(frozen=True)
class _Walk:
    """A training that takes its steps: the main line, and the branches that lead to the budgets."""

    state: State
    training: Training
    course: Plan
    exam: Exam
    stop: StopRequest
    update: Callable[..., Tensor]
    advance: Advance

    def to(self, end: int) -> None:
        """Train the main line to the step `end`; a row and a checkpoint follow the last step."""
        log, world, recipe, checkpoint = self.state.log, self.state.world, self.training.recipe, self._checkpoint
        loaded = self._loaded(end)
        while log.iteration < end:
            _examine(self.state, self.exam, checkpoint, self.stop, self._is_due())
            self._step(loaded)
            last, row = log.iteration == end, log.iteration % recipe.log_every == 0
            if last or row:
                self.state.write_row()
            agree = last or row or world.size == 1  # several processes agree rarely: it makes a GPU wait
            old = agree and world.any(self.state.older_than(recipe.checkpoint_seconds))
            if last or old or _due(log.iteration, recipe.checkpoint_every):
                self.state.save(checkpoint)
            self.advance(1, log.note)
            if agree and not last:
                self._stop_if_asked()

    def score_at(self, budget: Budget) -> None:
        """Reach a budget from its fork, keep its weights in the checkpoint, score them and write the row."""
        state, log = self.state, self.state.log
        if state.budget != budget.asked:  # else it was killed after the checkpoint and before the row
            self._branch(budget)
            state.save(self._checkpoint)
        network = copy.deepcopy(self.training.network)
        network.load_state_dict(state.at_budget)
        assert self.exam.score, "a budget needs scores"
        with self.stop.deferring(state.world.size > 1):  # several processes must stop together
            scored = self.exam.score(network)
            seen = budget.steps * self.course.batch
            found = {"scores": scored.figures, **scored.with_terms()}
            log.append({"budget": {"budget": budget.asked, "samples": seen, **found}})

    def _branch(self, budget: Budget) -> None:
        """Train from the fork to the budget with the rate falling to 0, and return to the fork."""
        state, log = self.state, self.state.log
        with state.apart():
            loaded = self._loaded(budget.steps)
            for share in falling(budget.steps - budget.fork):
                self._step(loaded, share)
                row = log.iteration % self.training.recipe.log_every == 0
                if row:
                    state.numbers()
                self.advance(1, f"cooling down to {budget.asked} samples")
                if (row or state.world.size == 1) and log.iteration < budget.steps:
                    self._stop_if_asked()
            state.reach(budget.asked)

    def _step(self, loaded: Iterator[Batch], share: float = 1.0) -> None:
        """Take a step of this share of the schedule's rate."""
        recipe, course, iteration = self.training.recipe, self.course, self.state.log.iteration
        micro = [next(loaded) for _ in range(recipe.accumulate)]
        lr = share * recipe.optimiser.lr * recipe.schedule.at(iteration, total=course.total, unit=course.unit)
        loss = within_memory(partial(self.update, lr=lr), micro, trial=self.state.world.size == 1)
        self.state.count(loss, lr, torch.cat([batch["index"] for batch in micro]))

    def _loaded(self, end: int) -> Iterator[Batch]:
        """Return the micro-batches from here to the step `end`."""
        log, training, world = self.state.log, self.training, self.state.world
        return log.waiting(
            batches(training.samples, self.course, training.seed, start=log.iteration, end=end, world=world)
        )

    def _is_due(self) -> bool:
        return _due(self.state.log.iteration, self.training.recipe.validate_every, self.course.unit)

    def _stop_if_asked(self) -> None:
        self.stop.number = max(self.state.world.gather(self.stop.number))
        self.stop.check()

    @property
    def _checkpoint(self) -> Path:
        return self.training.folder / CHECKPOINT


def _examine(state: State, exam: Exam, checkpoint: Path, stop: StopRequest, due: bool) -> None:
    """Score the network if the recipe (`due`) or a rung asks for it. Raises Halted if the judge ends the training."""
    log, world = state.log, state.world
    here = log.iteration
    at_rung = here in exam.rungs
    if exam.validate is None or here == 0 or not (due or at_rung):
        return
    if at_rung and state.saved_at != here:  # a run killed after this point resumes at the rung
        state.save(checkpoint)
    if log.validated < here:
        with stop.deferring(world.size > 1):  # several processes must stop together
            log.append({"validation": exam.validate(state.scored()).figures})
        state.network.train()
    if at_rung and exam.judge:
        rung = exam.rungs.index(here)
        if world.any(world.first and not exam.judge(rung, log.scores)):
            raise Halted(f"stopped at rung {rung + 1} of {len(exam.rungs)}, iteration {here}")


def _update(state: State, training: Training) -> Callable[..., Tensor]:
    """Return the function that takes a step in this process: `update(*micro, lr=...)` returns the mean loss."""
    recipe, world, device = training.recipe, state.world, training.device
    network = state.network.train()
    if recipe.execution == "compile":
        network = cast(nn.Module, torch.compile(network))
    parallel = world.parallel(network, device)
    learner = Learner(parallel, state.optimiser, training.loss, bf16=recipe.precision == "bf16")
    if recipe.execution == "graph" and world.size == 1:
        return FixedStep(learner, device)
    if recipe.execution == "graph" and world.first:
        notes.note("several processes train without a CUDA graph")
    return partial(step, learner, device=device)


def batches(
    samples: Samples, course: Plan, seed: int, *, start: int, end: int | None = None, world: World = ALONE
) -> Iterator[Batch]:
    """Yield this process's micro-batches from iteration `start` to `end`, or to the end of training.

    The order of an epoch follows from (seed, epoch) and the augmentation of a sample from (seed, epoch, index) alone,
    so neither a restart nor the number of workers changes it. A step's samples are split into `parts`, which the
    processes take in turn: what a step sees does not depend on the number of processes.
    """
    end = course.total if end is None else end
    while start < end:
        epoch, done = divmod(start, course.steps)
        samples.set_epoch(epoch)
        order = np.random.default_rng((seed, epoch)).permutation(course.samples)[: course.steps * course.batch]
        steps = order.reshape(course.steps, course.parts, -1)[done : done + end - start]
        yield from samples.batches(steps[:, world.rank :: world.size].reshape(-1, steps.shape[-1]).tolist())
        start += len(steps)


def make_optimiser(network: nn.Module, choice: Optimiser, *, recordable: bool = False) -> torch.optim.Optimizer:
    """Return Adam or SGD in its fused form: one call for all parameters (Lite-HRNet has about 800 small ones).

    recordable: read the learning rate from a tensor on the device, for a CUDA graph. A number, or a tensor on the host,
    would be recorded as a constant.
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
