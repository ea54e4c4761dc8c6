"""Tables of networks trained alike: counted costs next to printed ones, measured scores next to published ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from archlab.ablation.captions import NOT_TRAINED, PUBLISHED, costs_caption, scores_caption
from archlab.ablation.csv import flat
from archlab.ablation.printed import Printed
from archlab.ablation.row import SCORED_ON, CountedInput, Published, Row
from archlab.ablation.rows import Measured, Reported, Setting, Spread, compared, runs_in
from archlab.ablation.study import Ablation
from archlab.counting.count import MEBI
from archlab.report.tables import EMPTY, Cell, Column, Table, TableSet, number, signed
from archlab.tasks import TASKS, find_task
from archlab.tasks.metrics import Metric, View, used
from archlab.training.runs import Record

Shown = Sequence[tuple[View, Metric]]
"""The columns of measured scores."""


def ablation_tables(
    study: Ablation, rows: Sequence[Reported], plugin: Sequence[str] = (), only: Setting | None = None
) -> TableSet:
    """Return the table of costs, and a table of scores for each setting that compares rows, or for `only`."""
    settings = [only] if only else compared(rows)
    tables = [scores(rows, setting, plugin) for setting in settings] or [published(rows)]
    records = flat(rows, settings, plugin)
    return TableSet(study.name, study.title, study.source, (costs(study, rows), *tables), tuple(records))


def costs(study: Ablation, rows: Sequence[Reported]) -> Table:
    """Return parameters and multiply-adds by both counters, next to the printed ones where there are any."""
    inputs = [*rows[0].counted] if rows else []
    printed = [figure for figure in _figures(inputs) if any(_printed(row, figure) is not None for row in rows)]
    groups = {"params_m": ("Parameters, 10⁶", ["counted"])}
    for at in inputs:
        groups[f"{at.key}_mflops"] = f"MFLOPs, {at.label}", ["fvcore, 10⁶", "as paper, 2²⁰"]
    columns = [Column("Model", align="l")]
    for figure, (group, names) in groups.items():
        columns += [Column(name, group) for name in (*names, *(["printed", "diff."] if figure in printed else []))]
    body = []
    for row in rows:
        cells = [Cell(row.row.name)]
        for figure in groups:
            texts, value = _counted(row, figure)
            cells += [*map(Cell, texts), *(_printed_cells(value, row.row, figure) if figure in printed else [])]
        body.append(tuple(cells))
    known = sum(_printed(row, figure) is not None for row in rows for figure in groups)
    caption = costs_caption(inputs, known, len(disagreements(rows)))
    return Table("Cost", tuple(columns), tuple(body), (caption, *study.notes))


def _figures(inputs: Iterable[CountedInput]) -> list[str]:
    return ["params_m", *(f"{at.key}_mflops" for at in inputs)]


def _printed(row: Reported, figure: str) -> float | None:
    found: float | None = getattr(row.row.published, figure, None)
    return found


def _counted(row: Reported, figure: str) -> tuple[list[str], float]:
    """Return our cells for one cost, and the value that is compared with the printed figure."""
    counts = {f"{at.key}_mflops": network.count for at, network in row.counted.items()}
    if figure == "params_m":
        params = next(iter(counts.values())).params / 1e6
        return [f"{params:.3f}"], params
    count = counts[figure]
    return [f"{count.fvcore / 1e6:.2f}", f"{count.paper / MEBI:.2f}"], count.paper / MEBI


def _printed_cells(value: float, row: Row, figure: str) -> list[Cell]:
    """Return the printed figure with its remark, and its difference from the counted value."""
    printed = row.published.cost(figure)
    if printed is None:
        return [Cell(EMPTY), Cell(EMPTY)]
    difference = signed(value - float(printed.printed), 3 if figure == "params_m" else 2)
    return [Cell(printed.printed, row.notes.get(figure, "")), Cell(difference)]


def disagreements(rows: Iterable[Reported]) -> list[tuple[Row, str]]:
    """Return (row, figure) for each printed cost that our count does not give."""
    return [(row, figure) for row, figure, printed, value in counted_figures(rows) if not printed.meets(value)]


def counted_figures(rows: Iterable[Reported]) -> Iterator[tuple[Row, str, Printed, float]]:
    """Yield (row, figure, print, our count in its unit) for each printed cost."""
    for row in rows:
        for figure in _figures(row.counted):
            if printed := row.row.published.cost(figure):
                yield row.row, figure, printed, _counted(row, figure)[1]


def scores(rows: Sequence[Reported], setting: Setting, plugin: Sequence[str] = ()) -> Table:
    """Return the scores measured in one setting, next to the published ones in columns of their own."""
    task = find_task(setting.task, plugin)
    shown = _shown(task, runs_in(rows, setting))
    columns = [Column("Model", align="l"), Column("seeds")]
    columns += [Column(metric.heading, f"Measured, {view.title}".removesuffix(", ")) for view, metric in shown]
    body = [
        (Cell(row.row.name), *_measured(row.measured.get(setting), shown), *_published(rows, row.row.published))
        for row in rows
    ]
    body += _baselines(rows, setting, shown, task)
    heading = f"Scores: {setting.heading}"
    caption = scores_caption(rows, setting, (metric for _, metric in shown))
    caption += (PUBLISHED,) if _printed_scores(rows) else ()
    return Table(heading, (*columns, *_published_columns(rows)), tuple(body), caption)


def published(rows: Sequence[Reported]) -> Table:
    """Return the published scores alone, where nothing was measured."""
    body = tuple((Cell(row.row.name), *_published(rows, row.row.published)) for row in rows)
    caption = (NOT_TRAINED, PUBLISHED) if _printed_scores(rows) else (NOT_TRAINED,)
    return Table("Scores", (Column("Model", align="l"), *_published_columns(rows)), body, caption)


def _shown(task: Any, runs: Sequence[Record]) -> Shown:
    """Return the views of a task, each with the metrics for tables that any run has there."""
    return [
        (view, metric)
        for view in task.views
        for metric in used(task.metrics, "table", view=view.key)
        if any(metric.key in run.scores.get(view.key, {}) for run in runs)
    ]


def _printed_scores(rows: Sequence[Reported]) -> list[Metric]:
    """Return the metrics that the paper prints for any of the rows, in the order of their tasks."""
    metrics: list[Metric] = [metric for name in TASKS for metric in find_task(name).metrics if metric.name in SCORED_ON]
    return [metric for metric in metrics if any(_printed(row, metric.name) is not None for row in rows)]


def _published_columns(rows: Sequence[Reported]) -> list[Column]:
    return [Column(each.heading, f"Published, {SCORED_ON[each.name]}") for each in _printed_scores(rows)]


def _published(rows: Sequence[Reported], figures: Published) -> list[Cell]:
    return [Cell(number(getattr(figures, metric.name), metric.digits)) for metric in _printed_scores(rows)]


def _measured(measured: Measured | None, shown: Shown) -> list[Cell]:
    """Return the number of runs and the scores in the columns `shown`."""
    if measured is None:
        return [Cell(EMPTY)] * (1 + len(shown))
    found = [spread_text(measured.score(view.key, metric.key), metric) for view, metric in shown]
    return [Cell(str(len(measured.runs))), *map(Cell, found)]


def spread_text(spread: Spread | None, metric: Metric) -> str:
    """Return `63.1`, or `63.1 ± 0.4` over several seeds."""
    if spread is None:
        return EMPTY
    deviation = "" if spread.deviation is None else f" ± {number(spread.deviation, metric.digits)}"
    return number(spread.mean, metric.digits) + deviation


def _baselines(rows: Sequence[Reported], setting: Setting, shown: Shown, task: Any) -> list[tuple[Cell, ...]]:
    """Return a last row for each guess that uses no network, scored in the task's first view."""
    made = []
    runs = runs_in(rows, setting)
    for name in dict.fromkeys(name for run in runs for name, found in run.baseline.items() if found):
        guess = next(run.baseline[name] for run in runs if run.baseline.get(name))
        first = task.views[0].key
        texts = [number(guess.get(m.key), m.digits) if view.key == first else EMPTY for view, m in shown]
        title = task.baselines.get(name, name.replace("_", " ")).removeprefix("the ")
        label = f"{title.capitalize()}, no network"
        made.append((Cell(label), *map(Cell, [EMPTY, *texts, *[EMPTY] * len(_printed_scores(rows))])))
    return made


def summary(run: Record, plugin: Sequence[str] = ()) -> str:
    """Return the scores and the duration of a finished run on one line."""
    task = find_task(Setting.of(run).task, plugin)
    scored = next((run.scores[view.key] for view in task.views if run.scores.get(view.key)), {})
    parts = [f"{m.heading} {number(scored[m.key], m.digits)}" for m in used(task.metrics, "curve") if m.key in scored]
    return ", ".join((*parts, f"{run.seconds:.0f} s"))
