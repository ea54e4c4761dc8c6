"""Writing the report of a search: its page, pictures, tables and summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from archlab.core.files import write_text
from archlab.report import tables
from archlab.search.results import Result


def write_search(
    result: Result,
    folder: Path,
    *,
    reference_point: Mapping[str, float] | None = None,
    plugin: Sequence[str] = (),
) -> list[Path]:
    """Write `search.html`, `search.md`, `candidates.csv`, `front.csv` and the pictures; the files written.

    `reference_point`: where hypervolume is counted from, by objective; what it leaves out is the worst complete
    candidate's and a tenth of the range. `plugin` names modules with blocks that the candidates may use. Raises
    InputError for a name in `reference_point` that is not an objective.
    """
    from archlab.search.report import figures, page
    from archlab.search.report import markdown as summary
    from archlab.search.report import tables as listings
    from archlab.search.report.analysis import analyse
    from archlab.search.report.drawings import drawn

    analysis = analyse(result, reference_point)
    graphs = drawn(listings.in_order(analysis), plugin=plugin)
    texts = {
        "search.html": page.page(analysis, graphs),
        "search.md": summary.markdown(analysis),
        "candidates.csv": tables.comma_separated(listings.document(analysis)),
        "front.csv": tables.comma_separated(listings.front_document(analysis)),
    }
    written = [folder / name for name in texts]
    for path, text in zip(written, texts.values(), strict=True):
        write_text(path, text)
    for name, draw in figures.drawings(analysis).items():
        paths = [folder / f"{name}.png", folder / f"{name}.svg"]
        figures.save(draw, analysis, paths)
        written += paths
    return written
