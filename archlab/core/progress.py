"""Progress of work that takes over two seconds: a bar on a terminal, a plain line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from archlab.core import notes

if TYPE_CHECKING:
    from rich.console import Console

Advance = Callable[..., None]


@contextmanager
def progress(title: str, total: int, *, done: int = 0, every_seconds: float = 15.0) -> Iterator[Advance]:
    """Yield `advance(n=1, note="")`, which shows progress on stderr, or nothing with `--quiet`.

    done: steps finished before this call, in a resumed run. every_seconds: between two lines without a terminal.
    """
    if not notes.shown():
        yield _nothing
        return
    from rich.console import Console

    console = Console(stderr=True)
    if console.is_terminal:
        yield from _bar(console, title, total, done)
    else:
        yield from _lines(title, total, done, every_seconds)


def _nothing(n: int = 1, note: str = "") -> None:
    """Do nothing; the `advance` of `--quiet`."""


def _bar(console: Console, title: str, total: int, done: int) -> Iterator[Advance]:
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
               TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[note]}", markup=False))  # fmt: skip
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(title, total=total, completed=done, note="")

        def advance(n: int = 1, note: str = "") -> None:
            bar.update(task, advance=n)
            if note:
                bar.update(task, note=note)

        yield advance


def _lines(title: str, total: int, done: int, every_seconds: float) -> Iterator[Advance]:
    start = last = time.monotonic()
    first = done

    def advance(n: int = 1, note: str = "") -> None:
        nonlocal done, last
        done += n
        now = time.monotonic()
        if now - last >= every_seconds or (done >= total and now - start >= 2.0):
            last = now
            left = (now - start) / max(done - first, 1) * (total - done)
            notes.note(f"{title}: {done}/{total}, {left:.0f} s left{', ' if note else ''}{note}")

    yield advance
