"""The lines that a command prints when it fails for a reason that no check of the input foresaw."""

from __future__ import annotations

import errno
import sys
import tempfile
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

import archlab
from archlab.core.errors import InputError, Problem, in_words, is_shortage, shortened
from archlab.core.plugins import place_in

SHOW = "--traceback"
FAILED, UNFORESEEN = 1, 70
"""Exit codes: of a command that the system stopped, as a full disk does, and of an error of archlab (EX_SOFTWARE)."""

WRONG_PATH = frozenset({
    errno.EACCES, errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR, errno.EPERM,
    errno.EROFS,
})  # fmt: skip
"""Errors of the system about a path that the user gave: wrong input."""


def report(error: Exception, arguments: Sequence[str], plugin: Iterable[str] = ()) -> int:
    """Print an error that is not one of the input, and return the exit code.

    The system's errors take one line. Any other takes two, with the file of the full report: it is one of the plug-in
    whose code it passed through, else of archlab.
    """
    if SHOW in arguments:
        traceback.print_exception(error)
    if isinstance(error, OSError) or is_shortage(error):
        print(f"error: {in_words(error)}", file=sys.stderr)
        return InputError.exit_code if getattr(error, "errno", None) in WRONG_PATH else FAILED
    place, what = place_in(plugin, error), f"{type(error).__name__}: {_first_line(error)}"
    shown = Problem(what, "", *place) if place else f"this is a fault of archlab: {what}"
    print(f"error: {shown}", file=sys.stderr)
    if SHOW not in arguments:
        print(f"{_saved(error, arguments)}; {SHOW} shows it here", file=sys.stderr)
    return InputError.exit_code if place else UNFORESEEN


def _saved(error: Exception, arguments: Sequence[str]) -> str:
    """Save the full report in the folder of temporary files; return a sentence that names it."""
    lines = [f"archlab {archlab.__version__}, Python {sys.version}", f"arguments: {list(arguments)}", ""]
    text = "\n".join(lines) + "\n" + "".join(traceback.format_exception(error))
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="archlab-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            file.write(text)
    except OSError as failure:
        return f"the report could not be saved: {in_words(failure)}"
    return f"the report is in {Path(file.name)}"


def _first_line(error: Exception) -> str:
    return shortened(next(iter(str(error).strip().splitlines()), "no message"))
