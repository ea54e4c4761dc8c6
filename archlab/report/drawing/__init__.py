"""Drawings of networks as SVG: the block graph like Lite-HRNet's Figure 2, and blocks from inside like its Figure 1."""

from archlab.report.drawing.sheet import draw, draw_block

__all__ = ["draw", "draw_block"]
