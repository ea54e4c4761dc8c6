"""A search whose trials take about a second: a tiny space, a recipe of a few steps, a handful of people."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import optuna

from archlab.search.options import SearchOptions
from archlab.search.recovery import counts, lives, outcome
from archlab.tasks.pose.synthetic import generate
from archlab.training.runs import find_runs

SPACE = """\
version: 1
title: Tiny networks
base: {folder}/base.yaml
vary:
  width: {field: nodes.quarter.width, from: 8, to: 32, step: 8}
  kernel: {field: nodes.quarter.kernel, choices: [3, 5, 7]}
  blocks: {field: nodes.more.repeat, from: 1, to: 4}
"""
BASE = """\
version: 1
nodes:
  quarter: {block: conv, width: 8, kernel: 5, stride: 4}
  more: {block: basic_block, repeat: 1}
"""
RECIPE = """\
input: [64, 64]
iterations: 6
batch: 4
optimiser: {name: adam, lr: 1e-3}
flip_test: false
boxes: ground_truth
threads: 1
checkpoint_every: 2
"""
STUDY = """\
kind: search
title: Tiny networks
space: space.yaml
recipe: recipe.yaml
objectives: {pck: maximize, params: minimize}
trials: 8
sampler: {name: random}
rungs: {at: [{iterations: 2}, {iterations: 4}], eta: 1.5}
"""
POINTS = 4 * 3 * 4


@dataclass(frozen=True)
class Tiny:
    """A folder with a search of the name `tiny` in it, and its data."""

    folder: Path
    data: Path

    @property
    def study(self) -> Path:
        return self.folder / "tiny.yaml"

    @property
    def out(self) -> Path:
        return self.folder / "searches"

    @property
    def journal(self) -> Path:
        return self.out / "tiny" / "study.journal"

    def write(self, name: str, *changes: tuple[str, str]) -> None:
        """Change a file's text; what is to be replaced must be there."""
        path = self.folder / name
        text = path.read_text()
        for old, new in changes:
            assert old in text, f"{old!r} is not in {name}"
            text = text.replace(old, new)
        path.write_text(text)

    def options(self, **said: object) -> SearchOptions:
        return SearchOptions(**{"study": str(self.study), "data": self.data, "out": self.out, "device": "cpu", **said})  # type: ignore[arg-type]

    def command(self, *more: str) -> list[str]:
        places = ["--data", str(self.data), "--searches", str(self.out), "--device", "cpu"]
        return [sys.executable, "-m", "archlab", "search", str(self.study), *places, *more]

    def is_begun(self) -> bool:
        """Whether the study is in its journal."""
        return self.journal.is_file() and b"tiny" in self.journal.read_bytes()

    def opened(self) -> optuna.Study:
        return optuna.load_study(study_name="tiny", storage=self.options().study_storage("tiny").open(create=False))


def make(folder: Path, data: Path) -> Tiny:
    for name, text in {"space": SPACE, "base": BASE, "recipe": RECIPE, "tiny": STUDY}.items():
        (folder / f"{name}.yaml").write_text(text.replace("{folder}", str(folder)))
    return Tiny(folder, data)


def people(folder: Path) -> Path:
    return generate(folder / "people", level="quick", train=12, val=6, seed=3)


def check_exact(study: optuna.Study, trials: int) -> list[optuna.trial.FrozenTrial]:
    """So many trials are finished, of as many networks, and none runs or waits; the finished ones."""
    assert counts(study) == (trials, 0, 0)
    finished = [trial for trial in study.get_trials() if outcome(trial)]
    hashes = [trial.user_attrs["candidate"]["hash"] for trial in finished]
    assert len(set(hashes)) == len(hashes) == trials
    return finished


Start = Callable[..., subprocess.Popen[str]]


@contextmanager
def commands(folder: Path) -> Iterator[Start]:
    """Start a command as a process, its environment added to; all of them are killed in the end."""
    started: list[subprocess.Popen[str]] = []

    def start(command: list[str], environment: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        around = {**os.environ, **(environment or {})}
        started.append(subprocess.Popen(command, text=True, cwd=folder, env=around, **pipes))
        return started[-1]

    try:
        yield start
    finally:
        for process in started:
            process.kill()
            process.communicate()


def wait_for(condition: Callable[[], object], seconds: float = 300.0) -> None:
    """Wait on a condition; the deadline only ends what hangs."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


def processes_of(folder: Path) -> list[int]:
    """The processes, but this one, whose command line names the folder."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit() and int(path.name) != os.getpid():
            try:
                line = (path / "cmdline").read_bytes().decode()
            except OSError:
                continue
            if str(folder) in line:
                found.append(int(path.name))
    return found


def number_of(worker: str) -> int:
    """The process of a worker's name."""
    return int(worker.rsplit(":", 2)[1])


def workers(study: optuna.Study) -> dict[str, str]:
    """The hash of the candidate that each worker is trying, by the worker's name."""
    running = [trial.user_attrs for trial in study.get_trials(deepcopy=False) if trial.state.name == "RUNNING"]
    return {each["worker"]: each["candidate"]["hash"] for each in running if {"candidate", "worker"} <= set(each)}


def training(tiny: Tiny, study: optuna.Study) -> list[str]:
    """The living workers of this machine whose trials have checkpoints."""
    runs = tiny.out / "tiny" / "runs"
    saved = {run.spec_hash for run in find_runs(runs) if (runs / run.fingerprint / "checkpoint.pt").is_file()}
    return [worker for worker, network in workers(study).items() if network in saved and lives(worker)]


def frozen(look: Callable[[optuna.Study], list[str]], study: Callable[[], optuna.Study]) -> int:
    """Return the process of a worker that `look` finds, stopped while its trial runs, so that it cannot end the trial."""
    found: list[int] = []

    def caught() -> bool:
        for worker in look(study()):
            process = number_of(worker)
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGSTOP)
                wait_for(lambda: status(process, "State")[:1] in "TZX")  # noqa: B023  called before the next
                if worker in workers(study()):
                    found.append(process)
                    return True
                os.kill(process, signal.SIGCONT)
        return False

    wait_for(caught)
    return found[0]


def status(process: int, field: str) -> str:
    """A field of what Linux says of a process, empty once there is no such process."""
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return ""
    return next(line.split(":", 1)[1].strip() for line in lines if line.startswith(f"{field}:"))


def is_asked_to_end(process: int) -> bool:
    """Whether SIGTERM waits for a stopped process."""
    return bool(int(status(process, "ShdPnd") or "0", 16) >> (signal.SIGTERM - 1) & 1)
