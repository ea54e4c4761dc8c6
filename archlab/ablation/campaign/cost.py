"""What a campaign asks for, by arithmetic: runs, samples, activations; and what they took where any of it was run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archlab.ablation.rows import Counter, Setting, count
from archlab.ablation.study import Campaign, networks
from archlab.training.recipe import Recipe, load_recipe, recipe_hash
from archlab.training.runs import Record

STEP_BYTES = 1.0e9
"""Moved by a training step of Lite-HRNet-18 an image at 256x192, executed operator by operator in float32."""
STEP_ACTIVATIONS = 6_430_016
"""Of the same network at the same input, one forward pass."""
COPIED_BYTES = 4.3e12
"""A second, by a copy on an H200-class GPU."""


@dataclass(frozen=True)
class Wanted:
    """The runs of a campaign by its own recipe: which (spec hash, seed), and what one sample of each costs.

    activations: of one forward pass of one crop, by spec hash. samples: crops a run; None where only the data says.
    """

    recipe: Recipe
    recipe_hash: str
    runs: tuple[tuple[str, int], ...]
    activations: dict[str, int]
    samples: int | None

    def fits(self, setting: Setting) -> bool:
        """Whether this is the campaign's own setting: its recipe, on people of its level."""
        level = self.recipe.data.level if self.recipe.data else ""
        return setting.recipe_hash == self.recipe_hash and (not level or level in setting.data.split())

    def left(self, records: Sequence[Record]) -> tuple[tuple[str, int], ...]:
        """The runs without a record of their end."""
        done = {(r.spec_hash, r.seed) for r in records if r.state == "done" and self.fits(Setting.of(r))}
        return tuple(run for run in self.runs if run not in done)

    def work(self, runs: Sequence[tuple[str, int]]) -> float | None:
        """Activations times samples of some runs."""
        return None if self.samples is None else float(sum(self.activations[spec] for spec, _ in runs) * self.samples)


def wanted(study: Campaign, counter: Counter = count) -> Wanted:
    """What the study's own recipe and seeds ask for."""
    recipe = load_recipe(study.recipe)
    counts = [counter(row.spec, row.fields, (3, *recipe.input), 17, recipe.fusion) for row in networks(study)]
    return Wanted(
        recipe,
        recipe_hash(recipe),
        tuple((each.hash, seed) for seed in study.seeds for each in counts),
        {each.hash: each.activations for each in counts},
        recipe.iterations * recipe.batch if recipe.iterations else None,
    )


@dataclass(frozen=True)
class Rate:
    """Activations times samples a second of finished runs, scoring included, and what they were."""

    device: str
    recipe: str
    threads: int
    runs: int
    a_second: float


def rates(records: Sequence[Record]) -> list[Rate]:
    """The measured rate of each device and recipe, the fastest first."""
    groups: dict[tuple[str, str, int], list[Record]] = {}
    for record in records:
        if record.state == "done" and record.seconds > 0:
            groups.setdefault((record.device, record.recipe, record.threads), []).append(record)
    found = [
        Rate(*key, len(runs), sum(r.cost["activations"] * r.samples for r in runs) / sum(run.seconds for run in runs))
        for key, runs in groups.items()
    ]
    return sorted(found, key=lambda rate: -rate.a_second)


def traffic_seconds(work: float) -> float:
    """The time in which the memory traffic of `work` could be copied: a floor, no forecast."""
    return work / STEP_ACTIVATIONS * STEP_BYTES / COPIED_BYTES
