"""A study: a paper's table or figure as a file, its rows naming networks and carrying the published figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from archlab.core import builtin
from archlab.core.errors import InputError, Problem, nearest
from archlab.yamlio import Above, AtLeast, Item, parse, read


@dataclass(frozen=True)
class Published:
    """What the paper prints of one network; nothing where it prints nothing.

    params_m: millions of parameters.
    coco_mflops, mpii_mflops: multiply-adds in 2^20, by the paper's counter, at 256x192 and 256x256.
    coco_gflops, mpii_gflops: the same in 2^30, where that is what is printed.
    ap, ap50, ap75, ar: on COCO val, 0-100. pckh: PCKh@0.5 on MPII val, 0-100.
    """

    params_m: float | None = None
    coco_mflops: float | None = None
    coco_gflops: float | None = None
    ap: float | None = None
    ap50: float | None = None
    ap75: float | None = None
    ar: float | None = None
    mpii_mflops: float | None = None
    mpii_gflops: float | None = None
    pckh: float | None = None


@dataclass(frozen=True)
class Row:
    """One network of a study.

    name: the label that the paper prints.
    spec: the variant, a built-in name or a path; empty for a network that is only quoted (in a scatter).
    fields: what differs from the variant's file.
    published: the paper's figures.
    notes: remarks on single published figures, by their names above: misprints, roundings.
    same_as: `STUDY/SPEC`, in place of all else: the row of another study, so that a figure stands in one file only.
    """

    name: str = ""
    spec: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    published: Published = Published()
    notes: dict[str, str] = field(default_factory=dict)
    same_as: str = ""

    def problems(self, item: Item) -> Iterator[Problem]:
        """A row is named or the same as another, and its notes are on figures that it publishes."""
        if self.same_as:
            if replace(self, same_as="") != Row():
                yield item.problem("a row that is the same as another says nothing else", "rows.same_as")
            return
        if not self.name:
            yield item.problem("a row needs the name that is printed for it", "rows.name")
        for figure in self.notes:
            if figure not in FIGURES:
                message = f"no published figure is called {figure!r}{nearest(figure, FIGURES)}"
                yield item.problem(message, "rows.notes")
            elif getattr(self.published, figure) is None:
                yield item.problem(f"a note on {figure}, which the row does not publish", "rows.notes")


@dataclass(frozen=True)
class Ablation:
    """Networks to be trained alike and compared, as in the paper's Tables 6 and 7.

    recipe: what `ablate` trains with unless told otherwise. notes: remarks on the whole table.
    """

    kind: Literal["ablation"]
    title: str
    source: str
    rows: tuple[Row, ...]
    recipe: str = "quick"
    notes: tuple[str, ...] = ()
    name: str = ""

    def problems(self, item: Item) -> Iterator[Problem]:
        """Every row is of a network that we can count."""
        return _without_spec(self.rows, item)


@dataclass(frozen=True)
class Control:
    """A network outside the paper's tables that is plainly better or worse than the reference.

    Data that does not show it `at_least` so many AP above or below the reference cannot judge an ablation.
    """

    name: str
    spec: str
    at_least: Annotated[float, Above(0)]
    side: Literal["above", "below"]
    fields: dict[str, Any] = field(default_factory=dict)

    @property
    def row(self) -> Row:
        """It as a network to train, which nobody published anything of."""
        return Row(self.name, self.spec, self.fields)


@dataclass(frozen=True)
class Claim:
    """One of the paper's sentences, as two rows of the study by their specs, of which it says that one is the better.

    within: AP points, where it says instead that the two are comparable; how near that is, is the study's to say.
    sentence: as printed. place: its section and table.
    """

    better: str
    worse: str
    sentence: str
    place: str
    within: Annotated[float | None, Above(0)] = None


@dataclass(frozen=True)
class Campaign:
    """The rows of ablations measured in one setting and judged: controls, intervals, and which claims held.

    recipe, seeds: what `ablate` trains with unless told otherwise. val_people: the fewest to score on for a judgement.
    reference: the row, by its spec, that all differences are against. reference_ap: its lowest and highest AP at which
    the data is taken to be neither too hard nor too easy to tell networks apart.
    """

    kind: Literal["campaign"]
    title: str
    source: str
    rows: tuple[Row, ...]
    reference: str
    controls: tuple[Control, ...] = ()
    claims: tuple[Claim, ...] = ()
    recipe: str = "quick"
    seeds: tuple[Annotated[int, AtLeast(0)], ...] = (1, 2, 3)
    val_people: Annotated[int, AtLeast(1)] = 4000
    reference_ap: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()
    name: str = ""

    def problems(self, item: Item) -> Iterator[Problem]:
        """Every row is of a network that we can count; the reference and the claims name rows, each by one spec."""
        yield from _without_spec(self.rows, item)
        specs = [row.spec or row.same_as.partition("/")[2] for row in self.rows]
        for spec in dict.fromkeys(spec for spec in specs if spec and specs.count(spec) > 1):
            yield item.problem(f"two rows have the spec {spec!r}; here a row is named by its spec", "rows")
        named = [("reference", self.reference, item)]
        for claim, place in zip(self.claims, _places(item, "claims"), strict=True):
            named += [("claims.better", claim.better, place), ("claims.worse", claim.worse, place)]
        for where, spec, place in named:
            if spec not in specs:
                yield place.problem(f"no row has the spec {spec!r}{nearest(spec, specs)}", where)


@dataclass(frozen=True)
class Scatter:
    """Complexity against accuracy, as in the paper's Figure 4.

    rows: the published points. measured: the studies whose trained rows are drawn beside them.
    """

    kind: Literal["scatter"]
    title: str
    source: str
    rows: tuple[Row, ...]
    measured: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True)
class Layer:
    """One printed line of a structure table.

    layer, operator: as printed. block, scope: the block that it is in our graphs, and the part of that block (the start
    of its leaves' names; the rest of it if empty). resolutions: input size / output size, a branch each. modules: how
    many the stage has, a network each.
    """

    layer: str
    operator: str
    block: str
    resolutions: tuple[int, ...]
    channels: tuple[int, ...]
    repeat: int
    modules: tuple[int, ...]
    scope: str = ""


@dataclass(frozen=True)
class Structure:
    """How networks are put together, layer by layer, as in the paper's Table 1.

    rows: the networks, one column each; their published totals hold at `size` (H, W). layers: the printed lines.
    """

    kind: Literal["structure"]
    title: str
    source: str
    rows: tuple[Row, ...]
    layers: tuple[Layer, ...]
    size: tuple[int, int] = (256, 256)
    outputs: int = 16
    notes: tuple[str, ...] = ()
    name: str = ""

    def problems(self, item: Item) -> Iterator[Problem]:
        """Every row is of a network that we can count."""
        return _without_spec(self.rows, item)


@dataclass(frozen=True)
class Formula:
    """One printed line of a unit complexity table.

    formula: which of `archlab.report.units.FORMULAS` computes it. theory: the formula as printed. mflops: as printed.
    """

    name: str
    formula: str
    single_resolution: bool
    cross_resolution: bool
    theory: str
    mflops: float


@dataclass(frozen=True)
class Unit:
    """A real block, counted at the same maps: `block` of the table of blocks with its arguments."""

    name: str
    block: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class UnitComplexity:
    """The multiply-adds of units on given maps, by printed formula and as really built, as in the paper's Table 2.

    maps: (channels, height, width), a resolution each. notes, unit_notes: remarks on formulas and on real units.
    """

    kind: Literal["unit_complexity"]
    title: str
    source: str
    maps: tuple[tuple[int, int, int], ...]
    formulas: tuple[Formula, ...]
    units: tuple[Unit, ...] = ()
    notes: tuple[str, ...] = ()
    unit_notes: tuple[str, ...] = ()
    name: str = ""


Trainable = Ablation | Campaign
Study = Ablation | Campaign | Scatter | Structure | UnitComplexity
KINDS: dict[str, type[Study]] = {
    "ablation": Ablation,
    "campaign": Campaign,
    "scatter": Scatter,
    "structure": Structure,
    "unit_complexity": UnitComplexity,
}
SEARCH = "search"
"""The kind of a study whose file `archlab.search.study` reads."""
FIGURES = tuple(f.name for f in fields(Published))


def load(name_or_path: str | Path) -> Study:
    """A study by its name (`table6`) or its file, its `same_as` rows filled in; InputError with every problem found."""
    path = builtin.find(name_or_path, "studies", "*.yaml", "study")
    study, item = _read(path)
    if isinstance(study, UnitComplexity):
        return study
    resolved: list[Row] = []
    problems: list[Problem] = []
    for row, place in zip(study.rows, _places(item), strict=True):
        try:
            resolved.append(_resolved(row, place, path))
        except InputError as error:
            problems.extend(error.problems)
    if problems:
        raise InputError(problems)
    study = replace(study, rows=tuple(resolved))
    return _named_alike(study, path) if isinstance(study, Campaign) else study


def load_ablation(name_or_path: str | Path) -> Ablation:
    """A study whose rows can be trained; InputError for one of another kind."""
    study = load(name_or_path)
    if not isinstance(study, Ablation):
        raise InputError(Problem(f"{study.name} is of kind {study.kind}; only an ablation is trained", field="study"))
    return study


def networks(study: Trainable) -> tuple[Row, ...]:
    """All that a study trains: its rows, and a campaign's controls after them."""
    return study.rows if isinstance(study, Ablation) else (*study.rows, *(control.row for control in study.controls))


def names() -> list[str]:
    """The studies that travel with the package, its searches aside."""
    found = builtin.names("studies", "*.yaml")
    return [name for name, path in found.items() if read(path).entries["kind"].value != SEARCH]


def rows_to_train(studies: Iterable[Ablation]) -> list[Row]:
    """The distinct networks of some studies, in the order they are first met."""
    kept: dict[tuple[str, str], Row] = {}
    for study in studies:
        for row in study.rows:
            kept.setdefault((row.spec, repr(sorted(row.fields.items()))), row)
    return list(kept.values())


def _read(path: Path) -> tuple[Study, Item]:
    """A study as its file says it, and the file."""
    item = read(path)
    return replace(parse(item, _kind(item)), name=path.stem), item


def _kind(item: Item) -> type[Study]:
    kind = item.value.get("kind") if isinstance(item.value, dict) else None
    if kind is None:
        raise InputError(item.problem(f"a study needs a kind: {', '.join(KINDS)}", "kind"))
    if kind.value == SEARCH:
        rule = f"{Path(item.file).stem} is a search: `archlab search` runs it and writes its report"
        raise InputError(kind.problem(rule, "kind"))
    if not isinstance(kind.value, str) or kind.value not in KINDS:
        raise InputError(
            kind.problem(f"no kind of study is called {kind.shown()}{nearest(str(kind.value), KINDS)}", "kind")
        )
    return KINDS[kind.value]


def _without_spec(rows: Sequence[Row], item: Item) -> Iterator[Problem]:
    for row, place in zip(rows, _places(item), strict=True):
        if not row.spec and not row.same_as:
            yield place.problem(f"the row {row.name!r} needs the variant that it counts", "rows.spec")


def _places(item: Item, name: str = "rows") -> tuple[Item, ...]:
    """Where the rows, or the parts of another list, of a study's file stand."""
    assert isinstance(item.value, dict)
    places = item.value[name].value if name in item.value else ()
    assert isinstance(places, tuple)
    return places


def _found(spec: str, path: Path) -> str:
    """A spec that a study names by its file, found beside the study; another as it is."""
    there = path.parent / spec
    return str(there) if spec.endswith((".yaml", ".yml")) and there.is_file() else spec


def _named_alike(study: Campaign, path: Path) -> Campaign:
    """A campaign whose controls, reference and claims name specs as its resolved rows do."""
    return replace(
        study,
        reference=_found(study.reference, path),
        controls=tuple(replace(each, spec=_found(each.spec, path)) for each in study.controls),
        claims=tuple(
            replace(each, better=_found(each.better, path), worse=_found(each.worse, path)) for each in study.claims
        ),
    )


def _resolved(row: Row, place: Item, path: Path) -> Row:
    """The row itself, its spec found beside this file if it is a path, or the row that it is the same as."""
    if not row.same_as:
        return replace(row, spec=_found(row.spec, path))
    study_name, _, spec = row.same_as.partition("/")
    beside = path.parent / f"{study_name}.yaml"
    if not spec or not beside.is_file():
        hint = nearest(study_name, sorted(other.stem for other in path.parent.glob("*.yaml")))
        raise InputError(
            place.problem(f"{row.same_as!r} is no STUDY/SPEC of a study beside this file{hint}", "rows.same_as")
        )
    other, _ = _read(beside)
    rows = {} if isinstance(other, UnitComplexity) else {each.spec: each for each in other.rows if each.spec}
    if spec not in rows:
        raise InputError(
            place.problem(f"no row of {study_name} has the spec {spec!r}{nearest(spec, rows)}", "rows.same_as")
        )
    return _resolved(rows[spec], place, beside)
