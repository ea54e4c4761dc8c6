"""SIGTERM and Ctrl-C as an exception, raised at once or between two steps of work."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


class Stopped(SystemExit):
    """A request to end this process. The exit code is 128 plus the signal's number, as in shells."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.name = signal.Signals(number).name

    def __str__(self) -> str:
        return f"stopped by {self.name}"


@dataclass
class StopRequest:
    """A pending SIGTERM or Ctrl-C.

    While `deferred`, the signal is only recorded and the loop calls `check` between steps; otherwise `Stopped` is
    raised at once.
    """

    number: int = 0
    deferred: bool = False

    @contextmanager
    def caught(self) -> Iterator[StopRequest]:
        """Handle both signals inside the block. Outside the main thread, which gets no signals, this does nothing."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before = {number: signal.signal(number, self._receive) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def deferring(self, deferred: bool = True) -> Iterator[None]:
        """Defer signals to `check` inside the block; with False, raise them at once."""
        before, self.deferred = self.deferred, deferred
        try:
            if not deferred:
                self.check()
            yield
        finally:
            self.deferred = before

    def check(self) -> None:
        """Raise Stopped if a signal has arrived."""
        if self.number:
            raise Stopped(self.number)

    def _receive(self, number: int, frame: object) -> None:
        self.number = number
        if not self.deferred:
            raise Stopped(number)
