"""The networks of the front page: what each costs and how it is drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import archlab
from archlab.core import builtin
from archlab.core.progress import progress
from archlab.counting.count import MEBI, Cost, cost
from archlab.network.graph import assemble
from archlab.network.spec import Spec
from archlab.report.drawing.overview import choose, overview
from archlab.report.drawing.svg import to_svg


@dataclass(frozen=True)
class Entry:
    """A network at the input size of its file. family: the folder of its file. blocks: how many it has."""

    name: str
    family: str
    spec: Spec
    blocks: int
    cost: Cost
    svg: str

    def cells(self) -> tuple[str, ...]:
        """Return family, input, outputs, blocks, parameters, fvcore's multiply-adds in 10^6, the paper's in 2^20."""
        total, (_, height, width) = self.cost.total, self.spec.input
        return (
            self.family.replace("_", " "),
            f"{height}×{width}",
            str(self.spec.outputs),
            str(self.blocks),
            f"{total.params:,}",
            f"{total.fvcore / 1e6:,.1f}",
            f"{total.paper / MEBI:,.1f}",
        )


COLUMNS = ("Network", "Family", "Input", "Outputs", "Blocks", "Parameters", "Multiply-adds, fvcore, 10⁶",
           "MFLOPs, as paper, 2²⁰")  # fmt: skip
WORDS = 2
"""How many of the columns are text."""


def entries() -> Iterator[Entry]:
    """Count and draw every network that comes with archlab."""
    paths = builtin.names("search_spaces", "*/*.yaml")
    names = archlab.list_networks()
    with progress("drawing networks", len(names)) as advance:
        for name in names:
            yield entry(name, paths[name])
            advance()


def entry(name: str, path: Path) -> Entry:
    """Count and draw one network, without the inside of its blocks."""
    spec = archlab.load(path)
    graph = assemble(spec)
    counted = cost(graph)
    picture = overview(graph, counted, choose(graph, counted))
    described = f"{len(graph.nodes)} blocks. Rows are resolutions, fine above coarse."
    svg = to_svg(picture, f"Block graph of {name}", described)
    return Entry(name, path.parent.name, spec, len(graph.nodes), counted, svg)
