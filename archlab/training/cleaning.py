"""What can be deleted from folders of runs and searches without loss to a record, a report or a resumed training."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from archlab.core import notes
from archlab.core.errors import InputError, Problem
from archlab.core.files import is_claimed
from archlab.tasks.generated import REQUEST
from archlab.training.lock import held, locked
from archlab.training.loop import CHECKPOINT
from archlab.training.runs import Record, sound_records
from archlab.training.saved import previous

PREVIOUS = "previous checkpoint of a finished run"
STOPPED = "weights of a trial that a rung stopped"
TEMPORARY = "temporary file of a killed process"
GENERATED = "generated data"
KINDS = (PREVIOUS, STOPPED, TEMPORARY, GENERATED)
AT_RUNG = "stopped at rung "
"""How the reason of a run begins that a rung stopped."""
_TEMPORARY = re.compile(r"\.(?P<name>.+?)\.\d+(?P<ending>\.\w+)")


@dataclass(frozen=True)
class Waste:
    """A file, or a folder of generated data, that can be deleted. kind: one of KINDS. run: the run that has it."""

    path: Path
    kind: str
    bytes: int
    run: Path | None = None


def drop_weights(folder: Path) -> None:
    """Delete a run's checkpoints; this process has its lock, or nobody trains there."""
    for path in (folder / CHECKPOINT, previous(folder / CHECKPOINT)):
        path.unlink(missing_ok=True)


def find_waste(roots: Sequence[Path], *, generated: bool = False) -> list[Waste]:
    """Return what can be deleted below some folders; nothing of a run in which a living process trains.

    generated: data too that recipes generate again, if no run below the folders is in training.
    Raises InputError for a folder that does not exist.
    """
    if missing := [root for root in roots if not root.is_dir()]:
        raise InputError(Problem("no such folder", file=str(root)) for root in missing)
    files = sorted({path for root in roots for path in root.rglob("*") if path.is_file() and not path.is_symlink()})
    runs = sound_records(path for path in files if path.name == "record.json" and (path.parent / "lock").is_file())
    free = [(record, path.parent) for record, path in runs if not held(path.parent)]
    found = [waste for record, folder in free for waste in _of_run(record, folder)]
    found += [_waste(path, TEMPORARY) for path in files if _is_temporary(path)]
    if generated and len(free) == len(runs):
        data = [path.parent for path in files if path.name == REQUEST]
        found += [Waste(folder, GENERATED, _size(folder)) for folder in data]
    return found


def _of_run(record: Record, folder: Path) -> Iterator[Waste]:
    """Yield what a run in which nobody trains can lose."""
    checkpoint = folder / CHECKPOINT
    if record.is_done() and checkpoint.is_file() and previous(checkpoint).is_file():
        yield _waste(previous(checkpoint), PREVIOUS, folder)
    if _is_stopped(record):
        yield from (_waste(path, STOPPED, folder) for path in (checkpoint, previous(checkpoint)) if path.is_file())


def _is_stopped(record: Record) -> bool:
    return record.state == "stopped" and record.reason.startswith(AT_RUNG)


def _is_temporary(path: Path) -> bool:
    """Return whether a file is one of an unfinished atomic write, and no living process writes it."""
    match = _TEMPORARY.fullmatch(path.name)
    return match is not None and match["ending"] == Path(match["name"]).suffix and not is_claimed(path)


def _waste(path: Path, kind: str, run: Path | None = None) -> Waste:
    return Waste(path, kind, path.stat().st_size, run)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def delete(found: Iterable[Waste]) -> list[Waste]:
    """Delete and return what can still be deleted: a run that trains by now, and what has changed, are left alone."""
    return [waste for waste in found if _deleted(waste)]


def _deleted(waste: Waste) -> bool:
    try:
        if waste.run is None:
            return _removed(waste)
        with locked(waste.run):
            known = sound_records([waste.run / "record.json"])
            still = any(waste.path == each.path for record, _ in known for each in _of_run(record, waste.run))
            return still and _removed(waste)
    except InputError as error:
        notes.note(f"left alone: {error}")
        return False


def _removed(waste: Waste) -> bool:
    if waste.kind == GENERATED:
        shutil.rmtree(waste.path)
        return True
    if waste.kind == TEMPORARY and not _is_temporary(waste.path):
        return False
    waste.path.unlink(missing_ok=True)
    return True
