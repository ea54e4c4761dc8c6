"""Matplotlib figures without pyplot's global state."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from archlab.core.files import replacing

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of this size in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=140)
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path, dpi: float | None = None) -> None:
    """Write a figure in the format of the path's ending; equal figures give equal bytes. dpi: by default its own."""
    metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=dpi or "figure", metadata=metadata)
