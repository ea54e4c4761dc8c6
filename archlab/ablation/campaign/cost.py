"""The size of a campaign, by arithmetic: runs, samples, activations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archlab.ablation.row import PAPER_INPUTS
from archlab.ablation.rows import Counter, Setting, count_network
from archlab.ablation.study import Campaign, networks
from archlab.training.recipe import Recipe, load_recipe, recipe_hash
from archlab.training.runs import Record

STEP_BYTES = 1.0e9
"""Bytes per image that a training step of Lite-HRNet-18 moves at 256x192, operator by operator in float32."""
STEP_ACTIVATIONS = 6_430_016
"""Activations of one forward pass of the same network at the same input."""
COPIED_BYTES = 4.3e12
"""Bytes per second that an H200-class GPU copies."""


@dataclass(frozen=True)
class Wanted:
    """The runs of a campaign by its own recipe.

    runs: (spec hash, seed) of each. activations: of one forward pass of one sample, by spec hash.
    samples: per run; None if that depends on the data.
    """

    recipe: Recipe
    recipe_hash: str
    runs: tuple[tuple[str, int], ...]
    activations: dict[str, int]
    samples: int | None

    def fits(self, setting: Setting) -> bool:
        """Return whether this is the campaign's own setting: its recipe to its end, on data of its level."""
        level = self.recipe.options.data.level if self.recipe.options.data else ""
        own = setting.recipe_hash == self.recipe_hash and setting.budget == max(self.recipe.budgets, default=0)
        return own and (not level or level in setting.data.split())

    def left(self, records: Sequence[Record]) -> tuple[tuple[str, int], ...]:
        """Return the runs without a record of a finished run."""
        done = {(r.spec_hash, r.seed) for r in records if r.state == "done" and self.fits(Setting.of(r))}
        return tuple(run for run in self.runs if run not in done)

    def work(self, runs: Sequence[tuple[str, int]]) -> float | None:
        """Return the activations times samples of some runs."""
        return None if self.samples is None else float(sum(self.activations[spec] for spec, _ in runs) * self.samples)


def of_its_data(study: Campaign, setting: Setting) -> bool:
    """Return whether a setting is of the campaign's kind of data: synthetic, or the data set of its recipe."""
    options = load_recipe(study.recipe).options
    return setting.data.startswith("synthetic") if options.data else bool(setting.data == options.dataset)


def wanted(study: Campaign, counter: Counter = count_network) -> Wanted:
    """Return the runs by the study's own recipe and seeds."""
    recipe = load_recipe(study.recipe)
    outputs = recipe.task.outputs(None, recipe.options) or PAPER_INPUTS[0].outputs
    place = (3, *recipe.input), outputs, recipe.fusion
    counted = [counter(row.spec, row.fields, *place) for row in networks(study)]
    return Wanted(
        recipe,
        recipe_hash(recipe),
        tuple((each.hash, seed) for seed in study.seeds for each in counted),
        {each.hash: each.count.activations for each in counted},
        None if recipe.epochs else recipe.samples(0),
    )


def traffic_seconds(work: float) -> float:
    """Return the seconds in which the memory traffic of `work` could be copied. It is a lower bound, not a forecast."""
    return work / STEP_ACTIVATIONS * STEP_BYTES / COPIED_BYTES
