"""The gaps between columns: where nets enter and leave them, and the track on which each net changes over."""

from __future__ import annotations

from dataclasses import dataclass, field

from archlab.report.drawing.across import Across, Spacing, out_position
from archlab.report.drawing.layered import Arrangement


@dataclass
class Gap:
    """The gap after one column: v at which each net enters and leaves, and its track."""

    enters: dict[str, float] = field(default_factory=dict)
    leaves: dict[str, list[float]] = field(default_factory=dict)
    tracks: dict[str, int] = field(default_factory=dict)

    def others(self, net: str) -> list[float]:
        """Return every v at which another net enters or leaves."""
        entering = [at for other, at in self.enters.items() if other != net]
        return entering + [at for other, ats in self.leaves.items() if other != net for at in ats]

    def reach(self, net: str) -> tuple[float, float]:
        """Return the smallest and the largest v of a net."""
        ends = [self.enters[net], *self.leaves[net]]
        return min(ends), max(ends)


def fill_gaps(plan: Arrangement, across: Across, spacing: Spacing) -> tuple[list[Gap], list[list[float]]]:
    """Return the gaps, filled from first to last, and the v of every input pin."""
    pins = [[0.0] * len(cell.inputs) for cell in plan.cells]
    gaps = []
    for column in range(plan.columns - 1):
        gap = Gap()
        for net in plan.nets:
            if net.first <= column < net.last:
                gap.enters[net.name] = out_position(across, net) if net.first == column else across.trunks[net.name]
                gap.leaves[net.name] = [across.trunks[net.name]] if net.last > column + 1 else []
        for i, cell in enumerate(plan.cells):
            if cell.column == column + 1:
                _place_pins(plan, across, gap, i, pins[i], spacing)
        _assign_tracks(gap, spacing)
        gaps.append(gap)
    return gaps, pins


def _place_pins(plan: Arrangement, across: Across, gap: Gap, cell: int, pins: list[float], spacing: Spacing) -> None:
    """Place the input pins of one lane around its centre, in order of arrival. A net that arrives straight stays so."""
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
            steps = len(here) - 1 - middle if n > middle else middle
            pitch = min(spacing.pin, (min(centre - v0, v1 - centre) - 6) / steps) if steps else 0
            wished = centre + (n - middle) * pitch
            pins[k] = _nearest_free(gap, net, wished, v0 + 4, v1 - 4, spacing.least)
            gap.leaves[net].append(pins[k])


def _nearest_free(gap: Gap, net: str, wished: float, low: float, high: float, least: float) -> float:
    """Return the v nearest to the desired one with enough distance to other nets, else the one with the most."""
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
    """Assign tracks to nets that change over: downward ones from the furthest down, so that they cross least."""
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
