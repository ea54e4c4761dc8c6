"""An SVG drawing as a PNG picture."""

from __future__ import annotations

from pathlib import Path

SCALE = 2.0
"""Pixels of the picture per unit of the drawing."""


def as_png(svg: str) -> bytes:
    """Return the drawing as a PNG, in the font that Matplotlib ships: every machine makes the same picture."""
    import matplotlib
    import resvg_py

    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return resvg_py.svg_to_bytes(
        svg_string=svg,
        zoom=SCALE,
        font_dirs=[str(fonts)],
        skip_system_fonts=True,
        font_family="DejaVu Sans",
        sans_serif_family="DejaVu Sans",
    )
