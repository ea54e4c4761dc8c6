"""What a candidate must pass before it is trained: shapes that fit, limits that hold, a network not seen before."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from random import Random
from typing import NamedTuple

from archlab.blocks.basic import gather
from archlab.blocks.wiring import Arguments
from archlab.core.errors import InputError, Problem
from archlab.counting.count import Count
from archlab.counting.fast import Piece, tally
from archlab.network.graph import Layout, Ref, assemble
from archlab.network.spec import Spec
from archlab.search.space.document import Point
from archlab.search.space.points import enumerate_points, mutate, sample, size
from archlab.search.space.space import METRICS, Space

IMAGE: Ref = (-1, 0)
MISFIT = 1e9
"""The excess of a candidate whose shapes do not fit together: no limit is missed by so much."""


SMALL = 2_000
"""A space of so few points is gone through as a whole, others are drawn from DRAWS times at most."""
DRAWS = 20_000
WALK_EVERY = 500


class Checked(NamedTuple):
    """A point and what the gate says of it. `excess`: the sum of the shares by which it breaks limits, 0 if it passes.

    `key` is equal for points of the same network; `refused` says why it does not pass, empty if it does.
    """

    point: Point
    spec: Spec | None
    cost: Count | None
    key: str
    excess: float
    refused: str


def check(space: Space, point: Point) -> Checked:
    """Shapes and limits of a point, without building or tracing anything."""
    try:
        spec = space.spec(point)
        count, layout = tally(spec)
    except InputError as error:
        return Checked(point, None, None, "", MISFIT, str(error.problems[0].message))
    broken = {name: band.excess(METRICS[name](count)) for name, band in space.limits.items()}
    excess = sum(broken.values())
    if excess:
        worst = max(broken, key=lambda name: broken[name])
        return Checked(point, spec, count, "", excess, f"{worst} is {METRICS[worst](count):,.0f}")
    return Checked(point, spec, count, key_of(spec, layout), 0.0, "")


def key_of(spec: Spec, layout: Layout[Piece, Count]) -> str:
    """Equal for layouts of equal blocks that read each other alike, whatever the nodes are called.

    Blocks of one map count map by map, so that it does not matter whether a list of them or one for all was written.
    Where two keys are equal, so are the canonical hashes, which go on to the leaf operators; this is what is fast.
    """
    sources, output = _ungathered(layout)
    numbers: dict[Ref, str] = {IMAGE: "image"}
    lines = [repr((spec.input, spec.outputs, spec.initialisation))]
    stack = [output]
    while stack:
        at, which = value = stack[-1]
        if value in numbers:
            stack.pop()
            continue
        node, block = layout.nodes[at]
        read = sources[at] if node.many else sources[at][which : which + 1]
        if waiting := [source for source in read if source not in numbers]:
            stack += reversed(waiting)
            continue
        stack.pop()
        number = len(lines)
        for i in range(len(block.out_shapes)) if node.many else (which,):
            numbers[at, i] = f"{number}:{i}" if node.many else f"{number}"
        lines.append(f"{_text(node.block, node.arguments)} {[numbers[source] for source in read]}")
    lines.append(numbers[output])
    return blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()


def _ungathered(layout: Layout[Piece, Count]) -> tuple[list[list[Ref]], Ref]:
    """What every node reads, and the output, with nodes that only gather seen through."""
    through: dict[Ref, Ref] = {}
    sources: list[list[Ref]] = []
    for at, ((node, _), refs) in enumerate(zip(layout.nodes, layout.refs, strict=True)):
        read = [through.get(ref, ref) for ref in refs]
        if node.function is gather:
            through |= {(at, i): ref for i, ref in enumerate(read)}
        sources.append(read)
    return sources, through.get(layout.output, layout.output)


@lru_cache(maxsize=2**14)
def _text(block: str, arguments: Arguments) -> str:
    return f"{block} {arguments}"


@dataclass
class Gate:
    """Finds candidates that pass, none of them twice; `tried` counts all that were looked at.

    `known` are keys of networks that are taken. With `exact` what passes is told apart by its canonical hash too, at
    some 8 ms each, since choices that come to the same, such as ratios of a weighting that is not there, have keys of
    their own; `hashes` are those that are taken. A space in which nothing passes is reported by the nearest miss.
    """

    space: Space
    known: set[str] = field(default_factory=set)
    exact: bool = False
    hashes: set[str] = field(default_factory=set)
    tried: int = 0
    repeated: int = 0

    def passes(self, point: Point) -> Checked | None:
        """The point, if it passes and is new; it is known from then on."""
        found = self.look(point)
        return found if self._is_new(found) else None

    def look(self, point: Point) -> Checked:
        found = check(self.space, point)
        self.tried += 1
        return found

    def nearby(self, point: Point, random: Random, *, tries: int) -> Checked | None:
        """A new candidate that passes, on a way of one or two changes a step that never goes further off.

        Two, since where two limits hold each other there is often no single one left.
        """
        here = self.look(point)
        for _ in range(tries):
            if self._is_new(here):
                return here
            there = self.look(mutate(self.space, here.point, random, changes=random.choice((1, 2))))
            if there.excess <= here.excess:
                here = there
        return None

    def sample(self, random: Random, *, patience: float = 30.0) -> Checked:
        """A new candidate by chance: evenly from what passes while draws find it, else on a way from the best miss.

        Raises InputError with the nearest miss where DRAWS draws, or all points of a small space, or `patience`
        seconds find none.
        """
        end = time.monotonic() + patience
        best: Checked | None = None
        for tried, point in enumerate(self._draws(random), start=1):
            found = self.look(point)
            if self._is_new(found):
                return found
            if best is None or found.excess < best.excess:
                best = found
            if tried % WALK_EVERY == 0 and (near := self.nearby(best.point, random, tries=WALK_EVERY)):
                return near
            if time.monotonic() > end:
                break
        assert best is not None
        raise InputError(self._nothing(best))

    def _draws(self, random: Random) -> Iterator[Point]:
        if size(self.space) <= SMALL:
            points = list(enumerate_points(self.space))
            random.shuffle(points)
            yield from points
        else:
            yield from (sample(self.space, random) for _ in range(DRAWS))

    def _is_new(self, found: Checked) -> bool:
        if found.excess:
            return False
        taken = found.key in self.known
        self.known.add(found.key)
        if self.exact and not taken:
            assert found.spec is not None
            network = assemble(found.spec).hash
            taken = network in self.hashes
            self.hashes.add(network)
        self.repeated += taken
        return not taken

    def _nothing(self, best: Checked) -> Problem:
        if not best.excess:
            message = f"no other network passes: all {len(self.known)} that were found are taken"
        elif best.cost is None:
            message = f"no candidate's shapes fit together, of {self.tried} tried: {best.refused}"
        else:
            message = f"none of {self.tried} candidates passes; the nearest miss, by {best.excess:.1%}: {best.refused}"
        choices = ", ".join(f"{name} {label}" for name, label in self.space.labels(best.point).items())
        return Problem(f"{message} ({choices})", "limits", str(self.space.file))
