"""A space of networks as a YAML file: a base, what varies in it and under which conditions, and limits on cost."""

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
from archlab.core.errors import InputError, Problem, nearest
from archlab.counting.count import MEBI, Count
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
"""What limits and objectives are of: parameters, fvcore's multiply-adds, the paper's MFLOPs (2^20), activations.

A figure that needs more than a network's count, such as a measured latency, joins as a field of `Count` that `tally`
leaves 0 and what measures it fills in, and as its line here: bands, `Gate` and refusals ask this table only.
"""


@dataclass(frozen=True)
class CostRange:
    """The least and the most that a candidate may cost."""

    min: Annotated[float | None, AtLeast(0)] = None
    max: Annotated[float | None, Above(0)] = None

    def problems(self, item: Item) -> Iterator[Problem]:
        if self.min is None and self.max is None:
            yield item.problem("a limit says `min`, `max` or both", "limits")
        elif self.min is not None and self.max is not None and self.min > self.max:
            yield item.problem(f"the least, {self.min:g}, is above the most, {self.max:g}", "limits")

    def excess(self, value: float) -> float:
        """How far outside, as a share of the limit that is broken; 0 inside."""
        if self.max is not None and value > self.max:
            return value / self.max - 1
        return 1 - value / self.min if self.min and value < self.min else 0.0


@dataclass(frozen=True)
class SpaceForm:
    """A space's file. `base`: a network; `set`: what it is changed to first; `vary`: under names of your own."""

    version: Literal[1]
    base: str
    vary: Annotated[dict[str, Varied], Length(1)]
    title: str = ""
    set: Item | None = None
    limits: dict[str, CostRange] = dataclasses.field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Space:
    """Parameters, in the order in which they are chosen, and the bands that a candidate's cost must lie in."""

    name: str
    title: str
    file: Path
    document: Item
    parameters: tuple[Parameter, ...]
    limits: Mapping[str, CostRange]
    place: Slot
    blocks: registry.Table
    uses: Uses = dataclasses.field(default_factory=dict)

    @cached_property
    def choices(self) -> tuple[tuple[Item | None, ...], ...]:
        return tuple(parameter.items for parameter in self.parameters)

    def spec(self, point: Point, name: str = "") -> Spec:
        """The network of a point; InputError where a block refuses its arguments."""
        document = build(self.place, self.document, point, self.choices)
        return specfile.resolve(name or self.name, document, {}, self.blocks, self.uses)

    def labels(self, point: Point) -> dict[str, Any]:
        """The active choices of a point, as a reader knows them."""
        return {p.name: p.labels[at] for p, at in zip(self.parameters, point, strict=True) if at >= 0}

    def canonical(self, values: Point) -> Point:
        """A choice for every parameter as a point, in which those that are not active are so marked."""
        point = list(values)
        for i, parameter in enumerate(self.parameters):
            if parameter.when and not parameter.active(point):
                point[i] = INACTIVE
        return tuple(point)

    def point(self, labels: Mapping[str, Any]) -> Point:
        """The point with these labels; InputError for one that is not in the space."""
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
        """The point whose network a spec is, by its document; InputError with the fields that no choice explains."""
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
        """Which choice of a parameter a document has at one of its paths."""
        found = encode.at(document, path, self.blocks)
        if parameter.is_length:
            length = len(found.value) if found and isinstance(found.value, tuple) else None
            return parameter.labels.index(length) if length in parameter.labels else None
        place = self.place
        for name in path:
            place = place.inside[name]
        for i, choice in enumerate(parameter.items):
            if encode.fits(found, choice or encode.at(self.document, path, self.blocks), place, self.blocks):
                return i
        return None

    def plain(self) -> dict[str, Any]:
        """All that decides which networks are in the space, as plain data."""
        parameters = [
            [p.name, [None if item is None else item.plain() for item in p.items], [[i, sorted(c)] for i, c in p.when]]
            for p in self.parameters
        ]
        limits = {name: [band.min, band.max] for name, band in self.limits.items()}
        return {"base": self.document.plain(), "parameters": parameters, "limits": limits}


def find(name_or_path: str | Path) -> Path:
    """A space's file by its path or by the name of its family."""
    known = names()
    if str(name_or_path) in known:
        return known[str(name_or_path)]
    path = Path(name_or_path)
    if path.suffix not in {".yaml", ".yml"}:
        raise InputError(f"no space is called {str(name_or_path)!r}{nearest(str(name_or_path), known)}")
    return builtin.find(path, "search_spaces", "*/space.yaml", "search space")


def names() -> dict[str, Path]:
    """Built-in name -> file."""
    return {path.parent.name: path for path in sorted(builtin.folder("search_spaces").glob("*/space.yaml"))}


def load_space(
    name_or_path: str | Path,
    *,
    input: Shape | None = None,
    outputs: int | None = None,
    plugin: tuple[str, ...] = (),
) -> Space:
    """Read a space's file and try every choice in it once; InputError with all problems.

    `input` (C, H, W) and `outputs` are put in the base's place, where they do not vary.
    """
    path = find(name_or_path)
    item = yamlio.read(path)
    form = yamlio.parse(item, SpaceForm)
    document = specfile.read(_base(form.base, item, path))
    if form.set is not None:
        document = yamlio.overlay(document, form.set)
    varied = {path.split(".")[0] for each in form.vary.values() for path in each.paths}
    for name, value in {"input": input and list(input), "outputs": outputs}.items():
        if value is not None and name not in varied:
            document = yamlio.set_path(document, name, yamlio.item_of(value))
    reader = Reader(item, document)
    reader.read(form.vary)
    known = list(METRICS)
    limits = item.entries.get("limits", Item({})).entries
    reader.problems += [
        limits[name].key_problem(f"no cost is called {name!r}{nearest(name, known)}", f"limits.{name}")
        for name in form.limits
        if name not in METRICS
    ]
    if not reader.problems and all(len(parameter.labels) == 1 for parameter in reader.parameters):
        reader.problems.append(item.entries["vary"].key_problem("nothing varies: each has one choice", "vary"))
    if reader.problems:
        raise InputError(reader.problems)
    name = path.parent.name if path.name == "space.yaml" else path.stem
    blocks = registry.blocks(plugin)
    space = Space(name, form.title or name, path, document, tuple(reader.parameters), form.limits, reader.place, blocks)
    _try_all(space)
    return space


def _base(name: str, item: Item, path: Path) -> Path:
    beside = path.parent / f"{name}.yaml"
    if beside.is_file():
        return beside
    try:
        return specfile.find(name)
    except InputError as error:
        raise InputError(item.entries["base"].problem(str(error), "base")) from None


def _try_all(space: Space) -> None:
    """Every choice once, beside the first ones of the others, so that a wrong name is told before any search."""
    problems: list[Problem] = []
    for i, parameter in enumerate(space.parameters):
        values = [0] * len(space.parameters)
        _enable(space, parameter, values)
        for at in range(len(parameter.labels)):
            values[i] = at
            try:
                space.spec(space.canonical(tuple(values)))
            except InputError as error:
                problems += error.problems
    if problems:
        raise InputError(dict.fromkeys(problems))


def _enable(space: Space, parameter: Parameter, values: list[int]) -> None:
    for other, choices in parameter.when:
        values[other] = min(choices, default=0)
        _enable(space, space.parameters[other], values)
