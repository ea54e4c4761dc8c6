"""Training every row of some studies: the missing ones are trained, the done ones reused, then reports are written."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from rich.console import Console

from archlab.ablation import report
from archlab.ablation import study as studies
from archlab.ablation.campaign import page as campaign_page
from archlab.ablation.estimate import Estimate, Work, estimate, spell
from archlab.ablation.jobs import Job, make_jobs, make_plans, trained
from archlab.ablation.measured import document, summary
from archlab.ablation.records import keep_records, read_records
from archlab.ablation.rows import Setting, count, gather
from archlab.ablation.study import Ablation, Campaign, Scatter, Study
from archlab.core.errors import InputError, Problem
from archlab.core.processes import Command, default_jobs, finished, tail, tell, threads_each
from archlab.core.progress import Advance, progress
from archlab.core.signals import Stopped, StopRequest
from archlab.report.tables import terminal
from archlab.tasks.pose.keypoints import COCO
from archlab.training.runs import Record, find_runs

TRAINING = 0.95
"""Of a run, as its progress goes; the rest is scoring and drawing."""


def ablate(
    names: Sequence[str | Path],
    *,
    recipe: str | None = None,
    data: Path | None = None,
    seeds: Sequence[int] = (),
    jobs: int | None = None,
    dry_run: bool = False,
    device: str | None = None,
    plugin: Sequence[str] = (),
    out: Path = Path("runs"),
    reports: Path = Path("reports"),
    reuse_records: bool = False,
) -> int:
    """Train what is missing of the studies' rows, seed by seed, and write their reports; the exit code.

    `recipe` overrides the studies', `seeds` the recipe's, `data` the data that the recipe makes for itself. `jobs` runs
    go at once, by default as many as there are CPU cores, or one on an accelerator; cores are shared out between them.
    With `reuse_records` a run whose record lies in `reports`/records counts as done where its folder is not here, so
    that what another machine began goes on. A run that fails is named and the others go on: exit code 1. Stopped by
    Ctrl-C or SIGTERM (exit code 130), or killed, it goes on where it was when it is called again. Raises InputError
    before anything is trained.
    """
    _check(jobs, seeds)
    loaded = [studies.load(name) for name in names]
    chosen = [(study, recipe or study.recipe) for study in trained(loaded)]
    at_once = jobs or default_jobs(device)
    kept = {record.fingerprint: record for record in read_records(reports / "records")} if reuse_records else {}

    def listed(*, make_data: bool) -> list[Job]:
        plans = make_plans((name for _, name in chosen), data, make_data=make_data)
        return make_jobs([(study, plans[name]) for study, name in chosen], seeds, plugin)

    wanted = listed(make_data=False)
    if dry_run:
        _print_plan(wanted, kept, at_once, device, out, reports)
        return 0
    try:
        with StopRequest().caught():
            wanted = listed(make_data=True)
            failed = _train(wanted, kept, at_once, device, plugin, out, reports)
            _report(loaded, wanted, kept, plugin, out, reports)
    except Stopped as stopped:
        tell(f"{stopped}; the same command goes on from here")
        return 130
    return 1 if failed else 0


def _check(jobs: int | None, seeds: Sequence[int]) -> None:
    problems = [] if jobs is None or jobs > 0 else [Problem(f"must be at least 1, not {jobs}", "--jobs")]
    problems += [Problem(f"must not be negative, and is {seed}", "--seeds") for seed in seeds if seed < 0]
    if problems:
        raise InputError(problems)


def _train(
    wanted: Sequence[Job],
    kept: Mapping[str, Record],
    at_once: int,
    device: str | None,
    plugin: Sequence[str],
    out: Path,
    reports: Path,
) -> list[Job]:
    """Train the jobs that are not done; those that failed."""
    reused = [job for job in wanted if job.done(out, kept)]
    keep_records((out / job.fingerprint for job in reused if job.done(out)), reports / "records")
    missing = [job for job in wanted if job not in reused]
    tell(f"{len(wanted)} runs: {len(reused)} reused, {len(missing)} to train, {at_once} at once")
    for plan in {job.plan.name: job.plan for job in missing}.values():
        if plan.keypoints not in (None, COCO.count):
            tell(f"recipe {plan.recipe.name}: {plan.keypoints} outputs, as the data labels")
    if not missing:
        return []
    estimates = _estimates(missing, [*find_runs(out), *read_records(reports / "records")], at_once, device)
    threads = threads_each(at_once, len(missing))
    tasks = [_task(job, out, threads, device, plugin) for job in missing]
    failed: list[Job] = []
    with progress("ablation, %", 100) as advance:
        overall = _Overall(missing, [found.seconds or 1.0 for found in estimates], out, advance)
        for number, code in finished(tasks, at_once=at_once, tick=overall.look):
            job = missing[number]
            record = job.done(out)
            if code == 0 and record:
                keep_records([out / job.fingerprint], reports / "records")
                tell(f"{job}: {summary(record)}")
            else:
                failed.append(job)
                tell(f"{job}: failed with exit code {code}; {tasks[number].log} ends in\n{tail(tasks[number].log)}")
    return failed


class _Overall:
    """The progress of all jobs together, each weighing as much as the time it is expected to take."""

    def __init__(self, jobs: Sequence[Job], seconds: Sequence[float], out: Path, advance: Advance) -> None:
        self._jobs, self._seconds, self._out, self._advance = jobs, seconds, out, advance
        self._percent = self._done = 0

    def look(self) -> None:
        shares = [1.0 if job.done(self._out) else TRAINING * job.share(self._out) for job in self._jobs]
        passed = sum(share * seconds for share, seconds in zip(shares, self._seconds, strict=True))
        percent, done = int(100 * passed / sum(self._seconds)), shares.count(1.0)
        if percent > self._percent or done > self._done:
            self._advance(max(percent - self._percent, 0), f"{done} of {len(self._jobs)} runs done")
            self._percent, self._done = max(percent, self._percent), done


def _task(job: Job, out: Path, threads: int, device: str | None, plugin: Sequence[str]) -> Command:
    command = [sys.executable, "-m", "archlab.cli.worker", "train", job.row.spec, "--recipe", job.plan.name]
    command += ["--data", str(job.plan.root), "--seed", str(job.seed), "--out", str(out)]
    command += [text for name, value in job.row.fields.items() for text in ("--set", f"{name}={json.dumps(value)}")]
    command += [text for module in plugin for text in ("--plugin", module)]
    command += ["--device", device] if device else []
    command += [] if job.plan.recipe.threads else ["--threads", str(threads)]
    return Command(tuple(command), out / job.fingerprint / "log.txt", {"OMP_NUM_THREADS": str(threads)})


def _report(
    loaded: Sequence[Study],
    wanted: Sequence[Job],
    kept: Mapping[str, Record],
    plugin: Sequence[str],
    out: Path,
    reports: Path,
) -> None:
    """Print the tables of what was trained or reused here, and write all reports."""
    records = read_records(reports / "records")
    settings = dict.fromkeys(Setting.of(record) for job in wanted if (record := job.done(out, kept)))
    console = Console()
    console = console if console.is_terminal else Console(width=160)
    for study in loaded:
        documents = []
        if isinstance(study, Ablation) and settings:
            rows = gather(study.rows, records, partial(count, plugin=plugin))
            documents = [document(study, rows, only=setting) for setting in settings]
        elif isinstance(study, Campaign):
            documents = [campaign_page.document(study, records, plugin=plugin, only=[*settings])]
        elif not isinstance(study, Scatter):
            documents = [report.document(study, records, plugin=plugin)]
        for each in documents:
            console.print(f"{each.source}: {each.title}", style="bold")
            console.print(terminal(each.tables, console.width), soft_wrap=True)
        for path in report.report(study, reports / "records", reports, plugin=plugin):
            tell(f"wrote {path}")


def _estimates(jobs: Sequence[Job], records: Sequence[Record], at_once: int, device: str | None) -> list[Estimate]:
    from archlab.core.device import device_name, pick_device

    name, threads = device_name(pick_device(device)), threads_each(at_once, len(jobs))
    samples = {job.plan.name: job.samples for job in {job.plan.name: job for job in jobs}.values()}
    return [
        estimate(
            Work(
                spec_hash=job.spec_hash,
                recipe_hash=job.plan.recipe_hash,
                activations=job.activations,
                samples=samples[job.plan.name],
                device=name,
                threads=job.plan.recipe.threads or threads,
            ),
            records,
        )
        for job in jobs
    ]


def _print_plan(
    wanted: Sequence[Job], kept: Mapping[str, Record], at_once: int, device: str | None, out: Path, reports: Path
) -> None:
    """What would be made, trained and reused, and for how long."""
    for plan in {job.plan.name: job.plan for job in wanted}.values():
        print(f"recipe {plan.recipe.name}, data {plan.root}{'' if plan.data else ' (would be generated first)'}")
        if kept and not plan.data:
            print("  which of the kept records are of this data is known once it is made")
    missing = [job for job in wanted if not job.done(out, kept)]
    records = [*find_runs(out), *read_records(reports / "records")]
    estimates = _estimates(missing, records, at_once, device)
    expected = iter(estimates)
    for job in wanted:
        done = job.done(out, kept)
        print(f"  reuse  {job}: {summary(done)}" if done else f"  train  {job}: about {spell(next(expected).seconds)}")
    print(f"{len(wanted)} runs: {len(wanted) - len(missing)} reused, {len(missing)} to train, {at_once} at once")
    if missing:
        known = [found.seconds for found in estimates if found.seconds is not None]
        total = sum(known) / min(at_once, len(missing)) if len(known) == len(missing) else None
        bases = Counter(found.basis for found in estimates)
        print(
            f"about {spell(total)} in all, estimated from " + "; ".join(f"{basis} ({n})" for basis, n in bases.items())
        )
