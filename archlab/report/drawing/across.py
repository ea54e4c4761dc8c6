"""Positions across the flow: lanes, corridors, cells, output pins and trunks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from archlab.report.drawing.layered import Arrangement, Net

Extents = Mapping[str, tuple[float, float]]
"""The (length, breadth) of each net's label."""


@dataclass(frozen=True)
class Spacing:
    """Distances in pixels. label_side: -1 to put labels before their line across the flow, +1 to put them after it."""

    lane: float = 44
    between: float = 18
    track: float = 10
    gap: float = 22
    arrow: float = 12
    pin: float = 12
    label_side: int = -1
    label_gap: float = 4
    least: float = 5  # between the lines of two nets


@dataclass(frozen=True)
class Across:
    """The positions of lanes, corridors, cells, output pins and trunks across the flow."""

    centres: tuple[float, ...]
    corridors: tuple[tuple[float, float], ...]
    cells: tuple[tuple[float, float], ...]
    out_pins: tuple[tuple[float, ...], ...]
    trunks: Mapping[str, float]


def positions_across(plan: Arrangement, labels: Extents, spacing: Spacing) -> Across:
    """Return all positions across the flow."""
    before, after = _lane_extents(plan, labels, spacing)
    centres: list[float] = []
    corridors: list[tuple[float, float]] = []
    v = 0.0
    for lane in range(len(before) + 1):
        tracks, inner = plan.tracks.get(2 * lane, 0), 0 < lane < len(before)
        width = max(spacing.between * inner, (tracks + 1) * spacing.track if tracks else 0)
        corridors.append((v, v + width))
        if lane < len(before):
            centres.append(v + width + before[lane])
            v += width + before[lane] + after[lane]
    cells = tuple(
        (centres[first] - cell.breadth / 2, centres[last] + cell.breadth / 2)
        for cell, (first, last) in zip(plan.cells, plan.lanes, strict=True)
    )
    outs = tuple(tuple(_out_pins(plan, centres, i, labels)) for i in range(len(plan.cells)))
    trunks = {net: _trunk(centres, corridors, *trunk, spacing) for net, trunk in plan.trunks.items()}
    return Across(tuple(centres), tuple(corridors), cells, outs, trunks)


def _lane_extents(plan: Arrangement, labels: Extents, spacing: Spacing) -> tuple[list[float], list[float]]:
    """Return the space that each lane needs before and after its centre."""
    before = [spacing.lane / 2 for _ in plan.lane_rows]
    after = list(before)
    for cell, (first, last) in zip(plan.cells, plan.lanes, strict=True):
        before[first] = max(before[first], cell.breadth / 2)
        after[last] = max(after[last], cell.breadth / 2 + cell.apron)
    for net in plan.nets:
        if net.name in labels:
            source, output = net.source
            lane = plan.pin_lane(source, plan.cells[source].outputs[output].row)
            offsets = list(_out_pins(plan, [0.0] * len(before), source, labels))
            reach = labels[net.name][1] + spacing.label_gap + abs(offsets[output])
            side = before if spacing.label_side < 0 else after
            side[lane] = max(side[lane], reach)
    return before, after


def _out_pins(plan: Arrangement, centres: Sequence[float], cell: int, labels: Extents) -> Iterator[float]:
    """Yield where outputs leave: at the centre of their lane, or spread around it if several share the lane."""
    pins = plan.cells[cell].outputs
    lanes = [plan.pin_lane(cell, pin.row) for pin in pins]
    pitch = 6 + max((labels[pin.net][1] for pin in pins if pin.net in labels), default=8)
    for k, lane in enumerate(lanes):
        yield centres[lane] + pitch * (lanes[:k].count(lane) - (lanes.count(lane) - 1) / 2)


def _trunk(
    centres: Sequence[float], corridors: Sequence[tuple[float, float]], place: int, track: int, spacing: Spacing
) -> float:
    """Return a trunk's position. Track 0 of a corridor is next to the lane after it, of the last corridor before it."""
    lane, is_lane = divmod(place, 2)
    if is_lane:
        return centres[lane]
    start, end = corridors[lane]
    return start + (track + 1) * spacing.track if lane == len(centres) else end - (track + 1) * spacing.track


def out_position(across: Across, net: Net) -> float:
    """Return where a net leaves its source."""
    return across.out_pins[net.source[0]][net.source[1]]
