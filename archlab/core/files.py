"""Atomic writes: a killed process leaves the old file or the new one, never part of one."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
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
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
        detail(f"wrote {path}")
    finally:
        temporary.unlink(missing_ok=True)


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
