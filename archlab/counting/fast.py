"""The cost of a spec by adding up while its blocks are laid down: for thousands of unseen specs a second.

The figures are those of `counting.cost(assemble(spec)).total`, to the unit. No operator becomes an object here, and a
block, or a part of one that depends on nothing but its own maps, is remembered by its input shapes and choices.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from archlab.blocks.wiring import Arguments, Map, Shape, Wiring, lay_down, live, wire
from archlab.counting.count import RULES, Count, leaf_cost, leaves_cost, total
from archlab.network.graph import Layout, lay_out
from archlab.network.spec import Spec

PARTS = 2**16
BLOCKS = 2**14
"""How many are remembered; blocks of many maps come again less often, and what is kept costs Python's collector."""

Wirings = tuple[Callable[..., Any], tuple[Shape, ...], bool, Arguments]
Tallied = tuple[Count, frozenset[int]]
"""What the outputs that are read cost, and the positions of the inputs that they need."""


Entry = tuple[Count, tuple[int, ...], Hashable]
"""An operator, or a part, that was laid down: cost, inputs, and which shared layer it calls, None for its own."""


@dataclass(frozen=True, eq=False, slots=True)
class Piece:
    """A block at its input shapes; `single`: those of its maps, if each is laid down by itself.

    `whole` is what it costs where all its outputs are read; where some are not, `wiring` is laid down again to see.
    """

    wiring: Wirings
    out_shapes: tuple[Shape, ...]
    whole: Tallied
    single: tuple[Piece, ...] = ()


class Part(NamedTuple):
    """A part at its input shapes: its cost, the positions of the inputs that it reads, and the map that it makes."""

    cost: Count
    inputs: tuple[int, ...]
    made: Map


class _AgainError(Exception):
    """A block calls its layers again, which are told by their names; a tally knows none."""


class _Scope:
    """Tells the shared layers of one scope from those of another by a number, which is all that their names do."""

    __slots__ = ("before", "tally")

    def __init__(self, tally: Tally) -> None:
        self.tally, self.before = tally, tally.inside

    def __enter__(self) -> None:
        self.tally.scopes += 1
        self.tally.inside = self.tally.scopes

    def __exit__(self, *error: object) -> None:
        self.tally.inside = self.before


class Tally(Wiring):
    """A wiring that keeps costs in place of leaves; the maps that one operator makes have one number."""

    def __init__(self, in_shapes: Sequence[Shape]) -> None:
        self.inputs = tuple(map(Map, range(len(in_shapes)), in_shapes))
        self.entries: list[Entry] = []
        self.inside = self.scopes = 0

    def scope(self, name: str) -> Any:
        return _Scope(self)

    def again(self, name: str) -> Any:
        raise _AgainError

    def part(self, function: Callable[..., Any], *xs: Map, **choices: Hashable) -> Any:
        part = _part(function, tuple([x[1] for x in xs]), tuple(choices.items()))
        if part is None:
            return function(self, *xs, **choices)
        count, inputs, (number, shape) = part
        if number < len(xs):
            return xs[number]
        self.entries.append((count, tuple([xs[i][0] for i in inputs]), None))
        return self._made(shape)

    def conv_norm(self, x: Map, width: int, **choices: Any) -> Any:
        return self.part(Wiring.conv_norm, x, width=width, **choices)

    def _lay(
        self, kind: str, xs: Sequence[Map], shape: Any, *, name: str = "", shared: str = "", **choices: Any
    ) -> Map:
        layer = (self.inside, shared) if shared else None
        self.entries.append((_cost(kind, choices, xs, (shape,)), tuple([x[0] for x in xs]), layer))
        return self._made(shape)

    def _lay_many(
        self, kind: str, xs: Sequence[Map], shapes: Sequence[Shape], *, name: str = "", shared: str = "", **choices: Any
    ) -> list[Map]:
        layer = (self.inside, shared) if shared else None
        self.entries.append((_cost(kind, choices, xs, shapes), tuple([x[0] for x in xs]), layer))
        number = len(self.inputs) + len(self.entries) - 1
        return [Map(number, shape) for shape in shapes]

    def _made(self, shape: Shape) -> Map:
        """The map of the entry that was made last."""
        return Map(len(self.inputs) + len(self.entries) - 1, shape)


def _cost(kind: str, choices: Mapping[str, Any], xs: Sequence[Map], shapes: Sequence[Shape]) -> Count:
    rule = RULES.get(kind)
    if rule:
        return rule(choices, xs[0].shape, shapes[0])
    return leaf_cost(kind, tuple(choices.items()), tuple(x.shape for x in xs), tuple(shapes))


def tally(spec: Spec) -> tuple[Count, Layout[Piece, Count]]:
    """What a spec costs in total, and how it is laid out. Raises InputError for what does not fit, as `assemble`."""
    layout = lay_out(spec, piece, needs)
    return total([needed[0] for needed in layout.needed if needed]), layout


@lru_cache(maxsize=BLOCKS)
def piece(function: Callable[..., Any], in_shapes: tuple[Shape, ...], many: bool, arguments: Arguments) -> Piece:
    """A block at its input shapes; the arguments are those of `wire`. Raises WiringError."""
    wiring = function, in_shapes, many, arguments
    if many or len(in_shapes) == 1:
        return Piece(wiring, *_laid(wiring, None))
    single = tuple([piece(function, (shape,), many, arguments) for shape in in_shapes])
    return Piece(wiring, tuple([each.out_shapes[0] for each in single]), _together(single, range(len(single))), single)


def needs(block: Piece, read: frozenset[int]) -> Tallied:
    """What the outputs at these positions cost, and the positions of the inputs that they read."""
    if len(read) == len(block.out_shapes):
        return block.whole
    return _together(block.single, read) if block.single else _partly(block, read)


@lru_cache(maxsize=BLOCKS)
def _partly(block: Piece, read: frozenset[int]) -> Tallied:
    return _laid(block.wiring, read)[1]


def _together(single: Sequence[Piece], read: Iterable[int]) -> Tallied:
    return total([single[i].whole[0] for i in read]), frozenset([i for i in read if single[i].whole[1]])


def _laid(wiring: Wirings, read: frozenset[int] | None) -> tuple[tuple[Shape, ...], Tallied]:
    """The outputs' shapes, and what those that are read (None: all) cost and need."""
    function, in_shapes, many, arguments = wiring
    g = Tally(in_shapes)
    try:
        outputs = lay_down(g, function, many, arguments)
    except _AgainError:
        wired = wire(*wiring)
        leaves, inputs = live(wired, frozenset(range(len(wired.outputs))) if read is None else read)
        return wired.out_shapes, (total(leaves_cost(leaves)[0].values()), inputs)
    return tuple([m.shape for m in outputs]), _live(g, outputs if read is None else [outputs[i] for i in read])


def _live(g: Tally, outputs: Sequence[Map]) -> Tallied:
    """What these maps of a wiring cost, and the inputs that they read.

    A layer called several times holds its parameters once, and the paper's counter sees only its last call.
    """
    needed = {x.id for x in outputs}
    counts: list[Count] = []
    called: set[Hashable] = set()
    number = len(g.inputs) + len(g.entries)
    for count, inputs, layer in reversed(g.entries):
        number -= 1
        if number in needed:
            needed.update(inputs)
            counts.append(count._replace(params=0, paper=0) if layer in called else count)
            if layer:
                called.add(layer)
    return total(counts), frozenset([i for i in range(len(g.inputs)) if i in needed])


@lru_cache(maxsize=PARTS)
def _part(function: Callable[..., Any], in_shapes: tuple[Shape, ...], choices: Arguments) -> Part | None:
    """A part that makes one map, if none of its layers could be called elsewhere in the block too."""
    g = Tally(in_shapes)
    made = function(g, *g.inputs, **dict(choices))
    if not isinstance(made, Map) or any(layer for _, _, layer in g.entries):
        return None
    count, inputs = _live(g, [made])
    return Part(count, tuple(sorted(inputs)), made)
