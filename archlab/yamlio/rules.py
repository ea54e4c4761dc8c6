"""Constraints on a type, as in `Annotated[int, AtLeast(1), MultipleOf(8)]`: checked, and written as JSON Schema."""

from __future__ import annotations

import functools
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from archlab.core.errors import nearest


@runtime_checkable
class Constraint(Protocol):
    """A rule in `Annotated[type, rule, ...]`; None always passes."""

    def broken(self, value: Any) -> str:
        """Return the rule in words if `value` breaks it, else an empty text."""

    def schema(self) -> dict[str, Any]:
        """Return the rule as JSON Schema."""


@dataclass(frozen=True)
class AtLeast:
    least: float

    def broken(self, value: Any) -> str:
        return "" if value >= self.least else f"at least {self.least}"

    def schema(self) -> dict[str, Any]:
        return {"minimum": self.least}


@dataclass(frozen=True)
class AtMost:
    most: float

    def broken(self, value: Any) -> str:
        return "" if value <= self.most else f"at most {self.most}"

    def schema(self) -> dict[str, Any]:
        return {"maximum": self.most}


@dataclass(frozen=True)
class Above:
    limit: float

    def broken(self, value: Any) -> str:
        return "" if value > self.limit else f"above {self.limit}"

    def schema(self) -> dict[str, Any]:
        return {"exclusiveMinimum": self.limit}


@dataclass(frozen=True)
class MultipleOf:
    factor: int

    def broken(self, value: Any) -> str:
        return "" if value % self.factor == 0 else f"a multiple of {self.factor}"

    def schema(self) -> dict[str, Any]:
        return {"multipleOf": self.factor}


@dataclass(frozen=True)
class Length:
    """The number of entries of a list or mapping, or of characters of a text."""

    least: int = 0
    most: int | None = None

    def broken(self, value: Any) -> str:
        if self.least <= len(value) and (self.most is None or len(value) <= self.most):
            return ""
        return f"of length {self.least} or more" if self.most is None else f"of length {self.least} to {self.most}"

    def schema(self) -> dict[str, Any]:
        names = ("Items", "Length", "Properties")
        most = {} if self.most is None else {f"max{name}": self.most for name in names}
        return {f"min{name}": self.least for name in names} | most


@dataclass(frozen=True, init=False)
class OneOf:
    """`OneOf("a", "b")`: choices that are known only at run time, unlike those of Literal."""

    values: tuple[Any, ...]

    def __init__(self, *values: Any) -> None:
        object.__setattr__(self, "values", values)

    def broken(self, value: Any) -> str:
        return "" if value in self.values else choices(self.values, value)

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.values)}


@functools.cache
def annotated(hint: Any) -> tuple[Any, tuple[Constraint, ...]]:
    """Return the type and the constraints of an `Annotated[...]`."""
    base, *others = typing.get_args(hint)
    return base, tuple(each for each in others if isinstance(each, Constraint))


def choices(values: Sequence[Any], found: Any = None) -> str:
    """Return the values in words, with the one nearest to `found`."""
    close = nearest(found, [each for each in values if isinstance(each, str)]) if isinstance(found, str) else ""
    return f"one of {', '.join(map(repr, values))}{close if 'did you mean' in close else ''}"
