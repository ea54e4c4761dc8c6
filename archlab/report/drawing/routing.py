"""Coordinates for an arrangement: cells, pins and the lines of its nets, no two of which overlap.

Between two columns is a gap. A net enters it at one v and leaves it at others. Where these differ, the net changes over
along a track across the flow that no other net uses there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from archlab.report.drawing.across import Across, Extents, Spacing, out_position, positions_across
from archlab.report.drawing.gaps import Gap, fill_gaps
from archlab.report.drawing.layered import Arrangement, Net

UV = tuple[float, float]


@dataclass(frozen=True)
class Span:
    """A cell's rectangle, along the flow (u) and across it (v)."""

    u0: float
    u1: float
    v0: float
    v1: float


@dataclass(frozen=True)
class Wire:
    """The path of a net from its source cell to one target cell."""

    net: str
    source: int
    target: int
    points: tuple[UV, ...]


@dataclass(frozen=True)
class Layout:
    """All coordinates. in_pins, out_pins: v of each cell's pins, in order. labels: the near corner of each label."""

    length: float
    breadth: float
    cells: tuple[Span, ...]
    in_pins: tuple[tuple[float, ...], ...]
    out_pins: tuple[tuple[float, ...], ...]
    wires: tuple[Wire, ...]
    labels: Mapping[str, UV]
    columns: tuple[tuple[float, float], ...]


def route(plan: Arrangement, labels: Extents, spacing: Spacing, least: Mapping[int, float] | None = None) -> Layout:
    """Return the coordinates of everything. least: minimum lengths of columns."""
    across = positions_across(plan, labels, spacing)
    gaps, in_pins = fill_gaps(plan, across, spacing)
    columns = _along(plan, gaps, labels, spacing, least or {})
    cells = tuple(_span(plan, across, columns, i) for i in range(len(plan.cells)))
    turns = _turns(gaps, columns, labels, plan, spacing)
    wires = []
    for net in plan.nets:
        for target, k in net.targets:
            start = (cells[net.source[0]].u1, out_position(across, net))
            way = _way(start, _changes(plan, across, net, target, in_pins[target][k]), net.name, turns)
            wires.append(Wire(net.name, net.source[0], target, (*way, (cells[target].u0, way[-1][1]))))
    spots = {
        net.name: (columns[net.first][1] + 3, out_position(across, net) + spacing.label_side * spacing.label_gap)
        for net in plan.nets
        if net.name in labels
    }
    pins = tuple(map(tuple, in_pins))
    breadth = across.corridors[-1][1]
    return Layout(columns[-1][1], breadth, cells, pins, across.out_pins, tuple(wires), spots, columns)


def _along(
    plan: Arrangement, gaps: Sequence[Gap], labels: Extents, spacing: Spacing, least: Mapping[int, float]
) -> tuple[tuple[float, float], ...]:
    """Return the start and end of every column."""
    ends: list[tuple[float, float]] = []
    u = 0.0
    for column in range(plan.columns):
        lengths = [cell.length for cell in plan.cells if cell.column == column]
        ends.append((u, u + max([*lengths, least.get(column, 0)])))
        if column < len(gaps):
            label = _label_length(plan, labels, column)
            tracks = len(set(gaps[column].tracks.values()))
            needed = (label + 6 if label else spacing.track * bool(tracks)) + max(tracks - 1, 0) * spacing.track
            u = ends[-1][1] + max(spacing.gap, needed + spacing.arrow)
    return tuple(ends)


def _label_length(plan: Arrangement, labels: Extents, column: int) -> float:
    return max((labels[net.name][0] for net in plan.nets if net.first == column and net.name in labels), default=0)


def _turns(
    gaps: Sequence[Gap], columns: Sequence[tuple[float, float]], labels: Extents, plan: Arrangement, spacing: Spacing
) -> list[dict[str, float]]:
    """Return the u at which each net changes over in each gap, after the labels."""
    turns = []
    for column, gap in enumerate(gaps):
        label = _label_length(plan, labels, column)
        first = columns[column][1] + (label + 6 if label else spacing.track)
        turns.append({net: first + track * spacing.track for net, track in gap.tracks.items()})
    return turns


def _span(plan: Arrangement, across: Across, columns: Sequence[tuple[float, float]], i: int) -> Span:
    start, end = columns[plan.cells[i].column]
    rest = (end - start - plan.cells[i].length) / 2
    return Span(start + rest, end - rest, *across.cells[i])


def _changes(plan: Arrangement, across: Across, net: Net, target: int, pin: float) -> list[tuple[int, float]]:
    """Return the gaps in which a net may change over on its way to a target, with the v that it changes to."""
    last = plan.cells[target].column - 1
    return [(last, pin)] if last == net.first else [(net.first, across.trunks[net.name]), (last, pin)]


def _way(
    start: UV, changes: Sequence[tuple[int, float]], net: str, turns: Sequence[Mapping[str, float]]
) -> tuple[UV, ...]:
    """Return the corners of a net's path, from its source."""
    points = [start]
    for gap, v in changes:
        before = points[-1][1]
        if v != before:
            points += [(turns[gap][net], before), (turns[gap][net], v)]
    return tuple(points)
