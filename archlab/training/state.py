"""The state of a training: saved atomically to a checkpoint, with the previous checkpoint as a fallback."""

from __future__ import annotations

import copy
import math
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from archlab.core.distributed import ALONE, World
from archlab.core.files import replacing
from archlab.training.divergence import TrainingError
from archlab.training.metrics_log import MetricsLog
from archlab.training.saved import FORMAT, newest_sound, of_another_training, previous
from archlab.training.step import put_back


class Average:
    """The exponential moving average of a network's weights and running statistics.

    average = d * average + (1 - d) * now after each step, with d = min(decay, (1 + n) / (10 + n)) at step n from 0: the
    smaller d of the first steps discounts the random initial weights. Integer buffers are copied.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        pairs = list(zip(_tensors(self.network), _tensors(network), strict=True))
        floats = [pair for pair in pairs if pair[0].is_floating_point()]
        torch._foreach_lerp_([average for average, _ in floats], [now for _, now in floats], 1 - decay)
        for average, now in pairs:
            if not average.is_floating_point():
                average.copy_(now)


@dataclass
class State:
    """A training in progress.

    losses, rates, rows: of the steps since the last row of metrics; `rows` maps iterations to sample numbers.
    saved: the time of the last checkpoint. saved_at: its iteration.
    budget: the last budget that was reached, 0 before the first. at_budget: the weights to score there.
    """

    network: nn.Module
    optimiser: torch.optim.Optimizer
    log: MetricsLog
    average: Average | None = None
    world: World = ALONE
    losses: list[Tensor] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    rows: dict[int, Tensor] = field(default_factory=dict)
    saved: float = field(default_factory=time.monotonic)
    saved_at: int = -1
    budget: int = 0
    at_budget: dict[str, Tensor] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    def scored(self) -> nn.Module:
        """Return the network to score, identical in every process: the averaged one if there is one."""
        network = self.average.network if self.average else self.network
        self.world.agree(network)
        return network

    def reach(self, budget: int) -> None:
        """Keep a copy of the weights to score at a budget."""
        self.numbers()
        self.budget = budget
        self.at_budget = {name: value.clone() for name, value in self.scored().state_dict().items()}

    @contextmanager
    def apart(self) -> Iterator[None]:
        """Train apart from the main line: restore everything after the block but the weights kept by `reach`.

        The block starts right after a row. If a loss becomes NaN, `rows` keeps its samples.
        """
        averages = [self.average.network] if self.average else []
        with put_back(self.network, self.optimiser, *averages), self.log.aside():
            try:
                yield
            except TrainingError:
                raise
            except BaseException:
                self._forget_steps()
                raise
        self._forget_steps()

    def older_than(self, seconds: float | None) -> bool:
        """Return whether the last checkpoint is older than `seconds`; False for None."""
        return seconds is not None and time.monotonic() - self.saved > seconds

    def count(self, loss: Tensor, lr: float, rows: Tensor) -> None:
        """Count a finished step. Raises TrainingError at once on a CPU, where it costs nothing, if the loss is NaN."""
        if self.average:
            self.average.update(self.network, self.log.iteration)
        self.log.iteration += 1
        self.losses.append(loss)
        self.rates.append(lr)
        self.rows[self.log.iteration] = rows
        if self.world.size == 1 and loss.device.type == "cpu" and not math.isfinite(loss.item()):
            self.numbers()

    def rows_of(self, iteration: int) -> list[int]:
        """Return the sample numbers of a step since the last row, over all processes."""
        here = self.rows.get(iteration, torch.tensor([], dtype=torch.long)).tolist()
        return [index for part in self.world.gather(here) for index in part]

    def write_row(self) -> None:
        """Write the metrics of the steps since the last row."""
        self.log.write_losses(self.numbers(), self.rates[-1], memory_mib=peak_memory_mib(self.device))
        self._forget_steps()

    def _forget_steps(self) -> None:
        self.losses, self.rates, self.rows = [], [], {}

    def numbers(self) -> list[float]:
        """Return the losses since the last row. Raises TrainingError if one is NaN or infinite."""
        losses: list[float] = self.world.mean(torch.stack(self.losses)).tolist() if self.losses else []
        first = self.log.iteration - len(losses) + 1
        for iteration, (loss, lr) in enumerate(zip(losses, self.rates, strict=True), start=first):
            if not math.isfinite(loss):
                message = f"the loss became {loss} at iteration {iteration}, with the learning rate {lr:.3g}"
                raise TrainingError(message, iteration=iteration, loss=loss, lr=lr)
        return losses

    def save(self, path: Path) -> None:
        """Write a checkpoint and keep the last one as `previous(path)`.

        `state_dict` holds the weights to score; once a budget is reached, those of the last one. `trained` and
        `average` hold the main line's, where they differ.
        """
        scored = self.scored().state_dict()
        average = scored if self.average and self.at_budget else None
        values = {
            "format": FORMAT,
            "iteration": self.log.iteration,
            "seconds": self.log.seconds,
            "losses": self.numbers(),
            "rates": self.rates,
            "state_dict": self.at_budget or scored,
            "budget": self.budget,
            "trained": self.network.state_dict() if self.average or self.at_budget else None,
            "average": average,
            "optimiser": self.optimiser.state_dict(),
            "random": torch.get_rng_state(),
            "random_ranks": self.world.gather(torch.get_rng_state()),
            "random_cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        if self.world.first:
            with replacing(path) as temporary:
                torch.save(values, temporary)
                if path.is_file():
                    path.replace(previous(path))
        self.saved, self.saved_at = time.monotonic(), self.log.iteration

    def restore(self, path: Path) -> None:
        """Resume from the checkpoint, or from the previous one if it is damaged, or start if there is none."""
        with self.world.first_alone():
            values = newest_sound(path)
        if values is None:
            self.log.resume(0, 0.0)
            return
        with of_another_training(path):
            self._take(values)
        self.log.resume(values["iteration"], values["seconds"])
        self.saved_at = self.log.iteration

    def _take(self, values: dict[str, Any]) -> None:
        """Take the network, the optimiser and the random numbers from a checkpoint's values."""
        device = self.device
        self.network.load_state_dict(values.get("trained") or values["state_dict"])
        if self.average:
            self.average.network.load_state_dict(values.get("average") or values["state_dict"])
        _load_moments(self.optimiser, values["optimiser"])
        self.losses = [torch.tensor(loss, device=device) for loss in values["losses"]]
        self.rates = values["rates"]
        if values.get("budget"):
            self.budget, self.at_budget = values["budget"], _placed(values["state_dict"], device)
        ranks = values.get("random_ranks") or [values["random"]]
        torch.set_rng_state(ranks[self.world.rank] if self.world.rank < len(ranks) else values["random"])
        if values["random_cuda"] and device.type == "cuda":
            torch.cuda.set_rng_state_all(values["random_cuda"])


def peak_memory_mib(device: torch.device) -> float:
    """Return the peak memory so far in MiB: allocated on the GPU, else resident in this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        import resource
    except ImportError:  # Windows has none
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


def _load_moments(optimiser: torch.optim.Optimizer, values: dict[str, Any]) -> None:
    """Load the optimiser's state of each weight but keep the recipe's settings, so another `execution` can resume."""
    own = [{name: value for name, value in group.items() if name != "params"} for group in optimiser.param_groups]
    optimiser.load_state_dict(values)
    for group, settings in zip(optimiser.param_groups, own, strict=True):
        group.update(settings)


def _placed(values: dict[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    return {name: value.to(device) for name, value in values.items()}


def _tensors(network: nn.Module) -> Iterable[Tensor]:
    return network.state_dict().values()
