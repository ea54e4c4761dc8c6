"""The search command: workers that finish a study's trials, the front trained again, and what became of it written."""

from __future__ import annotations

import sys
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from archlab import yamlio
from archlab.core.errors import InputError, Problem
from archlab.core.files import write_text
from archlab.core.processes import Command, Engine, tail, tell, threads_each
from archlab.core.progress import Advance, progress
from archlab.core.ray import EngineName, engine
from archlab.core.signals import Stopped, StopRequest
from archlab.search import collect as gather
from archlab.search.load import Search, load_search
from archlab.search.recovery import MOST_DEATHS, counts, sweep
from archlab.search.report.write import write_search
from archlab.search.results import Result, write_result
from archlab.search.space.gate import Gate
from archlab.search.storage import GRACE_SECONDS, StudyStorage, database_errors
from archlab.search.trial import Bench
from archlab.search.worker import Session, open_study, work
from archlab.tasks.pose.data.sets import fingerprint as data_fingerprint
from archlab.training.recipe import ensure_data
from archlab.training.runs import held

WAIT_SECONDS = 1.0
NO_USE = 3
"""The exit code of a worker that another in its place would fare no better than, as InputError's is."""


@dataclass(frozen=True)
class Options:
    """How a search is run, as the command line says it; None is as the search or the machine says."""

    study: str
    trials: int | None = None
    jobs: int | None = None
    storage: str | None = None
    data: Path | None = None
    device: str | None = None
    out: Path = Path("searches")
    plugin: tuple[str, ...] = ()
    engine: EngineName = "processes"
    grace: int = GRACE_SECONDS

    def place(self, name: str) -> StudyStorage:
        folder = self.out / name
        return StudyStorage(self.storage or str(folder / "study.journal"), folder, self.grace)


@dataclass(frozen=True)
class Job:
    """A search that is run: its study, its data, and how many trials are wanted."""

    options: Options
    search: Search
    session: Session
    root: Path
    trials: int

    @property
    def folder(self) -> Path:
        return self.session.place.folder

    @property
    def runs(self) -> gather.Runs:
        return gather.Runs(self.folder / "runs", data_fingerprint(self.root, self.search.recipe.dataset))

    @property
    def finished(self) -> int:
        return counts(self.session.study)[0]

    def sweep(self) -> None:
        with self.session.place.alone(self.session.storage, self.search.name):
            sweep(self.session.study)


def search(o: Options) -> int:
    """Finish a search's trials, train its front again, write its report; the exit code.

    Called again, killed or not, it goes on where it was; on other machines with the same `storage`, it joins in.
    """
    _check(o)
    try:
        job = _opened(o)
        if job.finished < job.trials:  # told now, if nothing passes, and not by every worker
            Gate(job.search.space).sample(Random(job.search.form.seed))
        with engine(o.engine, o.device) as workers, StopRequest().caught():
            if workers.nodes() > 1 and job.session.place.is_local:
                told = f"{workers.nodes()} machines of a cluster cannot share a file: name a PostgreSQL database"
                raise InputError(Problem(told, "--storage", job.session.place.shown))
            if reached := _finish(job, workers):
                _train(job, workers)
        code = _report(job)
        return code if reached else 1
    except Stopped as stopped:
        tell(f"{stopped}; the same command goes on from here")
        return 130
    except Exception as error:
        if not isinstance(error, (OSError, *database_errors())):
            raise
        tell(f"{_words(error)}; the same command goes on from here")
        return 1


def worker(o: Options) -> int:
    """One worker of a search, in this process; its exit code."""
    try:
        job = _opened(o)
        bench = Bench(job.search, job.folder / "runs", job.root, o.device)
        with StopRequest().caught():
            work(job.session, bench, job.trials)
    except OSError as error:
        with suppress(OSError):  # the disk of the log may be the full one
            tell(f"{_words(error)}; this worker ends, and its trial is tried again")
        return NO_USE
    except database_errors() as error:
        tell(f"{_words(error)}; this worker ends, and its trial is tried again")
        return 1
    return 0


def result_of(o: Options) -> Result:
    """What a search has found so far; InputError if it was never begun here."""
    job = _opened(o, create=False)
    return gather.gather(job.session, job.runs, asked=job.trials, plugin=o.plugin)


def _check(o: Options) -> None:
    said = {"--trials": o.trials, "--jobs": o.jobs, "--grace": o.grace}
    problems = [Problem(f"at least 1, found {n}", name) for name, n in said.items() if n is not None and n < 1]
    if problems:
        raise InputError(problems)


def _words(error: Exception) -> str:
    """What went wrong outside of the search, in the words of the system or the database."""
    if isinstance(error, OSError):
        return ": ".join(str(part) for part in (error.filename, error.strerror or error) if part)
    cause = error.__cause__ or error
    return f"the database was lost: {str(cause).strip().splitlines()[0]}"


def _opened(o: Options, *, create: bool = True) -> Job:
    found = load_search(o.study, data=o.data, plugin=o.plugin)
    root = ensure_data(found.recipe, o.data)
    data = data_fingerprint(root, found.recipe.dataset)
    session = open_study(found, o.place(found.name), data=data, create=create)
    return Job(o, found, session, root, o.trials or found.form.trials)


@dataclass
class Course:
    """How a search goes: trials finished, workers that died since the last was, and places free for another one."""

    job: Job
    places: deque[int]
    done: int
    deaths: int = 0
    refused: bool = False
    taken: dict[int, int] = field(default_factory=dict)

    def tasks(self, at_once: int, pins_gpus: bool) -> Iterator[Command]:
        """A worker for every free place, as long as there is something to do and it does not die again and again."""
        number = 0
        while self.done < self.job.trials and not self.refused and self.deaths < MOST_DEATHS * at_once:
            self.taken[number] = place = self.places.popleft()
            yield _worker_task(self.job, place, at_once, pins_gpus)
            number += 1

    def look(self, advance: Advance) -> None:
        """Tell what is new; a database that does not answer is asked again."""
        with suppress(*database_errors()):
            finished = self.job.finished
            if finished > self.done:
                advance(finished - self.done, _best(self.job))
                self.done, self.deaths = finished, 0

    def ended(self, number: int, code: int, log: Path) -> None:
        """A worker did, before all was finished or after it."""
        self.places.append(self.taken.pop(number))
        if code == 0:
            return
        self.deaths += 1
        if not self.refused:
            why = ", since a file could not be read or written" if code == NO_USE else ""
            tell(f"a worker ended with exit code {code}{why}; {log} ends in\n{tail(log)}")
        self.refused = self.refused or code in (InputError.exit_code, NO_USE)


def _finish(job: Job, workers: Engine) -> bool:
    """Run workers until as many trials are finished as are wanted; whether they are."""
    job.sweep()
    done, name = job.finished, job.search.name
    if done >= job.trials:
        tell(f"{name}: {done} trials are finished")
        return True
    at_once = min(job.options.jobs or workers.jobs(), job.trials - done)
    tell(f"{name}: {done} of {job.trials} trials are finished, {at_once} at once")
    course = Course(job, deque(range(at_once)), done)
    try:
        with progress("search, trials", job.trials, done=done) as advance:
            tasks = course.tasks(at_once, workers.pins_gpus)
            ends = workers.finished(tasks, at_once=at_once, tick=lambda: course.look(advance), every_seconds=0.5)
            with closing(ends):
                for number, code in ends:
                    course.look(advance)
                    course.ended(number, code, _log(job, course.taken[number]))
    finally:
        job.sweep()
    return job.finished >= job.trials


def _best(job: Job) -> str:
    """The best of the first objective so far."""
    first = job.search.objectives[0]
    complete = gather.trained(job.session.study)
    if not complete:
        return ""
    best = (max if first.direction == "maximize" else min)(trial.values[0] for trial in complete)
    return f"best {first.name} {best:.4g}"


def _log(job: Job, place: int) -> Path:
    return job.folder / "logs" / f"worker{place}.txt"


def _worker_task(job: Job, place: int, at_once: int, pins_gpus: bool) -> Command:
    o = job.options
    command = ["search", o.study, "--worker", "--trials", str(job.trials)]
    command += ["--out", str(o.out), "--data", str(job.root), "--grace", str(o.grace)]
    command += ["--storage", o.storage] if o.storage else []
    return _task(o, command, _log(job, place), place, at_once, pins_gpus)


def _task(o: Options, command: list[str], log: Path, place: int, at_once: int, pins_gpus: bool) -> Command:
    """An archlab command with its share of the CPU's cores, and its own GPU of several unless the engine sees to that.

    More workers than GPUs share them.
    """
    import torch

    from archlab.core.device import pick_device

    whole = [sys.executable, "-m", "archlab.cli.worker", *command]
    whole += ["--device", o.device] if o.device else []
    whole += [text for module in o.plugin for text in ("--plugin", module)]
    environment = {"OMP_NUM_THREADS": str(threads_each(at_once, at_once))}
    if not pins_gpus and pick_device(o.device).type == "cuda" and torch.cuda.device_count() > 1:
        environment["CUDA_VISIBLE_DEVICES"] = str(place % torch.cuda.device_count())
    return Command(tuple(whole), log, environment)


def _train(job: Job, workers: Engine) -> None:
    """The references and the front's members, from every seed that the search asks for; a failure is told.

    What another process trains already is waited for.
    """
    runs, failed = job.runs, set[Path]()
    while missing := [
        each for each in gather.missing(job.session, runs, job.options.plugin) if runs.path(each) not in failed
    ]:
        free = [each for each in missing if not held(runs.path(each))]
        if free:
            failed |= {runs.path(each) for each in _trained(job, workers, free) if not held(runs.path(each))}
        else:
            time.sleep(WAIT_SECONDS)


def _trained(job: Job, workers: Engine, missing: list[gather.Run]) -> list[gather.Run]:
    """Train them; those that failed."""
    at_once = min(job.options.jobs or workers.jobs(), len(missing))
    tell(f"{len(missing)} trainings of the references and the front, {at_once} at once")
    tasks = [_train_task(job, each, number, at_once, workers.pins_gpus) for number, each in enumerate(missing)]
    failed = []
    with progress("front, trainings", len(tasks)) as advance:
        ends = workers.finished(tasks, at_once=at_once, tick=lambda: None, every_seconds=0.5)
        with closing(ends):
            for number, code in ends:
                advance(1, "")
                if code:
                    failed.append(missing[number])
                    log = tasks[number].log
                    tell(f"{missing[number].spec.name}, seed {missing[number].seed}: exit code {code}; {tail(log)}")
    return failed


def _train_task(job: Job, each: gather.Run, number: int, at_once: int, pins_gpus: bool) -> Command:
    folder = job.folder
    height, width = each.recipe.input
    spec, recipe = folder / "specs" / f"{each.spec.name}.yaml", folder / "specs" / f"recipe_{height}x{width}.yaml"
    write_text(spec, each.spec.to_yaml())
    write_text(recipe, yamlio.dump(replace(each.recipe, name=job.search.recipe.name)))
    command = ["train", str(spec), "--recipe", str(recipe), "--seed", str(each.seed), "--data", str(job.root)]
    command += ["--out", str(folder / "runs"), "--outputs", str(each.spec.outputs)]
    command += [] if each.recipe.threads else ["--threads", str(threads_each(at_once, at_once))]
    log = folder / "logs" / f"{each.spec.name}_{each.seed}.txt"
    return _task(job.options, command, log, number % at_once, at_once, pins_gpus)


def _report(job: Job) -> int:
    """Write the result and what shows it; 1 if no candidate could be trained."""
    o, folder = job.options, job.folder
    result = gather.gather(job.session, job.runs, asked=job.trials, plugin=o.plugin)
    write_result(result, folder / "result.json")
    reasons = Counter(c.reason for c in result.candidates if c.outcome == "failed")
    for reason, count in reasons.most_common(1):
        tell(f"{reasons.total()} candidates could not be trained; {count} of them: {reason.splitlines()[0]}")
    if not result.complete:
        tell(f"no candidate was trained to the end; {folder / 'result.json'} holds what is known")
        return 1
    for path in write_search(result, folder, plugin=o.plugin):
        tell(f"wrote {path}")
    return 0
