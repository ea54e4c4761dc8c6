"""Commands run as parallel processes, each with a log file; they stop when this process stops."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class CommandLine:
    """A command line to run as a process.

    log: the file that its output is appended to.
    environment: variables added to this process's own.
    folder: its working directory; None for this process's own.
    """

    arguments: tuple[str, ...]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None


class Engine(Protocol):
    """A place where several commands run at once: this machine or a cluster."""

    pins_gpus: bool
    """Whether the engine gives every command its own GPU."""

    def jobs(self) -> int:
        """Return the default number of commands at once: one per GPU, or one per core without a GPU."""

    def nodes(self) -> int:
        """Return the number of machines."""

    def finished(
        self, commands: Iterable[CommandLine], *, at_once: int, tick: Callable[[], None], every_seconds: float
    ) -> Generator[tuple[int, int], None, None]:
        """Run the commands; yield (number of the command, exit code) as each ends, as the function `finished` does."""


class Processes:
    """The engine that runs commands as processes of this machine."""

    pins_gpus = False

    def __init__(self, device: str | None) -> None:
        self._device = device

    def jobs(self) -> int:
        import torch

        from archlab.core.device import pick_device

        if pick_device(self._device).type == "cuda":
            return torch.cuda.device_count()
        return default_jobs(self._device)

    def nodes(self) -> int:
        return 1

    def finished(
        self, commands: Iterable[CommandLine], *, at_once: int, tick: Callable[[], None], every_seconds: float
    ) -> Generator[tuple[int, int], None, None]:
        return finished(commands, at_once=at_once, tick=tick, every_seconds=every_seconds)


def finished(
    commands: Iterable[CommandLine],
    *,
    at_once: int,
    tick: Callable[[], None] = lambda: None,
    every_seconds: float = 0.5,
) -> Generator[tuple[int, int], None, None]:
    """Run the commands in order, `at_once` at a time; yield (number of the command, exit code) as each ends.

    The next command is drawn from the iterable when a slot is free. `tick` is called at every poll. If the caller
    leaves the iteration early, the commands still running are terminated and waited for.
    """
    waiting = enumerate(commands)
    running: dict[int, subprocess.Popen[bytes]] = {}
    try:
        while True:
            while len(running) < at_once and (following := next(waiting, None)):
                number, command = following
                running[number] = _start(command)
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


def run(command: CommandLine) -> int:
    """Run a command and return its exit code; on an exception, terminate it and wait for it."""
    process = _start(command)
    try:
        return process.wait()
    finally:
        _stop([process])


def _start(command: CommandLine) -> subprocess.Popen[bytes]:
    """Start a command in its own session: Ctrl-C reaches only this process, which then ends the commands in order."""
    command.log.parent.mkdir(parents=True, exist_ok=True)
    with command.log.open("ab") as log:
        return subprocess.Popen(
            command.arguments,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **command.environment},
            cwd=command.folder,
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


def threads_each(at_once: int) -> int:
    """Return the CPU threads of each of `at_once` jobs that share this machine.

    How many jobs are left is no part of it: the last ones of a resumed study round as the first ones do.
    """
    return max(1, (os.cpu_count() or 1) // max(1, at_once))


def default_jobs(device: str | None) -> int:
    """Return the default number of runs at once: one per core on the CPU, else one."""
    from archlab.core.device import pick_device

    return (os.cpu_count() or 1) if pick_device(device).type == "cpu" else 1


def tail(log: Path, lines: int = 8) -> str:
    """Return the last lines of a log."""
    return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])
