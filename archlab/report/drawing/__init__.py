"""Drawings of networks as SVG: the block graph, as in Lite-HRNet's Figure 2, and insides of blocks, as in Figure 1."""

from archlab.report.drawing.sheet import draw, draw_block, draw_parts, kinds

__all__ = ["draw", "draw_block", "draw_parts", "kinds"]
