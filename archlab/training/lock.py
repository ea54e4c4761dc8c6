"""The lock of a run folder: one process trains in it at a time."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from archlab.core.errors import InputError, Problem


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock the run folder for this process. Raises InputError if another living process holds it.

    A POSIX record lock ends with its process, so no stale lock remains, and child processes do not inherit it. A folder
    in which nothing was written is removed at the end.
    """
    with _opened(folder / "lock") as file:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        try:
            yield
        finally:
            _remove_if_empty(folder)


@contextmanager
def _opened(path: Path) -> Iterator[TextIO]:
    """Open the lock file and lock it; again if its last holder removed it meanwhile, with its empty folder."""
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+", encoding="utf-8") as file:
            if not _lock(file.fileno()):
                file.seek(0)
                holder = file.read().strip() or "another process"
                raise InputError(Problem(f"{holder} is training in this folder", file=str(path.parent)))
            if path.is_file() and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                yield file
                return


def _remove_if_empty(folder: Path) -> None:
    """Remove a run folder that holds only its lock, while this process holds it."""
    if os.name != "posix" or not folder.is_dir() or [each.name for each in folder.iterdir()] != ["lock"]:
        return
    (folder / "lock").unlink()
    with suppress(OSError):  # another process has put its own lock there
        folder.rmdir()


def _lock(handle: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows has no record locks; there the user must keep two processes apart
        return True
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def held(folder: Path) -> bool:
    """Return whether a living process trains in this run folder. That process must not call it: it would lose its lock.

    On Windows, which has no record locks, return False.
    """
    try:
        import fcntl
    except ImportError:
        return False
    try:
        with (folder / "lock").open(encoding="utf-8") as file:
            fcntl.lockf(file.fileno(), fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False
