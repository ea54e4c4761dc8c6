"""The block graphs of candidates as SVG, compressed so that a page can hold hundreds."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Sequence

from archlab.core.errors import InputError
from archlab.core.progress import progress
from archlab.counting.count import cost
from archlab.network.graph import assemble
from archlab.network.load import load_text
from archlab.report.drawing.overview import choose, overview
from archlab.report.drawing.svg import to_svg
from archlab.search.results import Candidate

BUDGET = 2_000_000
"""Characters of packed drawings in a page, about 450 drawings of networks like Lite-HRNet."""


def drawn(candidates: Sequence[Candidate], *, plugin: Sequence[str] = (), budget: int = BUDGET) -> dict[str, str]:
    """Return packed SVGs by hash, each network once, in the given order until the budget is used up.

    A spec that cannot be read, because its blocks come from a plug-in that is not given, has no drawing.
    """
    found: dict[str, str] = {}
    chosen = {candidate.hash: candidate for candidate in reversed(candidates)}
    with progress("drawing", len(chosen)) as advance:
        for candidate in reversed(chosen.values()):
            if budget <= 0:
                break
            if svg := _svg(candidate, plugin):
                found[candidate.hash] = packed(svg)
                budget -= len(found[candidate.hash])
            advance()
    return found


def packed(text: str) -> str:
    """Compress with zlib and base64, for a browser's DecompressionStream("deflate")."""
    return base64.b64encode(zlib.compress(text.encode(), 9)).decode()


def _svg(candidate: Candidate, plugin: Sequence[str]) -> str | None:
    """Draw the block graph, without the inside of its blocks."""
    try:
        graph = assemble(load_text(candidate.spec, candidate.name, plugin=plugin))
    except InputError:
        return None
    counted = cost(graph)
    picture = overview(graph, counted, choose(graph, counted))
    described = f"{len(graph.nodes)} blocks, {counted.params:,} parameters. Rows are resolutions, fine above coarse."
    return re.sub(r"\n\s*", "", to_svg(picture, f"Block graph of {candidate.name}", described))
