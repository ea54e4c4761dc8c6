"""Checks of values in JSON files, and the error that lists all of a file's problems."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from archlab.core.errors import InputError, Problem

SHOWN = 20
"""The number of problems of one kind that an error lists in full."""
_MOST = 2**63
_COORDINATES = ("x", "y", "visibility")


def refuse(problems: list[str], path: Path) -> None:
    """Raise InputError with the problems, if any: the first twenty in full and the number of the others."""
    if problems:
        rest = [f"and {len(problems) - SHOWN} more of this kind"] if len(problems) > SHOWN else []
        raise InputError([Problem(text, file=str(path)) for text in problems[:SHOWN] + rest])


def number(value: Any) -> bool:
    """Return whether a value is a finite number that an array can hold."""
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:  # a whole number of hundreds of digits
        return False


def numbers(values: Any, count: int) -> bool:
    """Return whether a value is a list of `count` finite numbers."""
    return isinstance(values, list | tuple) and len(values) == count and all(map(number, values))


def integer(value: Any) -> bool:
    """Return whether a value is a whole number of 64 bits."""
    return isinstance(value, int) and not isinstance(value, bool) and -_MOST <= value < _MOST


def flag(value: Any) -> bool:
    """Return whether a value is 0 or 1, which JSON also writes as false and true."""
    return isinstance(value, int | float) and value in (0, 1)


def wrong_number(values: Sequence[Any], name: str, *, points: bool = False) -> str:
    """Return the place, the rule and the value of the first entry that is not a finite number, or "".

    points: the values are x, y and visibility of keypoints in turn.
    """
    at = next((at for at, value in enumerate(values) if not number(value)), None)
    if at is None:
        return ""
    place = f"{name}[{at}]" + (keypoint_of(at) if points else "")
    return f"{place} must be a finite number, not {short(values[at])}"


def keypoint_of(at: int) -> str:
    """Return the keypoint and the coordinate at an index of a flat list, as ` (keypoint 13, y)`."""
    return f" (keypoint {at // 3}, {_COORDINATES[at % 3]})"


def short(value: Any) -> str:
    """Return a value as Python writes it, cut to one short line."""
    if isinstance(value, list) and len(value) > 4:
        return f"{len(value)} values, {[_cut(part) for part in value[:3]]}...".replace("'", "")
    return _cut(value)


def _cut(value: Any) -> str:
    if isinstance(value, int) and not integer(value) and not isinstance(value, bool):
        return "a number of too many digits"
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
