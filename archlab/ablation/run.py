"""Training every row of some studies: missing runs are trained, finished ones reused, then the reports are written."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rich.console import Console

from archlab.ablation.campaign.page import campaign_tables
from archlab.ablation.estimate import Estimate, TrainingSize, estimate, spell
from archlab.ablation.jobs import TrainingJob, TrainingSetup, make_jobs, make_setups, trainable_studies
from archlab.ablation.load import load_study
from archlab.ablation.measured import ablation_tables, summary
from archlab.ablation.records import COMMITTED, check_checkout, check_records, copy_records, keep_records, read_records
from archlab.ablation.report import reported_rows, study_tables, write_report
from archlab.ablation.rows import Setting
from archlab.ablation.study import Ablation, Campaign, Scatter, Study
from archlab.core.errors import InputError, Problem
from archlab.core.processes import CommandLine, default_jobs, finished, tail, tell, threads_each
from archlab.core.progress import Advance, progress
from archlab.core.signals import Stopped, StopRequest
from archlab.report.tables import TableSet, terminal
from archlab.training.runs import Record, find_runs

TRAINING = 0.95
"""The share of a run's progress that is training; the rest is scoring and drawing."""


@dataclass(frozen=True)
class AblationOptions:
    """How an ablation runs.

    recipe: replaces the studies' own. data: a folder that replaces the data that the recipe generates.
    seeds: replace the recipe's seed. jobs: runs at once; by default one per CPU core, or one on an accelerator.
    device: by default the best available. plugin: modules with blocks or tasks of the user.
    out: the folder of run folders. reports: the folder of tables, plots and records.
    reuse_records: a run whose record is in `reports`/records, or in reports/records of a clone, counts as done even if
    its folder is not in `out`, so that an ablation can continue on another machine.
    allow_dirty: accept runs of uncommitted changes even if `reports` is under version control.
    dry_run: print what would run and for how long, and change nothing.
    """

    recipe: str | None = None
    data: Path | None = None
    seeds: Sequence[int] = ()
    jobs: int | None = None
    device: str | None = None
    plugin: Sequence[str] = ()
    out: Path = Path("runs")
    reports: Path = Path("results")
    reuse_records: bool = False
    allow_dirty: bool = False
    dry_run: bool = False

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
class AblationResult:
    """What an ablation did: the records of finished runs, the runs that failed, the reports written.

    stopped: the signal that ended it early, empty otherwise.
    """

    records: tuple[Record, ...] = ()
    failed: tuple[str, ...] = ()
    reports: tuple[Path, ...] = ()
    stopped: str = ""

    @property
    def exit_code(self) -> int:
        return 130 if self.stopped else 1 if self.failed else 0


@dataclass(frozen=True)
class _Trainings:
    """All runs that an ablation asks for. kept: records that count as done, by fingerprint."""

    jobs: Sequence[TrainingJob]
    kept: Mapping[str, Record]
    options: AblationOptions

    def record(self, job: TrainingJob) -> Record | None:
        return job.finished(self.options.out, self.kept)

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


def ablate(studies: Sequence[str | Path | Study], options: AblationOptions = AblationOptions()) -> AblationResult:
    """Train the missing runs of the studies' rows, seed by seed, and write the studies' reports.

    A run that fails is reported, and the others continue. After Ctrl-C, SIGTERM or a kill, the same call resumes.
    Raises InputError before anything is trained.
    """
    options.check()
    if not options.allow_dirty:
        check_checkout(options.reports)
        check_records(read_records(options.records), options.reports)
    loaded = [load_study(study) for study in studies]
    planned = _plan(loaded, options, make_data=False)
    if options.dry_run:
        _print_plan(planned)
        return AblationResult()
    try:
        with StopRequest().caught():
            planned = _plan(loaded, options, make_data=True)
            failed = _train(planned)
            reports = _report(loaded, planned)
    except Stopped as stopped:
        tell(f"{stopped}; run the same command to resume")
        return AblationResult(stopped=stopped.name)
    records = tuple(record for job in planned.jobs if (record := planned.record(job)))
    return AblationResult(records, tuple(map(str, failed)), tuple(reports))


def _plan(studies: Sequence[Study], options: AblationOptions, *, make_data: bool) -> _Trainings:
    chosen = [(study, options.recipe or study.recipe) for study in trainable_studies(studies)]
    setups = make_setups((recipe for _, recipe in chosen), options.data, make_data=make_data)
    jobs = make_jobs([(study, setups[recipe]) for study, recipe in chosen], options.seeds, options.plugin)
    kept = [record for folder in options.reused for record in read_records(folder)]
    return _Trainings(jobs, {record.fingerprint: record for record in kept}, options)


def _train(planned: _Trainings) -> list[TrainingJob]:
    """Train the missing runs and return those that failed."""
    options = planned.options
    keep_records((options.out / job.fingerprint for job in planned.jobs if job.finished(options.out)), options.records)
    copy_records((job.fingerprint for job in planned.jobs if planned.record(job)), options.reused, options.records)
    tell(planned.counted())
    jobs = planned.missing
    for setup in {job.setup.name: job.setup for job in jobs if job.refitted}.values():
        tell(f"recipe {setup.recipe.name}: {setup.outputs} outputs, as the data labels")
    if not jobs:
        return []
    seconds = [found.seconds or 1.0 for found in _estimates(planned)]
    commands = [_command(job, planned) for job in jobs]
    failed: list[TrainingJob] = []
    with progress("ablation, %", 100) as advance:
        overall = _Overall(jobs, seconds, options.out, advance)
        for number, code in finished(commands, at_once=planned.at_once, tick=overall.update):
            job, log = jobs[number], commands[number].log
            record = job.finished(options.out)
            if code == 0 and record:
                keep_records([options.out / job.fingerprint], options.records)
                tell(f"{job}: {summary(record, options.plugin)}")
            else:
                failed.append(job)
                tell(f"{job}: failed with exit code {code}; {log} ends in\n{tail(log)}")
    return failed


class _Overall:
    """The progress of all jobs together, each weighted by its expected duration."""

    def __init__(self, jobs: Sequence[TrainingJob], seconds: Sequence[float], out: Path, advance: Advance) -> None:
        self._jobs, self._seconds, self._out, self._advance = jobs, seconds, out, advance
        self._percent = self._done = 0

    def update(self) -> None:
        shares = [1.0 if job.finished(self._out) else TRAINING * job.progress(self._out) for job in self._jobs]
        passed = sum(share * seconds for share, seconds in zip(shares, self._seconds, strict=True))
        percent, done = int(100 * passed / sum(self._seconds)), shares.count(1.0)
        if percent > self._percent or done > self._done:
            self._advance(max(percent - self._percent, 0), f"{done} of {len(self._jobs)} runs done")
            self._percent, self._done = max(percent, self._percent), done


def _command(job: TrainingJob, planned: _Trainings) -> CommandLine:
    """Return the command that trains one job in a process of its own."""
    options, threads = planned.options, threads_each(planned.at_once, len(planned.missing))
    command = [sys.executable, "-m", "archlab.cli.worker", "train", job.row.spec, "--recipe", job.setup.name]
    command += ["--data", str(job.setup.root), "--seed", str(job.seed), "--out", str(options.out)]
    command += [text for name, value in job.row.fields.items() for text in ("--set", f"{name}={json.dumps(value)}")]
    command += [text for module in options.plugin for text in ("--plugin", module)]
    command += ["--device", options.device] if options.device else []
    command += [] if job.setup.recipe.threads else ["--threads", str(threads)]
    return CommandLine(tuple(command), options.out / job.fingerprint / "log.txt", {"OMP_NUM_THREADS": str(threads)})


def _report(studies: Sequence[Study], planned: _Trainings) -> list[Path]:
    """Print the tables of what was trained or reused, write all reports and return their files."""
    options = planned.options
    records = read_records(options.records)
    settings = dict.fromkeys(Setting.of(record) for job in planned.jobs if (record := planned.record(job)))
    console = Console()
    console = console if console.is_terminal else Console(width=160)
    written = []
    for study in studies:
        for each in _tables(study, records, [*settings], options.plugin):
            console.print(f"{each.source}: {each.title}", style="bold")
            console.print(terminal(each.tables, console.width), soft_wrap=True)
        paths = write_report(
            study, options.records, options.reports, plugin=options.plugin, allow_dirty=options.allow_dirty
        )
        for path in paths:
            tell(f"wrote {path}")
        written += paths
    return written


def _tables(
    study: Study, records: Sequence[Record], settings: Sequence[Setting], plugin: Sequence[str]
) -> list[TableSet]:
    """Return a study's tables of some settings."""
    if isinstance(study, Ablation) and settings:
        rows = reported_rows(study, records, plugin)
        return [ablation_tables(study, rows, plugin, only=setting) for setting in settings]
    if isinstance(study, Campaign):
        return [campaign_tables(study, records, plugin=plugin, only=settings)]
    return [] if isinstance(study, Scatter) else [study_tables(study, records, plugin=plugin)]


def _estimates(planned: _Trainings) -> list[Estimate]:
    """Return how long each missing run will take."""
    from archlab.core.device import device_name, pick_device

    options, jobs = planned.options, planned.missing
    records = [*find_runs(options.out), *read_records(options.records)]
    device, threads = device_name(pick_device(options.device)), threads_each(planned.at_once, len(jobs))
    samples = {job.setup.name: job.samples for job in {job.setup.name: job for job in jobs}.values()}
    sizes = [
        TrainingSize(
            spec_hash=job.spec_hash,
            recipe_hash=job.setup.recipe_hash,
            activations=job.activations,
            samples=samples[job.setup.name],
            device=device,
            threads=job.setup.recipe.threads or threads,
        )
        for job in jobs
    ]
    return [estimate(size, records) for size in sizes]


def _print_plan(planned: _Trainings) -> None:
    """Print what would be generated, trained and reused, and for how long."""
    for setup in planned.setups:
        print(f"recipe {setup.recipe.name}, data {setup.root}{'' if setup.data else ' (would be generated first)'}")
        if planned.kept and not setup.data:
            print("  which of the kept records are of this data is known once it is generated")
    estimates = _estimates(planned)
    expected = iter(estimates)
    for job in planned.jobs:
        record = planned.record(job)
        done = f"  reuse  {job}: {summary(record, planned.options.plugin)}" if record else ""
        print(done or f"  train  {job}: about {spell(next(expected).seconds)}")
    print(planned.counted())
    if estimates:
        known = [found.seconds for found in estimates if found.seconds is not None]
        total = sum(known) / min(planned.at_once, len(estimates)) if len(known) == len(estimates) else None
        bases = Counter(found.basis for found in estimates)
        print(f"about {spell(total)} in all, from " + "; ".join(f"{basis} ({n})" for basis, n in bases.items()))
