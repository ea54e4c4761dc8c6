"""Generated data sets: made once, by parallel processes whose number changes nothing, and put in place whole."""

from __future__ import annotations

import glob
import multiprocessing
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import cv2

from archlab.core import files
from archlab.core.errors import InputError, Problem

REQUEST = "synthetic.json"
_ALONE = 48  # pictures below which starting processes costs more than it saves

Job = TypeVar("Job")
Result = TypeVar("Result")


def ensure(out: Path, request: dict[str, Any], fill: Callable[[Path], None]) -> Path:
    """Fill `out` with what was requested, unless it is there, and return `out`.

    request: JSON-able values with a `version`, stored in the folder. fill: writes the data set into a folder.
    The set is written to a temporary folder and renamed, so a kill leaves no partial set; temporary folders of killed
    processes are removed first.
    Raises InputError for a folder with other content, and for a place where no folder can be made.
    """
    if _holds(out, request):
        return out
    remove_abandoned(out)
    temporary = hidden_folder(out)
    try:
        fill(temporary)
        files.write_json(temporary / REQUEST, request)
        temporary.chmod(0o755)
        try:
            temporary.rename(out)
        except OSError:  # another process has put the same set there meanwhile
            if not _holds(out, request):
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out


def check_request(request: dict[str, Any], counts: Sequence[str] = ("train", "val")) -> list[Problem]:
    """Return the problems of a request's numbers of pictures and of its seed."""
    problems = []
    for field in counts:
        if not 0 <= request[field] < 10_000_000:
            rule = f"must be a number of images from 0 to 9999999, not {request[field]}"
            problems.append(Problem(rule, field=field))
    if request["seed"] < 0:
        problems.append(Problem(f"must be at least 0, not {request['seed']}", field="seed"))
    return problems


@contextmanager
def mapped(
    draw: Callable[[Job], Result], jobs: Sequence[Job], *, pictures: int, processes: int | None
) -> Iterator[Iterator[Result]]:
    """Yield the jobs' results in order, computed here or by spawned processes (not forked: torch may have threads).

    pictures: of all jobs; few are drawn here. processes: None for one per core.
    """
    wanted = processes if processes is not None else _cores()
    if wanted <= 1 or (processes is None and pictures < _ALONE):
        yield map(draw, jobs)
        return
    context = multiprocessing.get_context("spawn")
    workers = min(wanted, max(len(jobs), 1))
    with ProcessPoolExecutor(workers, context, initializer=_begin_worker) as pool:
        yield pool.map(draw, jobs)


def _begin_worker() -> None:
    """Use one OpenCV thread, and exit when the parent is killed: a pool's processes would wait forever."""
    cv2.setNumThreads(1)
    parent = multiprocessing.parent_process()
    assert parent

    def end() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def hidden_folder(out: Path) -> Path:
    """Make a hidden folder next to `out`, named by machine and process."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=out.parent, prefix=f"{_own(out)}{os.getpid()}."))
    except OSError as error:
        raise InputError(Problem(f"cannot make a folder here: {error.strerror}", file=str(out.parent))) from None


def _own(out: Path) -> str:
    """Return the prefix of the names of this machine's hidden folders for `out`."""
    return f".{out.name}.{socket.gethostname()}."


def remove_abandoned(out: Path) -> None:
    """Remove this machine's hidden folders of `out` whose process has ended."""
    if os.name != "posix":  # elsewhere os.kill(process, 0) may end the process
        return
    prefix = _own(out)
    for folder in out.parent.glob(f"{glob.escape(prefix)}*"):
        process, _, _ = folder.name.removeprefix(prefix).partition(".")
        if process.isdecimal() and not _lives(int(process)):
            shutil.rmtree(folder, ignore_errors=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's process
        return True
    return True


def _holds(out: Path, request: dict[str, Any]) -> bool:
    """Return whether `out` holds this request's data set. Raises InputError if it holds anything else."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    try:
        found = files.read_json(out / REQUEST)
    except InputError:
        raise InputError(Problem(f"exists and is not a synthetic data set ({REQUEST} is missing or broken); "
                                 "choose another folder; nothing was changed", file=str(out))) from None  # fmt: skip
    if found != request:
        if isinstance(found, dict) and found | {"version": request["version"]} == request:
            older = (
                f"was generated by version {found.get('version')}; the generator now has version {request['version']}"
            )
            raise InputError(Problem(f"{older}; delete it or choose another folder", file=str(out)))
        raise InputError(Problem(f"holds another synthetic data set, {found}, not {request}; "
                                 "choose another folder; nothing was changed", file=str(out)))  # fmt: skip
    return True
