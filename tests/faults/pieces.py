"""Outcomes of hostile trials, kept in a file as they end, so that they may run in pieces and on several days."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from archlab.core.files import write_json


@dataclass(frozen=True)
class Piece:
    """The outcomes of one kind of trials.

    command: its name, or the names of several with `, ` between; empty for trials of no single command.
    count: how many trials were asked for. codes: how many ended with each exit code. wrong: what was wrong.
    """

    kind: str
    command: str
    count: int
    seed: int
    commit: str
    date: str
    codes: dict[str, int] = field(default_factory=dict)
    wrong: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str, int]:
        """What the piece is; a second one of the same key takes its place."""
        return self.kind, self.command, self.seed

    @property
    def commands(self) -> list[str]:
        return self.command.split(", ")


class Pieces:
    """The pieces in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        rows = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
        self.found = {piece.key: piece for piece in (Piece(**{**row, "wrong": tuple(row["wrong"])}) for row in rows)}

    def has(self, kind: str, command: str, count: int, seed: int) -> bool:
        """Return whether as many trials have ended, with nothing wrong."""
        known = [piece for piece in self.of(kind) if piece.seed == seed and command in piece.commands]
        return any(piece.count >= count and not piece.wrong for piece in known)

    def add(self, piece: Piece) -> None:
        """Write a piece in the place of an earlier one."""
        self.found[piece.key] = piece
        write_json(self.path, [asdict(each) for _, each in sorted(self.found.items())])

    def of(self, kind: str) -> list[Piece]:
        return [piece for piece in self.found.values() if piece.kind == kind]


def total(pieces: Iterable[Piece]) -> Counter[str]:
    """Return how many trials of all pieces ended with each exit code."""
    found: Counter[str] = Counter()
    for piece in pieces:
        found.update(piece.codes)
    return found


def asked(pieces: Sequence[Piece]) -> int:
    """Return how many trials were asked for of each command; the least, where commands differ."""
    by_command: Counter[str] = Counter()
    for piece in pieces:
        by_command.update(dict.fromkeys(piece.commands, piece.count))
    return min(by_command.values(), default=0)
