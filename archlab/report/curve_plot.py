"""The plot of scores against training samples: a line per network, with its name at its end."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from archlab.report.stability import Curve, budgets_of
from archlab.report.style import GREY, LINES, styled
from archlab.training.budgets import samples_text

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#222222")
"""Okabe and Ito's colours, with black for yellow, which is too pale for lines."""
MARKERS = "osD^v"
LABEL_SIZE, LEADING = 8.0, 11.5  # points
LABELS_FROM, LABELS_AT = 1.015, 1.06  # of the axes' width: where a line to a name starts and ends
LEFT, BOTTOM, WIDTH, TOP, RIGHT = 0.65, 0.55, 5.3, 0.4, 0.1  # inches: the margins and the width of the axes


def figure(curves: Sequence[Curve], title: str, y_label: str) -> Figure:
    """Return the plot; a band reaches from the lowest to the highest seed. `archlab.report.style.save` writes it."""
    height = max(3.6, 0.165 * len(curves))
    with styled():
        made = Figure(figsize=(LEFT + WIDTH, BOTTOM + height + TOP))
        FigureCanvasAgg(made)
        ax = made.add_axes((0, 0, 1, 1))
        _place(made, ax, LEFT + WIDTH, height)
        ax.set_title(title, loc="left", fontsize=10, fontweight="bold")
        for number, curve in enumerate(curves):
            _draw(ax, curve, *_look(number))
        _axes(ax, budgets_of(curves), y_label)
        _draw_names(ax, curves)
        right = max(text.get_window_extent().x1 for text in ax.texts) / made.dpi
        _place(made, ax, right + RIGHT, height)
        return made


def _place(made: Figure, ax: Axes, width: float, height: float) -> None:
    """Set the width of the figure and the height of the axes, both in inches."""
    whole = BOTTOM + height + TOP
    made.set_size_inches(width, whole)
    ax.set_position((LEFT / width, BOTTOM / whole, WIDTH / width, height / whole))


def spread(wanted: Sequence[float], gap: float) -> list[float]:
    """Return positions in [0, 1], each at least `gap` above the last, nearest to the wanted ones by least squares.

    Pool adjacent violators on w_i - i gap, then clip. wanted: increasing. With too many for the gap the first are at 0.
    """
    pools: list[tuple[float, int]] = []
    for number, each in enumerate(wanted):
        mean, size = each - number * gap, 1
        while pools and pools[-1][0] > mean:
            before, count = pools.pop()
            mean, size = (before * count + mean * size) / (count + size), count + size
        pools.append((mean, size))
    most = max(0.0, 1 - (len(wanted) - 1) * gap)
    level = [min(max(mean, 0.0), most) for mean, size in pools for _ in range(size)]
    return [mean + number * gap for number, mean in enumerate(level)]


def _look(number: int) -> tuple[str, str]:
    """Return a colour and a marker; no two of the first 35 networks share both."""
    return COLOURS[number % len(COLOURS)], MARKERS[number // len(COLOURS) % len(MARKERS)]


def _draw(ax: Axes, curve: Curve, colour: str, marker: str) -> None:
    samples = [point.samples for point in curve.points]
    ax.fill_between(
        samples, [p.low for p in curve.points], [p.high for p in curve.points], color=colour, alpha=0.13, linewidth=0
    )
    style = "--" if curve.dashed else "-"
    means = [point.mean for point in curve.points]
    ax.plot(samples, means, style, marker=marker, markersize=3.5, color=colour, linewidth=1.3, gid="curve")


def _axes(ax: Axes, budgets: Sequence[int], y_label: str) -> None:
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator([float(budget) for budget in budgets]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: samples_text(round(value))))
    ax.set_xlabel("training samples")
    ax.set_ylabel(y_label)
    ax.grid(color=LINES, linewidth=0.7)


def _draw_names(ax: Axes, curves: Sequence[Curve]) -> None:
    """Write each network's name right of the axes, nearest to the end of its line without overlaps."""
    height = ax.get_window_extent().height
    low, high = ax.get_ylim()
    ax.set_xlim(ax.get_xlim())
    ax.set_ylim(low, high)
    ends = sorted(range(len(curves)), key=lambda i: curves[i].points[-1].mean)
    wanted = [(curves[i].points[-1].mean - low) / (high - low) for i in ends]
    places = spread(wanted, LEADING * ax.figure.dpi / 72 / height)
    for i, place, y in zip(ends, places, wanted, strict=True):
        last = curves[i].points[-1]
        x = ax.transAxes.inverted().transform(ax.transData.transform((last.samples, last.mean)))[0]
        ax.plot([x, LABELS_FROM, LABELS_AT], [y, y, place], transform=ax.transAxes, color=GREY, linewidth=0.5,
                alpha=0.6, clip_on=False, zorder=1)  # fmt: skip
        ax.text(LABELS_AT + 0.01, place, f"{curves[i].name}  {last.mean:.1f}", transform=ax.transAxes,
                fontsize=LABEL_SIZE, color=_look(i)[0], va="center", gid="label")  # fmt: skip
