"""The check before training: shapes that fit, costs within the limits, and a network that is new."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from hashlib import blake2b
from random import Random

from archlab.blocks.basic import gather
from archlab.blocks.wiring import Arguments
from archlab.core.errors import InputError, Problem
from archlab.counting.fast import Piece, tally
from archlab.counting.rules import Count
from archlab.network.graph import Layout, Ref, assemble
from archlab.network.spec import Spec
from archlab.search.space.batch import BatchCounter
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
MOST_AHEAD = 512


@dataclass(frozen=True, eq=False)
class Checked:
    """A point and the result of its check.

    cost: None if its shapes do not fit.
    excess: the sum of the shares by which it exceeds limits; 0 if it passes.
    refused: why it does not pass; empty if it does.
    """

    space: Space
    point: Point
    cost: Count | None
    excess: float
    refused: str

    @cached_property
    def spec(self) -> Spec | None:
        """Return the network, read from its document at the first use; None if its shapes do not fit."""
        return None if self.cost is None else self.space.spec(self.point)

    @cached_property
    def key(self) -> str:
        """Return a text that is equal for points of the same network; empty if it does not pass."""
        return "" if self.excess or self.spec is None else key_of(self.spec, tally(self.spec)[1])

    @cached_property
    def hash(self) -> str:
        """Return the canonical hash of its network. Its shapes fit."""
        assert self.spec is not None
        return assemble(self.spec).hash


def check(space: Space, point: Point) -> Checked:
    """Check the shapes and limits of a point, without building or tracing its network."""
    try:
        return judge(space, point, tally(space.spec(point))[0])
    except InputError as error:
        return Checked(space, point, None, MISFIT, str(error.problems[0].message))


def check_many(counter: BatchCounter, points: Sequence[Point]) -> list[Checked]:
    """Check points together: the results of `check`, in a fraction of the time."""
    space = counter.space
    return [
        check(space, point) if count is None else judge(space, point, count)
        for point, count in zip(points, counter.counts(points), strict=True)
    ]


def judge(space: Space, point: Point, count: Count) -> Checked:
    """Hold the cost of a point to the limits."""
    broken = {name: band.excess(METRICS[name](count)) for name, band in space.limits.items()}
    excess = sum(broken.values())
    if not excess:
        return Checked(space, point, count, 0.0, "")
    worst = max(broken, key=lambda name: broken[name])
    return Checked(space, point, count, excess, f"{worst} is {METRICS[worst](count):,.0f}")


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

    known: keys of networks that are taken.
    exact: also remove duplicates by canonical hash. Points can differ in settings that have no effect, for example the
        ratio of a weighting that is switched off.
    hashes: canonical hashes seen so far.
    tried, repeated: how many candidates were checked, and how many that passed were duplicates.
    reasons: how many were refused, by the limit that they exceed most, or by the rule that their shapes break.
    refuses: predicts why a candidate that passes is refused all the same, empty if it is not; `predicted` counts them.
    """

    space: Space
    known: set[str] = field(default_factory=set)
    exact: bool = False
    hashes: set[str] = field(default_factory=set)
    tried: int = 0
    repeated: int = 0
    passed: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    refuses: Callable[[Checked], str] | None = None
    predicted: int = 0
    _taken: dict[Count, set[Point]] = field(default_factory=dict)
    _ahead: dict[Point, Checked] = field(default_factory=dict)
    _stride: int = 1

    def passes(self, point: Point) -> Checked | None:
        """Return the candidate if it passes and is new; from then on it is known."""
        return self._new(self.look(point))

    def look(self, point: Point) -> Checked:
        """Check a point and count it."""
        found = self._ahead.pop(point, None) or check(self.space, point)
        self._count(found)
        return found

    def look_many(self, points: Sequence[Point]) -> list[Checked]:
        """Check points together and count them."""
        checked = check_many(self._counter, points)
        for found in checked:
            self._count(found)
        return checked

    def pass_many(self, points: Sequence[Point]) -> list[Checked]:
        """Return the candidates that pass and are new, in order; from then on they are known."""
        return [new for found in self.look_many(points) if (new := self._new(found))]

    def learn(self, point: Point) -> None:
        """Take the network of a point as known, if it passes."""
        found = self.look(point)
        if found.cost and self.is_new(found):
            self._taken.setdefault(found.cost, set()).add(point)

    def is_new(self, found: Checked) -> bool:
        """Return whether a candidate passes and no network before it has its key.

        Networks of one key have one cost, so keys are only compared within a cost.
        """
        if found.excess or found.cost is None:
            return False
        alike = self._taken.get(found.cost, set())
        if found.point in alike or (self.known and found.key in self.known):
            return False
        return all(found.key != check(self.space, point).key for point in alike)

    @property
    def distinct(self) -> int:
        """Return how many networks are known."""
        return len(self.known) + sum(map(len, self._taken.values()))

    @cached_property
    def _counter(self) -> BatchCounter:
        return BatchCounter(self.space)

    @cached_property
    def _is_small(self) -> bool:
        return size(self.space) <= SMALL

    def _count(self, found: Checked) -> None:
        self.tried += 1
        self.passed += not found.excess
        if found.excess:
            self.reasons[found.refused if found.cost is None else found.refused.split()[0]] += 1

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
        if self._is_small:
            points = list(enumerate_points(self.space))
            random.shuffle(points)
            yield from points
            return
        for _ in range(DRAWS):
            point = sample(self.space, random)
            if point not in self._ahead:
                self._look_ahead(point, random)
            yield point

    def _look_ahead(self, point: Point, random: Random) -> None:
        """Check together what will be drawn after a point, more each time if what was checked before was drawn.

        The draws come from a copy of the generator, which draws them again.
        """
        self._stride = 1 if self._ahead else min(2 * self._stride, MOST_AHEAD)
        copy = Random()
        copy.setstate(random.getstate())
        points = [point, *(sample(self.space, copy) for _ in range(self._stride - 1))]
        self._ahead = {found.point: found for found in check_many(self._counter, points)}

    def _new(self, found: Checked) -> Checked | None:
        """Return what passes and is new, with its hash if the gate is exact."""
        if found.excess:
            return None
        if self.refuses and (why := self.refuses(found)):
            self.reasons[why] += 1
            self.predicted += 1
            return None
        taken = not self.is_new(found)
        if not taken and found.cost:
            self._taken.setdefault(found.cost, set()).add(found.point)
        if self.exact and not taken:
            taken = found.hash in self.hashes
            self.hashes.add(found.hash)
        self.repeated += taken
        return None if taken else found

    def _nothing(self, best: Checked) -> Problem:
        if not best.excess:
            message = f"no further network passes; all {self.distinct} that do are taken"
            message += f", and {self.predicted} were refused by a prediction" if self.predicted else ""
        elif best.cost is None:
            message = f"no candidate has shapes that fit, of {self.tried} tried: {best.refused}"
        else:
            message = f"none of {self.tried} candidates passes; the nearest miss, by {best.excess:.1%}: {best.refused}"
        choices = ", ".join(f"{name} {label}" for name, label in self.space.labels(best.point).items())
        return Problem(f"{message} ({choices})", "limits", str(self.space.file))
