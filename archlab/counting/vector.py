"""The costs of one block at many widths at once: its wiring function, run on vectors of whole numbers.

A block is written once. Its function runs here as it does everywhere else, with a `Vector` in place of each width and
of each varying argument, one number for each candidate. Where a comparison holds for some candidates only, the batch is
split and the block laid down for each part. A range or a text asks for a plain number, and splits by it. What vectors
cannot do, such as fractions or keys of a dictionary, leaves the candidates to the count of one network at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archlab.blocks.wiring import Arguments, Map, Wiring, lay_down
from archlab.counting.fast import CostWiring, live_cost
from archlab.counting.rules import Count

Numbers = NDArray[np.int64]
MOST = 2**62
"""Above it a product may not fit into 64 bits."""


class SplitError(Exception):
    """A comparison differs between the candidates; `mask` tells those for which it holds."""

    def __init__(self, mask: NDArray[np.bool_]) -> None:
        super().__init__("a comparison differs")
        self.mask = mask


class Vector:
    """A whole number for each candidate; `most` bounds its size. It counts as a number wherever one is asked for."""

    __slots__ = ("most", "values")

    def __init__(self, values: Numbers, most: int | None = None) -> None:
        self.values = values
        self.most = int(np.abs(values).max(initial=0)) if most is None else most
        if self.most > MOST:
            raise OverflowError(f"{self.most} is above 2^62")

    def __add__(self, other: Any) -> Any:
        if isinstance(other, Vector):
            return Vector(self.values + other.values, self.most + other.most)
        if other == 0:
            return self
        return Vector(self.values + _whole(other), self.most + abs(other))

    def __mul__(self, other: Any) -> Any:
        if isinstance(other, Vector):
            return Vector(self.values * other.values, self.most * other.most)
        if other == 1:
            return self
        return Vector(self.values * _whole(other), self.most * abs(other))

    __radd__, __rmul__ = __add__, __mul__

    def __pow__(self, power: int) -> Any:
        return prod([self] * _whole(power))

    def __neg__(self) -> Vector:
        return Vector(-self.values, self.most)

    def __sub__(self, other: Any) -> Any:
        return self + -other

    def __rsub__(self, other: Any) -> Any:
        return -self + other

    def __floordiv__(self, other: Any) -> Vector:
        return Vector(self.values // _values(other), self.most + 1)

    def __rfloordiv__(self, other: Any) -> Vector:
        return Vector(_whole(other) // self.values, abs(other) + 1)

    def __mod__(self, other: Any) -> Vector:
        return Vector(self.values % _values(other), other.most if isinstance(other, Vector) else abs(other))

    def __rmod__(self, other: Any) -> Vector:
        return Vector(_whole(other) % self.values, self.most)

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Vector | int) and _agreed(self.values == _values(other)))

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __lt__(self, other: Any) -> bool:
        return _agreed(self.values < _values(other))

    def __le__(self, other: Any) -> bool:
        return _agreed(self.values <= _values(other))

    def __gt__(self, other: Any) -> bool:
        return _agreed(self.values > _values(other))

    def __ge__(self, other: Any) -> bool:
        return _agreed(self.values >= _values(other))

    def __bool__(self) -> bool:
        return _agreed(self.values != 0)

    def __index__(self) -> int:
        first = int(self.values[0])
        _agreed(self.values == first)
        return first

    def __int__(self) -> int:
        return self.__index__()

    def __float__(self) -> float:
        return float(self.__index__())

    __hash__ = None  # type: ignore[assignment]

    def __format__(self, form: str) -> str:
        return format(self.__index__(), form)

    def __repr__(self) -> str:
        return repr(self.__index__())


def _agreed(mask: NDArray[np.bool_]) -> bool:
    """Return whether a comparison holds. Raises SplitError if it holds for some only."""
    held = int(np.count_nonzero(mask))
    if 0 < held < len(mask):
        raise SplitError(mask)
    return held > 0


def _values(other: Any) -> Any:
    return other.values if isinstance(other, Vector) else _whole(other)


def _whole(other: Any) -> int:
    if not isinstance(other, int):
        raise TypeError(f"vectors of whole numbers do not go with {other!r}")
    return other


@dataclass(frozen=True, eq=False)
class Batch:
    """A block at many input shapes that differ in widths only.

    widths: the channels of each input, (candidates, inputs). sizes: their (H, W).
    arguments: as for `wire`; those of `varied` are replaced.
    varied: argument -> its numbers, or a list of them for an argument that is a list.
    """

    function: Callable[..., Any]
    many: bool
    arguments: Arguments
    sizes: tuple[tuple[int, int], ...]
    widths: Numbers
    varied: dict[str, Numbers | list[Numbers]]

    def of(self, rows: Numbers) -> Batch:
        """Return the batch of some of the candidates."""
        varied = {
            name: [each[rows] for each in found] if isinstance(found, list) else found[rows]
            for name, found in self.varied.items()
        }
        return Batch(self.function, self.many, self.arguments, self.sizes, self.widths[rows], varied)


@dataclass(frozen=True, eq=False)
class Counted:
    """A part of a batch.

    rows: its candidates.
    costs: the figures of a `Count` for each, (rows, figures).
    widths: of each output, (rows, outputs). sizes: their (H, W).
    inputs: the positions of the inputs that the outputs read need.
    """

    rows: Numbers
    costs: Numbers
    widths: Numbers
    sizes: tuple[tuple[int, int], ...]
    inputs: frozenset[int]


def count_batch(batch: Batch, read: frozenset[int] | None = None) -> Iterator[Counted]:
    """Yield the parts of a batch, without the candidates that do not fit or that vectors cannot count.

    read: the positions of the outputs that are read; None: all.
    """
    waiting = [np.arange(len(batch.widths))]
    while waiting:
        rows = waiting.pop()
        try:
            with np.errstate(all="raise"):
                yield _counted(batch.of(rows), rows, read)
        except SplitError as split:
            waiting += [rows[~split.mask], rows[split.mask]]
        except Exception:  # the check of each candidate by itself raises what it should
            continue


def _counted(batch: Batch, rows: Numbers, read: frozenset[int] | None) -> Counted:
    shapes = [(Vector(batch.widths[:, i]), *size) for i, size in enumerate(batch.sizes)]
    costs = CostWiring(shapes, remember=False)  # type: ignore[arg-type]
    outputs = lay_down(Wiring(costs), batch.function, batch.many, _arguments(batch))
    count, inputs = live_cost(costs, [x for i, x in enumerate(outputs) if read is None or i in read])
    made = [_column(x.channels, len(rows)) for x in outputs]
    return Counted(rows, _columns(count, len(rows)), np.stack(made, axis=1), _sizes(outputs), inputs)


def _arguments(batch: Batch) -> Arguments:
    varied: dict[str, Any] = {
        name: tuple(map(Vector, found)) if isinstance(found, list) else Vector(found)
        for name, found in batch.varied.items()
    }
    return tuple([(name, varied.get(name, value)) for name, value in batch.arguments])


def _sizes(outputs: Sequence[Map]) -> tuple[tuple[int, int], ...]:
    return tuple([(int(x.size[0]), int(x.size[1])) for x in outputs])


def _columns(count: Count, rows: int) -> Numbers:
    return np.stack([_column(each, rows) for each in count], axis=1)


def _column(value: Any, rows: int) -> Numbers:
    return value.values if isinstance(value, Vector) else np.full(rows, value, np.int64)
