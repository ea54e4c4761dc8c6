"""Folding a graph for its drawing: pure gatherings are removed, and equal neighbours are merged into one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from archlab.network.graph import Graph, Node, Ref

GATHER = "gather"  # passes the maps of a stage's branches on and computes nothing


@dataclass(frozen=True)
class Step:
    """A node as it is drawn.

    inputs: (position, source) of each input that it needs. count: the number of equal consecutive nodes that it shows.
    """

    index: int
    node: Node
    inputs: tuple[tuple[int, Ref], ...]
    count: int = 1

    @property
    def outputs(self) -> tuple[int, ...]:
        return tuple(sorted(self.node.read))

    def alike(self, other: Step) -> bool:
        """Return whether the other is the same block at the same shapes, with the same parts pruned."""
        mine, its = self.node, other.node
        kept = tuple(k for k, _ in self.inputs) == tuple(k for k, _ in other.inputs)
        same = (mine.block, mine.arguments, mine.read, self.count) == (its.block, its.arguments, its.read, other.count)
        return kept and same and (mine.wired is its.wired or mine.leaves == its.leaves)


@dataclass(frozen=True)
class Repeat:
    """A group of consecutive nodes, by their indices in the graph, that occurs `count` times in a row."""

    members: tuple[int, ...]
    count: int


@dataclass(frozen=True)
class Folded:
    """The steps and repeats to draw, and the source of the network's output."""

    steps: tuple[Step, ...]
    repeats: tuple[Repeat, ...]
    output: Ref


def unfolded(graph: Graph) -> Folded:
    """Return every node as a step, without gatherings: their readers read the gathered values directly."""
    passed: dict[Ref, Ref] = {}
    steps = []
    for index, node in enumerate(graph.nodes):
        refs = tuple((k, passed.get(ref, ref)) for k, ref in node.reads)
        if node.block == GATHER:
            passed |= {(index, k): ref for k, ref in refs}
        else:
            steps.append(Step(index, node, refs))
    return Folded(tuple(steps), (), passed.get(graph.output, graph.output))


def fold(drawn: Folded, *, singles: bool) -> Folded:
    """Fold groups of nodes that repeat consecutively, short groups first. singles: fold repeated single nodes too."""
    period = 1 if singles else 2
    while period <= len(drawn.steps) // 2:
        place = {step.index: i for i, step in enumerate(drawn.steps)} | {-1: -1}
        for start in range(len(drawn.steps) - 2 * period + 1):
            count = _copies(drawn, place, start, period)
            if count > 1:
                drawn = _folded_at(drawn, start, period, count)
                break
        else:
            period += 1
    return drawn


def _copies(drawn: Folded, place: Mapping[int, int], start: int, period: int) -> int:
    """Return the number of equal consecutive copies of the steps from `start`, each reading only the copy before it."""
    steps = drawn.steps
    group = steps[start : start + period]
    if period > 1 and all(step.alike(group[0]) for step in group):
        return 1
    count = 1
    while _alike(steps, start, start + count * period, period):
        count += 1
    while count > 1 and not (_chained(drawn, place, start, period, count) and _closed(drawn, start, period, count)):
        count -= 1
    return count


def _alike(steps: Sequence[Step], start: int, copy: int, period: int) -> bool:
    if copy + period > len(steps):
        return False
    return all(steps[start + j].alike(steps[copy + j]) for j in range(period))


def _chained(drawn: Folded, place: Mapping[int, int], start: int, period: int, count: int) -> bool:
    """Return whether every copy reads the copy before it as the first one reads the steps before the group."""
    copies = [_reads(drawn, place, start + c * period, period) for c in range(count)]
    folds = [_inner_repeats(drawn, place, start + c * period, period) for c in range(count)]
    if any(later != copies[1] for later in copies[2:]) or any(inner is None or inner != folds[0] for inner in folds):
        return False
    outside: dict[Ref, Ref] = {}
    for first, again in zip(copies[0], copies[1], strict=True):
        if first[0] >= 0 or again[0] >= 0:
            if first != again:
                return False
        elif again[0] < -period or outside.setdefault(first, again) != again:
            return False
    return len(set(outside.values())) == len(outside)


def _reads(drawn: Folded, place: Mapping[int, int], at: int, period: int) -> list[Ref]:
    """Return what the steps from `at` read, with sources relative to `at`."""
    steps = drawn.steps[at : at + period]
    return [(place[source] - at, which) for step in steps for _, (source, which) in step.inputs]


def _inner_repeats(
    drawn: Folded, place: Mapping[int, int], at: int, period: int
) -> list[tuple[tuple[int, ...], int]] | None:
    """Return the groups folded within the steps from `at`, relative to it; None if a group crosses the border."""
    found = []
    for repeat in drawn.repeats:
        members = tuple(place[index] - at for index in repeat.members)
        inside = [0 <= member < period for member in members]
        if any(inside):
            if not all(inside):
                return None
            found.append((members, repeat.count))
    return sorted(found)


def _closed(drawn: Folded, start: int, period: int, count: int) -> bool:
    """Return whether later steps read only the last copy and, for a group, nothing from before it."""
    steps, end = drawn.steps, start + period * count
    inner = {step.index for step in steps[start : end - period]}
    before = {step.index for step in steps[:start]} | {-1}
    later = {source for step in steps[end:] for _, (source, _) in step.inputs} | {drawn.output[0]}
    return not later & inner and (period == 1 or not later & before)


def _folded_at(drawn: Folded, start: int, period: int, count: int) -> Folded:
    steps, end = drawn.steps, start + period * count
    kept = steps[start : start + period]
    renamed = {last.index: first.index for last, first in zip(steps[end - period : end], kept, strict=True)}
    if period == 1:
        kept = (replace(kept[0], count=kept[0].count * count),)
    rest = tuple(
        replace(step, inputs=tuple((k, (renamed.get(source, source), which)) for k, (source, which) in step.inputs))
        for step in steps[end:]
    )
    repeats = drawn.repeats
    gone = {step.index for step in steps[start + period : end]}
    repeats = tuple(repeat for repeat in repeats if not gone & set(repeat.members))
    if period > 1:
        repeats = (*repeats, Repeat(tuple(step.index for step in kept), count))
    source, which = drawn.output
    return Folded((*steps[:start], *kept, *rest), repeats, (renamed.get(source, source), which))
