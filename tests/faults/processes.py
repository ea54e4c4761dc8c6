"""Commands as processes of their own, which are killed, limited and watched.

They fork from a server that has imported archlab, so that a start takes milliseconds.
"""

from __future__ import annotations

import fcntl
import io
import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from uuid import uuid4

from faults.trials import Outcome

SECONDS = 300
"""The time of a command after which it counts as hung."""
MARK = "ARCHLAB_TRIAL"
"""A variable of the environment that names the command which started a process."""
EVERY = 0.02
PIPE = 2**20
F_SETPIPE_SZ = 1031  # fcntl names it from Python 3.10 on, on Linux alone

Limits = Mapping[int, int]
"""Limits of the system on a process, by their numbers in `resource`."""


@dataclass
class Started:
    """A command that runs in a folder; its output comes through a pipe, which no limit on files touches."""

    arguments: tuple[str, ...]
    output: Connection
    mark: str
    process: BaseProcess
    since: float = field(default_factory=time.monotonic)

    def is_running(self) -> bool:
        return self.process.is_alive()

    def kill(self) -> None:
        """Kill the process by the signal that cannot be caught; what it started is left alone."""
        if self.process.pid and self.is_running():
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()

    def end(self, seconds: float = SECONDS) -> Outcome:
        """Wait for the end; a command that hangs is killed, with exit code 99."""
        self.process.join(seconds)
        hung = self.is_running()
        if hung:
            self.kill()
        return Outcome(self.arguments, 99 if hung else self.process.exitcode or 0, self._text())

    def _text(self) -> str:
        """Return what is in the pipe; a process that lives on may hold it open."""
        handle, parts = self.output.fileno(), []
        os.set_blocking(handle, False)
        with suppress(BlockingIOError):
            while part := os.read(handle, PIPE):
                parts.append(part)
        self.output.close()
        return b"".join(parts).decode("utf-8", "replace")

    def orphans(self, seconds: float = 60) -> list[int]:
        """Return the processes that this command started and that live on after `seconds`; they are killed."""
        end = time.monotonic() + seconds
        while (found := _marked(self.mark)) and time.monotonic() < end:
            time.sleep(EVERY)
        for number in found:
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        return found


def start(folder: Path, *arguments: str | Path, limits: Limits | None = None, full: bool = False) -> Started:
    """Start a command in a folder.

    limits: of the system. full: its standard output goes to a device that is full.
    """
    texts = tuple(map(str, arguments))
    mark = uuid4().hex
    reading, writing = _SERVER.Pipe(duplex=False)
    fcntl.fcntl(writing.fileno(), F_SETPIPE_SZ, PIPE)
    made = _SERVER.Process(target=_run, args=(texts, folder, writing, mark, dict(limits or {}), full))
    started = Started(texts, reading, mark, made)
    made.start()
    writing.close()
    return started


def _run(
    arguments: Sequence[str], folder: Path, output: Connection, mark: str, limits: Mapping[int, int], full: bool
) -> None:
    """Be the command: in a session of its own, with its own output."""
    os.setsid()
    os.chdir(folder)
    os.environ[MARK] = mark
    os.environ["OMP_NUM_THREADS"] = "1"
    os.dup2(os.open("/dev/full", os.O_WRONLY) if full else output.fileno(), 1)
    os.dup2(output.fileno(), 2)
    output.close()
    sys.stdout, sys.stderr = (os.fdopen(handle, "w", closefd=False, encoding="utf-8") for handle in (1, 2))
    from archlab.cli.app import main

    for number, limit in limits.items():
        resource.setrlimit(number, (limit, limit))
    code = main(arguments)
    with suppress(OSError):  # main has reported it
        sys.stdout.close()
    sys.stdout = io.StringIO()
    sys.exit(code)


def _marked(mark: str) -> list[int]:
    """Return the living processes that have the mark in their environment, and those forked from a marked one."""
    found = []
    for path in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            is_dead = (path / "stat").read_text().rpartition(")")[2].split()[0] in "ZX"
            if path.name.isdigit() and not is_dead and f"{MARK}={mark}".encode() in (path / "environ").read_bytes():
                found.append(int(path.name))
    return found


_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["archlab.cli.app", "archlab.training.run", "archlab.search.run", "faults.trials"])
