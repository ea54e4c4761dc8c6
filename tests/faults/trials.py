"""Hostile trials: commands on mutated files, and what is wrong with how they end."""

from __future__ import annotations

import contextlib
import io
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from archlab.cli.app import main

ENDS = {0, 1, 2, 130, 143}
"""Exit codes of commands that ended as they should; 70 is a fault of archlab."""
SECONDS = 120
"""The time of a command after which it counts as hung."""
JUNK = (
    "-1", "0", "1000000000", "1e400", "9" * 400, ".nan", "-.inf", "null", "true", "''", "text", "'\\ud800'", '"\\ud800"',
    "[]", "[1, [2, [3]]]", "{}", "{a: {b: 1}}", "2001-01-01", "!!python/name:os.system", "&a [*a]", "*nothing", "a" * 5000,
    "../../etc/passwd", "[red]x[/]", "\t", "@", "%", "0x1F", "1_000", "~",
)  # fmt: skip
"""Values that stand where others are expected."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended. wrong: what is wrong with it; empty if nothing is."""

    arguments: tuple[str, ...]
    code: int
    error: str

    @property
    def wrong(self) -> str:
        if "Traceback" in self.error or self.code not in ENDS:
            return f"exit code {self.code}: {self.error[-600:]}"
        if (self.code == 2 and "error: " not in self.error) or (self.code and not self.error.strip()):
            return f"exit code {self.code} without an error: {self.error[-300:]}"
        if any(len(line) > 1500 for line in self.error.splitlines()):
            return f"a line of over 1,500 characters: {self.error[:300]}"
        return ""


@dataclass(frozen=True)
class Trial:
    """A command under hostile conditions: its exit code, and what is wrong with how it ended or with what it left."""

    command: str
    code: int
    wrong: str


def call(*arguments: str | Path) -> Outcome:
    """Run a command in this process."""
    texts = tuple(map(str, arguments))
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _limited():
        try:
            code = main(texts)
        except SystemExit as end:
            code = int(end.code or 0)
        except BaseException as error:
            code = 70
            err.write(f"Traceback: {type(error).__name__}: {error}")
    return Outcome(texts, code, err.getvalue())


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    """Raise TimeoutError in a command that hangs."""

    def end(number: int, frame: Any) -> None:
        raise SystemExit(99)

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def mutated_text(text: str, random: Random) -> str:
    """Return a YAML file with one to three changes of lines, names or values."""
    lines = text.splitlines()
    for _ in range(random.randint(1, 3)):
        here = random.randrange(len(lines))
        lines = _CHANGES[random.randrange(len(_CHANGES))](lines, here, random) or [""]
    return "\n".join(lines) + "\n"


def _without(lines: list[str], here: int, random: Random) -> list[str]:
    return lines[:here] + lines[here + 1 :]


def _twice(lines: list[str], here: int, random: Random) -> list[str]:
    return [*lines[:here], lines[here], *lines[here:]]


def _indented(lines: list[str], here: int, random: Random) -> list[str]:
    return [*lines[:here], "  " + lines[here], *lines[here + 1 :]]


def _with_other_value(lines: list[str], here: int, random: Random) -> list[str]:
    name = lines[here].split(":")[0]
    return [*lines[:here], f"{name}: {random.choice(JUNK)}", *lines[here + 1 :]]


def _with_other_part(lines: list[str], here: int, random: Random) -> list[str]:
    """Change one word of the line: a number, a name or a bracket."""
    words = lines[here].split(" ")
    words[random.randrange(len(words))] = random.choice(JUNK)
    return [*lines[:here], " ".join(words), *lines[here + 1 :]]


def _with_other_name(lines: list[str], here: int, random: Random) -> list[str]:
    return [*lines[:here], lines[here].replace(":", random.choice(("x:", " :", ""))), *lines[here + 1 :]]


def _cut(lines: list[str], here: int, random: Random) -> list[str]:
    return [*lines[:here], lines[here][: random.randint(0, len(lines[here]))]]


_CHANGES = (_without, _twice, _indented, _with_other_value, _with_other_part, _with_other_part, _with_other_name, _cut)


def damaged_bytes(content: bytes, random: Random) -> bytes:
    """Return a file cut, emptied, with flipped bits, with a zeroed block, or with other content."""
    kind = random.randrange(6)
    if kind == 0:
        return content[: random.randrange(len(content) + 1)]
    if kind == 1:
        return b""
    if kind == 2:
        return random.choice((b"[]", b"null", b"{}", b"\xff\xfe\x00", b'{"a": NaN}', b"[" * 100_000, b'"\\ud800"'))
    changed = bytearray(content)
    for _ in range(random.choice((1, 3, 40)) if changed else 0):
        at = random.randrange(len(changed))
        if kind == 3:
            changed[at] ^= 1 << random.randrange(8)
        elif kind == 4:
            changed[at : at + 64] = bytes(len(changed[at : at + 64]))
        else:
            changed[at : at + 1] = b"9" * random.choice((1, 20, 500))
    return bytes(changed)


def wrong_ones(outcomes: Sequence[Outcome]) -> list[str]:
    """Return what is wrong with the outcomes, with their commands."""
    return [f"archlab {' '.join(each.arguments)}: {each.wrong}" for each in outcomes if each.wrong]
