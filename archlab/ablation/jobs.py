"""The trainings of an ablation: each network of some studies by a recipe from a seed, and which of them are done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import archlab
from archlab.ablation.drawings import Predictions
from archlab.ablation.load import load_trainable
from archlab.ablation.row import Row
from archlab.ablation.study import FIRST_SEEDS, Campaign, Scatter, Study, Trainable, networks
from archlab.ablation.threads import set_aside
from archlab.core.errors import InputError, Problem
from archlab.counting.count import cost
from archlab.training.metrics_log import read_rows
from archlab.training.recipe import (
    Recipe,
    at_recipe,
    data_fingerprint,
    data_folder,
    ensure_data,
    in_recipe,
    load_recipe,
    recipe_hash,
)
from archlab.training.runs import Record, fingerprint, record_of


@dataclass(frozen=True)
class TrainingSetup:
    """A recipe with its data.

    data: the fingerprint of the data, empty until the data is generated.
    outputs: the number of outputs that the data labels, None if not known.
    """

    name: str
    recipe: Recipe
    recipe_hash: str
    root: Path
    data: str
    outputs: int | None = None


@dataclass(frozen=True)
class TrainingJob:
    """One network to train in one setup from one seed.

    activations: of one forward pass. refitted: the number of outputs is the data's and not the variant's own.
    """

    row: Row
    setup: TrainingSetup
    seed: int
    spec_hash: str
    activations: int
    refitted: bool = False

    def __str__(self) -> str:
        return f"{self.row.name}, seed {self.seed}"

    @property
    def fingerprint(self) -> str:
        """The name of the run's folder, empty until there is data."""
        if not self.setup.data:
            return ""
        return fingerprint(
            spec_hash=self.spec_hash, recipe_hash=self.setup.recipe_hash, data=self.setup.data, seed=self.seed
        )

    def finished(self, out: Path) -> Record | None:
        """Return the record of the finished run in its folder in `out`, None without one."""
        record = record_of(out / self.fingerprint) if self.fingerprint else None
        return record if record and record.is_done(self.setup.recipe.budgets) else None

    def records(self, out: Path, threads: int, kept: Mapping[str, Record]) -> list[Record]:
        """Return the records of finished runs: in its folder, set aside with `threads` next to it, and in `kept`."""
        if not self.fingerprint:
            return []
        aside = record_of(set_aside(out / self.fingerprint, threads))
        found = (self.finished(out), aside, kept.get(self.fingerprint))
        return [record for record in found if record and record.is_done(self.setup.recipe.budgets)]

    def progress(self, out: Path) -> float:
        """Return the share of the training that is done, 0 to 1, by the last line of its metrics."""
        rows = [row for row in read_rows(out / self.fingerprint / "metrics.jsonl") if "loss" in row]
        if not rows:
            return 0.0
        recipe = self.setup.recipe
        if recipe.epochs:
            return float(rows[-1]["epoch"] / recipe.epochs)
        return float(min(1.0, rows[-1]["iteration"] * recipe.batch / recipe.samples(0)))

    @property
    def samples(self) -> int:
        """The number of training samples that the run will see."""
        recipe = self.setup.recipe
        if not recipe.epochs:
            return recipe.samples(0)
        if not self.setup.data and recipe.options.data:
            count = recipe.options.data.train
        else:
            count = recipe.task.count(self.setup.root, recipe.options, recipe.input)
        return recipe.samples(count)


def trainable_studies(studies: Iterable[Study], plugin: Sequence[str] = ()) -> list[Trainable]:
    """Return the studies among some that are trained, and the studies whose runs a scatter shows."""
    found: dict[str, Trainable] = {}
    for study in studies:
        if isinstance(study, Trainable):
            found.setdefault(study.name, study)
        elif isinstance(study, Scatter):
            for name in study.measured:
                found.setdefault(name, load_trainable(name, plugin))
    return list(found.values())


def make_setups(
    recipes: Iterable[str],
    data: Path | None,
    *,
    make_data: bool,
    plugin: Sequence[str] = (),
    changes: Mapping[str, Any] | None = None,
) -> dict[str, TrainingSetup]:
    """Return a setup for each recipe, by name.

    make_data: generate data that is missing. changes: values of fields of every recipe, by dotted path.
    """
    loaded = {name: load_recipe(name, plugin=plugin, changes=changes) for name in dict.fromkeys(recipes)}
    return {name: _setup(name, recipe, data, make_data) for name, recipe in loaded.items()}


def _setup(name: str, recipe: Recipe, data: Path | None, make_data: bool) -> TrainingSetup:
    root = ensure_data(recipe, data) if data or make_data else data_folder(recipe, None)
    data_hash = data_fingerprint(recipe, root) if root.is_dir() else ""
    outputs = recipe.task.outputs(data, recipe.options)
    return TrainingSetup(name, recipe, recipe_hash(recipe), root, data_hash, outputs)


def make_jobs(
    pairs: Sequence[tuple[Trainable, TrainingSetup]],
    seeds: Sequence[int],
    plugin: Sequence[str] = (),
    *,
    heavy: bool = False,
) -> list[TrainingJob]:
    """Return all distinct trainings, seed by seed, so that an ablation that is cut short has whole tables of few seeds.

    seeds: if empty, a campaign's own seeds, or else the recipe's seed. A network in several studies is trained once.
    heavy: with the heavy systems.
    Raises InputError with the problems of all networks.
    """
    found: dict[tuple[str, str, int], TrainingJob] = {}
    problems: list[Problem] = []
    asked = [[(setup, *turn) for turn in _turns(study, _seeds(study, setup, seeds), heavy)] for study, setup in pairs]
    for turn in zip_longest(*asked):
        for setup, seed, rows in filter(None, turn):
            for row in rows:
                try:
                    job = _job(row, setup, seed, plugin)
                    found.setdefault((job.spec_hash, setup.name, job.seed), job)
                except InputError as error:
                    problems.extend(problem for problem in error.problems if problem not in problems)
    if problems:
        raise InputError(problems)
    return list(found.values())


def _turns(study: Trainable, seeds: Sequence[int], heavy: bool) -> list[tuple[int, list[Row]]]:
    """Return the networks of a study seed by seed; further rows of a campaign wait for its own from the first seeds."""
    rows = _in_order(study, heavy)
    if not isinstance(study, Campaign):
        return [(seed, rows) for seed in seeds]
    further = [row for row in rows if row in study.further.rows]
    own = [row for row in rows if row not in further]
    first, others = seeds[:FIRST_SEEDS], seeds[FIRST_SEEDS:]
    return [*((seed, own) for seed in first), *((seed, further) for seed in first), *((seed, rows) for seed in others)]


def _in_order(study: Trainable, heavy: bool) -> list[Row]:
    """Return a study's networks; of a campaign first the reference and the controls, which show if the data is fit."""
    rows = [*networks(study, heavy=heavy)]
    if not isinstance(study, Campaign):
        return rows
    first = {study.reference, *(control.spec for control in study.controls)}
    return sorted(rows, key=lambda row: (row.spec != study.reference, row.spec not in first))


def _seeds(study: Trainable, setup: TrainingSetup, asked: Sequence[int]) -> list[int]:
    """Return the seeds of a study's runs; predictions are drawn from one."""
    own = study.seeds if isinstance(study, Campaign) else ()
    found = [*dict.fromkeys(asked or own or (setup.recipe.seed,))]
    return found[:1] if isinstance(study, Predictions) else found


def _job(row: Row, setup: TrainingSetup, seed: int, plugin: Sequence[str]) -> TrainingJob:
    spec, own_outputs = at_recipe(row.spec, setup.recipe, lambda: setup.outputs, fields=row.fields, plugin=plugin)
    spec = in_recipe(spec, setup.recipe)
    graph = archlab.assemble(spec)
    return TrainingJob(row, setup, seed, graph.hash, cost(graph).activations, own_outputs is not None)
