"""The optimiser and the learning-rate schedule of a recipe."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from archlab.core.errors import Problem
from archlab.yamlio import Above, AtLeast, AtMost, Item

Count = Annotated[int, AtLeast(1)]
Share = Annotated[float, AtLeast(0), AtMost(1)]


@dataclass(frozen=True)
class Optimiser:
    """The optimiser: Adam, or SGD with momentum."""

    name: Literal["adam", "sgd"] = "adam"
    lr: Annotated[float, Above(0), "The learning rate after warm-up and before any decay."] = 2e-3
    weight_decay: Annotated[
        float,
        AtLeast(0),
        "L2 penalty: added to the gradient, times the weight. With Adam it is known to ruin Lite-HRNet's result.",
    ] = 0.0
    momentum: Annotated[float, AtLeast(0), AtMost(1), "SGD only."] = 0.9
    betas: Annotated[tuple[Share, Share], "Adam only: the decay rates of its two moments."] = (0.9, 0.999)


@dataclass(frozen=True)
class Schedule:
    """The learning-rate schedule: a linear warm-up times a decay."""

    warm_up: Annotated[int, AtLeast(0), "Iterations until the rate reaches its full value."] = 0
    warm_up_start: Annotated[float, AtLeast(0), AtMost(1), "The share of the full rate at the first iteration."] = 0.001
    decay: Annotated[
        Literal["constant", "step", "cosine", "poly"],
        "step: times `factor` at each milestone; cosine: (1 + cos(pi t)) / 2; poly: (1 - t)^power; t goes from 0 to 1.",
    ] = "constant"
    milestones: Annotated[tuple[Count, ...], "In epochs or iterations, the unit of the recipe's length."] = ()
    factor: Annotated[float, Above(0), "`step` only."] = 0.1
    power: Annotated[float, Above(0), "`poly` only."] = 0.9

    def problems(self, item: Item) -> Iterator[Problem]:
        if (self.decay == "step") != bool(self.milestones):
            yield item.problem("`decay: step` needs `milestones`, and only it takes them", "schedule")
        if list(self.milestones) != sorted(set(self.milestones)):
            yield item.problem("must increase", "schedule.milestones")

    def at(self, iteration: int, *, total: int, unit: int) -> float:
        """Return the share of the full rate: rise * decay.

        rise = 1 - (1 - i / warm_up) * (1 - warm_up_start) during warm-up, else 1.
        iteration: i, from 0, of `total`. unit: iterations per unit of the milestones.
        """
        rise = 1.0
        if iteration < self.warm_up:
            rise -= (1 - iteration / self.warm_up) * (1 - self.warm_up_start)
        return rise * self._decay(iteration, total, unit)

    def _decay(self, iteration: int, total: int, unit: int) -> float:
        if self.decay == "step":
            return self.factor ** sum(iteration >= milestone * unit for milestone in self.milestones)
        if self.decay == "cosine":
            return (1 + math.cos(math.pi * iteration / total)) / 2
        return (1 - iteration / total) ** self.power if self.decay == "poly" else 1.0
