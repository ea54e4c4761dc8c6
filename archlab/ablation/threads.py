"""The number of CPU threads as part of what a row is: which runs stand for it, and where the others are kept.

With another number of threads PyTorch adds in another order, so a training on a CPU ends with other weights. The number
is no part of a fingerprint. A run of another number therefore moves from its folder to one next to it, and back when
its number is asked for again.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

from archlab.core.errors import InputError
from archlab.report.tables import plural
from archlab.training.lock import locked
from archlab.training.runs import Record, record_of


def set_aside(folder: Path, threads: int) -> Path:
    """Return where the run of a folder is kept while the folder is for another number of threads."""
    return folder.with_name(f"{folder.name}_threads{threads}")


def unlike(folder: Path, threads: int) -> Record | None:
    """Return the record of the run in a folder if it does not compute as one with `threads` threads does."""
    record = record_of(folder)
    return None if record is None or record.rounds_with(threads) else record


def make_room(folder: Path, threads: int) -> Path | None:
    """Set aside a run of another number of threads and bring back one of this number; return where the other is kept.

    A folder in which a process is training stays as it is.
    """
    try:
        moved = _moved(folder, threads) if folder.is_dir() else None
    except InputError:
        return None
    kept = set_aside(folder, threads)
    if kept.is_dir() and not folder.exists():
        kept.rename(folder)
    return moved


def _moved(folder: Path, threads: int) -> Path | None:
    """Move a run of another number of threads out of its folder, under the folder's lock; return where it is."""
    with locked(folder):
        other = unlike(folder, threads)
        return folder.rename(_free(set_aside(folder, other.threads))) if other else None


def _free(folder: Path) -> Path:
    """Return the first path of this name, numbered from the second on, that does not exist."""
    return next(path for path in _numbered(folder) if not path.exists())


def _numbered(folder: Path) -> Iterator[Path]:
    yield folder
    yield from (folder.with_name(f"{folder.name}.{number}") for number in count(2))


def remark(record: Record, threads: int) -> str:
    """Return both numbers of threads: `2 threads, not 1`."""
    return f"{plural(record.threads, 'thread')}, not {threads}"
