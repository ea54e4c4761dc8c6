"""Placing the labels of a plot's points so that none covers another label, a point or the edge."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

XY = tuple[float, float]
DIRECTIONS = tuple((math.cos(k * math.pi / 8), math.sin(k * math.pi / 8)) for k in range(16))
LEADER = 16.0
"""Distance in pixels between a point and its label from which a line should join them."""
CLEAR = 6.0
"""The distance in pixels by which a label should be nearer to its own point than to any other."""
CROSSED = 400.0
"""The penalty of a label that a line passes through."""
ORDERS, MORE_ORDERS = 5, 20
"""The orders in which labels are placed, and how many more are tried while a line passes through a label."""
PASSES = 5
"""How often each label is placed, at most."""
NO_ROOM = 1e6
"""The penalty of a label that is left out."""
RINGS = (0.0, 6.0, 14.0, 24.0, 36.0, 50.0, 68.0, 90.0, 116.0, 150.0, 200.0, 260.0, 340.0)


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels, y upwards."""

    left: float
    bottom: float
    right: float
    top: float

    def meets(self, other: Box) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.bottom < other.top and other.bottom < self.top
        )

    def within(self, other: Box) -> bool:
        return (
            other.left <= self.left
            and self.right <= other.right
            and other.bottom <= self.bottom
            and self.top <= other.top
        )

    def grown(self, by: float) -> Box:
        return Box(self.left - by, self.bottom - by, self.right + by, self.top + by)

    def nearest(self, point: XY) -> XY:
        """Return the point of this box nearest to `point`, where a leader line ends."""
        return min(max(point[0], self.left), self.right), min(max(point[1], self.bottom), self.top)

    def cut_by(self, start: XY, end: XY) -> bool:
        """Return whether the segment from `start` to `end` passes through the inside (Liang-Barsky clipping)."""
        low, high = 0.0, 1.0
        for origin, delta, least, most in (
            (start[0], end[0] - start[0], self.left, self.right),
            (start[1], end[1] - start[1], self.bottom, self.top),
        ):
            if delta == 0:
                if not least < origin < most:
                    return False
                continue
            first, second = sorted(((least - origin) / delta, (most - origin) / delta))
            low, high = max(low, first), min(high, second)
        return low < high


@dataclass(frozen=True)
class _Plot:
    """What is placed: labels of some sizes near points with markers, within bounds and clear of lines."""

    sizes: Sequence[XY]
    points: Sequence[XY]
    bounds: Box
    lines: Sequence[tuple[XY, XY]]
    marker: float

    @cached_property
    def markers(self) -> list[Box]:
        return [Box(x, y, x, y).grown(self.marker / 2) for x, y in self.points]

    def best(self, index: int, boxes: Sequence[Box | None]) -> tuple[float, Box | None]:
        """Return the penalty and the box of one label's best position, given the boxes of the others; None without."""
        point = self.points[index]
        placed = {i: box for i, box in enumerate(boxes) if box and i != index}
        leaders = [(self.points[i], box.nearest(self.points[i])) for i, box in placed.items()]
        near = [other for i, other in enumerate(self.points) if i != index]
        touched = [*(box for i, box in enumerate(self.markers) if i != index), *placed.values()]
        taken = [*self.markers, *placed.values()]
        least: tuple[float, Box | None] = NO_ROOM, None
        for ring, cost, box in _candidates(point, self.sizes[index], self.marker):
            if ring >= least[0]:
                break  # no penalty is below its ring's
            if box.within(self.bounds) and not any(box.meets(other) for other in taken):
                cost += _crossings(box, point, touched, [*self.lines, *leaders]) + _ambiguity(box, point, near)
                least = min(least, (cost, box), key=lambda pair: pair[0])
        return least


def place(
    sizes: Sequence[XY],
    points: Sequence[XY],
    bounds: Box,
    *,
    lines: Sequence[tuple[XY, XY]] = (),
    marker: float = 8.0,
) -> list[Box | None]:
    """Return a box near each point for its label, None where there is no room.

    A box never overlaps another box, a marker or the outside of `bounds`. Among the free positions it prefers near
    ones, those that no line crosses, and those nearer to their own point than to any other. Labels are placed one by
    one in several orders, then each again among the others; the order with the lowest total penalty is used.
    sizes: (width, height) of each label. lines: segments to avoid. marker: the diameter of a point, in pixels.
    """
    plot = _Plot(sizes, points, bounds, lines, marker)
    least = _Placed(math.inf, math.inf, [])
    for number, order in enumerate(_orders(points)):
        if number >= ORDERS and least.worst < CROSSED:
            break
        least = min(least, _in_order(order, plot), key=lambda each: each.total)
    return least.boxes


def _orders(points: Sequence[XY]) -> Iterable[list[int]]:
    """Yield the order of the crowd, those from each side, and then shuffled ones, always the same."""
    indices = range(len(points))
    crowd = [sum(1 / (1 + math.dist(a, b)) for b in points) for a in points]
    yield sorted(indices, key=lambda i: -crowd[i])
    for axis in (0, 1):
        for sign in (1, -1):
            yield sorted(indices, key=lambda i, axis=axis, sign=sign: sign * points[i][axis])  # type: ignore[misc]
    shuffled = random.Random(0)
    for _ in range(MORE_ORDERS):
        yield shuffled.sample(indices, len(points))


class _Placed(NamedTuple):
    """Labels with the sum of their penalties and the largest one."""

    total: float
    worst: float
    boxes: list[Box | None]


def _in_order(order: Sequence[int], plot: _Plot) -> _Placed:
    """Place labels in an order, and then again among the others until nothing changes."""
    boxes: list[Box | None] = [None] * len(order)
    costs, before = [0.0] * len(order), [math.inf]
    for _ in range(PASSES):
        for index in order:
            costs[index], boxes[index] = plot.best(index, boxes)
        if costs == before:
            break
        before = [*costs]
    return _Placed(sum(costs), max(costs, default=0.0), boxes)


def _candidates(point: XY, size: XY, marker: float) -> Iterable[tuple[float, float, Box]]:
    """Yield (ring, penalty, box) around a point, ring by ring. Right is preferred to left, left to above and below."""
    for ring in RINGS:
        for dx, dy in DIRECTIONS:
            reach = marker / 2 + 3 + ring
            x = point[0] + dx * reach + (dx - 1) * size[0] / 2
            y = point[1] + dy * reach + (dy - 1) * size[1] / 2
            slant = 2.0 * (1 - max(abs(dx), abs(dy))) + (1.0 if dx < 0 else 0.0)
            yield ring, ring + slant, Box(x, y, x + size[0], y + size[1])


def _crossings(box: Box, point: XY, others: Sequence[Box], lines: Sequence[tuple[XY, XY]]) -> float:
    """Return the penalty for lines through this label, and for its leader line through other labels."""
    target = box.nearest(point)
    through = sum(box.cut_by(*line) for line in lines)
    over = sum(other.grown(-3.0).cut_by(point, target) for other in others)
    return CROSSED * (through + over)


def _ambiguity(box: Box, point: XY, others: Sequence[XY]) -> float:
    """Return the penalty for being nearer to another point than to its own: high if there is no leader line."""
    own = math.dist(point, box.nearest(point))
    if not any(math.dist(other, box.nearest(other)) < own + CLEAR for other in others):
        return 0.0
    return 40.0 if own > LEADER else 200.0
