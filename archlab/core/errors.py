"""Errors in a user's input, each with its place and the rule that it breaks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

FEW = 24
"""The largest number of names that a hint lists."""
NAME_SHOWN = 300
"""The largest number of characters that an error repeats of a file's or a field's name."""
MESSAGE_SHOWN = 700
"""The largest number of characters of a problem's rule, which may repeat a user's text."""


@dataclass(frozen=True)
class Problem:
    """One mistake in a user's input: its place and the rule that it breaks.

    line, column: from 1; 0 if the place is not a text file (an option, a folder).
    """

    message: str
    field: str = ""
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (shortened(self.file), self.line, self.column) if part)
        return ": ".join(
            part for part in (place, shortened(self.field), shortened(self.message, MESSAGE_SHOWN)) if part
        )


class InputError(ValueError):
    """All problems of one input; the command line prints them and exits with `exit_code`."""

    exit_code = 2

    def __init__(self, problems: Problem | str | Iterable[Problem]) -> None:
        if isinstance(problems, str):
            problems = Problem(problems)
        self.problems = (problems,) if isinstance(problems, Problem) else tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Return problems in the order of their files, lines and columns, each once."""
    return sorted(dict.fromkeys(problems), key=lambda each: (each.file, each.line, each.column))


def nearest(name: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)` for a name close to a known one, else the known names if there are at most FEW."""
    known = list(known)
    if near := close(name, known):
        return f" (did you mean {near!r}?)"
    return f" (known: {', '.join(known)})" if 0 < len(known) <= FEW else ""


def close(name: str, known: Iterable[str]) -> str | None:
    """Return the known name most similar to a name, or None if no name is similar."""
    import difflib  # only after a mistake: it takes as long to import as the rest of this module

    return next(iter(difflib.get_close_matches(name, list(known), n=1)), None)


def missing_file(path: Path, what: str) -> InputError:
    """Return the error for a path that is no file, with the nearest file name in its folder."""
    if path.is_dir():
        return InputError(Problem(f"is a folder, not a {what}", file=str(path)))
    there = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    hint = nearest(path.name, there) if len(there) > FEW or close(path.name, there) else ""
    return InputError(Problem(f"no such {what}{hint}", file=str(path)))


def is_shortage(error: BaseException) -> bool:
    """Return whether an error says that memory is exhausted, also PyTorch's, which are RuntimeErrors."""
    words = ("can't allocate memory", "out of memory")
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(each in str(error) for each in words)
    )


def is_of_one_value(error: BaseException) -> bool:
    """Return whether an error is PyTorch's about a batch norm that sees one value per channel."""
    return isinstance(error, ValueError) and str(error).startswith("Expected more than 1 value per channel")


def in_words(error: Exception) -> str:
    """Return an error of the system in its own words, after the file that it is about: `out/a.json: Disk full`."""
    if is_shortage(error) or not isinstance(error, OSError):
        return "the memory is exhausted"
    return ": ".join(shortened(str(part)) for part in (error.filename, error.strerror or error) if part)


def shortened(text: str, most: int = NAME_SHOWN) -> str:
    """Return a text without the middle of a longer one."""
    return text if len(text) <= most else f"{text[: most // 2]} ... {text[-most // 2 :]}"
