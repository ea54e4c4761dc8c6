"""Training every row of some studies: missing runs are trained, finished ones reused, then the reports are written."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from archlab.ablation.campaign.page import campaign_tables
from archlab.ablation.counted_systems import counted_systems
from archlab.ablation.drawings import Drawing, Predictions
from archlab.ablation.jobs import TrainingJob
from archlab.ablation.measured import ablation_tables, summary
from archlab.ablation.plan import AblationOptions, Trainings, estimates, plan_ablation, weights_of
from archlab.ablation.predictions import Drawn
from archlab.ablation.records import copy_records, keep_records, read_records
from archlab.ablation.report import reported_rows, study_tables, write_report
from archlab.ablation.rows import Setting, settings_of
from archlab.ablation.study import Ablation, Campaign, Scatter, Study
from archlab.ablation.systems import Systems
from archlab.ablation.systems_table import systems_tables
from archlab.ablation.threads import make_room
from archlab.core.notes import note
from archlab.core.processes import CommandLine, finished, tail
from archlab.core.progress import Advance, progress
from archlab.core.signals import Stopped, StopRequest
from archlab.report.tables import TableSet
from archlab.training.lock import held
from archlab.training.runs import Record
from archlab.yamlio import item_of

__all__ = ["AblationOptions", "AblationResult", "ablate", "plan_ablation"]

TRAINING = 0.95
"""The share of a run's progress that is training; the rest is scoring and drawing."""


@dataclass(frozen=True)
class AblationResult:
    """What an ablation did: the records of finished runs, the runs that failed, the reports written.

    tables: the tables of what was trained or reused. stopped: the signal that ended it early, empty otherwise.
    """

    records: tuple[Record, ...] = ()
    failed: tuple[str, ...] = ()
    reports: tuple[Path, ...] = ()
    tables: tuple[TableSet, ...] = ()
    stopped: str = ""

    @property
    def exit_code(self) -> int:
        return 130 if self.stopped else 1 if self.failed else 0


def ablate(studies: Sequence[str | Path | Study], options: AblationOptions | None = None) -> AblationResult:
    """Train the missing runs of the studies' rows, seed by seed, and write the studies' reports.

    A run that fails is reported, and the others continue. After Ctrl-C, SIGTERM or a kill, the same call resumes.
    Raises InputError before anything is trained.
    """
    planned = plan_ablation(studies, options)
    try:
        with StopRequest().caught():
            planned = planned.with_data()
            failed = _train(planned)
            tables = _tables_of(planned)
            reports = _write_reports(planned)
    except Stopped as stopped:
        note(f"{stopped}; run the same command to resume")
        return AblationResult(stopped=stopped.name)
    records = tuple(record for job in planned.jobs if (record := planned.record(job)))
    return AblationResult(records, tuple(map(str, failed)), tuple(reports), tuple(tables))


def _train(planned: Trainings) -> list[TrainingJob]:
    """Train the missing runs and return those that failed."""
    options = planned.options
    for line in _settled(planned):
        note(line)
    here = (job for job in planned.jobs if job.finished(options.out) and planned.record(job))
    keep_records((options.out / job.fingerprint for job in here), options.records)
    copy_records((job.fingerprint for job in planned.jobs if planned.record(job)), options.reused, options.records)
    note(planned.counted())
    jobs = planned.missing
    for setup in {job.setup.name: job.setup for job in jobs if job.refitted}.values():
        note(f"recipe {setup.recipe.name}: {setup.outputs} outputs, as the data labels")
    if not jobs:
        return []
    seconds = [found.seconds or 1.0 for found in estimates(planned)]
    commands = [_command(job, planned) for job in jobs]
    failed: list[TrainingJob] = []
    with progress("ablation, %", 100) as advance:
        overall = _Overall(jobs, seconds, options.out, advance)
        order: list[int] = []
        following = _free_first([options.out / job.fingerprint for job in jobs], order)
        drawn = (commands[number] for number in following)
        for place, code in finished(drawn, at_once=planned.at_once, tick=overall.update):
            number = order[place]
            job, log = jobs[number], commands[number].log
            record = job.finished(options.out)
            if code == 0 and record:
                keep_records([options.out / job.fingerprint], options.records)
                note(f"{job}: {summary(record, options.plugin)}")
            else:
                failed.append(job)
                note(f"{job}: failed with exit code {code}; {log} ends in\n{tail(log)}")
    return failed


def _free_first(folders: Sequence[Path], order: list[int]) -> Iterator[int]:
    """Yield the number of every folder, those that no other process trains in first; add each to `order`.

    So commands on the same rows share them. What is left in the end is waited for by its worker.
    """
    left = list(range(len(folders)))
    while left:
        number = next((each for each in left if not held(folders[each])), left[0])
        left.remove(number)
        order.append(number)
        yield number


def _settled(planned: Trainings) -> Iterator[str]:
    """Make room for runs of this number of threads; yield what becomes of each run of another number."""
    for job in planned.jobs:
        other = planned.unlike(job)
        if other and planned.record(job):
            yield f"{job}: the run is of {other}; it is reused as it is"
            continue
        moved = make_room(planned.options.out / job.fingerprint, planned.threads(job))
        if other and moved:
            yield f"{job}: the run is of {other}; it is kept in {moved}, and this row is trained again"


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


def _command(job: TrainingJob, planned: Trainings) -> CommandLine:
    """Return the command that trains one job in a process of its own."""
    options, threads = planned.options, planned.threads(job)
    command = [sys.executable, "-m", "archlab.cli.worker", "train", job.row.spec, "--recipe", job.setup.name]
    command += ["--data", str(job.setup.root), "--seed", str(job.seed), "--runs", str(options.out)]
    command += [text for name, value in job.row.fields.items() for text in ("--set", f"{name}={json.dumps(value)}")]
    changed = {name: item_of(value).plain() for name, value in options.recipe_changes.items()}
    command += [text for name, value in changed.items() for text in ("--recipe-set", f"{name}={json.dumps(value)}")]
    command += [text for module in options.plugin for text in ("--plugin", module)]
    command += ["--device", options.device] if options.device else []
    command += [] if job.setup.recipe.threads else ["--threads", str(threads)]
    return CommandLine(tuple(command), options.out / job.fingerprint / "log.txt", {"OMP_NUM_THREADS": str(threads)})


def _tables_of(planned: Trainings) -> list[TableSet]:
    """Return the tables of what was trained or reused."""
    options = planned.options
    records = read_records(options.records)
    settings = dict.fromkeys(Setting.of(record) for job in planned.jobs if (record := planned.record(job)))
    return [made for study in planned.studies for made in _tables(study, records, [*settings], options.plugin)]


def _write_reports(planned: Trainings) -> list[Path]:
    """Write the reports of all studies and return their files; note those that were out of date."""
    options, written = planned.options, list[Path]()
    for study in planned.studies:
        drawn = None
        if isinstance(study, Predictions):
            if not (weights := weights_of(study, options)):
                note(f"{study.name}: not drawn, since there is no trained {study.spec}")
                continue
            drawn = Drawn(weights, options.data, options.device)
        before = {path: path.read_bytes() for path in options.reports.glob(f"{study.name}.*")}
        made = write_report(
            study, options.records, options.reports, plugin=options.plugin, allow_dirty=options.allow_dirty, drawn=drawn
        )
        changed = [path for path in made if path.read_bytes() != before.get(path)]
        for line in [f"wrote {path}" for path in changed] or [f"{study.name}: up to date"]:
            note(line)
        written += made
    return written


def _tables(
    study: Study, records: Sequence[Record], settings: Sequence[Setting], plugin: Sequence[str]
) -> list[TableSet]:
    """Return a study's tables of those settings that any of its rows was measured in."""
    if isinstance(study, Ablation):
        rows = reported_rows(study, records, plugin)
        shown = [setting for setting in settings if setting in settings_of(rows)]
        return [ablation_tables(study, rows, plugin, only=setting) for setting in shown]
    if isinstance(study, Systems):
        return [systems_tables(study, counted_systems(study, records, plugin), plugin, only=settings)]
    if isinstance(study, Campaign):
        return [campaign_tables(study, records, plugin=plugin, only=settings)]
    return [] if isinstance(study, Scatter | Drawing | Predictions) else [study_tables(study, records, plugin=plugin)]
