"""The check before training: shapes that fit, costs within the limits, and a network that is new."""

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
from archlab.counting.fast import Piece, tally
from archlab.counting.rules import Count
from archlab.network.graph import Layout, Ref, assemble
from archlab.network.spec import Spec
from archlab.search.space.document import Point
from archlab.search.space.points import enumerate_points, mutate, sample, size
from archlab.search.space.space import METRICS, Space

IMAGE: Ref = (-1, 0)
MISFIT = 1e9
"""The excess of a candidate whose shapes do not fit: more than any limit is missed by."""
SMALL = 2_000
"""A space of at most this many points is enumerated; from a larger one, at most DRAWS points are drawn."""
DRAWS = 20_000
WALK_EVERY = 500


class Checked(NamedTuple):
    """A point and the result of its check.

    key: equal for points of the same network.
    excess: the sum of the shares by which it exceeds limits; 0 if it passes.
    refused: why it does not pass; empty if it does.
    hash: the canonical hash of its network; empty unless an exact `Gate` computed it.
    """

    point: Point
    spec: Spec | None
    cost: Count | None
    key: str
    excess: float
    refused: str
    hash: str = ""


def check(space: Space, point: Point) -> Checked:
    """Check the shapes and limits of a point, without building or tracing its network."""
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
    """Return a key that is equal for layouts of equal blocks with equal connections, whatever their nodes are called.

    A block of one map counts once per map, so a list of such blocks and a single entry for all maps give the same key.
    Equal keys imply equal canonical hashes. The key is faster: it stops at blocks, the hash reads leaf operators.
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
    """Return what every node reads, and the output, with nodes that only gather maps replaced by what they gather."""
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
    """Finds candidates that pass the check, each network once.

    known: keys of the networks seen so far.
    exact: also remove duplicates by canonical hash, about 8 ms per candidate. Points can differ in settings that have
        no effect, for example the ratio of a weighting that is switched off.
    hashes: canonical hashes seen so far.
    tried, repeated: how many candidates were checked, and how many that passed were duplicates.
    """

    space: Space
    known: set[str] = field(default_factory=set)
    exact: bool = False
    hashes: set[str] = field(default_factory=set)
    tried: int = 0
    repeated: int = 0

    def passes(self, point: Point) -> Checked | None:
        """Return the candidate if it passes and is new; from then on it is known."""
        return self._new(self.look(point))

    def look(self, point: Point) -> Checked:
        """Check a point and count it."""
        found = check(self.space, point)
        self.tried += 1
        return found

    def nearby(self, point: Point, random: Random, *, tries: int) -> Checked | None:
        """Return a new candidate that passes, found by a walk from `point` whose excess never rises; None without one.

        A step changes one or two choices, since between two opposed limits a single change often does not help.
        """
        here = self.look(point)
        for _ in range(tries):
            if found := self._new(here):
                return found
            there = self.look(mutate(self.space, here.point, random, changes=random.choice((1, 2))))
            if there.excess <= here.excess:
                here = there
        return None

    def sample(self, random: Random, *, patience: float = 30.0) -> Checked:
        """Return a random new candidate that passes: a uniform draw, else a walk from the nearest miss.

        Raises InputError with the nearest miss if DRAWS draws, all points of a small space, or `patience` seconds of
        search give none.
        """
        end = time.monotonic() + patience
        best: Checked | None = None
        for tried, point in enumerate(self._draws(random), start=1):
            found = self.look(point)
            if new := self._new(found):
                return new
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

    def _new(self, found: Checked) -> Checked | None:
        """Return what passes and is new, with its hash if the gate is exact."""
        if found.excess:
            return None
        taken = found.key in self.known
        self.known.add(found.key)
        if self.exact and not taken:
            assert found.spec is not None
            found = found._replace(hash=assemble(found.spec).hash)
            taken = found.hash in self.hashes
            self.hashes.add(found.hash)
        self.repeated += taken
        return None if taken else found

    def _nothing(self, best: Checked) -> Problem:
        if not best.excess:
            message = f"no further network passes; all {len(self.known)} that do are taken"
        elif best.cost is None:
            message = f"no candidate has shapes that fit, of {self.tried} tried: {best.refused}"
        else:
            message = f"none of {self.tried} candidates passes; the nearest miss, by {best.excess:.1%}: {best.refused}"
        choices = ", ".join(f"{name} {label}" for name, label in self.space.labels(best.point).items())
        return Problem(f"{message} ({choices})", "limits", str(self.space.file))
