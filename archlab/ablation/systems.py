"""The form of a study that compares systems, each at its own input and by its own counter, as the paper's Table 3."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

from archlab.ablation.printed import Printed
from archlab.ablation.row import FIGURES, CountedInput, Published, Row, input_problems, items_of
from archlab.core.errors import Problem, nearest
from archlab.yamlio import Above, AtLeast, Item

DATASETS = {(256, 192): "coco", (256, 256): "mpii"}
UNITS = {"2^20": "mflops", "2^30": "gflops"}
"""The parts of the names of a row's printed multiply-adds, by input and by unit."""


@dataclass(frozen=True)
class System:
    """One printed row: a system at an input, its printed costs and scores.

    name, group, backbone: as printed. pretrained: whether the paper pre-trains it on ImageNet, null if not printed.
    spec: the network; empty for a system that is only quoted. fields: changes to its file.
    input: (H, W), as printed; counted: the input at which the network is counted, if not the printed one, and why.
    outputs: the number of outputs at which it is counted, if not the study's.
    params, flops: the printed costs. scores: the printed scores, by the names of the study's columns.
    reason: why a system without a spec is only quoted. heavy: whether it is trained only with `--rows all`.
    """

    name: str
    group: str = ""
    backbone: str = ""
    pretrained: bool | None = None
    spec: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    input: tuple[int, int] | None = None
    counted: tuple[int, int] | None = None
    counted_reason: str = ""
    outputs: Annotated[int | None, AtLeast(1)] = None
    params: Printed | None = None
    flops: Printed | None = None
    scores: dict[str, float] = field(default_factory=dict)
    reason: str = ""
    heavy: bool = False

    def problems(self, item: Item) -> Iterator[Problem]:
        """Check that a row is counted by a rule or quoted with a reason."""
        yield from input_problems(item, "rows.fields")
        if not self.spec and not self.reason:
            yield item.problem("a row without a spec needs a reason: why it is only quoted", "rows.reason")
        if self.spec and self.reason:
            yield item.problem("a row with a spec is not only quoted; reasons stand in params and flops", "rows.reason")
        if self.counted and not self.counted_reason:
            yield item.problem("another input than the printed one needs a reason", "rows.counted_reason")
        if self.spec and not (self.input or self.counted):
            yield item.problem("a row with a spec needs an input to be counted at", "rows.input")
        if self.spec and self.flops and self.flops.counter == "params":
            yield item.entries["flops"].problem("needs the counter of its multiply-adds", "rows.flops.counter")

    @property
    def row(self) -> Row:
        """The network of the system, as other studies have it."""
        return Row(self.label, self.spec, self.fields)

    @property
    def published_row(self) -> Row:
        """The network with the printed figures that a row of an ablation can carry: rounded, by the paper's counter."""
        figures = {name: score for name, score in self.scores.items() if name in FIGURES}
        for name, cost in self.costs.items():
            figure = f"{DATASETS.get(self.input or (0, 0))}_{UNITS.get(cost.unit)}" if name == "flops" else "params_m"
            if figure in FIGURES and cost.counter in ("params", "paper") and not cost.truncated:
                figures[figure] = float(cost.printed)
        return replace(self.row, published=Published(**figures))

    @property
    def label(self) -> str:
        """The system with its backbone, as one name: `Lite-HRNet-18`, `SimpleBaseline (ResNet-50)`."""
        if self.backbone.startswith(self.name) or self.name.startswith(self.backbone):
            return max(self.name, self.backbone, key=len)
        return f"{self.name} ({self.backbone})"

    @property
    def size(self) -> tuple[int, int]:
        """The input (H, W) at which the network is counted."""
        size = self.counted or self.input
        assert size, self.name
        return size

    @property
    def costs(self) -> dict[str, Printed]:
        """The printed costs, by name."""
        return {name: cost for name, cost in (("params", self.params), ("flops", self.flops)) if cost}


@dataclass(frozen=True)
class SystemsClaim:
    """A statement of the paper that some systems are better than others; all are named by their labels.

    figure: a column of scores, or params or flops, of which less is better.
    within: instead, they are comparable: they differ by at most this. The paper gives no limit, so the study sets it.
    input: the (H, W) of the rows that are meant, if a label has several. sentence: as printed. place: its section.
    """

    better: tuple[str, ...]
    worse: tuple[str, ...]
    figure: str
    sentence: str
    place: str
    within: Annotated[float | None, Above(0)] = None
    input: tuple[int, int] | None = None


@dataclass(frozen=True)
class Systems:
    """Systems as a paper compares them: costs counted, each printed one judged by its own rule.

    scores: the columns of printed scores: name -> heading.
    outputs: the number of outputs at which costs are counted.
    claims: what the paper states about the systems.
    recipe: how `archlab ablate` trains the light rows; empty if none is trained.
    """

    kind: Literal["systems"]
    title: str
    source: str
    rows: tuple[System, ...]
    scores: dict[str, str] = field(default_factory=dict)
    outputs: Annotated[int, AtLeast(1)] = 17
    claims: tuple[SystemsClaim, ...] = ()
    recipe: str = ""
    notes: tuple[str, ...] = ()
    name: str = ""

    def problems(self, item: Item) -> Iterator[Problem]:
        """Check that the scores of each row have a column, and that claims name rows and figures."""
        yield from self._claim_problems(item)
        for row, place in zip(self.rows, items_of(item), strict=True):
            for score in row.scores:
                if score not in self.scores:
                    message = f"no column of scores is called {score!r}{nearest(score, self.scores)}"
                    yield place.problem(message, "rows.scores")

    def _claim_problems(self, item: Item) -> Iterator[Problem]:
        figures, labels = ("params", "flops", *self.scores), [row.label for row in self.rows]
        for claim, place in zip(self.claims, items_of(item, "claims"), strict=True):
            if claim.figure not in figures:
                hint = nearest(claim.figure, figures)
                yield place.problem(f"no figure is called {claim.figure!r}{hint}", "claims.figure")
            for side in ("better", "worse"):
                for label in getattr(claim, side):
                    if label not in labels:
                        yield place.problem(f"no row has the label {label!r}{nearest(label, labels)}", f"claims.{side}")

    def counted_at(self, system: System) -> CountedInput:
        """Return the input at which a system is counted."""
        return CountedInput("Input", (3, *system.size), system.outputs or self.outputs)


@dataclass(frozen=True)
class Remark:
    """A fact about a paper that no printed cost shows. place: its section, table or code."""

    place: str
    text: str


@dataclass(frozen=True)
class Discrepancies:
    """What of some studies differs from print, with reasons. studies: their names. remarks: what no figure shows."""

    kind: Literal["discrepancies"]
    title: str
    source: str
    studies: tuple[str, ...]
    remarks: tuple[Remark, ...] = ()
    name: str = ""
