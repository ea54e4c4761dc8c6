"""Coordinates for an arrangement: cells, pins, and the lines of its nets, of which no two run over each other.

Between two columns lies a gap. A net enters it at one v and leaves it at others; where these differ, it changes over
along a track across the flow that it has to itself there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from archlab.report.drawing.layered import Arrangement, Net

UV = tuple[float, float]
Extents = Mapping[str, tuple[float, float]]  # of a net's label: length, breadth


@dataclass(frozen=True)
class Spacing:
    """Distances in pixels. `label_side`: -1 for labels before their line across the flow, +1 for behind it."""

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
class Span:
    """A cell's rectangle: along the flow, then across."""

    u0: float
    u1: float
    v0: float
    v1: float


@dataclass(frozen=True)
class Wire:
    """One net's way from the cell that makes it to one that reads it."""

    net: str
    source: int
    target: int
    points: tuple[UV, ...]


@dataclass(frozen=True)
class Layout:
    """Coordinates. `in_pins` and `out_pins`: v by cell, in the order of its pins. `labels`: the near corner of each."""

    length: float
    breadth: float
    cells: tuple[Span, ...]
    in_pins: tuple[tuple[float, ...], ...]
    out_pins: tuple[tuple[float, ...], ...]
    wires: tuple[Wire, ...]
    labels: Mapping[str, UV]
    columns: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Across:
    """Where lanes, corridors, cells, output pins and trunks lie across the flow."""

    centres: tuple[float, ...]
    corridors: tuple[tuple[float, float], ...]
    cells: tuple[tuple[float, float], ...]
    out_pins: tuple[tuple[float, ...], ...]
    trunks: Mapping[str, float]


@dataclass
class Gap:
    """What goes on between a column and the next: v at which each net enters and leaves, and its track."""

    enters: dict[str, float] = field(default_factory=dict)
    leaves: dict[str, list[float]] = field(default_factory=dict)
    tracks: dict[str, int] = field(default_factory=dict)

    def others(self, net: str) -> list[float]:
        """Return every v at which another net enters or leaves."""
        entering = [at for other, at in self.enters.items() if other != net]
        return entering + [at for other, ats in self.leaves.items() if other != net for at in ats]

    def reach(self, net: str) -> tuple[float, float]:
        """The least and the largest v of a net."""
        ends = [self.enters[net], *self.leaves[net]]
        return min(ends), max(ends)


def route(plan: Arrangement, labels: Extents, spacing: Spacing, least: Mapping[int, float] | None = None) -> Layout:
    """Coordinates of everything. `least`: lengths that columns must have at least."""
    across = _across(plan, labels, spacing)
    gaps, in_pins = _gaps(plan, across, spacing)
    columns = _along(plan, gaps, labels, spacing, least or {})
    cells = tuple(_span(plan, across, columns, i) for i in range(len(plan.cells)))
    turns = _turns(gaps, columns, labels, plan, spacing)
    wires = []
    for net in plan.nets:
        for target, k in net.targets:
            start = (cells[net.source[0]].u1, _out(across, net))
            way = _way(start, _changes(plan, across, net, target, in_pins[target][k]), net.name, turns)
            wires.append(Wire(net.name, net.source[0], target, (*way, (cells[target].u0, way[-1][1]))))
    spots = {
        net.name: (columns[net.first][1] + 3, _out(across, net) + spacing.label_side * spacing.label_gap)
        for net in plan.nets
        if net.name in labels
    }
    pins = tuple(map(tuple, in_pins))
    breadth = across.corridors[-1][1]
    return Layout(columns[-1][1], breadth, cells, pins, across.out_pins, tuple(wires), spots, columns)


def _across(plan: Arrangement, labels: Extents, spacing: Spacing) -> Across:
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
    """How much each lane needs before and behind its centre."""
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
    """Outputs leave at the centre of their lane; several of one lane spread about it, with room for their labels."""
    pins = plan.cells[cell].outputs
    lanes = [plan.pin_lane(cell, pin.row) for pin in pins]
    pitch = 6 + max((labels[pin.net][1] for pin in pins if pin.net in labels), default=8)
    for k, lane in enumerate(lanes):
        yield centres[lane] + pitch * (lanes[:k].count(lane) - (lanes.count(lane) - 1) / 2)


def _trunk(
    centres: Sequence[float], corridors: Sequence[tuple[float, float]], place: int, track: int, spacing: Spacing
) -> float:
    """A corridor's first track lies nearest to the lane behind it; the last corridor's, to the lane before it."""
    lane, is_lane = divmod(place, 2)
    if is_lane:
        return centres[lane]
    start, end = corridors[lane]
    return start + (track + 1) * spacing.track if lane == len(centres) else end - (track + 1) * spacing.track


def _out(across: Across, net: Net) -> float:
    return across.out_pins[net.source[0]][net.source[1]]


def _gaps(plan: Arrangement, across: Across, spacing: Spacing) -> tuple[list[Gap], list[list[float]]]:
    """Fills the gaps from first to last and finds the v of every input pin on the way."""
    pins = [[0.0] * len(cell.inputs) for cell in plan.cells]
    gaps = []
    for column in range(plan.columns - 1):
        gap = Gap()
        for net in plan.nets:
            if net.first <= column < net.last:
                gap.enters[net.name] = _out(across, net) if net.first == column else across.trunks[net.name]
                gap.leaves[net.name] = [across.trunks[net.name]] if net.last > column + 1 else []
        for i, cell in enumerate(plan.cells):
            if cell.column == column + 1:
                _place_pins(plan, across, gap, i, pins[i], spacing)
        _assign_tracks(gap, spacing)
        gaps.append(gap)
    return gaps, pins


def _place_pins(plan: Arrangement, across: Across, gap: Gap, cell: int, pins: list[float], spacing: Spacing) -> None:
    """Inputs of one lane as they arrive, about its centre; one that comes straight stays straight."""
    inputs = plan.cells[cell].inputs
    v0, v1 = across.cells[cell]
    for lane in sorted({plan.pin_lane(cell, pin.row) for pin in inputs}):
        centre = across.centres[lane]
        here = [k for k, pin in enumerate(inputs) if plan.pin_lane(cell, pin.row) == lane]
        here.sort(key=lambda k: (gap.enters[inputs[k].net], k))
        straight = [n for n, k in enumerate(here) if gap.enters[inputs[k].net] == centre]
        middle = straight[0] if straight else (len(here) - 1) / 2
        for n, k in enumerate(here):
            net = inputs[k].net
            beside = len(here) - 1 - middle if n > middle else middle
            pitch = min(spacing.pin, (min(centre - v0, v1 - centre) - 6) / beside) if beside else 0
            wished = centre + (n - middle) * pitch
            pins[k] = _nearest_free(gap, net, wished, v0 + 4, v1 - 4, spacing.least)
            gap.leaves[net].append(pins[k])


def _nearest_free(gap: Gap, net: str, wished: float, low: float, high: float, least: float) -> float:
    """Return the v nearest to the wished one that keeps clear of other nets, or the clearest one if none does."""
    others = gap.others(net)

    def room(v: float) -> float:
        return min((abs(v - other) for other in others), default=float("inf"))

    if room(wished) >= least and low <= wished <= high:
        return wished
    steps = range(int(high - low) + 1)
    candidates = [wished, *sorted((low + step for step in steps), key=lambda v: abs(v - wished))]
    fitting = (v for v in candidates if room(v) >= least and low <= v <= high)
    found = next(fitting, None)
    return max(candidates, key=room) if found is None else found


def _assign_tracks(gap: Gap, spacing: Spacing) -> None:
    """Tracks for nets that change over: downward ones from the furthest down, so that they cross least."""
    changing = [net for net in gap.enters if set(gap.leaves[net]) != {gap.enters[net]}]
    used: list[list[tuple[float, float]]] = []

    def order(net: str) -> tuple[bool, float]:
        low, high = gap.reach(net)
        down = high - gap.enters[net] >= gap.enters[net] - low
        return down, -gap.enters[net] if down else gap.enters[net]

    for net in sorted(changing, key=order):
        low, high = gap.reach(net)
        track = 0
        while track < len(used) and any(a - spacing.least < high and low < b + spacing.least for a, b in used[track]):
            track += 1
        used[track:] = used[track:] or [[]]
        used[track].append((low, high))
        gap.tracks[net] = track


def _along(
    plan: Arrangement, gaps: Sequence[Gap], labels: Extents, spacing: Spacing, least: Mapping[int, float]
) -> tuple[tuple[float, float], ...]:
    """Start and end of every column."""
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
    """The u at which each net changes over in each gap: behind the labels."""
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
    """The gaps in which a net may change over on its way to a reader, and the v to which."""
    last = plan.cells[target].column - 1
    return [(last, pin)] if last == net.first else [(net.first, across.trunks[net.name]), (last, pin)]


def _way(
    start: UV, changes: Sequence[tuple[int, float]], net: str, turns: Sequence[Mapping[str, float]]
) -> tuple[UV, ...]:
    """The corners of a net's way, from its source on."""
    points = [start]
    for gap, v in changes:
        before = points[-1][1]
        if v != before:
            points += [(turns[gap][net], before), (turns[gap][net], v)]
    return tuple(points)
