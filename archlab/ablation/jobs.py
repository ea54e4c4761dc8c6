"""What an ablation has to train: each network of some studies by a recipe from a seed, and which of it is done."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import archlab
from archlab.ablation import study as studies
from archlab.ablation.study import Campaign, Row, Scatter, Study, Trainable
from archlab.core.errors import InputError, Problem
from archlab.tasks.pose.data.sets import fingerprint as data_fingerprint
from archlab.tasks.pose.data.sets import labelled_keypoints, training_people
from archlab.training.metrics_log import read_rows
from archlab.training.recipe import DATA, Recipe, ensure_data, in_recipe, load_recipe, recipe_hash
from archlab.training.runs import Record, fingerprint, read_record


@dataclass(frozen=True)
class Plan:
    """A recipe and its data; `data` is the data's fingerprint, empty as long as it is not made.

    `keypoints` are as many as the data labels, None where that is not known.
    """

    name: str
    recipe: Recipe
    recipe_hash: str
    root: Path
    data: str
    keypoints: int | None = None


@dataclass(frozen=True)
class Job:
    """One network to train by one plan from one seed; `activations` are of one forward pass."""

    row: Row
    plan: Plan
    seed: int
    spec_hash: str
    activations: int

    def __str__(self) -> str:
        return f"{self.row.name}, seed {self.seed}"

    @property
    def fingerprint(self) -> str:
        """The name of its run's folder, empty as long as there is no data."""
        if not self.plan.data:
            return ""
        return fingerprint(
            spec_hash=self.spec_hash, recipe_hash=self.plan.recipe_hash, data=self.plan.data, seed=self.seed
        )

    def done(self, out: Path, kept: Mapping[str, Record] | None = None) -> Record | None:
        """Its record, if it is trained to its end: here, or elsewhere and `kept` by its fingerprint."""
        folder = out / self.fingerprint
        if not self.fingerprint:
            return None
        record = read_record(folder) if (folder / "record.json").is_file() else None
        if record is None or record.state != "done":
            record = (kept or {}).get(self.fingerprint)
        return record if record and record.state == "done" else None

    def share(self, out: Path) -> float:
        """How much of its training is behind it, 0 to 1, by the last line of its metrics."""
        rows = [row for row in read_rows(out / self.fingerprint / "metrics.jsonl") if "loss" in row]
        if not rows:
            return 0.0
        epochs, iterations = self.plan.recipe.epochs, self.plan.recipe.iterations
        return float(rows[-1]["epoch"] / epochs if epochs else rows[-1]["iteration"] / (iterations or 1))

    @property
    def samples(self) -> int:
        """Training crops that it will see."""
        recipe = self.plan.recipe
        if recipe.iterations:
            return recipe.iterations * recipe.batch
        if not self.plan.data and recipe.data:
            people = recipe.data.train
        else:
            aspect = recipe.input[1] / recipe.input[0]
            people = len(training_people(self.plan.root, recipe.dataset, aspect=aspect))
        return (recipe.epochs or 0) * people


def trained(loaded: Iterable[Study]) -> list[Trainable]:
    """The ablations and campaigns among some studies, and the ablations whose runs a scatter draws."""
    found: dict[str, Trainable] = {}
    for study in loaded:
        if isinstance(study, Trainable):
            found.setdefault(study.name, study)
        elif isinstance(study, Scatter):
            for name in study.measured:
                found.setdefault(name, studies.load_ablation(name))
    return list(found.values())


def make_plans(names: Iterable[str], data: Path | None, *, make_data: bool) -> dict[str, Plan]:
    """A plan for each recipe. With `make_data` data that is missing is generated; without, it is only said where."""
    return {name: _plan(name, data, make_data) for name in dict.fromkeys(names)}


def _plan(name: str, data: Path | None, make_data: bool) -> Plan:
    recipe = load_recipe(name)
    if data or make_data:
        root = ensure_data(recipe, data)
    elif recipe.data:
        root = DATA / recipe.data.folder
    else:
        raise InputError(Problem(f"the recipe {recipe.name!r} brings no data of its own: name a folder", "--data"))
    data_hash = data_fingerprint(root, recipe.dataset) if root.is_dir() else ""
    return Plan(name, recipe, recipe_hash(recipe), root, data_hash, labelled_keypoints(recipe.dataset, data))


def make_jobs(pairs: Sequence[tuple[Trainable, Plan]], seeds: Sequence[int], plugin: Sequence[str] = ()) -> list[Job]:
    """All distinct runs, seed by seed, so that an ablation that is cut short has whole tables of few seeds.

    Without `seeds` a campaign's own, or else the recipe's one. A network that several studies name is trained once.
    Raises InputError with the problems of all networks.
    """
    found: dict[tuple[str, str, int], Job] = {}
    problems: list[Problem] = []
    asked = [[(study, plan, seed) for seed in dict.fromkeys(seeds or _seeds(study, plan))] for study, plan in pairs]
    for turn in zip_longest(*asked):
        for study, plan, seed in filter(None, turn):
            for row in _in_turn(study):
                try:
                    job = _job(row, plan, seed, plugin)
                    found.setdefault((job.spec_hash, plan.name, job.seed), job)
                except InputError as error:
                    problems.extend(problem for problem in error.problems if problem not in problems)
    if problems:
        raise InputError(problems)
    return list(found.values())


def _in_turn(study: Trainable) -> list[Row]:
    """A study's networks; of a campaign its reference and controls first, which say whether the rest is worth it."""
    rows = [*studies.networks(study)]
    if not isinstance(study, Campaign):
        return rows
    first = {study.reference, *(control.spec for control in study.controls)}
    return sorted(rows, key=lambda row: (row.spec != study.reference, row.spec not in first))


def _seeds(study: Trainable, plan: Plan) -> tuple[int, ...]:
    return study.seeds if isinstance(study, Campaign) and study.seeds else (plan.recipe.seed,)


def _job(row: Row, plan: Plan, seed: int, plugin: Sequence[str]) -> Job:
    fields = {"outputs": plan.keypoints, **row.fields}
    spec = archlab.load(row.spec, input=(3, *plan.recipe.input), plugin=plugin, **fields)
    spec = in_recipe(spec, plan.recipe)
    return Job(row, plan, seed, archlab.spec_hash(spec), archlab.cost(spec).activations)
