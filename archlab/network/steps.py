"""The operators of a graph as steps over slots: what each reads and fills, and which values it finishes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from archlab.blocks.wiring import Leaf
from archlab.network.graph import Graph, Node, Value, origin

Operator = Callable[..., Any]


class Step(NamedTuple):
    """An operator in its turn.

    what: a submodule's name, or a function without state. sources, targets: the slots that it reads and fills.
    finished: the slots that nothing reads later. main: whether the main output needs it.
    """

    what: str | Operator
    sources: tuple[int, ...]
    targets: tuple[int, ...]
    finished: tuple[int, ...]
    main: bool


class Laid(NamedTuple):
    """A leaf of a node, with the slots that it reads and fills."""

    node: str
    leaf: Leaf
    sources: tuple[int, ...]
    targets: tuple[int, ...]


def lay_steps(graph: Graph, leaves: Callable[[Node], Sequence[Leaf]]) -> tuple[list[Laid], dict[Value, int]]:
    """Return a graph's leaves in the order in which they run, and the slot of each value, the image's being 0.

    leaves: returns those of a node.
    """
    slots: dict[Value, int] = {(-1, 0): 0}
    laid = []
    for index, node in enumerate(graph.nodes):
        for leaf in leaves(node):
            sources = tuple(slots[origin(graph, (index, number))] for number in leaf.inputs)
            targets = tuple(slots.setdefault((index, number), len(slots)) for number in leaf.outputs)
            laid.append(Laid(node.name, leaf, sources, targets))
    return laid, slots


def steps_of(named: Sequence[str | Operator], laid: Sequence[Laid], outputs: Sequence[int]) -> list[Step]:
    """Return the steps of named operators. outputs: the slots that stay; the main one is the first."""
    last_read = {slot: i for i, each in enumerate(laid) for slot in (*each.targets, *each.sources)}
    steps = []
    for i, (what, each, main) in enumerate(zip(named, laid, needed_for(laid, outputs[:1]), strict=True)):
        slots = {*each.sources, *each.targets}
        finished = tuple(s for s in slots if last_read[s] == i and s not in outputs)
        steps.append(Step(what, each.sources, each.targets, finished, main))
    return steps


def needed_for(laid: Sequence[Laid], outputs: Iterable[int]) -> list[bool]:
    """Return for each step whether the values in these slots need it."""
    slots, found = {*outputs}, []
    for each in reversed(laid):
        found.append(not slots.isdisjoint(each.targets))
        slots |= {*each.sources} if found[-1] else set()
    return found[::-1]


def operators_of(root: nn.Module, steps: Sequence[Step]) -> list[Operator]:
    """Return what each step calls."""
    return [root.get_submodule(step.what) if isinstance(step.what, str) else step.what for step in steps]


def run_steps(
    operators: Sequence[Operator], steps: Sequence[Step], slots: int, image: Tensor, *, every: bool
) -> list[Any]:
    """Return the value in each slot, None in those that are finished. every: run the steps of other outputs too."""
    values: list[Any] = [None] * slots
    values[0] = image
    for operator, (_, sources, targets, finished, main) in zip(operators, steps, strict=True):
        if not (main or every):
            continue
        made = operator(*[values[s] for s in sources])
        if len(targets) == 1:
            values[targets[0]] = made
        else:
            for target, value in zip(targets, made, strict=True):
                values[target] = value
        for slot in finished:
            values[slot] = None
    return values
