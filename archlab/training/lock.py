"""The lock of a run folder: one process trains in it at a time."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from archlab.core.errors import InputError, Problem
from archlab.core.notes import note

WAIT_SECONDS = 0.5


@contextmanager
def locked(folder: Path, *, waits: bool = False) -> Iterator[None]:
    """Lock the run folder for this process. Raises InputError if another living process holds it.

    waits: wait for the other process instead, with a note.

    A POSIX record lock ends with its process, so no stale lock remains, and child processes do not inherit it. A folder
    in which nothing was written is removed at the end.
    """
    with _opened(folder / "lock", waits) as file:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}")
        file.flush()
        try:
            yield
        finally:
            _remove_if_empty(folder)


@contextmanager
def _opened(path: Path, waits: bool) -> Iterator[TextIO]:
    """Open the lock file and lock it; again if its last holder removed it meanwhile, with its empty folder."""
    is_told = False
    while True:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a+", encoding="utf-8") as file:
            is_locked = _lock(file.fileno())
            if not is_locked and not (waits and is_told):
                file.seek(0)
                message = f"{file.read().strip() or 'another process'} is training in this folder"
                if not waits:
                    raise InputError(Problem(message, file=str(path.parent)))
                note(f"{path.parent}: {message}; waiting for it to end")
                is_told = True
            if is_locked and path.is_file() and path.stat().st_ino == os.fstat(file.fileno()).st_ino:
                yield file
                return
        if not is_locked:
            time.sleep(WAIT_SECONDS)


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
