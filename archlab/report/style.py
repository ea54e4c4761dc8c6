"""The look of every plot, defined once: colours, typeface, and how a figure is written."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from archlab.core.figures import save_figure

# Okabe and Ito's blue and vermillion: distinguishable with every common form of colour blindness.
PUBLISHED, MEASURED = "#0072B2", "#D55E00"
GREY, LINES = "#555555", "#E6E6E6"
STYLE: Any = {
    "font.family": "DejaVu Sans", "font.size": 9.0, "axes.spines.top": False, "axes.spines.right": False,
    "axes.edgecolor": GREY, "xtick.color": GREY, "ytick.color": GREY, "axes.axisbelow": True, "svg.hashsalt": "archlab",
}  # fmt: skip
DPI = 200


def styled(**changes: Any) -> AbstractContextManager[None]:
    """Apply the style within a `with` block. `changes`: matplotlib settings that differ from it."""
    return mpl.rc_context(STYLE | changes)


def save(figure: Figure, paths: Sequence[Path]) -> None:
    """Write a figure to each path, in the format of its ending. Equal figures give equal bytes."""
    with styled():
        for path in paths:
            save_figure(figure, path, DPI)
