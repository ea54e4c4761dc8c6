"""Cells in columns and rows, and which way the nets between them go; coordinates come later, in `routing`.

Everything is said along the flow (u) and across it (v), so that one layout serves a drawing that runs to the right and
one that runs down. A row holds one lane, or more where cells stand beside each other in one column; between the lanes
lie corridors. A net that passes columns runs along a lane that is free there, or along a corridor, and so never through
a cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Pin:
    """Where a net meets a cell: at the row in which it comes or goes."""

    net: str
    row: int


@dataclass(frozen=True)
class Cell:
    """A box to be placed in a column, over rows first to last. `apron`: free breadth wanted behind it."""

    column: int
    rows: tuple[int, int]
    length: float
    breadth: float
    inputs: tuple[Pin, ...] = ()
    outputs: tuple[Pin, ...] = ()
    apron: float = 0


@dataclass(frozen=True)
class Net:
    """A value on its way: the pin that makes it (cell, place among its outputs) and the pins that read it."""

    name: str
    source: tuple[int, int]
    targets: tuple[tuple[int, int], ...]
    first: int  # the source's column
    last: int  # the furthest target's column


Place = int  # lane i is place 2 i + 1, the corridor before it 2 i


@dataclass(frozen=True)
class Arrangement:
    """Cells with their lanes, nets with their trunks: `trunks` maps a net to (place, track in that corridor)."""

    cells: tuple[Cell, ...]
    lanes: tuple[tuple[int, int], ...]
    lane_rows: tuple[int, ...]
    nets: tuple[Net, ...]
    trunks: Mapping[str, tuple[Place, int]]

    @property
    def columns(self) -> int:
        return max(cell.column for cell in self.cells) + 1

    @cached_property
    def tracks(self) -> dict[Place, int]:
        """Corridor -> number of tracks in it."""
        counts: dict[Place, int] = {}
        for place, track in self.trunks.values():
            if place % 2 == 0:
                counts[place] = max(counts.get(place, 0), track + 1)
        return counts

    def pin_lane(self, cell: int, row: int) -> int:
        """The lane in which a cell's pin of a row lies."""
        first, last = self.lanes[cell]
        rows = range(first, last + 1)
        return min(rows, key=lambda lane: (abs(self.lane_rows[lane] - row), lane))


def columns(spans: Sequence[tuple[int, int]], sources: Sequence[Sequence[int]]) -> list[int]:
    """A column for each cell (in an order in which cells stand behind what they read), as far forward as may be.

    Cells of one row may share a column, in lanes of their own; a cell over several rows has these rows to itself.
    """
    made: list[int] = []
    taken: dict[int, list[tuple[int, int]]] = {}
    for span, reads in zip(spans, sources, strict=True):
        column = 1 + max((made[source] for source in reads), default=-1)
        while any(_clash(span, other) for other in taken.get(column, ())):
            column += 1
        taken.setdefault(column, []).append(span)
        made.append(column)
    return made


def arrange(cells: Sequence[Cell]) -> Arrangement:
    """Lanes for cells and trunks for nets. A net's source stands in an earlier column than its targets."""
    nets = _nets(cells)
    lanes, lane_rows = _lanes(cells, nets)
    bare = Arrangement(tuple(cells), lanes, lane_rows, nets, {})
    return Arrangement(bare.cells, lanes, lane_rows, nets, _trunks(bare))


def _clash(one: tuple[int, int], other: tuple[int, int]) -> bool:
    meet = one[0] <= other[1] and other[0] <= one[1]
    return meet and (one[0] < one[1] or other[0] < other[1])


def _nets(cells: Sequence[Cell]) -> tuple[Net, ...]:
    sources = {pin.net: (i, k) for i, cell in enumerate(cells) for k, pin in enumerate(cell.outputs)}
    targets: dict[str, list[tuple[int, int]]] = {}
    for i, cell in enumerate(cells):
        for k, pin in enumerate(cell.inputs):
            targets.setdefault(pin.net, []).append((i, k))
    nets = []
    for name, readers in targets.items():
        first, last = cells[sources[name][0]].column, max(cells[i].column for i, _ in readers)
        assert all(cells[i].column > first for i, _ in readers), name
        nets.append(Net(name, sources[name], tuple(readers), first, last))
    return tuple(nets)


def _lanes(cells: Sequence[Cell], nets: Sequence[Net]) -> tuple[tuple[tuple[int, int], ...], tuple[int, ...]]:
    """First and last lane of every cell, and the row of every lane."""
    sub = _places_in_rows(cells, nets)
    depth: dict[int, int] = {}
    for cell, place in zip(cells, sub, strict=True):
        for row in range(cell.rows[0], cell.rows[1] + 1):
            depth[row] = max(depth.get(row, 1), place + 1)
    lane_rows = tuple(row for row in sorted(depth) for _ in range(depth[row]))
    start = {row: lane_rows.index(row) for row in depth}
    return tuple((start[c.rows[0]] + k, start[c.rows[1]] + k) for c, k in zip(cells, sub, strict=True)), lane_rows


def _places_in_rows(cells: Sequence[Cell], nets: Sequence[Net]) -> list[int]:
    """Which of a row's lanes a cell takes: the middle one of those that it reads from, if free, else the first free."""
    source = {net.name: net.source[0] for net in nets}
    places = [0] * len(cells)
    taken: set[tuple[int, int, int]] = set()
    for i in sorted(range(len(cells)), key=lambda i: cells[i].column):
        cell = cells[i]
        if cell.rows[0] == cell.rows[1]:
            near = sorted(places[source[pin.net]] for pin in cell.inputs if cells[source[pin.net]].rows == cell.rows)
            wished = near[len(near) // 2 :][:1]
            free = (k for k in [*wished, *range(len(cells))] if (cell.column, cell.rows[0], k) not in taken)
            places[i] = next(free)
        taken.add((cell.column, cell.rows[0], places[i]))
    return places


def _trunks(bare: Arrangement) -> dict[str, tuple[Place, int]]:
    """A place for every net that passes columns, short nets first, so that they nest."""
    used: dict[tuple[Place, int], list[tuple[int, int]]] = {}
    trunks: dict[str, tuple[Place, int]] = {}
    blocked = _blocked(bare)
    for net in sorted(bare.nets, key=lambda net: (net.last - net.first, net.first)):
        if net.last - net.first < 2:
            continue
        span = (net.first, net.last - 1)
        for place in sorted(range(2 * len(bare.lane_rows) + 1), key=lambda place: _detour(bare, net, place)):
            if any(place in blocked[column] for column in _passed(bare, net, place)):
                continue
            track = 0
            while any(a <= span[1] and span[0] <= b for a, b in used.get((place, track), ())):
                track += 1
            if place % 2 == 0 or track == 0:
                used.setdefault((place, track), []).append(span)
                trunks[net.name] = place, track
                break
    return trunks


def _blocked(bare: Arrangement) -> list[set[Place]]:
    blocked: list[set[Place]] = [set() for _ in range(bare.columns)]
    for cell, (first, last) in zip(bare.cells, bare.lanes, strict=True):
        blocked[cell.column].update(range(2 * first + 1, 2 * last + 2))
    return blocked


def _passed(bare: Arrangement, net: Net, place: Place) -> range:
    """The columns in which a trunk at a place must find it free: also the source's, unless it goes straight on."""
    cell, output = net.source
    row = bare.cells[cell].outputs[output].row
    alone = sum(pin.row == row for pin in bare.cells[cell].outputs) == 1
    straight = place % 2 == 0 or (alone and place == 2 * bare.pin_lane(cell, row) + 1)
    return range(net.first + straight, net.last)


def _detour(bare: Arrangement, net: Net, place: Place) -> tuple[float, Place]:
    """How far a place lies from where a net begins and ends."""
    cell, output = net.source
    start = 2 * bare.pin_lane(cell, bare.cells[cell].outputs[output].row) + 1
    ends = [2 * bare.pin_lane(i, bare.cells[i].inputs[k].row) + 1 for i, k in net.targets]
    return abs(place - start) + sum(abs(place - end) for end in ends) / len(ends), place
