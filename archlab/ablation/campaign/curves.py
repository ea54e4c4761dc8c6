"""The scores of a campaign by budget: its curves, and from which budget on the order of the networks is stable."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from archlab.ablation.campaign.verdicts import Judged
from archlab.ablation.rows import Reported
from archlab.report.stability import STABLE, Curve, CurvePoint, Order, budgets_of, orders, stable_from
from archlab.report.tables import EMPTY, Cell, Column, Table, escaped, section, signed
from archlab.training.runs import Record


def curves_of(judged: Judged, rows: Sequence[Reported]) -> list[Curve]:
    """Return the curves in one setting, in the order of the rows; none of networks scored at a single budget."""
    controls = {each.control.spec for each in judged.controls}
    found = []
    for row in rows:
        runs = row.measured[judged.setting].runs if judged.setting in row.measured else ()
        points = _points(runs, judged.view.key, judged.metric.key)
        if len(points) > 1:
            found.append(Curve(row.row.name, points, dashed=row.row.spec in controls))
    return found


def write_figure(study: str, judged: Judged, curves: Sequence[Curve], out: Path) -> list[Path]:
    """Write the plot as `STUDY_budgets.png` and `.svg`; return the files."""
    from archlab.report import curve_plot, style

    paths = [out / f"{study}_budgets.png", out / f"{study}_budgets.svg"]
    metric = judged.metric
    title = f"{metric.heading} by training samples: {judged.setting.data}, recipe {judged.setting.recipe}"
    style.save(curve_plot.figure(curves, title, f"{metric.title}, {judged.view.title}"), paths)
    return paths


def budget_sections(judged: Judged, curves: Sequence[Curve], image: str) -> list[str]:
    """Return the plot and the table of orders in Markdown. image: the file of the plot, next to the page."""
    table = order_table(judged, curves)
    return [
        f"## Score by budget: {escaped(judged.setting.heading)}",
        f"![{judged.metric.heading} by training samples]({image})",
        section(table),
    ]


def order_table(judged: Judged, curves: Sequence[Curve]) -> Table:
    """Return the rank correlation of each budget with the largest, with the sentence that follows from it."""
    columns = (
        Column("Samples"), Column("networks"), Column("seeds", align="l"), Column("Kendall's tau-b"),
        Column("95 % interval"),
    )  # fmt: skip
    found = orders(curves)
    body = tuple(tuple(map(Cell, _cells(each))) for each in found)
    largest = budgets_of(curves)[-1]
    caption = (
        f"The order of the networks by mean {judged.metric.heading} at each budget against their order at {largest:,} "
        "samples, over the seeds that all compared networks have at both. One training gives all scores of a run, so "
        "the budgets share seeds, order of samples and augmentation. Intervals: bootstrap over networks. In the plot a "
        "band reaches from the lowest to the highest seed; controls are dashed.",
        stability_sentence(found, largest, judged.ranks),
    )
    return Table(f"Order by budget: {judged.setting.heading}", columns, body, caption)


def stability_sentence(found: Sequence[Order], largest: int, ranks: bool = True) -> str:
    """Return from which budget on the order is stable, as a sentence."""
    if not any(each.tau for each in found):
        return "The order at smaller budgets is not known: this needs three networks that share a seed."
    tail = "" if ranks else " With runs this small it shows only that it can be computed."
    first = stable_from(found)
    if first is None or first.tau is None:
        near = f"between {found[-1].budget:,} and {largest:,} samples tau"
        reached = f"is {signed(found[-1].tau.value, 2)}, below {STABLE}" if found[-1].tau else "is not known"
        return f"The order is not yet stable: {near} {reached}.{tail}"
    return (
        f"From {first.budget:,} samples on the order is stable: tau is at least {STABLE} at every budget. The interval "
        f"at {first.budget:,} starts at {signed(first.tau.low, 2)}.{tail}"
    )


def flat_budgets(curves: Sequence[Curve]) -> list[dict[str, Any]]:
    """Return all figures at full precision: a record for each network and budget, and for each order."""
    made: list[dict[str, Any]] = [
        {
            "kind": "budget", "name": curve.name, "budget": point.budget, "samples": point.samples, "score": point.mean,
            "score_by_seed": " ".join(f"{seed}:{score}" for seed, score in point.by_seed.items()),
        }
        for curve in curves
        for point in curve.points
    ]  # fmt: skip
    made += [
        {
            "kind": "order by budget", "name": "Kendall's tau-b", "budget": each.budget, "rows": each.networks,
            "tau": each.tau and each.tau.value, "tau_low": each.tau and each.tau.low,
            "tau_high": each.tau and each.tau.high,
        }
        for each in orders(curves)
    ]  # fmt: skip
    return made


def _points(runs: Sequence[Record], view: str, key: str) -> tuple[CurvePoint, ...]:
    """Return the points of one network's runs, one per seed."""
    found: dict[int, dict[int, float]] = {}
    samples: dict[int, int] = {}
    for run in runs:
        for each in run.budgets:
            score = each.scores.get(view, {}).get(key)
            if score is not None:
                found.setdefault(each.budget, {})[run.seed] = score
                samples[each.budget] = each.samples
    return tuple(CurvePoint(budget, samples[budget], found[budget]) for budget in sorted(found))


def _cells(order: Order) -> list[str]:
    tau = order.tau
    return [
        f"{order.budget:,}",
        str(order.networks),
        ", ".join(map(str, order.seeds)) or EMPTY,
        signed(tau.value, 2) if tau else EMPTY,
        f"{signed(tau.low, 2)} to {signed(tau.high, 2)}" if tau else EMPTY,
    ]
