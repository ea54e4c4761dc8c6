"""The forms of studies that are pictures: drawings of networks, and predictions drawn on what a network looks at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from archlab.ablation.row import Row, input_problems
from archlab.core.errors import Problem, nearest
from archlab.yamlio import AtLeast, Item


@dataclass(frozen=True)
class DrawnPart:
    """What of a network is drawn. blocks: kinds of blocks, whose insides are shown; if empty, its block graph."""

    spec: str
    blocks: tuple[Item, ...] = ()
    fields: dict[str, Any] = field(default_factory=dict)

    def problems(self, item: Item) -> Iterator[Problem]:
        """Check that blocks are named by text."""
        for block in self.blocks:
            if not isinstance(block.value, str):
                yield block.problem(f"expected the name of a block, found {block.shown()}", "parts.blocks")

    def unknown(self, known: Sequence[str]) -> Iterator[Problem]:
        """Yield a problem for each block that the network, which has the `known` ones, does not have."""
        for block in self.blocks:
            if block.value not in known:
                rule = f"{self.spec} has no block {block.value!r}{nearest(str(block.value), known)}"
                yield block.problem(rule, "parts.blocks")


@dataclass(frozen=True)
class Drawing:
    """Parts of networks in one drawing, as in the paper's Figures 1 and 2."""

    kind: Literal["drawing"]
    title: str
    source: str
    parts: tuple[DrawnPart, ...]
    name: str = ""


@dataclass(frozen=True)
class Predictions:
    """What a trained network finds, drawn on pictures, as in the paper's Figure 3.

    spec: the network; fields: changes to its file.
    recipe: how `archlab ablate` trains it, and the data whose validation pictures are drawn on.
    pictures: their number; they are evenly spaced through the set.
    """

    kind: Literal["predictions"]
    title: str
    source: str
    spec: str
    recipe: str = "quick"
    pictures: Annotated[int, AtLeast(1)] = 12
    fields: dict[str, Any] = field(default_factory=dict)
    name: str = ""

    def problems(self, item: Item) -> Iterator[Problem]:
        """Check that the network's input is left to the recipe."""
        return input_problems(item, "fields")

    @property
    def row(self) -> Row:
        """The network, as other studies have it."""
        return Row(self.spec, self.spec, self.fields)
