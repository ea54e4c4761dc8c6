"""A space of networks as a YAML file: a base network, its parameters with their conditions, and limits on cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from archlab import yamlio
from archlab.blocks import registry
from archlab.blocks.wiring import Shape
from archlab.core import builtin
from archlab.core.errors import InputError, Problem, in_order, nearest
from archlab.counting.count import MEBI
from archlab.counting.rules import Count
from archlab.network import load as specfile
from archlab.network.differences import with_widths
from archlab.network.spec import Spec
from archlab.network.uses import Uses
from archlab.search.space import encode
from archlab.search.space.document import INACTIVE, Point, Slot, build
from archlab.search.space.vary import Parameter, Reader, Varied
from archlab.yamlio import Above, AtLeast, Item, Length

METRICS: dict[str, Callable[[Count], float]] = {
    "params": lambda count: count.params,
    "macs": lambda count: count.fvcore,
    "mflops": lambda count: count.paper / MEBI,
    "activations": lambda count: count.activations,
}
"""The costs that limits and objectives can name: parameters, fvcore's multiply-adds, the paper's MFLOPs, activations.

A figure that needs more than a network's count, such as a measured latency, would be a new field of `Count` and a line
here; limits, `Gate` and messages read only this table.
"""


@dataclass(frozen=True)
class CostRange:
    """The minimum and maximum cost of a candidate."""

    min: Annotated[float | None, AtLeast(0)] = None
    max: Annotated[float | None, Above(0)] = None

    def problems(self, item: Item) -> Iterator[Problem]:
        if self.min is None and self.max is None:
            yield item.problem("a limit needs `min`, `max` or both", "limits")
        elif self.min is not None and self.max is not None and self.min > self.max:
            yield item.problem(f"`min`, {self.min:g}, is above `max`, {self.max:g}", "limits")

    def excess(self, value: float) -> float:
        """Return by which share a value exceeds a limit; 0 if it is within the limits."""
        if self.max is not None and value > self.max:
            return value / self.max - 1
        return 1 - value / self.min if self.min and value < self.min else 0.0


@dataclass(frozen=True)
class SpaceForm:
    """A space's file.

    base: a network. set: fields that are changed in it first. vary: the parameters, by names of your choice.
    """

    version: Literal[1]
    base: str
    vary: Annotated[dict[str, Varied], Length(1)]
    title: str = ""
    set: Item | None = None
    limits: dict[str, CostRange] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Space:
    """The parameters of a space, in the order in which they are chosen, and the limits on a candidate's cost."""

    name: str
    title: str
    file: Path
    document: Item
    parameters: tuple[Parameter, ...]
    limits: Mapping[str, CostRange]
    root: Slot
    blocks: registry.Table
    uses: Uses = dataclasses.field(default_factory=dict)

    @cached_property
    def choices(self) -> tuple[tuple[Item | None, ...], ...]:
        return tuple(parameter.items for parameter in self.parameters)

    def spec(self, point: Point, name: str = "") -> Spec:
        """Return the network of a point. Raises InputError if a block refuses its arguments."""
        document = build(self.root, self.document, point, self.choices)
        return specfile.resolve(name or self.name, document, {}, self.blocks, self.uses)

    def labels(self, point: Point) -> dict[str, Any]:
        """Return the labels of a point's active choices."""
        return {p.name: p.labels[at] for p, at in zip(self.parameters, point, strict=True) if at >= 0}

    def canonical(self, values: Point) -> Point:
        """Return choices for all parameters as a point, with inactive parameters marked."""
        point = list(values)
        for i, parameter in enumerate(self.parameters):
            if parameter.when and not parameter.active(point):
                point[i] = INACTIVE
        return tuple(point)

    def point(self, labels: Mapping[str, Any]) -> Point:
        """Return the point with these labels. Raises InputError if it is not in the space."""
        known = {parameter.name: i for i, parameter in enumerate(self.parameters)}
        problems = [Problem(f"no parameter{nearest(name, known)}", name) for name in labels if name not in known]
        point: list[int] = []
        for parameter in self.parameters:
            wanted = labels.get(parameter.name)
            active = parameter.active(point)
            if active and wanted not in parameter.labels:
                problems.append(Problem(f"one of {parameter.labels}, found {wanted!r}", parameter.name))
            point.append(parameter.labels.index(wanted) if active and wanted in parameter.labels else INACTIVE)
        if problems:
            raise InputError(problems)
        return tuple(point)

    def point_of(self, spec: Spec) -> Point:
        """Return the point of a spec, by its document. Raises InputError with the fields that no choice explains."""
        document = with_widths(spec)
        point: list[int] = []
        problems: list[Problem] = []
        for parameter in self.parameters:
            found = (
                [self._choice(parameter, path, document) for path in parameter.paths] if parameter.active(point) else []
            )
            known = [choice for choice in found if choice is not None]
            point.append(known[0] if known else INACTIVE)
            if found and not known:
                path = parameter.paths[0]
                there = encode.at(document, path, self.blocks)
                shown = f"{there.shown()} is" if there else "nothing stands here, which is"
                rule = f"{shown} no choice of {parameter.name!r}"
                problems.append((there or spec.document).problem(rule, ".".join(path)))
        if problems:
            raise InputError(problems)
        encode.check_same(spec, self.spec(tuple(point), spec.name), self.name)
        return tuple(point)

    def _choice(self, parameter: Parameter, path: tuple[str, ...], document: Item) -> int | None:
        """Return the choice of a parameter that a document has at one of its paths."""
        found = encode.at(document, path, self.blocks)
        if parameter.is_length:
            length = len(found.value) if found and isinstance(found.value, tuple) else None
            return parameter.labels.index(length) if length in parameter.labels else None
        slot = self.root
        for name in path:
            slot = slot.inside[name]
        for i, choice in enumerate(parameter.items):
            if encode.fits(found, choice or encode.at(self.document, path, self.blocks), slot, self.blocks):
                return i
        return None

    def channel_problems(self) -> list[Problem]:
        """Return what is wrong with the candidates' input channels for RGB images, where the files state them."""
        ways = {path: parameter.items for parameter in self.parameters for path in parameter.paths}
        own = self.document.entries.get("input")
        stated = [*ways.get(("input",), ()), *ways.get(("input", "0"), ())] or [own]
        return [problem for each in stated if (problem := specfile.channel_problem(each or own))]

    def plain(self) -> dict[str, Any]:
        """Return as plain data all that determines the space's networks."""
        parameters = [
            [p.name, [None if item is None else item.plain() for item in p.items], [[i, sorted(c)] for i, c in p.when]]
            for p in self.parameters
        ]
        limits = {name: [limit.min, limit.max] for name, limit in self.limits.items()}
        return {"base": self.document.plain(), "parameters": parameters, "limits": limits}


def find(name_or_path: str | Path) -> Path:
    """Return a space's file, given its path or the name of its family."""
    known = names()
    if str(name_or_path) in known:
        return known[str(name_or_path)]
    path = Path(name_or_path)
    if path.suffix not in {".yaml", ".yml"}:
        raise InputError(f"no space is called {str(name_or_path)!r}{nearest(str(name_or_path), known)}")
    return builtin.find(path, "search_spaces", "*/space.yaml", "search space")


def names() -> dict[str, Path]:
    """Return the files of the built-in spaces by name."""
    return {path.parent.name: path for path in sorted(builtin.folder("search_spaces").glob("*/space.yaml"))}


def load_space(
    name_or_path: str | Path,
    *,
    input: Shape | None = None,
    outputs: int | None = None,
    plugin: tuple[str, ...] = (),
) -> Space:
    """Read a space's file and try every choice in it once.

    input, outputs: replace those of the base network, (C, H, W) or (H, W) and a number, unless they vary.

    Raises InputError with the problems of the file, of its base network and of the choices.
    """
    path = find(name_or_path)
    item = yamlio.read(path)
    partial = yamlio.parse_partly(item, SpaceForm)
    problems = [*partial.problems, *_unknown_costs(item)]
    vary = _sound_choices(item)
    document = _base_document(item, partial.sound, path, problems)
    if document is None:
        raise InputError(in_order(problems))
    document = _with_given(document, {**specfile.input_fields(document, input), "outputs": outputs}, vary)
    reader = Reader(item, document, wrong=frozenset(item.entries.get("vary", Item({})).entries) - frozenset(vary))
    reader.read(vary)
    found = partial.sound
    name = path.resolve().parent.name if path.name == "space.yaml" else path.stem
    limits, blocks = found.get("limits", {}), registry.blocks(plugin)
    parameters = tuple(reader.parameters)
    space = Space(name, found.get("title") or name, path, document, parameters, limits, reader.root, blocks)
    if not reader.problems and "vary" in found:
        reader.problems += _choice_problems(space, item)
    if problems := [*problems, *reader.problems]:
        raise InputError(in_order(problems))
    return space


def _unknown_costs(item: Item) -> Iterator[Problem]:
    for name, each in item.entries.get("limits", Item({})).entries.items():
        if name not in METRICS:
            yield each.key_problem(f"no cost is called {name!r}{nearest(name, METRICS)}", f"limits.{name}")


def _sound_choices(item: Item) -> dict[str, Varied]:
    """Return the entries of `vary` that have no problem."""
    entries = item.entries.get("vary", Item({})).entries
    read = {name: yamlio.parse_partly(each, Varied).value for name, each in entries.items()}
    return {name: varied for name, varied in read.items() if varied}


def _base_document(item: Item, sound: Mapping[str, Any], path: Path, problems: list[Problem]) -> Item | None:
    """Return the document of the base network with `set` applied, or None after noting its problems."""
    if "base" not in sound:
        return None
    try:
        document = specfile.read(_base(sound["base"], item, path))
    except InputError as error:
        problems += error.problems
        return None
    return yamlio.overlay(document, sound["set"]) if sound.get("set") is not None else document


def _with_given(document: Item, given: Mapping[str, Any], vary: Mapping[str, Varied]) -> Item:
    """Return the document with the given fields, unless they vary."""
    varied = {path.split(".")[0] for each in vary.values() for path in each.paths}
    for name, value in given.items():
        if value is not None and name.split(".")[0] not in varied:
            document = yamlio.set_path(document, name, yamlio.item_of(value))
    return document


def _base(name: str, item: Item, path: Path) -> Path:
    beside = path.parent / f"{name}.yaml"
    if beside.is_file():
        return beside
    try:
        return specfile.find(name)
    except InputError as error:
        raise InputError(item.entries["base"].problem(str(error), "base")) from None


def _choice_problems(space: Space, item: Item) -> list[Problem]:
    """Return the problems of the choices: each is tried once with the first choices of the other parameters."""
    if all(len(parameter.labels) == 1 for parameter in space.parameters):
        return [item.entries["vary"].key_problem("nothing varies: each parameter has one choice", "vary")]
    problems: list[Problem] = []
    for point in each_choice(space):
        try:
            space.spec(point)
        except InputError as error:
            problems += error.problems
    return problems


def each_choice(space: Space) -> Iterator[Point]:
    """Yield a point for every choice of every parameter, with the first choices of the other parameters."""
    for i, parameter in enumerate(space.parameters):
        values = [0] * len(space.parameters)
        _enable(space, parameter, values)
        for at in range(len(parameter.labels)):
            values[i] = at
            yield space.canonical(tuple(values))


def _enable(space: Space, parameter: Parameter, values: list[int]) -> None:
    """Set the choices on which a parameter depends so that it is active."""
    for other, choices in parameter.when:
        values[other] = min(choices, default=0)
        _enable(space, space.parameters[other], values)
