"""Atomic writes: a killed process leaves the old file or the new one, never part of one."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from archlab.core.errors import InputError, Problem, missing_file
from archlab.core.notes import detail

TORCH_WRITER = ("PytorchStreamWriter", "inline_container")
"""Words of the RuntimeError of torch.save when it cannot write."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the same folder; it replaces `path` when the block ends without an exception.

    Raises OSError with the name of `path` if it cannot be written, also for torch.save, which raises a RuntimeError.
    """
    try:
        with _temporary(path) as temporary:
            yield temporary
    except OSError as error:
        if error.errno is None or not _is_of(error.filename, path):
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    except RuntimeError as error:
        if not any(word in str(error) for word in TORCH_WRITER):
            raise
        raise OSError(errno.EIO, "the file could not be written; is the disk full?", str(path)) from error


def _is_of(name: str | None, path: Path) -> bool:
    """Return whether an error names no file or the temporary file of `path`."""
    return name is None or Path(name).name.startswith(f".{path.name}.")


@contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    if not path.name:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        temporary = _claimed(path, stack)
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        detail(f"wrote {path}")


def _claimed(path: Path, stack: ExitStack) -> Path:
    """Return an empty temporary file of `path`, locked until the stack is closed.

    Names are counted from 0 and taken again, so that the next write replaces what a killed process left. Without locks
    that end with their process, as on Windows, the name is a random one.
    """
    for number in count():
        temporary = path.with_name(f".{path.name}.{number}{path.suffix}")
        with ExitStack() as held:
            file = held.enter_context(open(temporary, "ab", opener=_private))
            is_locked = _lock(file.fileno())
            if is_locked is None:
                break
            if is_locked and _is_at(file.fileno(), temporary):
                file.truncate(0)
                held.callback(_remove, file.fileno(), temporary)
                stack.push(held.pop_all())
                return temporary
    temporary.unlink(missing_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    stack.callback(Path(name).unlink, missing_ok=True)
    return Path(name)


def _remove(handle: int, path: Path) -> None:
    """Remove an open file from its path unless it was put in its place; then another process may have the path."""
    if _is_at(handle, path):
        path.unlink()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)


def _lock(handle: int) -> bool | None:
    """Lock an open file; return whether no other process holds it, None if the system has no such locks."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        return None
    return True


def is_claimed(path: Path) -> bool:
    """Return whether a living process writes a temporary file, or whether that is not known."""
    try:
        with path.open("rb") as file:
            return _lock(file.fileno()) is not True
    except OSError:
        return True


def _is_at(handle: int, path: Path) -> bool:
    """Return whether an open file is still at its path, and not already put in its place by the process before."""
    try:
        return os.path.samestat(os.fstat(handle), path.stat())
    except FileNotFoundError:
        return False


def read_json(path: Path, what: str = "file") -> Any:
    """Return the content of a JSON file. Raises InputError, with line and column, if it is missing or malformed.

    what: its kind, for the error of a missing file.
    """
    if not path.is_file():
        raise missing_file(path, what)
    try:
        return json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        raise InputError(Problem(f"not JSON: {error.msg}", "", str(path), error.lineno, error.colno)) from error
    except UnicodeDecodeError as error:
        raise InputError(Problem(f"not UTF-8 text at byte {error.start}", file=str(path))) from error
    except RecursionError as error:
        raise InputError(Problem("lists and objects are nested too deeply", file=str(path))) from error
    except OSError as error:
        raise InputError(Problem(f"cannot be read: {error.strerror}", file=str(path))) from error
    except ValueError as error:  # Python reads no whole number of more than 4,300 digits
        raise InputError(Problem("a number has too many digits", file=str(path))) from error


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file atomically; a lone surrogate is escaped, as JSON and YAML read it."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, value: Any) -> None:
    """Write an indented JSON file atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
