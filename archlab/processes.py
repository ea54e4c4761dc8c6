"""Several commands at once: so many at a time, each with a log file, all of them stopped when this process is."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Task:
    """A command, what is added to its environment, and the file that takes all it prints."""

    command: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)


class Stopped(Exception):  # noqa: N818  not an error of the program
    """The user or the system asked this process to end."""


def finished(
    tasks: Sequence[Task], *, at_once: int, tick: Callable[[], None] = lambda: None, every_seconds: float = 0.5
) -> Iterator[tuple[int, int]]:
    """Run the tasks in order, `at_once` at a time; yield (number of the task, exit code) as they end.

    `tick` is called between looks at them. When the iteration is left before its end, those still running are
    terminated and waited for.
    """
    waiting = deque(enumerate(tasks))
    running: dict[int, subprocess.Popen[bytes]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                number, task = waiting.popleft()
                running[number] = _start(task)
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


@contextmanager
def stoppable() -> Iterator[None]:
    """Inside, SIGTERM and Ctrl-C raise Stopped, so that what is open is closed in order."""

    def stop(number: int, frame: object) -> None:
        raise Stopped(signal.Signals(number).name)

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


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
