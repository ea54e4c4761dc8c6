"""The training loop: it knows no model, and stopped at any moment it goes on without a trace in the weights."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from archlab.checkpoint import load_file
from archlab.data.dataset import PoseDataset
from archlab.data.loading import Batch, load_batches
from archlab.data.targets import joints_mse
from archlab.errors import InputError, Problem
from archlab.files import replacing
from archlab.journal import Journal
from archlab.progress import progress
from archlab.recipe import Optimiser, Recipe

Validate = Callable[[nn.Module], dict[str, Any]]
FORMAT = 1


class TrainingError(InputError):
    """Training cannot go on: the loss is no longer a number."""


@dataclass(frozen=True)
class Plan:
    """`batch` people a step, `steps` an epoch, `total` steps; the recipe's length and milestones count `unit` steps."""

    people: int
    batch: int
    steps: int
    total: int
    unit: int


def plan(recipe: Recipe, people: int) -> Plan:
    """What a recipe asks for with so many people to train on."""
    batch = min(recipe.batch, people)
    steps = people // batch
    unit = steps if recipe.epochs else 1
    return Plan(people, batch, steps, (recipe.epochs or recipe.iterations or 0) * unit, unit)


def fit(
    network: nn.Module,
    dataset: PoseDataset,
    recipe: Recipe,
    *,
    seed: int,
    folder: Path,
    device: torch.device,
    validate: Validate | None = None,
) -> Journal:
    """Train `network` in place, from the checkpoint in `folder` if there is one; metrics and checkpoints go there.

    `validate` scores the network during training, as often as the recipe says. Raises TrainingError when the loss is
    NaN or infinite, with the iteration and the learning rate.
    """
    course = plan(recipe, len(dataset))
    journal = Journal(folder / "metrics.jsonl", course.batch, course.steps)
    state = State(network, make_optimiser(network, recipe.optimiser), journal)
    state.restore(folder / "checkpoint.pt")
    network.train()
    with progress("training", course.total, done=journal.iteration) as advance:
        for batch in batches(dataset, course, seed, start=journal.iteration, workers=recipe.workers, device=device):
            lr = recipe.optimiser.lr * recipe.schedule.at(journal.iteration, total=course.total, unit=course.unit)
            loss = step(network, state.optimiser, batch, lr=lr, bf16=recipe.precision == "bf16", device=device)
            state.count(loss, lr)
            last = journal.iteration == course.total
            if last or journal.iteration % recipe.log_every == 0:
                state.write_row()
            if validate and not last and _due(journal.iteration, recipe.validate_every, course.unit):
                journal.append({"validation": validate(network)})
                network.train()
            if last or _due(journal.iteration, recipe.checkpoint_every) or state.older_than(recipe.checkpoint_seconds):
                state.save(folder / "checkpoint.pt")
            advance(1, journal.note)
    return journal


def step(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    batch: Batch,
    *,
    lr: float,
    bf16: bool,
    device: torch.device,
) -> Tensor:
    """One update of the weights; the loss, which stays on the device so that no step waits for it."""
    images, targets, weights = (batch[name].to(device, non_blocking=True) for name in ("image", "target", "weight"))
    for group in optimiser.param_groups:
        group["lr"] = lr
    optimiser.zero_grad(set_to_none=True)
    with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
        heatmaps = network(images)
    loss = joints_mse(heatmaps.float(), targets, weights)
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    return loss.detach()


def batches(
    dataset: PoseDataset, course: Plan, seed: int, *, start: int, workers: int, device: torch.device
) -> Iterator[Batch]:
    """The batches from iteration `start` to the end of training.

    The order of an epoch follows from (seed, epoch) and the augmentation of a sample from (seed, epoch, index) alone,
    so that neither a restart nor the number of workers changes what is seen.
    """
    while start < course.total:
        epoch, done = divmod(start, course.steps)
        dataset.set_epoch(epoch)
        order = np.random.default_rng((seed, epoch)).permutation(course.people)[: course.steps * course.batch]
        rows = order.reshape(course.steps, course.batch)[done : done + course.total - start].tolist()
        yield from load_batches(dataset, rows, workers=workers, pin=device.type == "cuda")
        start += len(rows)


def make_optimiser(network: nn.Module, choice: Optimiser) -> torch.optim.Optimizer:
    """Adam or SGD, in its fused form: one call for all parameters, of which Lite-HRNet has some 800 small ones."""
    fused = next(network.parameters()).device.type in {"cpu", "cuda"}
    decay = choice.weight_decay
    if choice.name == "adam":
        return torch.optim.Adam(network.parameters(), choice.lr, choice.betas, weight_decay=decay, fused=fused)
    return torch.optim.SGD(network.parameters(), choice.lr, choice.momentum, weight_decay=decay, fused=fused)


@dataclass
class State:
    """All that a training is made of at one moment, saved whole or not at all."""

    network: nn.Module
    optimiser: torch.optim.Optimizer
    journal: Journal
    losses: list[Tensor] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    saved: float = field(default_factory=time.monotonic)

    def older_than(self, seconds: float | None) -> bool:
        """Whether the last checkpoint is."""
        return seconds is not None and time.monotonic() - self.saved > seconds

    def count(self, loss: Tensor, lr: float) -> None:
        self.journal.iteration += 1
        self.losses.append(loss)
        self.rates.append(lr)

    def write_row(self) -> None:
        self.journal.write_losses(self.numbers(), self.rates[-1])
        self.losses, self.rates = [], []

    def numbers(self) -> list[float]:
        """The losses since the last row; TrainingError, before anything of them is written, if one is no number."""
        losses: list[float] = torch.stack(self.losses).tolist() if self.losses else []
        first = self.journal.iteration - len(losses) + 1
        for iteration, (loss, lr) in enumerate(zip(losses, self.rates, strict=True), start=first):
            if not math.isfinite(loss):
                raise TrainingError(f"the loss became {loss} at iteration {iteration}, with the learning rate {lr:.3g}")
        return losses

    def save(self, path: Path) -> None:
        values = {
            "format": FORMAT,
            "iteration": self.journal.iteration,
            "seconds": self.journal.seconds,
            "losses": self.numbers(),
            "rates": self.rates,
            "state_dict": self.network.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        with replacing(path) as temporary:
            torch.save(values, temporary)
        self.saved = time.monotonic()

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint; from the beginning if there is none."""
        if not path.is_file():
            self.journal.go_on(0, 0.0)
            return
        values = read_checkpoint(path)
        device = next(self.network.parameters()).device
        self.network.load_state_dict(values["state_dict"])
        self.optimiser.load_state_dict(values["optimiser"])
        self.losses = [torch.tensor(loss, device=device) for loss in values["losses"]]
        self.rates = values["rates"]
        torch.set_rng_state(values["random"])
        if values["random_cuda"] and device.type == "cuda":
            torch.cuda.set_rng_state_all(values["random_cuda"])
        self.journal.go_on(values["iteration"], values["seconds"])


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's values on the CPU; InputError if it is damaged or no checkpoint of a training."""
    values = load_file(path)
    if values.get("format") != FORMAT or "optimiser" not in values:
        raise InputError(Problem("these weights are no checkpoint of a training in progress", file=str(path)))
    return values


def _due(iteration: int, every: int | None, unit: int = 1) -> bool:
    return every is not None and iteration % (every * unit) == 0
