"""The form of a study's row: a network, its published figures, and the inputs at which it is counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any

from archlab.ablation.printed import Printed
from archlab.core.errors import Problem, nearest
from archlab.yamlio import AtLeast, Item


@dataclass(frozen=True)
class Published:
    """The paper's figures for one network; None where it prints none.

    params_m: millions of parameters.
    coco_mflops, mpii_mflops: multiply-adds in units of 2^20, by the paper's counter, at 256x192 and 256x256.
    coco_gflops, mpii_gflops: the same in units of 2^30, where the paper prints that.
    ap, ap50, ap75, ar: on COCO val, 0-100. pckh: PCKh@0.5 on MPII val, 0-100. miou: on Cityscapes val, 0-100.
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
    miou: float | None = None

    def cost(self, figure: str) -> Printed | None:
        """Return a printed cost with its rule, None without one: parameters in 10^6, MFLOPs in 2^20, one decimal."""
        value = getattr(self, figure, None)
        if value is None:
            return None
        return Printed(f"{value:.1f}") if figure == "params_m" else Printed(f"{value:.1f}", "paper", "2^20")


FIGURES = tuple(each.name for each in fields(Published))
SCORED_ON = {
    **dict.fromkeys(("ap", "ap50", "ap75", "ar"), "COCO val"),
    "pckh": "MPII val",
    "miou": "Cityscapes val",
}
"""The data sets of the published scores, by the names of their figures."""


def input_problems(item: Item, field: str) -> Iterator[Problem]:
    """Yield a problem if a network's changed fields, in `item`, hold its input, which the recipe gives."""
    for name, changed in item.entries.get("fields", Item({})).entries.items():
        if name.partition(".")[0] == "input":
            yield changed.problem("comes from the recipe", f"{field}.{name}")


@dataclass(frozen=True)
class Row:
    """One network of a study.

    name: the label that the paper prints.
    spec: the variant, a built-in name or a path; empty for a network that is only quoted (in a scatter).
    fields: changes to the variant's file.
    published: the paper's figures.
    notes: remarks on single published figures (misprints, roundings), by the name of the figure.
    heavy: whether an ablation trains the row only with `--rows all`.
    same_as: `STUDY/SPEC`, instead of all other fields: use that study's row, so that each figure is in one file only.
    Of a system at several inputs it is the first row.
    """

    name: str = ""
    spec: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    published: Published = Published()
    notes: dict[str, str] = field(default_factory=dict)
    heavy: bool = False
    same_as: str = ""

    @property
    def network(self) -> tuple[str, str]:
        """What tells the row's network from others: its variant and the changes to it."""
        return self.spec, repr(sorted(self.fields.items()))

    def problems(self, item: Item) -> Iterator[Problem]:
        """Check that the row has a name or is `same_as` another, and that its notes are on figures it publishes."""
        if self.same_as:
            if replace(self, same_as="") != Row():
                yield item.problem("a row with same_as takes no other field", "rows.same_as")
            return
        if not self.name:
            yield item.problem("a row needs the name that is printed for it", "rows.name")
        yield from input_problems(item, "rows.fields")
        for figure in self.notes:
            if figure not in FIGURES:
                message = f"no published figure is called {figure!r}{nearest(figure, FIGURES)}"
                yield item.problem(message, "rows.notes")
            elif getattr(self.published, figure) is None:
                yield item.problem(f"a note on {figure}, which the row does not publish", "rows.notes")


@dataclass(frozen=True)
class CountedInput:
    """An input (C, H, W) and a number of outputs at which networks are counted. name: for headings, as `COCO`."""

    name: str
    input: tuple[int, int, int]
    outputs: Annotated[int, AtLeast(1)]

    @property
    def label(self) -> str:
        return f"{self.name} {self.input[1]}×{self.input[2]}".strip()

    @property
    def key(self) -> str:
        """The name as it begins the names of figures: `coco` of `coco_mflops`."""
        return self.name.lower().replace(" ", "_")


PAPER_INPUTS = (CountedInput("COCO", (3, 256, 192), 17), CountedInput("MPII", (3, 256, 256), 16))
"""The inputs and heat-maps that the paper's costs are for."""


def without_spec(rows: Sequence[Row], item: Item) -> Iterator[Problem]:
    """Yield a problem for each row that names no network."""
    for row, place in zip(rows, items_of(item), strict=True):
        if not row.spec and not row.same_as:
            yield place.problem(f"the row {row.name!r} needs a spec: the network that it counts", "rows.spec")


def items_of(item: Item, name: str = "rows") -> tuple[Item, ...]:
    """Return the items of the rows, or of another list, of a study's file, with their places in it."""
    places = item.entries[name].value if name in item.entries else ()
    assert isinstance(places, tuple)
    return places
