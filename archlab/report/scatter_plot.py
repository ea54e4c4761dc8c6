"""The plot of complexity against accuracy: points, the Pareto front, and names that do not overlap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from textwrap import wrap

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from archlab.counting.count import MEBI
from archlab.report.labels import LEADER, XY, Box, place
from archlab.report.pareto import Panel, Point
from archlab.report.style import GREY, LINES, MEASURED, PUBLISHED, styled

MARKER, LABEL_SIZE = 7.0, 8.0
CROWD = 16
"""The largest number of points for panels two in a row."""
WIDE = 8.0
"""The ratio of costs from which on their axis is logarithmic."""
REMARK_WIDTH, REMARK_LEADING = 72, 11.5  # characters, points


def figure(panels: Sequence[Panel]) -> Figure:
    """Return the plot of some panels and one legend for all: two in a row; one if it is alone or one has many points.

    `archlab.report.style.save` writes it.
    """
    with styled():
        return _draw(panels)


def _draw(panels: Sequence[Panel]) -> Figure:
    crowded = len(panels) == 1 or any(len(panel.points) > CROWD for panel in panels)
    columns, height = (1, 6.0) if crowded else (2, 4.5)
    rows = -(-len(panels) // columns)
    made = Figure(figsize=(10.5, height * rows + 0.5), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12))
    FigureCanvasAgg(made)
    axes = [*made.subplots(rows, columns, squeeze=False).flat]
    for ax, panel in zip(axes, panels, strict=False):
        _draw_panel(ax, panel)
    for ax in axes[len(panels) :]:
        ax.set_axis_off()
    made.legend(handles=_legend(panels), loc="outside lower center", ncols=4, frameon=False)
    made.draw_without_rendering()
    made.set_layout_engine("none")
    for ax, panel in zip(made.axes, panels, strict=False):
        _draw_labels(ax, panel)
    return made


def _draw_panel(ax: Axes, panel: Panel) -> None:
    colour, marker = (MEASURED, "D") if panel.measured else (PUBLISHED, "o")
    scale, unit = _unit(panel)
    front = panel.front
    _limits(ax, panel.points, scale)
    remark = "\n".join(line for each in panel.remark.splitlines() for line in wrap(each, REMARK_WIDTH))
    pad = 20 + REMARK_LEADING * remark.count("\n")
    ax.set_title(panel.title, loc="left", fontsize=10, fontweight="bold", pad=pad)
    ax.text(0, 1.02, remark, transform=ax.transAxes, color=GREY, fontsize=8.5, gid="remark")
    ax.set_xlabel(unit)
    ax.set_ylabel(panel.y_label)
    ax.grid(color=LINES, linewidth=0.7)
    steps = [(point.cost / scale, point.score) for point in front]
    ax.step([*(x for x, _ in steps), ax.get_xlim()[1]], [*(y for _, y in steps), steps[-1][1]], where="post",
            color=colour, linewidth=1.3, alpha=0.55, zorder=2)  # fmt: skip
    for point in panel.points:
        ax.errorbar(point.cost / scale, point.score, yerr=point.deviation, fmt=marker, color=colour, markersize=MARKER,
                    markerfacecolor=colour if point in front else "white", markeredgewidth=1.4,
                    ecolor=(colour, 0.45), capsize=2.5, elinewidth=1.0, zorder=4)  # fmt: skip


def _unit(panel: Panel) -> tuple[float, str]:
    """Return what to divide costs by, and the axis's title."""
    if panel.x_label:
        return 1.0, panel.x_label
    if max(point.cost for point in panel.points) < 512 * MEBI:
        return MEBI, "MFLOPs (2²⁰) by the paper's counter"
    return MEBI * 1024, "GFLOPs (2³⁰) by the paper's counter"


def _limits(ax: Axes, points: Sequence[Point], scale: float) -> None:
    """Leave room around the points for their names."""
    xs = [point.cost / scale for point in points]
    lows = [point.score - (point.deviation or 0) for point in points]
    highs = [point.score + (point.deviation or 0) for point in points]
    room = max(0.16 * (max(highs) - min(lows)), 0.5)
    ax.set_ylim(min(lows) - room, max(highs) + room)
    if max(xs) > WIDE * min(xs):
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        ax.xaxis.set_minor_locator(NullLocator())
        ax.xaxis.set_major_formatter("{x:g}")
        ax.set_xlim(min(xs) / 1.7, max(xs) * 1.7)
        return
    span = max(xs) - min(xs) or max(xs)
    ax.set_xlim(max(0.0, min(xs) - 0.4 * span), max(xs) + 0.25 * span)


def _legend(panels: Sequence[Panel]) -> list[Line2D]:
    kinds = [(False, "published", PUBLISHED, "o"), (True, "measured here", MEASURED, "D")]
    handles = []
    for measured, word, colour, marker in kinds:
        if any(panel.measured == measured for panel in panels):
            style = {"marker": marker, "markersize": MARKER, "markeredgewidth": 1.4, "color": colour}
            handles += [
                Line2D([], [], linewidth=1.3, label=f"{word}, on the Pareto front", **style),  # type: ignore[arg-type]
                Line2D([], [], linestyle="", markerfacecolor="white", label=f"{word}, off it", **style),  # type: ignore[arg-type]
            ]
    if any(point.deviation for panel in panels for point in panel.points):
        whisker = "standard deviation over seeds"
        handles.append(Line2D([], [], linestyle="", marker="|", markersize=10, color=GREY, label=whisker))
    return handles


def _draw_labels(ax: Axes, panel: Panel) -> None:
    """Write the names of a panel's points."""
    scale, _ = _unit(panel)
    pixels: list[XY] = [tuple(ax.transData.transform((p.cost / scale, p.score))) for p in panel.points]
    lines = [*_front_lines(ax, panel.front, scale), *_whiskers(ax, panel.points, pixels)]
    write_labels(ax, [point.label for point in panel.points], pixels, lines, marker=MARKER)


def write_labels(
    ax: Axes, labels: Sequence[str], pixels: Sequence[XY], lines: Sequence[tuple[XY, XY]], *, marker: float
) -> None:
    """Write each point's name next to it, joined by a thin line where the name is not close, and clear of `lines`.

    pixels: the points; lines: their ends; both in pixels. marker: the size of a point's marker in points.
    """
    names = [label.replace(" (", "\n(") for label in labels]
    sizes = [text_size(ax, name) for name in names]
    boxes = place(sizes, pixels, bounds(ax), lines=lines, marker=marker * ax.figure.dpi / 72 + 4)
    inverse = ax.transData.inverted()
    for name, box, point in zip(names, boxes, pixels, strict=True):
        if box is None:  # more names than the panel has room for
            continue
        x, y = inverse.transform(((box.left + box.right) / 2, (box.bottom + box.top) / 2))
        side = "left" if box.left > point[0] else "right" if box.right < point[0] else "center"
        ax.text(x, y, name, fontsize=LABEL_SIZE, ha="center", va="center", multialignment=side, linespacing=1.1,
                zorder=5, gid="label")  # fmt: skip
        end = box.nearest(point)
        if math.dist(end, point) > LEADER:
            ax.plot(
                *zip(inverse.transform(point), inverse.transform(end), strict=True), color=GREY, linewidth=0.6, zorder=3
            )


def text_size(ax: Axes, text: str) -> XY:
    """Return the width and height of a label in pixels, with a small margin."""
    drawn = ax.text(0, 0, text, fontsize=LABEL_SIZE, linespacing=1.1)
    extent = drawn.get_window_extent()
    drawn.remove()
    return extent.width + 4, extent.height + 2


def bounds(ax: Axes) -> Box:
    """Return the area of the axes in pixels, less a small margin."""
    extent = ax.get_window_extent()
    return Box(extent.x0, extent.y0, extent.x1, extent.y1).grown(-2)


def _whiskers(ax: Axes, points: Sequence[Point], pixels: Sequence[XY]) -> list[tuple[XY, XY]]:
    height = ax.transData.transform((0, 1))[1] - ax.transData.transform((0, 0))[1]
    reaches = [height * (point.deviation or 0.0) for point in points]
    return [((x, y - reach), (x, y + reach)) for (x, y), reach in zip(pixels, reaches, strict=True) if reach]


def _front_lines(ax: Axes, front_points: Sequence[Point], scale: float) -> list[tuple[XY, XY]]:
    """Return the segments of the front's step line in pixels."""
    front = [(point.cost / scale, point.score) for point in front_points]
    corners = [front[0]]
    for x, y in front[1:]:
        corners += [(x, corners[-1][1]), (x, y)]
    corners.append((ax.get_xlim()[1], corners[-1][1]))
    pixels: list[XY] = [tuple(ax.transData.transform(corner)) for corner in corners]
    return list(pairwise(pixels))
