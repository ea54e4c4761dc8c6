"""Placing cells in columns and rows and choosing paths for nets; `routing` then computes coordinates.

Positions are along the flow (u) and across it (v), so one layout serves drawings that run to the right and drawings
that run down. A row has one lane, or more where several cells share a column. Between lanes are corridors. A net that
passes columns uses a free lane or a corridor, so it never crosses a cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Pin:
    """The end of a net at a cell. row: where it enters or leaves."""

    net: str
    row: int


@dataclass(frozen=True)
class Cell:
    """A box to be placed in a column. rows: first and last. apron: free breadth needed next to it."""

    column: int
    rows: tuple[int, int]
    length: float
    breadth: float
    inputs: tuple[Pin, ...] = ()
    outputs: tuple[Pin, ...] = ()
    apron: float = 0


@dataclass(frozen=True)
class Net:
    """The path of a value: its source pin (cell, position among the outputs) and the pins that read it."""

    name: str
    source: tuple[int, int]
    targets: tuple[tuple[int, int], ...]
    first: int  # the source's column
    last: int  # the furthest target's column


Place = int  # lane i is place 2 i + 1, the corridor before it 2 i


@dataclass(frozen=True)
class Arrangement:
    """Cells with their lanes, and nets. trunks: the (place, track in that corridor) of each net that passes columns."""

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
        """The number of tracks in each corridor."""
        counts: dict[Place, int] = {}
        for place, track in self.trunks.values():
            if place % 2 == 0:
                counts[place] = max(counts.get(place, 0), track + 1)
        return counts

    def pin_lane(self, cell: int, row: int) -> int:
        """Return the lane of a cell's pin in a row."""
        first, last = self.lanes[cell]
        rows = range(first, last + 1)
        return min(rows, key=lambda lane: (abs(self.lane_rows[lane] - row), lane))


def columns(spans: Sequence[tuple[int, int]], sources: Sequence[Sequence[int]]) -> list[int]:
    """Return the earliest possible column for each cell. Cells come after the cells that they read.

    Cells of one row may share a column, in separate lanes. A cell over several rows shares them with no other.
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
    """Assign lanes to cells and trunks to nets. A net's source must be in an earlier column than its targets."""
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
    """Return the first and last lane of every cell, and the row of every lane."""
    sub = _places_in_rows(cells, nets)
    depth: dict[int, int] = {}
    for cell, place in zip(cells, sub, strict=True):
        for row in range(cell.rows[0], cell.rows[1] + 1):
            depth[row] = max(depth.get(row, 1), place + 1)
    lane_rows = tuple(row for row in sorted(depth) for _ in range(depth[row]))
    start = {row: lane_rows.index(row) for row in depth}
    return tuple((start[c.rows[0]] + k, start[c.rows[1]] + k) for c, k in zip(cells, sub, strict=True)), lane_rows


def _places_in_rows(cells: Sequence[Cell], nets: Sequence[Net]) -> list[int]:
    """Return each cell's lane within its row: the middle one of those it reads from, else the first free one."""
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
    """Return a place for every net that passes columns. Short nets come first, so that nets nest."""
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
    """Return the columns in which a trunk needs its place free: also the source's, unless the net runs straight."""
    cell, output = net.source
    row = bare.cells[cell].outputs[output].row
    alone = sum(pin.row == row for pin in bare.cells[cell].outputs) == 1
    straight = place % 2 == 0 or (alone and place == 2 * bare.pin_lane(cell, row) + 1)
    return range(net.first + straight, net.last)


def _detour(bare: Arrangement, net: Net, place: Place) -> tuple[float, Place]:
    """Return how far a place is from the ends of a net."""
    cell, output = net.source
    start = 2 * bare.pin_lane(cell, bare.cells[cell].outputs[output].row) + 1
    ends = [2 * bare.pin_lane(i, bare.cells[i].inputs[k].row) + 1 for i, k in net.targets]
    return abs(place - start) + sum(abs(place - end) for end in ends) / len(ends), place
