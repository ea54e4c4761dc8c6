"""Notes on stderr, through the logger `archlab`; stdout holds a command's answer alone."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

QUIET, NORMAL, VERBOSE = logging.ERROR, logging.INFO, logging.DEBUG


def note(text: str) -> None:
    """Print a note, unless `--quiet`."""
    _logger().info("%s", text)


def detail(text: str) -> None:
    """Print what only `--verbose` asks for."""
    _logger().debug("%s", text)


def shown() -> bool:
    """Return whether notes and progress are shown."""
    return _logger().isEnabledFor(NORMAL)


@contextmanager
def speaking(level: int) -> Iterator[None]:
    """Print notes of `level` and above inside the block."""
    logger = _logger()
    before = logger.level
    logger.setLevel(level)
    try:
        yield
    finally:
        logger.setLevel(before)


class _Stderr(logging.Handler):
    """Prints to what `sys.stderr` is at that moment."""

    def emit(self, record: logging.LogRecord) -> None:
        print(record.getMessage(), file=sys.stderr, flush=True)


def _logger() -> logging.Logger:
    """Return the logger, at first use with a handler and a level where the program has set none."""
    logger = logging.getLogger("archlab")
    if not logger.handlers:
        logger.addHandler(_Stderr())
        logger.propagate = False
    if logger.level == logging.NOTSET:
        logger.setLevel(NORMAL)
    return logger
