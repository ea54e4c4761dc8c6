"""Run folders: how they are named, the record each one keeps, and the lock that lets one process in at a time."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import platform
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rich.table import Table

from archlab.core.errors import InputError, Problem, missing_file
from archlab.core.files import write_json
from archlab.tasks import find_task
from archlab.tasks.metrics import Scores, headline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from archlab.network.module import Network

FORMAT = 1
LATER = {"reason", "weights", "fusion", "processes", "task"}
"""Fields younger than the format; a record may lack them."""
PACKAGES = ("archlab", "torch", "numpy", "opencv-python-headless", "pycocotools")

State = Literal["running", "stopped", "done", "failed"]


@dataclass(frozen=True)
class Record:
    """What one run was and what it scored: the contract between training and reports.

    `scores` maps `ground_truth_boxes` and `detector_boxes` to AP, AP50, AP75, APM, APL, AR, AR50, AR75, ARM, ARL,
    mean_oks and pck, each in 0-100 or None where undefined; `baseline` does so for guesses that use no network.
    `samples` counts training crops seen, `seconds` the time spent training and scoring, over all restarts.
    """

    fingerprint: str
    state: State
    spec: str
    spec_hash: str
    fields: dict[str, Any]
    recipe: str
    recipe_hash: str
    data: dict[str, Any]
    seed: int
    input: tuple[int, ...]
    outputs: int
    cost: dict[str, Any]
    scores: dict[str, Scores]
    baseline: dict[str, Scores]
    samples: int
    seconds: float
    device: str
    threads: int
    versions: dict[str, str]
    commit: str | None
    command: str
    date: str
    reason: str = ""
    weights: str = ""
    """Of a fine-tuning, the file that it begins with and its hash"""
    fusion: str = "spec"
    """The recipe's: where it is `plain`, `spec_hash` is of the network with plain sums"""
    processes: int = 1
    """That trained it together, when it was started last"""
    task: str = "pose"
    format: int = FORMAT

    @property
    def train_samples(self) -> int:
        """The number of training samples, which the record names by the task's unit: `train_people`."""
        return int(self.data[f"train_{self.unit}"])

    @property
    def val_samples(self) -> int:
        return int(self.data[f"val_{self.unit}"])

    @property
    def unit(self) -> str:
        """The task's name for samples, as the record has it: `people`."""
        return next(name.removeprefix("train_") for name in self.data if name.startswith("train_"))

    def write(self, folder: Path) -> Record:
        write_json(folder / "record.json", asdict(self))
        return self


def read_record(path: Path) -> Record:
    """A record, by its file or its run folder; InputError if it is missing, broken or of another format."""
    path = path / "record.json" if path.is_dir() else path
    if not path.is_file():
        raise missing_file(path, "run record")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise InputError(Problem(f"not a run record: {error}", file=str(path))) from None
    known = {field.name for field in fields(Record)}
    absent = sorted(known - LATER - (set(values) if isinstance(values, dict) else set()))
    if absent:
        raise InputError(Problem(f"not a run record: it has no {', '.join(absent)}", file=str(path)))
    if values["format"] != FORMAT:
        raise InputError(Problem(f"record format {values['format']}; this archlab reads {FORMAT}", file=str(path)))
    record = Record(**{name: value for name, value in values.items() if name in known})
    return replace(record, input=tuple(record.input))


@dataclass(frozen=True)
class Run:
    """A run by its folder: what a notebook holds of it. `plugin`: modules with blocks and tasks that it uses."""

    folder: Path
    plugin: tuple[str, ...] = ()

    @property
    def record(self) -> Record:
        return read_record(self.folder)

    @property
    def scores(self) -> dict[str, Scores]:
        """The figures by view, as `{"ground_truth_boxes": {"AP": 61.2, ...}}`."""
        return self.record.scores

    def curves(self) -> Figure:
        """Draw loss, learning rate and validation scores by iteration."""
        from archlab.training.curves import curves
        from archlab.training.metrics_log import read_rows

        rows = read_rows(self.folder / "metrics.jsonl")
        return curves(rows, self.record, find_task(self.record.task, self.plugin))

    def network(self) -> Network:
        """Build the run's network with its trained weights, on the CPU, in evaluation mode."""
        from archlab.network.checkpoint import load_weights
        from archlab.network.graph import assemble
        from archlab.network.load import load
        from archlab.network.module import build

        network = build(assemble(load(self.folder / "spec.yaml", plugin=self.plugin)))
        load_weights(network, self.folder / "checkpoint.pt")
        return network.eval()


def find_runs(root: Path) -> list[Record]:
    """The records of all runs in the folder `root`, oldest first; what is no readable run is passed over.

    Collecting half-finished work is normal: a run that is still going, failed or was killed is listed with its state.
    """
    return [record for record, _ in _found(root)]


def _found(root: Path) -> list[tuple[Record, Path]]:
    found = []
    for path in root.glob("*/record.json"):
        try:
            found.append((read_record(path), path))
        except InputError:
            continue
    return sorted(found, key=lambda pair: (pair[0].date, pair[0].spec, pair[0].seed, pair[0].fingerprint))


def digest(value: Any) -> str:
    """A short hash of plain data that does not depend on the order of keys or on the process."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def fingerprint(*, spec_hash: str, recipe_hash: str, data: str, seed: int, weights: str = "") -> str:
    """The name of a run's folder: equal for runs that would compute the same, whatever they are called."""
    begun = {"weights": weights} if weights else {}
    return digest({"spec": spec_hash, "recipe": recipe_hash, "data": data, "seed": seed, **begun})


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the run folder for this process; InputError if another process that is still alive holds it.

    A POSIX record lock ends with its process, however that dies, so a stale one cannot be left behind,
    and the workers that load data do not inherit it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+", encoding="utf-8") as file:
        if not _lock(file.fileno()):
            file.seek(0)
            raise InputError(Problem(f"{file.read().strip() or 'another process'} is training here", file=str(folder)))
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        yield


def _lock(handle: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows has none; there the user keeps two processes apart
        return True
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def circumstances() -> dict[str, Any]:
    """Where and when this process works: the record's `versions`, `commit`, `command` and `date`."""
    return {
        "versions": {"python": platform.python_version(), **_versions()},
        "commit": _commit(),
        "command": shlex.join([Path(sys.argv[0]).name.replace("__main__.py", "archlab"), *sys.argv[1:]]),
        "date": date.today().isoformat(),
    }


def _versions() -> Mapping[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:  # run from a checkout, or another build of OpenCV
            continue
    return found


def _commit() -> str | None:
    """The commit of the working folder's git repository, None without one.

    With `-dirty` where its files differ, but for those under `reports`, which the runs themselves write.
    """
    head = _git("rev-parse", "HEAD")
    if head is None or head.returncode != 0:
        return None
    changed = _git("diff", "--quiet", "HEAD", "--", ":/", ":(top,exclude)reports")
    return head.stdout.strip() + ("-dirty" if changed is None or changed.returncode != 0 else "")


def _git(*arguments: str) -> subprocess.CompletedProcess[str] | None:
    try:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None


@dataclass(frozen=True)
class RunRow:
    """A run as a list shows it; `score` is AP in labelled boxes or, of MPII, PCKh@0.5; `bytes`: its folder's size."""

    folder: str
    spec: str
    recipe: str
    seed: int
    state: str
    score_name: str
    score: float | None
    samples: int
    seconds: float
    bytes: int
    date: str
    reason: str


def list_runs(root: Path, *, plugin: Iterable[str] = ()) -> list[RunRow]:
    """A row for each run in the folder `root`, oldest first; InputError if there is no such folder.

    A run that its record calls running, and that no living process holds, was killed: its state is `stopped`.
    """
    if not root.is_dir():
        raise InputError(Problem("no such folder of runs", file=str(root)))
    return [_row(record, path.parent, plugin) for record, path in _found(root)]


def runs_table(rows: Sequence[RunRow]) -> Table:
    """The rows for a terminal."""
    table = Table("run", "network", "recipe", "seed", "state", "score", "samples", "disk, MiB", "date")
    for row in rows:
        score = "-" if row.score is None else f"{row.score_name} {row.score:.1f}"
        disk = f"{row.bytes / 2**20:.1f}"
        table.add_row(
            row.folder, row.spec, row.recipe, str(row.seed), row.state, score, str(row.samples), disk, row.date
        )
    return table


def held(folder: Path) -> bool:
    """Whether a living process trains in this run folder; not to be asked by that process, whose lock it would end."""
    try:
        import fcntl
    except ImportError:  # Windows has none
        return False
    try:
        with (folder / "lock").open(encoding="utf-8") as file:
            fcntl.lockf(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _row(record: Record, folder: Path, plugin: Iterable[str]) -> RunRow:
    state = "stopped" if record.state == "running" and not held(folder) else record.state
    found = headline(find_task(record.task, plugin).metrics, record.scores)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return RunRow(
        folder=folder.name,
        spec=record.spec,
        recipe=record.recipe,
        seed=record.seed,
        state=state,
        score_name=found[0].title if found else "",
        score=found[1] if found else None,
        samples=record.samples,
        seconds=record.seconds,
        bytes=size,
        date=record.date,
        reason=record.reason,
    )
