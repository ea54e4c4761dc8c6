"""Pictures of measured time: bars of where it goes, and time against multiply-adds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullLocator

from archlab.deploy.bench.parts import Part, shares
from archlab.deploy.bench.record import quartiles
from archlab.deploy.bench.session import Row, Session
from archlab.report.correlation import kendall
from archlab.report.labels import XY
from archlab.report.scatter_plot import write_labels
from archlab.report.style import GREY, LINES, MEASURED, PUBLISHED, styled

COLOURS = (MEASURED, PUBLISHED, "#009E73", "#E69F00", "#CC79A7", "#56B4E9", "#F0E442")
REST = "#BBBBBB"
SHOWN = len(COLOURS)
MARKER = 5.5
"""The size of a point, in points."""


def profile_bars(parts: Mapping[str, Sequence[Part]]) -> Figure:
    """Return bars of time by operator for each block: one panel a network, the slowest block on top."""
    names = _heaviest(parts.values())
    with styled():
        blocks = {name: shares(each, lambda part: part.block) for name, each in parts.items()}
        heights = [len(found) + 1.4 for found in blocks.values()]
        made = Figure(figsize=(9.5, 0.34 * sum(heights) + 1.2), layout="constrained")
        FigureCanvasAgg(made)
        axes = made.subplots(len(parts), 1, squeeze=False, height_ratios=heights)[:, 0]
        for ax, (name, each) in zip(axes, parts.items(), strict=True):
            total = sum(part.milliseconds for part in each)
            for y, block in enumerate(blocks[name]):
                _bar(ax, y, [part for part in each if part.block == block.name], names)
            ax.set_yticks(range(len(blocks[name])), [block.name for block in blocks[name]])
            ax.invert_yaxis()
            ax.grid(axis="x", color=LINES)
            ax.set_title(f"{name}, {total:.1f} ms", loc="left", fontsize=10, fontweight="bold")
        axes[-1].set_xlabel("milliseconds of a forward pass, eager")
        handles = [
            Patch(color=colour, label=name) for colour, name in zip((*COLOURS, REST), (*names, "others"), strict=False)
        ]
        made.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    return made


def _heaviest(profiles: Iterable[Sequence[Part]]) -> list[str]:
    """Return the operators with the largest shares of the networks' times, summed over the networks."""
    summed: defaultdict[str, float] = defaultdict(float)
    for parts in profiles:
        total = sum(part.milliseconds for part in parts)
        for part in parts:
            summed[part.operator] += part.milliseconds / total
    return sorted(summed, key=lambda name: -summed[name])[:SHOWN]


def _bar(ax: Axes, y: int, parts: Sequence[Part], names: Sequence[str]) -> None:
    left = 0.0
    for colour, name in zip((*COLOURS[: len(names)], REST), (*names, None), strict=True):
        width = sum(p.milliseconds for p in parts if (p.operator == name if name else p.operator not in names))
        ax.barh(y, width, left=left, color=colour, height=0.72, edgecolor="white", linewidth=0.5)
        left += width


def time_against_work(sessions: Sequence[Session], labels: Mapping[str, str], runtime: str = "eager") -> Figure:
    """Return each network's multiply-adds against its measured time, at batch 1; a panel for each session.

    A panel states Kendall's tau of the two, and its line what the machine's product of matrices would take. A
    network at several inputs is joined by a line, and named at the smallest.
    """
    with styled():
        made = Figure(figsize=(6.6 * len(sessions), 6.8), layout="constrained")
        FigureCanvasAgg(made)
        axes = made.subplots(1, len(sessions), squeeze=False)[0]
        rows = [each.of(runtime) for each in sessions]
        for ax, session, shown in zip(axes, sessions, rows, strict=True):
            _panel(ax, session, shown)
        made.draw_without_rendering()
        made.set_layout_engine("none")
        for ax, shown in zip(axes, rows, strict=True):
            _label(ax, labels, _families(shown))
    return made


def _families(rows: Sequence[Row]) -> list[list[Row]]:
    """Return the rows of each network, from the smallest input on."""
    ordered = sorted(rows, key=lambda row: row.macs)
    return [[row for row in ordered if row.network == name] for name in dict.fromkeys(row.network for row in ordered)]


def _point(row: Row) -> XY:
    return row.macs / 1e6, quartiles(row.milliseconds).median


def _panel(ax: Axes, session: Session, rows: Sequence[Row]) -> None:
    xs, ys = zip(*map(_point, rows), strict=True)
    ax.loglog(xs, ys, "o", color=MEASURED, markersize=MARKER, zorder=3)
    ends = [min(xs) * 0.6, max(xs) * 2.5]
    ax.loglog(ends, [1e9 * x / session.gemm_macs for x in ends], color=GREY, linewidth=1, linestyle="--", zorder=2,
              label="all multiply-adds at the rate of a product of matrices")  # fmt: skip
    joined = [[*map(_point, family)] for family in _families(rows) if len(family) > 1]
    for number, points in enumerate(joined):
        label = "" if number else "one network at several inputs"
        ax.loglog(*zip(*points, strict=True), "-", color=MEASURED, alpha=0.45, linewidth=1.2, zorder=2, label=label)
    ax.set_xlim(*ends)
    ax.set_ylim(min(ys) * 0.5, max(ys) * 1.6)
    tau = kendall(xs, ys)
    remark = f"Kendall's tau {tau}, n = {tau.n}" if tau else ""
    ax.set_title(f"{session.threads} thread{'s' * (session.threads > 1)}: {remark}", loc="left", fontsize=10)
    ax.set_xlabel("million multiply-adds (fvcore)")
    ax.set_ylabel("milliseconds, batch 1")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter("{x:g}")
    ax.grid(color=LINES, which="major")
    ax.legend(frameon=False, loc="best", fontsize=8)


def _segment(ends: Sequence[Sequence[float]]) -> tuple[XY, XY]:
    (x, y), (right, top) = ends
    return (x, y), (right, top)


def _label(ax: Axes, labels: Mapping[str, str], families: Sequence[Sequence[Row]]) -> None:
    """Write each network's name next to its first point."""
    ends = [ax.get_lines()[1].get_xydata(), *(pair for family in families for pair in pairwise(map(_point, family)))]
    lines = [_segment(ax.transData.transform(pair).tolist()) for pair in ends]
    pixels: list[XY] = [tuple(ax.transData.transform(_point(first))) for first, *_ in families]
    write_labels(ax, [labels[first.hash] for first, *_ in families], pixels, lines, marker=MARKER)
