"""Measured time as the cost of networks: read from records of latency, added to tables, and the axis of a plot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from archlab.core.errors import InputError, Problem
from archlab.deploy.bench.record import quartiles, read
from archlab.deploy.bench.session import Session
from archlab.report.correlation import kendall
from archlab.report.pareto import Panel
from archlab.report.tables import Cell, Column, Table, plural, sentence_list

UNTIMED = "no record"
"""The cell of a network whose time was not measured."""
AXIS = "milliseconds, batch 1"


@dataclass(frozen=True)
class Timing:
    """Median milliseconds at batch 1 by canonical hash, as one session measured them in one runtime.

    place: the machine, its threads, the runtime, the type and the date, in words.
    """

    milliseconds: Mapping[str, float]
    place: str

    def cell(self, key: str) -> Cell:
        return Cell(f"{self.milliseconds[key]:.1f}" if key in self.milliseconds else UNTIMED)


def read_timing(path: Path, *, runtime: str = "eager", threads: int | None = None) -> Timing:
    """Return the times of a machine's record: of the session with this number of threads, by default the fewest.

    path: the record, or a folder with one. Raises InputError if there is none, if there are several, or without a
    session in that runtime.
    """
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if len(files) != 1:
        there = f"{len(files)} records of latency here, one per machine: name one" if files else "no record of latency"
        raise InputError(Problem(there, "--latency", str(path)))
    sessions = sorted(read(files[0]), key=lambda each: each.threads)
    found = [each for each in sessions if threads in (None, each.threads) and _rows(each, runtime)]
    if not found:
        known = sentence_list(
            [f"{_place(s)} in {'/'.join(dict.fromkeys(r.runtime for r in s.rows))}" for s in sessions]
        )
        asked = f"{runtime} with {plural(threads, 'thread')}" if threads else runtime
        raise InputError(Problem(f"no session in {asked} at batch 1; there is {known}", "--latency", str(files[0])))
    session = found[0]
    place = f"{session.machine}, {_place(session)}, {session.dtype}, {runtime}, {session.date}"
    return Timing(_rows(session, runtime), place)


def _place(session: Session) -> str:
    return plural(session.threads, "thread") if session.device == "cpu" else session.device


def _rows(session: Session, runtime: str) -> dict[str, float]:
    return {row.hash: quartiles(row.milliseconds).median for row in session.of(runtime)}


def with_time(table: Table, columns: Mapping[str, Sequence[str]], timing: Timing, taus: Iterable[str] = ()) -> Table:
    """Return a table with columns of time at its right. columns: the rows' canonical hashes by heading, empty for none.

    taus: sentences for the caption.
    """
    added = tuple(Column(name, "Milliseconds") for name in columns)
    cells = zip(*([timing.cell(key) for key in keys] for keys in columns.values()), strict=True)
    rows = tuple((*row, *more) for row, more in zip(table.rows, cells, strict=True))
    caption = (*table.caption, f"Milliseconds: medians at batch 1 on {timing.place}.", *filter(None, taus))
    return replace(table, columns=(*table.columns, *added), rows=rows, caption=caption)


def taus(score: str, rows: Iterable[tuple[float | None, str, float | None]], timing: Timing) -> str:
    """Return Kendall's tau of multiply-adds and of time with a score, over the rows with all three; empty for too few.

    rows: multiply-adds, canonical hash and score of each network.
    """
    held = [(work, timing.milliseconds[key], value) for work, key, value in rows if key in timing.milliseconds]
    known = [(work, time, value) for work, time, value in held if work is not None and value is not None]
    work, time, values = ([row[i] for row in known] for i in range(3))
    pair = kendall(work, values), kendall(time, values)
    if not (pair[0] and pair[1]):
        return ""
    return f"Kendall's tau with {score}: multiply-adds {pair[0]}, time {pair[1]}, n = {len(known)}."


def timed_panel(panel: Panel, timing: Timing) -> Panel:
    """Return a panel with time for its axis; its remark names the machine, and the networks without a record."""
    times = timing.milliseconds
    points = [replace(each, cost=times[each.hash]) for each in panel.points if each.hash in times]
    missing = [each.label for each in panel.points if each.hash not in times]
    lines = [
        panel.remark,
        f"Time on {timing.place}.",
        taus(panel.y_label, [(each.cost, each.hash, each.score) for each in panel.points], timing),
        f"No record of time: {sentence_list(missing)}." if missing else "",
    ]
    return replace(panel, points=tuple(points), remark="\n".join(filter(None, lines)), x_label=AXIS)
