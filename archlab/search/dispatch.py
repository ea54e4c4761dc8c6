"""Running a search's work in other processes: workers that finish trials, and the trainings of the front."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from archlab.core.device import pick_device
from archlab.core.errors import InputError
from archlab.core.files import write_text
from archlab.core.notes import note
from archlab.core.processes import CommandLine, Engine, tail, threads_each
from archlab.core.progress import Advance, progress
from archlab.search.collect import Training, missing, trained
from archlab.search.options import STORAGE, ActiveSearch
from archlab.search.recovery import MOST_DEATHS
from archlab.search.storage import database_errors
from archlab.training.lock import held

WAIT_SECONDS = 1.0
NO_USE = 3
"""The exit code of a worker whose replacement would fail too, as after an InputError."""


@dataclass(frozen=True)
class Placing:
    """How workers share this machine: `at_once` of them, on GPUs that the engine assigns if it `pins_gpus`.

    threads: CPU threads of each, by the workers that the search allows and not by those that are still needed.
    """

    at_once: int
    threads: int
    pins_gpus: bool

    @classmethod
    def of(cls, active: ActiveSearch, engine: Engine, left: int) -> Placing:
        """Return how to place the workers of a search that has `left` trials or trainings to do."""
        jobs = active.options.jobs or engine.jobs()
        return cls(min(jobs, left), threads_each(jobs), engine.pins_gpus)


@dataclass
class Course:
    """The state of a running search.

    slots: the numbers of the workers that may be started.
    done: finished trials.
    deaths: workers that died since the last trial finished.
    refused: whether a worker ended in a way that its replacement would too.
    taken: the slot of each started worker.
    """

    active: ActiveSearch
    slots: deque[int]
    done: int
    deaths: int = 0
    refused: bool = False
    taken: dict[int, int] = field(default_factory=dict)

    def workers(self, placing: Placing) -> Iterator[CommandLine]:
        """Yield a worker for each free slot, while trials are left and workers do not die repeatedly."""
        number = 0
        most = MOST_DEATHS * placing.at_once
        while self.done < self.active.trials and not self.refused and self.deaths < most:
            self.taken[number] = slot = self.slots.popleft()
            yield _worker(self.active, slot, placing)
            number += 1

    def look(self, advance: Advance) -> None:
        """Show newly finished trials; if the database does not answer, the next call asks again."""
        with suppress(*database_errors()):
            finished = self.active.finished
            if finished > self.done:
                advance(finished - self.done, _best(self.active))
                self.done, self.deaths = finished, 0

    def ended(self, number: int, code: int, log: Path) -> None:
        """Free the slot of a worker that ended, and count a death if it failed."""
        self.slots.append(self.taken.pop(number))
        if code == 0:
            return
        self.deaths += 1
        if not self.refused:
            why = ", because a file could not be read or written" if code == NO_USE else ""
            note(f"a worker ended with exit code {code}{why}; {log} ends in\n{tail(log)}")
        self.refused = self.refused or code in (InputError.exit_code, NO_USE)


def finish_trials(active: ActiveSearch, engine: Engine) -> bool:
    """Run workers until the requested trials are finished; return whether they are."""
    active.sweep()
    done, name = active.finished, active.search.name
    if done >= active.trials:
        note(f"{name}: {done} trials are finished")
        return True
    placing = Placing.of(active, engine, active.trials - done)
    at_once = placing.at_once
    note(f"{name}: {done} of {active.trials} trials are finished, {at_once} at once")
    course = Course(active, deque(range(at_once)), done)
    try:
        with progress("search, trials", active.trials, done=done) as advance:
            workers = course.workers(placing)
            ends = engine.finished(workers, at_once=at_once, tick=lambda: course.look(advance), every_seconds=0.5)
            with closing(ends):
                for number, code in ends:
                    course.look(advance)
                    course.ended(number, code, _log(active, course.taken[number]))
    finally:
        active.sweep()
    return active.finished >= active.trials


def _best(active: ActiveSearch) -> str:
    """Return the best value of the first objective so far, as text."""
    first = active.search.objectives[0]
    complete = trained(active.session.study)
    if not complete:
        return ""
    best = (max if first.direction == "maximize" else min)(trial.values[0] for trial in complete)
    return f"best {first.name} {best:.4g}"


def _log(active: ActiveSearch, slot: int) -> Path:
    return active.folder / "logs" / f"worker{slot}.txt"


def _worker(active: ActiveSearch, slot: int, placing: Placing) -> CommandLine:
    o = active.options
    arguments = ["search", o.study, "--worker", "--trials", str(active.trials)]
    arguments += ["--searches", str(o.out), "--data", str(active.root), "--grace", str(o.grace)]
    made = _command(active, arguments, _log(active, slot), slot, placing)
    return replace(made, environment={**made.environment, STORAGE: o.storage}) if o.storage else made


def _command(active: ActiveSearch, arguments: list[str], log: Path, slot: int, placing: Placing) -> CommandLine:
    """Return an archlab command with its share of the cores and, unless the engine assigns GPUs, one of several GPUs.

    If there are more workers than GPUs, they share them.
    """
    import torch

    o = active.options
    whole = [sys.executable, "-m", "archlab.cli.worker", *arguments]
    whole += ["--device", o.device] if o.device else []
    whole += [text for module in o.plugin for text in ("--plugin", module)]
    environment = {"OMP_NUM_THREADS": str(placing.threads)}
    if not placing.pins_gpus and pick_device(o.device).type == "cuda" and torch.cuda.device_count() > 1:
        environment["CUDA_VISIBLE_DEVICES"] = str(slot % torch.cuda.device_count())
    return CommandLine(tuple(whole), log, environment)


def train_front(active: ActiveSearch, engine: Engine) -> None:
    """Train the references and the front's members with every seed that the search asks for, and report failures.

    A training that another process has begun is waited for.
    """
    runs, failed = active.runs, set[Path]()
    while left := [
        each for each in missing(active.session, runs, active.options.plugin) if runs.path(each) not in failed
    ]:
        free = [each for each in left if not held(runs.path(each))]
        if free:
            failed |= {runs.path(each) for each in _train_all(active, engine, free) if not held(runs.path(each))}
        else:
            time.sleep(WAIT_SECONDS)


def _train_all(active: ActiveSearch, engine: Engine, left: list[Training]) -> list[Training]:
    """Run these trainings; return those that failed."""
    placing = Placing.of(active, engine, len(left))
    note(f"{len(left)} trainings of the references and the front, {placing.at_once} at once")
    commands = [_training(active, each, number, placing) for number, each in enumerate(left)]
    failed = []
    with progress("front, trainings", len(commands)) as advance:
        ends = engine.finished(commands, at_once=placing.at_once, tick=lambda: None, every_seconds=0.5)
        with closing(ends):
            for number, code in ends:
                advance(1, "")
                if code:
                    failed.append(left[number])
                    log = commands[number].log
                    note(f"{left[number].spec.name}, seed {left[number].seed}: exit code {code}; {tail(log)}")
    return failed


def _training(active: ActiveSearch, each: Training, number: int, placing: Placing) -> CommandLine:
    folder = active.folder
    height, width = each.recipe.input
    spec, recipe = folder / "specs" / f"{each.spec.name}.yaml", folder / "specs" / f"recipe_{height}x{width}.yaml"
    write_text(spec, each.spec.to_yaml())
    write_text(recipe, replace(each.recipe, name=active.search.recipe.name).to_yaml())
    arguments = ["train", str(spec), "--recipe", str(recipe), "--seed", str(each.seed), "--data", str(active.root)]
    arguments += ["--runs", str(folder / "runs"), "--outputs", str(each.spec.outputs)]
    arguments += [] if each.recipe.threads else ["--threads", str(placing.threads)]
    log = folder / "logs" / f"{each.spec.name}_{each.seed}.txt"
    return _command(active, arguments, log, number % placing.at_once, placing)
