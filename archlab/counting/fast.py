"""The cost of a spec as a sum while its blocks are laid down: hundreds of unseen specs a second on one core.

The figures equal `cost(assemble(spec)).total` to the unit. No operator becomes an object. A block, or a part of one
that depends only on its own maps, is remembered by its input shapes and choices.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from archlab.blocks.wiring import Arguments, Map, Shape, Wiring, lay_down, live, wire
from archlab.counting.count import leaf_cost, leaves_cost
from archlab.counting.rules import RULES, Count, total
from archlab.network.graph import Layout, lay_out
from archlab.network.spec import Spec

PARTS = 2**16
BLOCKS = 2**14
"""How many are remembered: fewer blocks, since blocks of many maps repeat less and what is kept slows Python's GC."""

Wirings = tuple[Callable[..., Any], tuple[Shape, ...], bool, Arguments]
Tallied = tuple[Count, frozenset[int]]
"""The cost of the outputs that are read, and the positions of the inputs that they need."""

Entry = tuple[Count, tuple[int, ...], Hashable]
"""An operator or a part: its cost, its inputs, and the shared layer that it calls, None if it has its own."""


@dataclass(frozen=True, eq=False, slots=True)
class Piece:
    """A block at its input shapes.

    whole: its cost and inputs if all outputs are read; for some of them, `wiring` is laid down again.
    single: the block on each of its maps, if it is laid down on each by itself.
    """

    wiring: Wirings
    out_shapes: tuple[Shape, ...]
    whole: Tallied
    single: tuple[Piece, ...] = ()


class Part(NamedTuple):
    """A part at its input shapes: its cost, the positions of the inputs that it reads, and its output map."""

    cost: Count
    inputs: tuple[int, ...]
    made: Map


class _AgainError(Exception):
    """A block calls layers again by their names, which `CostWiring` does not keep."""


class _Scope:
    """A scope as a number: enough to distinguish shared layers of one name in different scopes."""

    __slots__ = ("before", "wiring")

    def __init__(self, wiring: CostWiring) -> None:
        self.wiring, self.before = wiring, wiring.inside

    def __enter__(self) -> None:
        self.wiring.scopes += 1
        self.wiring.inside = self.wiring.scopes

    def __exit__(self, *error: object) -> None:
        self.wiring.inside = self.before


class CostWiring:
    """An interpreter that keeps costs in place of leaves; the maps that one operator makes share a number.

    remember: keep the costs of parts by their shapes and choices, which then are hashed.
    """

    def __init__(self, in_shapes: Sequence[Shape], *, remember: bool = True) -> None:
        self._remember = remember
        self.inputs = tuple(map(Map, range(len(in_shapes)), in_shapes))
        self.entries: list[Entry] = []
        self.inside = self.scopes = 0

    def scope(self, name: str) -> Any:
        return _Scope(self)

    def again(self, name: str) -> Any:
        raise _AgainError

    def part(self, g: Wiring, function: Callable[..., Any], xs: Sequence[Map], choices: Mapping[str, Any]) -> Any:
        if not self._remember:
            return function(g, *xs, **choices)
        part = _part(function, tuple([x[1] for x in xs]), tuple(choices), tuple(choices.values()))
        if part is None:
            return function(g, *xs, **choices)
        count, inputs, (number, shape) = part
        if number < len(xs):
            return xs[number]
        self.entries.append((count, tuple([xs[i][0] for i in inputs]), None))
        return self._made(shape)

    def lay(
        self, kind: str, xs: Sequence[Map], shape: Shape, *, name: str = "", shared: str = "", **choices: Any
    ) -> Map:
        layer = (self.inside, shared) if shared else None
        self.entries.append((_cost(kind, choices, xs, (shape,)), tuple([x[0] for x in xs]), layer))
        return self._made(shape)

    def lay_many(
        self, kind: str, xs: Sequence[Map], shapes: Sequence[Shape], *, name: str = "", shared: str = "", **choices: Any
    ) -> list[Map]:
        layer = (self.inside, shared) if shared else None
        self.entries.append((_cost(kind, choices, xs, shapes), tuple([x[0] for x in xs]), layer))
        number = len(self.inputs) + len(self.entries) - 1
        return [Map(number, shape) for shape in shapes]

    def _made(self, shape: Shape) -> Map:
        """Return the map of the last entry."""
        return Map(len(self.inputs) + len(self.entries) - 1, shape)


def _cost(kind: str, choices: Mapping[str, Any], xs: Sequence[Map], shapes: Sequence[Shape]) -> Count:
    rule = RULES.get(kind)
    if rule:
        return rule(choices, xs[0].shape, shapes[0])
    return leaf_cost(kind, tuple(choices.items()), tuple(x.shape for x in xs), tuple(shapes))


def tally(spec: Spec) -> tuple[Count, Layout[Piece, Count]]:
    """Return a spec's total cost and its layout. Raises InputError as `assemble` does."""
    layout = lay_out(spec, piece, needs)
    return total([needed[0] for needed in layout.needed if needed]), layout


@lru_cache(maxsize=BLOCKS)
def piece(function: Callable[..., Any], in_shapes: tuple[Shape, ...], many: bool, arguments: Arguments) -> Piece:
    """Return a block at its input shapes; the arguments and the WiringError are those of `wire`."""
    wiring = function, in_shapes, many, arguments
    if many or len(in_shapes) == 1:
        return Piece(wiring, *_laid(wiring, None))
    single = tuple([piece(function, (shape,), many, arguments) for shape in in_shapes])
    return Piece(wiring, tuple([each.out_shapes[0] for each in single]), _together(single, range(len(single))), single)


def needs(block: Piece, read: frozenset[int]) -> Tallied:
    """Return the cost of the outputs at these positions and the positions of the inputs that they read."""
    if len(read) == len(block.out_shapes):
        return block.whole
    return _together(block.single, read) if block.single else _partly(block, read)


@lru_cache(maxsize=BLOCKS)
def _partly(block: Piece, read: frozenset[int]) -> Tallied:
    return _laid(block.wiring, read)[1]


def _together(single: Sequence[Piece], read: Iterable[int]) -> Tallied:
    return total([single[i].whole[0] for i in read]), frozenset([i for i in read if single[i].whole[1]])


def _laid(wiring: Wirings, read: frozenset[int] | None) -> tuple[tuple[Shape, ...], Tallied]:
    """Return the outputs' shapes, and the cost and inputs of those that are read (None: all)."""
    function, in_shapes, many, arguments = wiring
    costs = CostWiring(in_shapes)
    try:
        outputs = lay_down(Wiring(costs), function, many, arguments)
    except _AgainError:
        wired = wire(*wiring)
        leaves, inputs = live(wired, frozenset(range(len(wired.outputs))) if read is None else read)
        return wired.out_shapes, (total(leaves_cost(leaves)[0].values()), inputs)
    return tuple([m.shape for m in outputs]), live_cost(costs, outputs if read is None else [outputs[i] for i in read])


def live_cost(wiring: CostWiring, outputs: Sequence[Map]) -> Tallied:
    """Return the cost of these maps and the inputs that they read.

    A layer called several times holds its parameters once, and the paper's counter sees only its last call.
    """
    needed = {x.id for x in outputs}
    counts: list[Count] = []
    called: set[Hashable] = set()
    number = len(wiring.inputs) + len(wiring.entries)
    for count, inputs, layer in reversed(wiring.entries):
        number -= 1
        if number in needed:
            needed.update(inputs)
            counts.append(count._replace(params=0, paper=0) if layer in called else count)
            if layer:
                called.add(layer)
    return total(counts), frozenset([i for i in range(len(wiring.inputs)) if i in needed])


@lru_cache(maxsize=PARTS)
def _part(
    function: Callable[..., Any], in_shapes: tuple[Shape, ...], names: tuple[str, ...], values: tuple[Hashable, ...]
) -> Part | None:
    """Return a part that makes one map, None if the rest of its block could call its layers too."""
    costs = CostWiring(in_shapes)
    made = function(Wiring(costs), *costs.inputs, **dict(zip(names, values, strict=True)))
    if not isinstance(made, Map) or any(layer for _, _, layer in costs.entries):
        return None
    count, inputs = live_cost(costs, [made])
    return Part(count, tuple(sorted(inputs)), made)
