"""The charts of a search, each drawn on given axes: front, hypervolume, distribution, bands and importance."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import cycle
from typing import Any, Literal

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke

from archlab.report.labels import place
from archlab.report.scatter_plot import bounds, text_size
from archlab.report.style import GREY, MEASURED, PUBLISHED
from archlab.search.report.analysis import Analysis, AtRung
from archlab.search.report.estimates import known
from archlab.search.report.quantities import product, quantity
from archlab.search.results import Candidate

FRONT, REFERENCE = MEASURED, "#009E73"  # Okabe and Ito's, as in the other plots
OF_RUNG = ("#999999", "#CC79A7", "#E69F00", PUBLISHED)  # the last rung always has the last colour
DASHES = ("-", "--", ":", "-.")
WIDE_RANGE = 12.0
"""Costs that span more than this factor get a logarithmic axis."""
MOST_BARS = 16
TRAINED = "fully trained"
"""How a complete candidate is called."""


def draw_front(ax: Axes, analysis: Analysis) -> None:
    """Draw cost against score: candidates at the last rung, the front's members with intervals, and references."""
    rest = [c for c in analysis.result.complete if c.number not in analysis.front_numbers]
    look: dict[str, Any] = {"linestyle": "", "capsize": 2.5, "elinewidth": 1.0}
    _bars(ax, analysis, rest, fmt="o", markersize=4.5, color=PUBLISHED, markerfacecolor="none", label=TRAINED, **look)
    _steps(ax, analysis)
    _bars(ax, analysis, analysis.front, fmt="o", markersize=6, color=FRONT, label="on the front", zorder=4, **look)
    _bars(ax, analysis, analysis.result.references, fmt="D", markersize=6, color=REFERENCE, label="reference",
          zorder=5, **look)  # fmt: skip
    _cost_axis(
        ax, analysis, [known(c, analysis.cost) for c in (*analysis.result.complete, *analysis.result.references)]
    )
    ax.set_ylabel(quantity(analysis.score, analysis.result).title)
    several = [c for c in (*analysis.result.complete, *analysis.result.references) if len(c.seeds) > 1]
    _whisker(ax, "95 % interval over seeds" if several else "")
    _legend(ax)


def _whisker(ax: Axes, label: str) -> None:
    """Name the whiskers in the legend, if there are any."""
    if label:
        ax.plot([], [], linestyle="", marker="|", markersize=9, color=GREY, label=label)


def _bars(ax: Axes, analysis: Analysis, candidates: Iterable[Candidate], **look: Any) -> None:
    """Draw points, with intervals where they have one."""
    pairs = [(known(c, analysis.cost), known(c, analysis.score)) for c in candidates]
    points = [(x.mean, y) for x, y in pairs if x and y]
    if not points:
        return
    width, height = quantity(analysis.cost, analysis.result).scale, quantity(analysis.score, analysis.result).scale
    errors = [[(y.mean - y.low if y.low is not None else 0) / height for _, y in points],
              [(y.high - y.mean if y.high is not None else 0) / height for _, y in points]]  # fmt: skip
    drawn = ax.errorbar([x / width for x, _ in points], [y.mean / height for _, y in points], yerr=errors, **look)
    held = [y.low is not None for _, y in points]
    for cap in drawn.lines[1]:
        cap.set_data(*(np.asarray(axis)[held] for axis in cap.get_data()))


def name_references(ax: Axes, analysis: Analysis) -> None:
    """Write each reference's name next to it, where it covers the least; the layout must be final."""
    references = [c for c in analysis.result.references if known(c, analysis.cost) and known(c, analysis.score)]
    at, others = (_pixels(ax, analysis, held) for held in (references, analysis.result.complete))
    crosses = [((x - 4, y - 4), (x + 4, y + 4)) for x, y in others]
    boxes = place([text_size(ax, c.name) for c in references], at, bounds(ax), lines=crosses, marker=14)
    for reference, box in zip(references, boxes, strict=True):
        if box:
            x, y = ax.transData.inverted().transform(((box.left + box.right) / 2, (box.bottom + box.top) / 2))
            ax.text(x, y, reference.name, fontsize=8, ha="center", va="center", color=REFERENCE, zorder=6,
                    path_effects=[withStroke(linewidth=2.5, foreground="white")])  # fmt: skip


def _pixels(ax: Axes, analysis: Analysis, candidates: Iterable[Candidate]) -> list[tuple[float, float]]:
    width, height = quantity(analysis.cost, analysis.result).scale, quantity(analysis.score, analysis.result).scale
    pairs = [(known(c, analysis.cost), known(c, analysis.score)) for c in candidates]
    return [tuple(ax.transData.transform((x.mean / width, y.mean / height))) for x, y in pairs if x and y]


def _steps(ax: Axes, analysis: Analysis) -> None:
    """Draw the front's line if the study has only these two objectives."""
    if len(analysis.result.objectives) != 2 or {o.name for o in analysis.result.objectives} != {
        analysis.cost,
        analysis.score,
    }:
        return
    pairs = sorted(
        (x.mean, y.mean) for c in analysis.front if (x := known(c, analysis.cost)) and (y := known(c, analysis.score))
    )
    width, height = quantity(analysis.cost, analysis.result).scale, quantity(analysis.score, analysis.result).scale
    ax.step([x / width for x, _ in pairs], [y / height for _, y in pairs], where="post", color=FRONT, linewidth=1.3,
            alpha=0.55, zorder=3)  # fmt: skip


def _legend(ax: Axes, columns: int = 3) -> None:
    """Draw the legend above the axes, what explains the whiskers last."""
    pairs = sorted(zip(*ax.get_legend_handles_labels(), strict=True), key=lambda pair: "interval" in pair[1])
    ax.legend(*zip(*pairs, strict=True), frameon=False, fontsize=8, ncols=columns, loc="lower left",
              bbox_to_anchor=(-0.02, 1.0), borderpad=0.2, columnspacing=1.4, handletextpad=0.5)  # fmt: skip


def _cost_axis(ax: Axes, analysis: Analysis, found: Iterable[Any]) -> None:
    values = [each.mean for each in found if each]
    ax.set_xlabel(quantity(analysis.cost, analysis.result).title)
    if values and min(values) > 0 and max(values) > WIDE_RANGE * min(values):
        ax.set_xscale("log")
        ax.xaxis.set_major_locator(mpl.ticker.LogLocator(10, (1, 2, 5)))
        ax.xaxis.set_major_formatter(mpl.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
        ax.xaxis.set_minor_formatter(mpl.ticker.NullFormatter())


def draw_growth(ax: Axes, analysis: Analysis) -> None:
    """Draw the hypervolume by finished candidates."""
    _growth(ax, analysis, [step.finished for step in analysis.growth])
    ax.set_xlabel("candidates finished")


def draw_growth_by_time(ax: Axes, analysis: Analysis) -> None:
    """Draw the hypervolume by time."""
    last = analysis.growth[-1].seconds
    unit, seconds = ("hours", 3600) if last > 3 * 3600 else ("minutes", 60) if last > 180 else ("seconds", 1)
    _growth(ax, analysis, [step.seconds / seconds for step in analysis.growth])
    ax.set_xlabel(f"{unit} since the study began")


def _growth(ax: Axes, analysis: Analysis, at: Sequence[float]) -> None:
    unit = product(analysis.result)
    heights = [step.hypervolume / unit.scale for step in analysis.growth]
    ax.step([0, *at], [0, *heights], where="post", color=PUBLISHED, linewidth=1.8)
    ax.set_ylim(0, max(heights) * 1.05 or 1)
    ax.set_xlim(0, max(at) or 1)
    ax.set_ylabel("hypervolume")
    ax.set_title(unit.unit, loc="left", fontsize=8, color=GREY)


def draw_distribution(ax: Axes, analysis: Analysis) -> None:
    """Draw the share of candidates at least as good as each score, at each rung."""
    where: Literal["pre", "post"] = "pre" if analysis.upwards else "post"
    for rung, colour, dash in _styled(analysis):
        xs = [step.score for step in rung.distribution]
        ys = [100 * step.share.value for step in rung.distribution]
        first, last = (100, 0) if analysis.upwards else (0, 100)
        ax.step([xs[0], *xs, xs[-1]], [first, *ys, last], where=where, color=colour, linestyle=dash, linewidth=1.6,
                label=f"{rung.label} ({len(rung.scores)})")  # fmt: skip
        ax.fill_between(xs, [100 * step.share.low for step in rung.distribution],
                        [100 * step.share.high for step in rung.distribution], step=where, color=colour, alpha=0.15,
                        linewidth=0)  # fmt: skip
    ax.set_ylim(0, 103)
    ax.set_xlabel(quantity(analysis.score, analysis.result).title)
    ax.set_ylabel(f"candidates with at {'least' if analysis.upwards else 'most'} this (%)")
    _legend(ax)


def shown_in_bands(analysis: Analysis) -> list[AtRung]:
    """Return the first and the last rung, whose scores are on scales of their own."""
    return [*{rung.index: rung for rung in (analysis.rungs[0], analysis.rungs[-1])}.values()]


def draw_bands(axes: Sequence[Axes], analysis: Analysis) -> None:
    """Draw the median and the best in bands of equal count, on axes of its own for each rung that is shown."""
    colours = {rung.index: colour for rung, colour, _ in _styled(analysis)}
    for ax, rung in zip(axes, shown_in_bands(analysis), strict=True):
        _draw_bands(ax, analysis, rung, colours[rung.index])
    _legend(axes[0])


def _draw_bands(ax: Axes, analysis: Analysis, rung: AtRung, colour: str) -> None:
    width = quantity(analysis.cost, analysis.result).scale
    costs = [c / width for c in rung.costs]
    ax.plot(costs, rung.scores, ".", color=colour, alpha=0.35, markersize=4, markeredgewidth=0)
    for band in rung.bands:
        middle = (band.low * band.high) ** 0.5 / width if _logarithmic(rung) else (band.low + band.high) / 2 / width
        ends = [band.low / width, band.high / width]
        ax.plot(ends, [band.median.value] * 2, color=colour, linewidth=1.2, alpha=0.7)
        for found, marker in ((band.median, "s"), (band.best, "^")):
            errors = [[found.value - found.low], [found.high - found.value]]
            ax.errorbar([middle], [found.value], yerr=errors, fmt=marker, color=colour, markersize=5, capsize=2.5)
    ax.plot([], [], "s-", color=colour, markersize=5, label="median of a band")
    ax.plot([], [], "^", color=colour, markersize=5, label="best")
    _whisker(ax, "95 % interval")
    ax.text(0.99, 0.03, f"at {rung.label}", transform=ax.transAxes, ha="right", fontsize=8, color=GREY)
    _cost_axis(ax, analysis, [known(c, analysis.cost) for c in analysis.rungs[0].candidates])
    ax.set_ylabel(quantity(analysis.score, analysis.result).title)


def _logarithmic(rung: AtRung) -> bool:
    return min(rung.costs) > 0 and max(rung.costs) > WIDE_RANGE * min(rung.costs)


def _styled(analysis: Analysis) -> list[tuple[AtRung, str, str]]:
    """Return each rung with its colour and dashes; the last rung has those of complete candidates."""
    colours = [*(colour for colour, _ in zip(cycle(OF_RUNG[:-1]), analysis.rungs[:-1], strict=False)), OF_RUNG[-1]]
    dashes = [*(dash for dash, _ in zip(cycle(DASHES[1:]), analysis.rungs[:-1], strict=False)), DASHES[0]]
    return list(zip(analysis.rungs, colours, dashes, strict=True))


def draw_importance(ax: Axes, analysis: Analysis) -> None:
    """Draw the share of the variance of scores by parameter, at the first rung with enough candidates."""
    rung = next(rung for rung in analysis.rungs if rung.importances)
    shown = rung.importances[:MOST_BARS][::-1]
    ax.barh(
        [each.parameter for each in shown],
        [100 * max(each.share.value, 0) for each in shown],
        color=PUBLISHED,
        height=0.62,
    )
    for i, each in enumerate(shown):
        ax.plot([100 * each.share.low, 100 * each.share.high], [i, i], color=GREY, linewidth=1.4,
                label="95 % interval" if i == 0 else "")  # fmt: skip
    all_of = len(rung.importances)
    count = f"{len(shown)} of {all_of} parameters shown" if len(shown) < all_of else f"all {all_of} parameters"
    ax.set_title(count, loc="right", fontsize=8, color=GREY)
    _legend(ax, 1)
    ax.axvline(0, color=GREY, linewidth=0.8)
    ax.grid(visible=False, axis="y")
    ax.set_xlabel(f"share of the variance of {quantity(analysis.score, analysis.result).label} at {rung.label} (%)")
