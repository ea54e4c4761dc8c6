"""Where a map is split, one half is worked on channel by channel, and both are interleaved again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from archlab.deploy.order import is_dense, is_depthwise
from archlab.deploy.program import RESIZING, Op, Program

SATURATED: Mapping[str, float] = {"sigmoid": 40.0, "hsigmoid": 40.0}
"""What each of these activations takes to 1, within rounding."""


@dataclass(frozen=True)
class Region:
    """The positions of its operators. path: what the moving half goes through. gates: splits of gates by width."""

    split: int
    path: frozenset[int]
    interleave: int
    gates: frozenset[int]


@dataclass(frozen=True)
class _Search:
    program: Program
    makers: Mapping[int, int]
    readers: Mapping[int, int]

    def maker(self, value: int) -> Op | None:
        return self.program.ops[self.makers[value]] if value in self.makers else None

    def region(self, position: int) -> Region | None:
        """Return the region that an interleaving ends, None if it ends none."""
        kept, value = self.program.ops[position].inputs
        split = self.maker(kept)
        if not split or split.kind != "split" or len(split.outputs) != 2 or self.readers[kept] != 1:
            return None
        path: set[int] = set()
        gates: set[int] = set()
        while value != split.outputs[1]:
            op = self.maker(value)
            found = self.gates(op) if op and split.outputs[0] == kept else None
            if op is None or found is None:
                return None
            path.add(self.makers[value])
            gates |= found
            value = op.inputs[0]
        return Region(self.makers[kept], frozenset(path), position, frozenset(gates)) if path else None

    def gates(self, op: Op) -> set[int] | None:
        """Return the splits of the gates of an operator that keeps channels apart; None if it is no such operator."""
        if op.act or op.in_shapes[0] != op.out_shapes[0]:
            return None
        if op.kind == "multiply":
            return self.gate(op.inputs[1]) if op.in_shapes[0][0] == op.in_shapes[1][0] else None
        return set() if is_depthwise(op) else None

    def gate(self, value: int) -> set[int] | None:
        """Return the split that a gate comes from; None if it cannot be made 1 in the channels of the other half."""
        op = self.maker(value)
        while op and op.kind in RESIZING and not op.act and self.readers[value] == 1:
            value = op.inputs[0]
            op = self.maker(value)
        if not op or self.readers[value] != 1:
            return None
        if op.kind == "split":
            conv = self.maker(op.inputs[0])
            return {self.makers[value]} if conv and self.readers[op.inputs[0]] == 1 and _saturates(conv) else None
        return set() if _saturates(op) else None


def _saturates(op: Op) -> bool:
    return is_dense(op) and op.act in SATURATED


def regions_of(program: Program) -> Iterator[Region]:
    """Yield the regions of a program in which a map can be worked on as a whole, the kept half unchanged."""
    search = _Search(program, program.makers(), program.readers())
    for position, op in enumerate(program.ops):
        if op.kind == "interleave" and len(op.inputs) == 2 and not op.act and (found := search.region(position)):
            yield found
