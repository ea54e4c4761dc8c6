"""Where blocks stand in a space's networks of stages, which parameters reach each place, and what stands there."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archlab import yamlio
from archlab.blocks.basic import gather
from archlab.core.errors import InputError
from archlab.network.spec import Declared, Spec
from archlab.search.space.document import INACTIVE, Point
from archlab.search.space.space import Space
from archlab.search.space.vary import Parameter
from archlab.yamlio import Item

Path = tuple[str, ...]
CHAINS = ("stem", "head", "last")
STAGE = ("width", "transition", "unit", "fusion", "modules", "repeat")
Varied = tuple[tuple[str, int | None, int], ...]
"""(argument, position in it if it is a list, the parameter that sets the number there)."""


@dataclass(frozen=True)
class Place:
    """A place in networks of stages.

    fields: the paths of the fields that set what stands here.
    prefix: the name of its node, or the first part of the names of a chain of nodes.
    branch: the branch that a block stands on by itself; None: all maps.
    joint: a unit for all branches, which the fields of single branches do not reach.
    """

    fields: tuple[Path, ...]
    prefix: str
    branch: int | None = None
    joint: bool = False

    def reached(self, path: Path) -> bool:
        """Return whether a parameter at this path can change what stands here."""
        return any(_meet(path, field) and not self._beside(path, field) for field in self.fields)

    def _beside(self, path: Path, field: Path) -> bool:
        return self.joint and len(path) > len(field) and path[len(field)].isdigit()

    def nodes(self, spec: Spec) -> tuple[Declared, ...]:
        """Return the nodes here, in the order in which they run; none if units of single branches stand instead."""
        if self.prefix in CHAINS:
            return tuple([node for node in spec.nodes if node.name.split(".", 1)[0] == self.prefix])
        return tuple([node for node in spec.nodes if node.name == self.prefix and node.function is not gather])


def _meet(path: Path, field: Path) -> bool:
    """Return whether one path leads to the other; a name in place of a stage's or branch's number leads to all."""
    for one, other in zip(path, field, strict=False):
        if one != other:
            return other.isdigit() and not one.isdigit()
    return True


@dataclass(frozen=True)
class Stage:
    """The places of a stage; the units are one joint place and one a branch, of which the networks have either."""

    transition: Place
    units: tuple[Place, ...]
    fusion: Place
    counts: Place

    def numbers(self, spec: Spec) -> tuple[int, int]:
        """Return a network's modules of this stage, and the units of a module."""
        stage = self.transition.prefix.split(".", 1)[0]
        names = {node.name for node in spec.nodes}
        modules = sum(f"{stage}.module{i}.fusion" in names for i in range(len(names)))
        return modules, sum(f"{stage}.module0.unit{i}" in names for i in range(len(names)))


def stages_of(space: Space) -> tuple[Stage, ...]:
    """Return the stages of a space's networks; none if they have another form, or vary in their number or input."""
    modules = space.document.entries.get("stages", Item(None)).entries.get("modules", Item(None)).value
    paths = [path for parameter in space.parameters for path in parameter.paths]
    if not isinstance(modules, tuple) or space.document.entries.get("nodes") or not all(map(_known, paths)):
        return ()
    width = space.document.entries["stages"].entries.get("width", Item(None)).value
    nested = isinstance(width, tuple) and len(width) > 0 and isinstance(width[0].value, tuple)
    return tuple([_stage(i, nested) for i in range(len(modules))])


def _known(path: Path) -> bool:
    if path[0] != "stages":
        return path[0] in CHAINS
    return len(path) > 1 and path[1] in STAGE and (path[1] != "modules" or len(path) == 3)


def _stage(index: int, nested: bool) -> Stage:
    at, stage = str(index), f"stage{index + 2}"
    unit, name = ("stages", "unit", at), f"{stage}.module0.unit0"
    width = ("stages", "width", at) if nested else ("stages", "width")
    branches = [Place(((*unit, str(b)),), f"{name}.branch{b}", b) for b in range(index + 2)]
    return Stage(
        Place((("stages", "transition", at), width), f"{stage}.transition"),
        (Place((unit,), name, joint=True), *branches),
        Place((("stages", "fusion", at),), f"{stage}.module0.fusion"),
        Place((("stages", "modules", at), ("stages", "repeat", at)), ""),
    )


@dataclass(frozen=True, eq=False)
class Standing:
    """What stands at a place of the points of a group: nodes, and the numbers in the first that parameters set."""

    nodes: tuple[Declared, ...]
    varied: Varied = ()

    @cached_property
    def key(self) -> Hashable:
        """Return what differs between blocks that are not counted together."""
        names = {name for name, _, _ in self.varied}
        first = [(name, value) for node in self.nodes[:1] for name, value in node.arguments if name not in names]
        others = [node.arguments for node in self.nodes[1:]]
        return self.varied, tuple([node.function for node in self.nodes]), tuple(first), tuple(others)


@dataclass
class Places:
    """Reads what stands at the places of a space, each once for the points that are alike there."""

    space: Space
    specs: dict[Point, Spec | None] = field(default_factory=dict)
    sound: dict[tuple[Any, str, int | None, int], bool] = field(default_factory=dict)

    @cached_property
    def choices(self) -> list[NDArray[np.int64]]:
        """Return the numbers among each parameter's choices; 0 in place of anything else."""
        return [
            np.array([item.value if item and type(item.value) is int else 0 for item in parameter.items], np.int64)
            for parameter in self.space.parameters
        ]

    def reaching(self, place: Place) -> tuple[list[int], list[tuple[str, int | None, int]]]:
        """Return the parameters that set what stands at a place, and those that may set a number in it."""
        structure, numbers = [], []
        for i, parameter in enumerate(self.space.parameters):
            paths = [path for path in parameter.paths if place.reached(path)]
            slot = _slot(place, paths[0]) if len(paths) == 1 and _counts(parameter) else None
            if slot:
                numbers.append((*slot, i))
            elif paths:
                structure.append(i)
        return structure, numbers

    def spec(self, point: Point) -> Spec | None:
        """Return the network of a point, None if it has none."""
        if point not in self.specs:
            try:
                self.specs[point] = self.space.spec(point)
            except InputError:
                self.specs[point] = None
        return self.specs[point]

    def standing(self, place: Place, point: Point, numbers: Varied) -> Standing | None:
        """Return what stands at a place of this point, with the numbers that vary there; None if that is unknown."""
        spec = self.spec(point)
        nodes = place.nodes(spec) if spec else ()
        active = [each for each in numbers if point[each[2]] != INACTIVE]
        if spec is None or (active and len(nodes) > 1):
            return None
        if not nodes:
            return Standing(())
        if not all(self._sets(nodes[0], each, point) for each in active):
            return None
        return Standing(nodes, tuple(active))

    def _sets(self, node: Declared, slot: tuple[str, int | None, int], point: Point) -> bool:
        """Return whether a parameter sets this number of a node, and whether all of its choices may stand there."""
        name, position, number = slot
        items = self.space.parameters[number].items
        found = dict[str, Any](node.arguments).get(name)
        if position is not None:
            if not isinstance(found, tuple) or name in node.item.entries:
                return False
            if position >= len(found):  # the width of a branch that this stage does not have
                return True
            found = found[position]
        item = items[point[number]]
        if item is None or found != item.value:
            return False
        key = node.function, name, position, number
        if key not in self.sound:
            self.sound[key] = all(_fits(node, name, position, each) for each in items if each)
        return self.sound[key]


def _counts(parameter: Parameter) -> bool:
    """Return whether a parameter's choices are whole numbers."""
    return not parameter.is_length and all(item is not None and type(item.value) is int for item in parameter.items)


def _slot(place: Place, path: Path) -> tuple[str, int | None] | None:
    """Return the argument, and the position in it, that a parameter at this path sets; None if it does more."""
    if path[:2] == ("stages", "width"):
        return ("widths", int(path[-1])) if path[-1].isdigit() and len(path) == len(place.fields[-1]) + 1 else None
    direct = any(len(path) - 1 <= len(field) and _meet(path[:-1], field) for field in place.fields)
    return (path[-1], None) if direct and place.prefix and not path[-1].isdigit() and path[-1] != "block" else None


def _fits(node: Declared, name: str, position: int | None, item: Item) -> bool:
    """Return whether a block takes a number as an argument, or in one."""
    given = item if position is None else Item((item,))
    hidden = [argument for argument, _ in node.arguments if argument != name]
    return not yamlio.check_call(node.function, {name: given}, "", None, hidden)[1]
