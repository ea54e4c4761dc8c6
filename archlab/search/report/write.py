"""Writing the report of a search: its page, figures, tables and summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from archlab.core.files import write_text
from archlab.report import tables
from archlab.search.results import Result, read_result


def write_search(
    result: Result,
    folder: Path,
    *,
    reference_point: Mapping[str, float] | None = None,
    plugin: Sequence[str] = (),
) -> list[Path]:
    """Write `search.html`, `search.md`, `candidates.csv`, `front.csv` and the figures; return the files.

    reference_point: where hypervolume is counted from, by objective. A missing objective gets the worst value of a
        complete candidate, moved by a tenth of the range.
    plugin: modules with blocks that candidates use.

    Raises InputError for a name in `reference_point` that is no objective.
    """
    from archlab.report import style
    from archlab.search.report import figures, markdown, page
    from archlab.search.report.analysis import analyse
    from archlab.search.report.drawings import drawn
    from archlab.search.report.tables import front_records_alone, in_order, report_tables

    analysis = analyse(result, reference_point)
    graphs = drawn(in_order(analysis), plugin=plugin)
    texts = {
        "search.html": page.page(analysis, graphs),
        "search.md": markdown.markdown(analysis),
        "candidates.csv": tables.comma_separated(report_tables(analysis)),
        "front.csv": tables.comma_separated(front_records_alone(analysis)),
    }
    written = [folder / name for name in texts]
    for path, text in zip(written, texts.values(), strict=True):
        write_text(path, text)
    for name in figures.available(analysis):
        paths = [folder / f"{name}.png", folder / f"{name}.svg"]
        style.save(figures.FIGURES[name](analysis, size=figures.size_of(analysis, name)), paths)
        written += paths
    return written


def rewrite_search(path: Path, *, plugin: Sequence[str] = ()) -> list[Path]:
    """Write the report of a search again, next to its result; return the files.

    path: a `result.json`, or the folder that holds it.

    Raises InputError if there is no such result.
    """
    file = result_file(path)
    return write_search(read_result(file), file.parent, plugin=plugin)


def result_file(path: Path) -> Path:
    """Return the file of a search's result, given that or its folder."""
    return path / "result.json" if path.is_dir() else path


def is_result(name: str) -> bool:
    """Return whether a user means a search's result: a `.json` file, or a folder."""
    return Path(name).suffix == ".json" or Path(name).is_dir()
