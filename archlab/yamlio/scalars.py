"""Scalars read as the types of Python."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from archlab.yamlio.items import Item, scalar

DIGITS = 30
MOST = 10**DIGITS
"""Whole numbers have at most DIGITS digits: enough for the size of any search space."""


class NotOne(Exception):  # noqa: N818  not a fault of the program
    """The item is not of the type. `hint`: how to write it, if that is clear."""

    def __init__(self, hint: str = "") -> None:
        self.hint = hint


def _integer(item: Item) -> int:
    if type(item.value) is int:
        if abs(item.value) >= MOST:
            raise NotOne(f" (it must have at most {DIGITS} digits)")
        return item.value
    if type(item.value) is float and item.value.is_integer() and abs(item.value) < MOST:
        raise NotOne(f" (write {int(item.value)})")
    raise NotOne(_unquoted(item, int))


def _number(item: Item) -> float:
    if type(item.value) is float and math.isfinite(item.value):
        return item.value
    if type(item.value) is int:
        try:
            return float(item.value)
        except OverflowError:
            raise NotOne(" (too large)") from None
    raise NotOne(" (it must be finite)" if type(item.value) is float else _unquoted(item, int, float))


def _string(item: Item) -> str:
    if isinstance(item.value, str):
        return item.value
    raise NotOne("" if item.value is None or isinstance(item.value, tuple | dict) else " (quote it to make it text)")


def _boolean(item: Item) -> bool:
    if isinstance(item.value, bool):
        return item.value
    usual = {"yes": "true", "on": "true", "no": "false", "off": "false"}.get(str(item.value).lower())
    raise NotOne(f" (write {usual})" if usual else _unquoted(item, bool))


def _unquoted(item: Item, *kinds: type) -> str:
    quoted = isinstance(item.value, str) and len(item.value) < 100 and type(scalar(item.value)) in kinds
    return " (write it without quotes)" if quoted else ""


def _path(item: Item) -> Path:
    if isinstance(item.value, str) and item.value:
        return Path(item.value)
    raise NotOne


def _none(item: Item) -> None:
    if item.value is not None:
        raise NotOne


READERS: dict[Any, Callable[[Item], Any]] = {
    int: _integer,
    float: _number,
    str: _string,
    bool: _boolean,
    Path: _path,
    type(None): _none,
    None: _none,
    Any: Item.plain,
    object: Item.plain,
    Item: lambda item: item,
}
"""The types that a single function reads; it raises NotOne for an item of another type."""
