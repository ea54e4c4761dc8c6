"""Records of measured time, one file per machine: what is kept, and what is read from them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from archlab.core.errors import InputError, Problem
from archlab.core.files import read_json, write_json
from archlab.deploy.bench.parts import Part
from archlab.deploy.bench.session import Row, Session

VERSION = 1


@dataclass(frozen=True)
class Quartiles:
    """The quartiles of some times, in their unit."""

    low: float
    median: float
    high: float


@dataclass(frozen=True)
class Ratio:
    """How many times as fast: the median over rounds, and the interval that holds it with 95 % confidence."""

    median: float
    low: float
    high: float


def quartiles(values: Sequence[float]) -> Quartiles:
    """Return the quartiles of some values."""
    if len(values) < 2:
        return Quartiles(values[0], values[0], values[0])
    return Quartiles(*statistics.quantiles(values, n=4, method="inclusive"))


def ratio(slow: Sequence[float], fast: Sequence[float]) -> Ratio:
    """Return the ratio of two rows' times, paired by rounds.

    The interval goes between order statistics of the paired ratios, by which it holds for any distribution: those at
    n / 2 -+ 0.98 sqrt(n), with the smallest and the largest for fewer than six rounds.
    """
    pairs = sorted(a / b for a, b in zip(slow, fast, strict=True))
    n = len(pairs)
    below = max(0, int(n / 2 - 0.98 * n**0.5))
    return Ratio(statistics.median(pairs), pairs[below], pairs[n - 1 - below])


def slug(machine: str) -> str:
    """Return a machine's name as part of a file's name."""
    words = "".join(letter.lower() if letter.isalnum() else " " for letter in machine).split()
    return "_".join(words) or "machine"


def save(path: Path, session: Session, profiles: Mapping[str, Sequence[Part]] | None = None) -> None:
    """Add a session to a machine's record, in place of one of the same device, threads and type.

    profiles: of some networks by name, in place of those that are kept; None keeps them.
    Raises InputError if the record is of another machine or no record.
    """
    sessions = list(read(path)) if path.exists() else []
    known = read_profiles(path) if path.exists() else {}
    others = sorted({each.machine for each in sessions} - {session.machine})
    if others:
        raise InputError(Problem(f"the record is of {others[0]}, not of {session.machine}", "--save", str(path)))
    kept = [each for each in sessions if _key(each) != _key(session)]
    made = sorted([*kept, session], key=_key)
    shown = {
        name: [asdict(part) for part in parts] for name, parts in (known if profiles is None else profiles).items()
    }
    write_json(path, {"version": VERSION, "sessions": [asdict(each) for each in made], "profiles": shown})


def read_profiles(path: Path) -> dict[str, list[Part]]:
    """Return the profiles of a record, by network."""
    document = read_json(path, "record of latency")
    return {name: [Part(**part) for part in parts] for name, parts in document.get("profiles", {}).items()}


def read(path: Path) -> tuple[Session, ...]:
    """Return the sessions of a record. Raises InputError if the file is no record of latency."""
    document = read_json(path, "record of latency")
    try:
        if document["version"] != VERSION:
            raise InputError(Problem(f"version {document['version']} is not {VERSION}", "version", str(path)))
        return tuple(_session(each) for each in document["sessions"])
    except (KeyError, TypeError) as error:
        raise InputError(Problem(f"no record of latency: {error}", file=str(path))) from None


def _key(session: Session) -> tuple[str, int, str]:
    return session.device, session.threads, session.dtype


def _session(values: dict[str, Any]) -> Session:
    rows = tuple(
        Row(**{**row, "input": tuple(row["input"]), "milliseconds": tuple(row["milliseconds"])})
        for row in values["rows"]
    )
    clocks = values["clock_mhz"]
    return Session(
        **{**values, "rows": rows, "skipped": tuple(values["skipped"]), "clock_mhz": tuple(clocks) if clocks else None}
    )
