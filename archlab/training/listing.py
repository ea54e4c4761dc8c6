"""The runs in a folder as rows and as a terminal table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from archlab.core.errors import InputError, Problem
from archlab.tasks import find_task
from archlab.tasks.metrics import headline
from archlab.training.lock import held
from archlab.training.runs import Record, runs_of_tasks


@dataclass(frozen=True)
class RunRow:
    """A run in a list. score: the task's most important figure. seconds: of training. bytes: size of the run folder."""

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
    """Return a row for each run in the folder `root`, oldest first. Raises InputError if the folder does not exist."""
    if not root.is_dir():
        raise InputError(Problem("no such folder of runs", file=str(root)))
    return [_row(record, path.parent, plugin) for record, path in runs_of_tasks(root, plugin)]


def runs_table(rows: Sequence[RunRow]) -> Table:
    """Return the rows as a terminal table."""
    table = Table("run", "network", "recipe", "seed", "state", "score", "samples", "disk, MiB", "date")
    for row in rows:
        score = "-" if row.score is None else f"{row.score_name} {row.score:.1f}"
        disk = f"{row.bytes / 2**20:.1f}"
        table.add_row(
            row.folder, row.spec, row.recipe, str(row.seed), row.state, score, str(row.samples), disk, row.date
        )
    return table


def state_of(record: Record, folder: Path) -> str:
    """Return a run's state: `stopped` for a killed one, whose record still says `running`."""
    return "stopped" if record.state == "running" and not held(folder) else record.state


def _row(record: Record, folder: Path, plugin: Iterable[str]) -> RunRow:
    found = headline(find_task(record.task, plugin).metrics, record.scores)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    return RunRow(
        folder=folder.name,
        spec=record.spec,
        recipe=record.recipe,
        seed=record.seed,
        state=state_of(record, folder),
        score_name=found[0].title if found else "",
        score=found[1] if found else None,
        samples=record.samples,
        seconds=record.seconds,
        bytes=size,
        date=record.date,
        reason=record.reason,
    )
