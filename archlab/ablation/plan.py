"""What an ablation runs: its options, its trainings, which of them are done, and how long the others will take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from archlab.ablation.drawings import Predictions
from archlab.ablation.estimate import Estimate, TrainingSize, estimate, spell
from archlab.ablation.jobs import TrainingJob, TrainingSetup, make_jobs, make_setups, trainable_studies
from archlab.ablation.load import load_study
from archlab.ablation.measured import summary
from archlab.ablation.predictions import check_weights
from archlab.ablation.records import COMMITTED, check_checkout, check_records, read_records
from archlab.ablation.study import Ablation, Study, Trainable
from archlab.ablation.systems import Systems
from archlab.ablation.threads import remark, unlike
from archlab.core.errors import InputError, Problem
from archlab.core.processes import default_jobs, threads_each
from archlab.training.recipe import load_recipe
from archlab.training.runs import Record, find_runs


@dataclass(frozen=True)
class AblationOptions:
    """How an ablation runs.

    recipe: replaces the studies' own. recipe_changes: values of recipe fields by dotted path.
    data: a folder that replaces the data that the recipe generates.
    seeds: replace the recipe's seed. jobs: runs at once; by default one per CPU core, or one on an accelerator.
    device: by default the best available. plugin: modules with blocks or tasks of the user.
    out: the folder of run folders. reports: the folder of tables, plots and records.
    reuse_records: a run whose record is in `reports`/records, or in reports/records of a clone, counts as done even if
    its folder is not in `out`, so that an ablation can continue on another machine. A run that was trained with another
    number of threads counts too; otherwise it is trained again.
    allow_dirty: accept runs of uncommitted changes even if `reports` is under version control.
    heavy: train the heavy systems too, which otherwise are only counted.
    weights: a run's folder or a file, in place of a training, for studies of predictions.
    """

    recipe: str | None = None
    recipe_changes: Mapping[str, Any] = field(default_factory=dict)
    data: Path | None = None
    seeds: Sequence[int] = ()
    jobs: int | None = None
    device: str | None = None
    plugin: Sequence[str] = ()
    out: Path = Path("runs")
    reports: Path = Path("results")
    reuse_records: bool = False
    allow_dirty: bool = False
    heavy: bool = False
    weights: Path | None = None

    def check(self) -> None:
        """Raise InputError with every number that makes no sense."""
        wrong = self.jobs is not None and self.jobs < 1
        problems = [Problem(f"must be at least 1, not {self.jobs}", "--jobs")] if wrong else []
        problems += [Problem(f"must not be negative, and is {seed}", "--seeds") for seed in self.seeds if seed < 0]
        if problems:
            raise InputError(problems)

    @property
    def records(self) -> Path:
        """The folder of the records behind the reports."""
        return self.reports / "records"

    @property
    def reused(self) -> tuple[Path, ...]:
        """The folders of records that count as done."""
        return (self.records, COMMITTED / "records") if self.reuse_records else ()


@dataclass(frozen=True)
class Trainings:
    """All runs that studies ask for. kept: records that count as done, by fingerprint."""

    studies: Sequence[Study]
    jobs: Sequence[TrainingJob]
    kept: Mapping[str, Record]
    options: AblationOptions

    def record(self, job: TrainingJob) -> Record | None:
        """Return the record that stands for a job: with its number of threads, or any with `reuse_records`."""
        threads = self.threads(job)
        found = job.records(self.options.out, threads, self.kept)
        alike = [each for each in found if each.rounds_with(threads)]
        return next(iter([*alike, *(found if self.options.reuse_records else ())]), None)

    def threads(self, job: TrainingJob) -> int:
        """Return the CPU threads that a job is trained with: the recipe's, else this machine's share of a job."""
        return job.setup.recipe.threads or threads_each(self.at_once)

    def unlike(self, job: TrainingJob) -> str:
        """Return both numbers of threads if the run that is there has another one, else an empty text."""
        threads, record = self.threads(job), self.record(job)
        if record is None and job.fingerprint:
            record = unlike(self.options.out / job.fingerprint, threads)
        return "" if record is None or record.rounds_with(threads) else remark(record, threads)

    @cached_property
    def missing(self) -> list[TrainingJob]:
        return [job for job in self.jobs if not self.record(job)]

    @cached_property
    def at_once(self) -> int:
        return self.options.jobs or default_jobs(self.options.device)

    @property
    def setups(self) -> Iterable[TrainingSetup]:
        return {job.setup.name: job.setup for job in self.jobs}.values()

    def counted(self) -> str:
        reused = len(self.jobs) - len(self.missing)
        return f"{len(self.jobs)} runs: {reused} reused, {len(self.missing)} to train, {self.at_once} at once"

    def with_data(self) -> Trainings:
        """Return the same runs once their data is generated."""
        return _plan(self.studies, self.options, make_data=True)

    def as_json(self) -> dict[str, Any]:
        """Return what would be generated, trained and reused as plain data, with the seconds of each run."""
        expected = iter(estimates(self))
        runs = [self._run(job, None if self.record(job) else next(expected)) for job in self.jobs]
        data = [
            {"recipe": each.recipe.name, "folder": str(each.root), "exists": bool(each.data)} for each in self.setups
        ]
        return {"data": data, "runs": runs, "at_once": self.at_once}

    def _run(self, job: TrainingJob, expected: Estimate | None) -> dict[str, Any]:
        return {
            "name": job.row.name,
            "network": job.row.spec,
            "recipe": job.setup.recipe.name,
            "seed": job.seed,
            "action": "train" if expected else "reuse",
            "folder": str(self.options.out / job.fingerprint) if job.fingerprint else None,
            "threads": self.threads(job),
            "seconds": expected.seconds if expected else 0.0,
        }

    def lines(self) -> Iterator[str]:
        """Yield the same for a reader, a line a run."""
        for setup in self.setups:
            yield f"recipe {setup.recipe.name}, data {setup.root}{'' if setup.data else ' (would be generated first)'}"
            if self.kept and not setup.data:
                yield "  which kept records are of this data is not known before it is generated"
        found = estimates(self)
        expected = iter(found)
        for job in self.jobs:
            record, other = self.record(job), self.unlike(job)
            there = f" (there with {other})" if other else ""
            done = f"  reuse  {job}: {summary(record, self.options.plugin)}{there}" if record else ""
            yield done or f"  train  {job}: about {spell(next(expected).seconds)}{there}"
        yield self.counted()
        if found:
            yield _total(found, self.at_once)


def _total(found: Sequence[Estimate], at_once: int) -> str:
    known = [each.seconds for each in found if each.seconds is not None]
    total = sum(known) / min(at_once, len(found)) if len(known) == len(found) else None
    bases = Counter(each.basis for each in found)
    return f"about {spell(total)} in all, from " + "; ".join(f"{basis} ({n})" for basis, n in bases.items())


def plan_ablation(studies: Sequence[str | Path | Study], options: AblationOptions | None = None) -> Trainings:
    """Return the runs of the studies' rows, seed by seed, and which of them are done; nothing is written.

    Raises InputError with all problems of the studies, the options and the records.
    """
    options = options or AblationOptions()
    options.check()
    if not options.allow_dirty:
        check_checkout(options.reports)
        check_records(read_records(options.records), options.reports)
    loaded = [load_study(study, options.plugin) for study in studies]
    check_weights(options.weights, loaded)
    return _plan(loaded, options, make_data=False)


def _plan(studies: Sequence[Study], options: AblationOptions, *, make_data: bool) -> Trainings:
    given = [study for study in studies if isinstance(study, Predictions) and options.weights]
    trained = trainable_studies((study for study in studies if study not in given), options.plugin)
    chosen = _recipes(trained, options)
    names = [recipe for _, recipe in chosen]
    how: dict[str, Any] = {"make_data": make_data, "plugin": options.plugin, "changes": options.recipe_changes}
    setups = make_setups(names, options.data, **how)
    pairs = [(study, setups[recipe]) for study, recipe in chosen]
    jobs = make_jobs(pairs, options.seeds, options.plugin, heavy=options.heavy)
    drawn = make_jobs([pair for pair in pairs if isinstance(pair[0], Predictions)], options.seeds, options.plugin)
    kept = {record.fingerprint: record for folder in options.reused for record in read_records(folder)}
    for job in drawn:  # a record has no weights to draw with
        kept.pop(job.fingerprint, None)
    recipes = {study.name: options.recipe or study.recipe for study in given}
    recipes |= {study.name: recipe for study, recipe in chosen}
    return Trainings([_by_recipe(study, recipes) for study in studies], jobs, kept, options)


def _by_recipe(study: Study, recipes: Mapping[str, str]) -> Study:
    """Return a study with the recipe that it is trained by; a campaign's page is about its own recipe."""
    if isinstance(study, Ablation | Predictions | Systems) and study.name in recipes:
        return replace(study, recipe=recipes[study.name])
    return study


def weights_of(study: Predictions, options: AblationOptions) -> Path | None:
    """Return what a study of predictions draws with: the options' weights, else its finished run; None without."""
    if options.weights:
        return options.weights
    (job,) = _plan([study], options, make_data=False).jobs
    return options.out / job.fingerprint if job.finished(options.out) else None


def _recipes(studies: Sequence[Trainable], options: AblationOptions) -> list[tuple[Trainable, str]]:
    """Return the studies that are trained, each with its recipe or the one that replaces it.

    Where the studies are of several tasks, a recipe replaces those of its own task alone.
    """
    replacing, recipes = options.recipe, {study.recipe for study in studies if study.recipe}
    tasks = {recipe: load_recipe(recipe, plugin=options.plugin).task.name for recipe in recipes}
    if not replacing or len({*tasks.values()}) < 2:
        return [(study, recipe) for study in studies if (recipe := replacing or study.recipe)]
    task = load_recipe(replacing, plugin=options.plugin).task.name
    return [(s, replacing if tasks[s.recipe] == task else s.recipe) for s in studies if s.recipe]


def estimates(planned: Trainings) -> list[Estimate]:
    """Return how long each missing run will take."""
    from archlab.core.device import device_name, pick_device

    options, jobs = planned.options, planned.missing
    records = [*find_runs(options.out), *read_records(options.records)]
    device = device_name(pick_device(options.device))
    samples = {job.setup.name: job.samples for job in {job.setup.name: job for job in jobs}.values()}
    sizes = [
        TrainingSize(
            spec_hash=job.spec_hash,
            recipe_hash=job.setup.recipe_hash,
            activations=job.activations,
            samples=samples[job.setup.name],
            device=device,
            threads=planned.threads(job),
        )
        for job in jobs
    ]
    return [estimate(size, records) for size in sizes]
