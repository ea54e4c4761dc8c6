"""The form of a study file: a table or figure of a paper whose rows name networks and carry the published figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from archlab.ablation.drawings import Drawing, Predictions
from archlab.ablation.row import CountedInput, Row, input_problems, items_of, without_spec
from archlab.ablation.systems import Discrepancies, System, Systems
from archlab.core.errors import Problem, nearest
from archlab.yamlio import Above, AtLeast, Item


@dataclass(frozen=True)
class Ablation:
    """Networks to be trained alike and compared, as in the paper's Tables 6 and 7.

    recipe: the default recipe of `archlab ablate`.
    counted_at: where costs are counted. By default at the inputs of Lite-HRNet's tables, COCO 256x192 and MPII 256x256,
    or, if the networks were trained for another task than pose, at their training input.
    notes: remarks on the whole table.
    """

    kind: Literal["ablation"]
    title: str
    source: str
    rows: tuple[Row, ...]
    recipe: str = "quick"
    counted_at: tuple[CountedInput, ...] = ()
    notes: tuple[str, ...] = ()
    name: str = ""

    def problems(self, item: Item) -> Iterator[Problem]:
        """Check that every row names a network that can be counted."""
        return without_spec(self.rows, item)


@dataclass(frozen=True)
class Control:
    """A network outside the paper's tables that is clearly better or worse than the reference.

    Its score must differ from the reference's by at least `at_least` points of the campaign's metric. Data that does
    not show this cannot judge an ablation.
    """

    name: str
    spec: str
    at_least: Annotated[float, Above(0)]
    side: Literal["above", "below"]
    fields: dict[str, Any] = field(default_factory=dict)

    def problems(self, item: Item) -> Iterator[Problem]:
        """Check that the control does not change its network's input."""
        return input_problems(item, "controls.fields")

    @property
    def row(self) -> Row:
        """The control as a row without published figures."""
        return Row(self.name, self.spec, self.fields)


@dataclass(frozen=True)
class Claim:
    """A statement of the paper that one row of the study is better than another; both are named by their specs.

    within: instead, the two are comparable: they differ by at most this many points of the campaign's metric. The paper
    gives no limit, so the study sets it.
    sentence: as printed. place: its section and table.
    pckh: the printed difference, of a claim on PCKh@0.5; for a claim on AP it follows from the rows.
    """

    better: str
    worse: str
    sentence: str
    place: str
    within: Annotated[float | None, Above(0)] = None
    pckh: float | None = None


FIRST_SEEDS = 2
"""The seeds of a campaign's own rows that are run before any further row: fewer give no error over seeds."""


@dataclass(frozen=True)
class Further:
    """Rows that a campaign runs after its own ones, and claims about them."""

    rows: tuple[Row, ...] = ()
    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True)
class Campaign:
    """The rows of several ablations, measured in one setting and judged: controls, intervals and claims.

    extends: another campaign, by its name in the same folder, whose fields this one changes; one level.
    metric: the name of the figure that is judged, as in a search's objectives.
    needs_gpu: whether its recipe is meant for a GPU. limits: what its verdicts mean, and what its data cannot show.
    further: what is run once the campaign's own rows and controls are, from the first two seeds.
    recipe, seeds: the defaults of `archlab ablate`.
    val_people: the smallest number of people to score on for a judgement.
    reference: the spec of the row that all differences are taken from.
    reference_ap: the range of AP of the reference in which the data is neither too hard nor too easy to tell networks
    apart.
    """

    kind: Literal["campaign"]
    title: str
    source: str
    rows: tuple[Row, ...]
    reference: str
    controls: tuple[Control, ...] = ()
    claims: tuple[Claim, ...] = ()
    further: Further = Further()
    recipe: str = "quick"
    seeds: tuple[Annotated[int, AtLeast(0)], ...] = (1, 2, 3)
    val_people: Annotated[int, AtLeast(1)] = 4000
    reference_ap: tuple[float, float] | None = None
    metric: str = "ap"
    needs_gpu: bool = True
    limits: tuple[str, ...] = ()
    extends: str = ""
    notes: tuple[str, ...] = ()
    name: str = ""

    def problems(self, item: Item) -> Iterator[Problem]:
        """Check that every row can be counted, that no two share a spec, and that reference and claims name rows."""
        parts: list[tuple[Campaign | Further, Item]] = [(self, item)]
        parts += [(self.further, item.entries["further"])] if "further" in item.entries else []
        for part, place in parts:
            yield from without_spec(part.rows, place)
        specs = [row.spec or row.same_as.partition("/")[2] for row in self.all_rows]
        for spec in dict.fromkeys(spec for spec in specs if spec and specs.count(spec) > 1):
            yield item.problem(f"two rows have the spec {spec!r}; a campaign's rows are named by their specs", "rows")
        named = [("reference", self.reference, item)]
        for part, whole in parts:
            for claim, place in zip(part.claims, items_of(whole, "claims"), strict=True):
                named += [("claims.better", claim.better, place), ("claims.worse", claim.worse, place)]
        for where, spec, place in named:
            if spec not in specs:
                yield place.problem(f"no row has the spec {spec!r}{nearest(spec, specs)}", where)

    @property
    def all_rows(self) -> tuple[Row, ...]:
        """The campaign's own rows and the further ones."""
        return *self.rows, *self.further.rows

    @property
    def all_claims(self) -> tuple[Claim, ...]:
        """The campaign's own claims and those about further rows."""
        return *self.claims, *self.further.claims


@dataclass(frozen=True)
class PublishedPanel:
    """The published scores of some systems against our counts of them, by the paper's counter.

    title: the data and input. score: a column of the studies `systems`; y_label: its title.
    input: the (H, W) of the rows that are shown; null for all.
    """

    title: str
    score: str
    y_label: str
    systems: tuple[str, ...]
    input: tuple[int, int] | None = None


@dataclass(frozen=True)
class Scatter:
    """Complexity against accuracy, as in the paper's Figure 4.

    rows: the published points of the paper's own panels. panels: further panels of published points, from systems.
    measured: the studies, ablations or systems, whose trained rows get panels of their own.
    """

    kind: Literal["scatter"]
    title: str
    source: str
    rows: tuple[Row, ...] = ()
    panels: tuple[PublishedPanel, ...] = ()
    measured: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    name: str = ""


@dataclass(frozen=True)
class Layer:
    """One printed line of a structure table.

    layer, operator: as printed.
    block: the block that it is in our graphs.
    scope: the part of that block, as the start of its leaves' names; if empty, what the other lines leave of it.
    resolutions: input size / output size of each branch.
    modules: the number of modules of the stage in each network.
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
    """The structure of some networks, layer by layer, as in the paper's Table 1.

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
        """Check that every row names a network that can be counted."""
        return without_spec(self.rows, item)


@dataclass(frozen=True)
class Formula:
    """One printed line of a unit complexity table.

    formula: which of `archlab.ablation.units.FORMULAS` computes it. theory: the formula as printed. mflops: as printed.
    """

    name: str
    formula: str
    single_resolution: bool
    cross_resolution: bool
    theory: str
    mflops: float


@dataclass(frozen=True)
class Unit:
    """A real block to be counted on the same maps. block: its name; arguments: its arguments."""

    name: str
    block: str
    arguments: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class UnitComplexity:
    """The multiply-adds of units on given maps, by printed formula and as built, as in the paper's Table 2.

    maps: (channels, height, width) of each resolution. notes, unit_notes: remarks on formulas and on built units.
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


Trainable = Ablation | Campaign | Predictions | Systems
Study = Ablation | Campaign | Discrepancies | Drawing | Predictions | Scatter | Structure | Systems | UnitComplexity
KINDS: dict[str, type[Study]] = {
    "ablation": Ablation,
    "campaign": Campaign,
    "discrepancies": Discrepancies,
    "drawing": Drawing,
    "predictions": Predictions,
    "scatter": Scatter,
    "structure": Structure,
    "systems": Systems,
    "unit_complexity": UnitComplexity,
}
SEARCH = "search"
"""The kind of a study file that `archlab.search.config` reads."""


def networks(study: Trainable, *, heavy: bool = False) -> tuple[Row, ...]:
    """Return all networks that a study trains: its rows, then a campaign's controls. heavy: with heavy systems."""
    if isinstance(study, Predictions):
        return (study.row,)
    if isinstance(study, Campaign):
        return (*study.all_rows, *(each.row for each in study.controls))
    light = [each for each in study.rows if each.spec and (heavy or not each.heavy)]
    rows = [each.row if isinstance(each, System) else each for each in light]
    return tuple({row.network: row for row in rows}.values())
