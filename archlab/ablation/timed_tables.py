"""Tables of costs with measured time: of an ablation at each counted input, of systems each at its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from archlab.ablation.counted_systems import CountedSystem
from archlab.ablation.row import CountedInput
from archlab.ablation.rows import Reported
from archlab.ablation.systems import Systems
from archlab.ablation.timed import Timing, taus, with_time
from archlab.report.tables import Table, TableSet

PUBLISHED = {"coco": ("ap", "published AP"), "mpii": ("pckh", "published PCKh@0.5")}
"""The score that a paper's input stands for, and its title."""


def timed_ablation(rows: Sequence[Reported], made: TableSet, timing: Timing) -> TableSet:
    """Return an ablation's tables with time in that of costs, at each input at which a row was timed, else at all."""
    inputs = [*rows[0].counted] if rows else []
    known = [at for at in inputs if any(row.counted[at].hash in timing.milliseconds for row in rows)]
    shown = known or inputs
    columns = {at.label: [row.counted[at].hash for row in rows] for at in shown}
    untimed = [f"No network has a record of time at {at.label}." for at in inputs if at not in shown]
    costs = with_time(made.tables[0], columns, timing, [*(_taus(rows, at, timing) for at in shown), *untimed])
    found = timing.milliseconds
    times = {row.row.name: {f"{at.key}_milliseconds": found.get(row.counted[at].hash) for at in shown} for row in rows}
    return _renamed(made, costs, [{**record, **times[record["model"]]} for record in made.records])


def _taus(rows: Sequence[Reported], at: CountedInput, timing: Timing) -> str:
    if at.key not in PUBLISHED:
        return ""
    score, title = PUBLISHED[at.key]
    values = [(row.counted[at].count.paper, row.counted[at].hash, getattr(row.row.published, score)) for row in rows]
    return taus(title, values, timing)


def timed_systems(study: Systems, rows: Sequence[CountedSystem], made: TableSet, timing: Timing) -> TableSet:
    """Return the tables of systems with time in that of costs."""
    sentences = [
        taus(f"published {title}", [(_work(each), each.hash, each.system.scores.get(score)) for each in rows], timing)
        for score, title in study.scores.items()
    ]
    costs = with_time(made.tables[0], {"batch 1": [each.hash for each in rows]}, timing, sentences[:1])
    times = {(each.system.name, each.system.spec, _size(each)): timing.milliseconds.get(each.hash) for each in rows}
    records = [
        {**record, "milliseconds": times[record["system"], record["spec"], record["counted_input"]]}
        for record in made.records
    ]
    return _renamed(made, costs, records)


def _work(each: CountedSystem) -> float | None:
    return each.count.paper if each.count else None


def _size(each: CountedSystem) -> str:
    return "x".join(map(str, each.system.size)) if each.count else ""


def _renamed(made: TableSet, costs: Table, records: Sequence[dict[str, Any]]) -> TableSet:
    """Return the tables with another one of costs, under a name of their own."""
    return replace(made, name=f"{made.name}_latency", tables=(costs, *made.tables[1:]), records=tuple(records))
