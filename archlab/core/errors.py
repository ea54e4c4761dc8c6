"""What a user can get wrong, said with the place it stands at."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Problem:
    """One thing wrong in a user's input: where it stands and which rule it breaks.

    `line` and `column` count from 1, 0 where the place is not a text file (an option, a folder).
    """

    message: str
    field: str = ""
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        return ": ".join(part for part in (place, self.field, self.message) if part)


class InputError(ValueError):
    """All the problems of one input at once; the command line prints them and leaves with `exit_code`."""

    exit_code = 2

    def __init__(self, problems: Problem | str | Iterable[Problem]) -> None:
        if isinstance(problems, str):
            problems = Problem(problems)
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for a name close to a known one, else the known names if they are few."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    if close:
        return f" (did you mean {close[0]!r}?)"
    return f" (known: {', '.join(known)})" if 0 < len(known) <= 24 else ""


def missing_file(path: Path, what: str) -> InputError:
    """The error for a path that is not there, naming the nearest file beside it."""
    beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    hint = nearest(path.name, beside) if len(beside) > 24 or difflib.get_close_matches(path.name, beside, n=1) else ""
    return InputError(Problem(f"no such {what}{hint}", file=str(path)))
