"""The command line: all commands, and how one is run."""

from __future__ import annotations

import argparse
import io
import sys
import time
from collections.abc import Sequence

import archlab
from archlab.cli import candidates, completion, data, deploy, failure, networks, options, score, studies, training
from archlab.cli.parser import Parser, build_parser, first_line
from archlab.core.errors import InputError

GROUPS = (
    networks.GROUP, training.GROUP, deploy.GROUP, data.GROUP, studies.GROUP, candidates.GROUP, score.GROUP,
    completion.GROUP,
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code.

    0; 1 for a failed run and for an error of the system; 2 for wrong input; 70 for an error of archlab; 130 or 143 when
    stopped.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    _print_any_text()
    o = argparse.Namespace()
    try:
        return _run(parser().parse_args(given, o))
    except InputError as error:
        for problem in error.problems:
            print(f"error: {problem}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except Exception as error:
        return failure.report(error, given, getattr(o, "plugin", ()))


def _print_any_text() -> None:
    """Let the streams print characters that they cannot encode, as a lone surrogate in a name, in escaped form."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _run(o: argparse.Namespace) -> int:
    from archlab.core import notes

    start = time.perf_counter()
    quiet, verbose = getattr(o, "quiet", False), getattr(o, "verbose", False)
    with notes.speaking(notes.QUIET if quiet else notes.VERBOSE if verbose else notes.NORMAL):
        for text in getattr(o, "renamed", ()):
            notes.note(f"note: {text}")
        code = int(o.command(o) or 0)
        notes.detail(f"took {time.perf_counter() - start:.2f} s")
    return code


def parser() -> Parser:
    """Return the parser of all commands."""
    made = build_parser("archlab", first_line(archlab), GROUPS, options.common)
    made.add_argument("--version", action="version", version=f"archlab {archlab.__version__}")
    return made
