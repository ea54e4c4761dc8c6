"""Several commands at once: so many at a time, each with a log file, all of them stopped when this process is."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from archlab.core.notes import note


@dataclass(frozen=True)
class Task:
    """A command, the file that takes all it prints, what is added to its environment, and where it runs."""

    command: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None


def finished(
    tasks: Iterable[Task], *, at_once: int, tick: Callable[[], None] = lambda: None, every_seconds: float = 0.5
) -> Generator[tuple[int, int], None, None]:
    """Run the tasks in order, `at_once` at a time; yield (number of the task, exit code) as they end.

    The next task is asked for when there is room for it. `tick` is called between looks at them. When the iteration is
    left before its end, those still running are terminated and waited for.
    """
    waiting = enumerate(tasks)
    running: dict[int, subprocess.Popen[bytes]] = {}
    try:
        while True:
            while len(running) < at_once and (following := next(waiting, None)):
                number, task = following
                running[number] = _start(task)
            if not running:
                return
            for number, process in list(running.items()):
                code = process.poll()
                if code is not None:
                    _close(running.pop(number))
                    yield number, code
            tick()
            if running and not any(process.poll() is not None for process in running.values()):
                time.sleep(every_seconds)
    finally:
        _stop(running.values())


def run(task: Task) -> int:
    """Its exit code; left by an exception, it is terminated and waited for."""
    process = _start(task)
    try:
        return process.wait()
    finally:
        _stop([process])


def _start(task: Task) -> subprocess.Popen[bytes]:
    """A session of its own, so that Ctrl-C reaches this process alone, which then ends the others in order."""
    task.log.parent.mkdir(parents=True, exist_ok=True)
    with task.log.open("ab") as log:
        return subprocess.Popen(
            task.command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **task.environment},
            cwd=task.folder,
            start_new_session=True,
        )


def _close(process: subprocess.Popen[bytes]) -> None:
    if process.stdin:
        with contextlib.suppress(OSError):
            process.stdin.close()


def _stop(processes: Collection[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        _close(process)


def threads_each(at_once: int, count: int) -> int:
    """CPU cores for each of `count` jobs."""
    return max(1, (os.cpu_count() or 1) // max(1, min(at_once, count)))


def default_jobs(device: str | None) -> int:
    """Runs at once where nobody says how many: one a core, or one on an accelerator."""
    from archlab.core.device import pick_device

    return (os.cpu_count() or 1) if pick_device(device).type == "cpu" else 1


def tail(log: Path, lines: int = 8) -> str:
    """The last lines of a log."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def tell(text: str) -> None:
    """Print a note on stderr, unless `--quiet`."""
    note(text)
