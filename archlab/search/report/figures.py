"""The figures of a search as matplotlib figures: one public function each, and how they are written."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from archlab.core.errors import InputError
from archlab.report.style import LINES, styled
from archlab.search.report import charts
from archlab.search.report.analysis import Analysis, analyse
from archlab.search.results import Result

Size = tuple[float, float]
SIZE, SMALL = (5.0, 3.4), (4.4, 3.1)
"""Inches: of a file, and of a picture in the page."""


def front(found: Result | Analysis, *, size: Size = SIZE) -> Figure:
    """Return cost against score: complete candidates, the front with its intervals, and references.

    Raises InputError if no candidate is complete.
    """
    return _figure(found, "front", charts.draw_front, size)


def hypervolume(found: Result | Analysis, *, size: Size = SIZE) -> Figure:
    """Return the hypervolume by finished candidates. Raises InputError if no candidate is complete."""
    return _figure(found, "hypervolume", charts.draw_growth, size)


def hypervolume_by_time(found: Result | Analysis, *, size: Size = SIZE) -> Figure:
    """Return the hypervolume by time. Raises InputError if no candidate is complete."""
    return _figure(found, "hypervolume_by_time", charts.draw_growth_by_time, size)


def distribution(found: Result | Analysis, *, size: Size = SIZE) -> Figure:
    """Return the share of candidates above each score, by rung. Raises InputError if no candidate was scored."""
    return _figure(found, "edf", charts.draw_distribution, size)


def bands(found: Result | Analysis, *, size: Size = SIZE) -> Figure:
    """Return the median and best score in cost bands of equal count. Raises InputError if no candidate was scored."""
    return _figure(
        found, "bands", charts.draw_bands, size, panels=lambda analysis: len(charts.shown_in_bands(analysis))
    )


def importance(found: Result | Analysis, *, size: Size = SIZE) -> Figure:
    """Return the share of the variance of scores by parameter. Raises InputError for too few candidates."""
    return _figure(found, "importance", charts.draw_importance, size)


FIGURES: dict[str, Callable[..., Figure]] = {
    "front": front,
    "hypervolume": hypervolume,
    "hypervolume_by_time": hypervolume_by_time,
    "edf": distribution,
    "bands": bands,
    "importance": importance,
}
"""The figures by the names of their files."""


def available(analysis: Analysis) -> list[str]:
    """Return the names of the figures for which the study has data."""
    complete = bool(analysis.reference_point and analysis.result.complete)
    has = {
        "front": bool(analysis.front and analysis.score),
        "hypervolume": complete,
        "hypervolume_by_time": complete,
        "edf": bool(analysis.rungs),
        "bands": bool(analysis.rungs),
        "importance": any(rung.importances for rung in analysis.rungs),
    }
    return [name for name in FIGURES if has[name]]


def svg(analysis: Analysis, name: str) -> str:
    """Return a figure as an SVG element with selectable text and a transparent background."""
    figure = FIGURES[name](analysis, size=size_of(analysis, name, SMALL))
    text = io.StringIO()
    changes: dict[str, Any] = {"svg.fonttype": "none", "svg.hashsalt": name}
    with styled(**changes):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    return text.getvalue()[text.getvalue().index("<svg") :]


def size_of(analysis: Analysis, name: str, size: Size = SIZE) -> Size:
    """Return the size of a figure that has more height for each further panel."""
    panels = len(charts.shown_in_bands(analysis)) if name == "bands" else 1
    return size[0], size[1] * (1 + 0.6 * (panels - 1))


def _figure(
    found: Result | Analysis,
    name: str,
    draw: Callable[[Any, Analysis], None],
    size: Size,
    panels: Callable[[Analysis], int] | None = None,
) -> Figure:
    """Return a figure of one panel, or of some below each other that share the axis of costs."""
    analysis = analyse(found) if isinstance(found, Result) else found
    if name not in available(analysis):
        raise InputError(f"{analysis.result.study} has too few finished candidates for the figure {name!r}")
    with styled():
        figure = Figure(figsize=size, layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.08))
        FigureCanvasAgg(figure)
        axes = [*figure.subplots(panels(analysis) if panels else 1, 1, squeeze=False)[:, 0]]
        for ax in axes:
            ax.grid(color=LINES, linewidth=0.7)
        draw(axes if panels else axes[0], analysis)
        if name == "front":
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
            charts.name_references(axes[0], analysis)
    return figure
