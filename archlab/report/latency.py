"""Tables of measured time: networks and runtimes of a session, and where a network's time goes."""

from __future__ import annotations

from collections.abc import Sequence

from archlab.deploy.bench.parts import Part, Share, shares
from archlab.deploy.bench.record import quartiles, ratio
from archlab.deploy.bench.session import Row, Scored, Session
from archlab.report.tables import EMPTY, Cell, Column, Table, plural

MEGA, GIGA = 1e6, 1e9


def where(session: Session) -> str:
    """Return where and how a session was measured, as one sentence."""
    threads = f", {plural(session.threads, 'thread')}" if session.threads else ""
    clock = {"processor": "the thread's processor time", "wall": "wall-clock time"}[session.clock]
    low, high = session.clock_mhz or (0, 0)
    mhz = f" at {low:.0f}-{high:.0f} MHz" if high > low else f" at {high:.0f} MHz" if high else ""
    load = "" if session.load_average is None else f"; load average {session.load_average} at the end"
    versions = ", ".join(f"{name} {version}" for name, version in session.versions.items())
    machine = f"{session.machine}, {session.device}{threads}{mhz}, {session.dtype}"
    return f"{machine}, {clock}; {versions}; {session.date}{load}."


def limits(session: Session) -> str:
    """Return what the machine reached in the same rounds, as one sentence."""
    return (
        f"In the same rounds a product of matrices reached {session.gemm_macs / GIGA:.1f} G multiply-adds/s"
        f" and a copy {session.copy_bytes / GIGA:.1f} GB/s; percentages are of these."
    )


def session_table(session: Session) -> Table:
    """Return a session's rows: time with quartiles, how many times as fast as eager, and what it reaches."""
    columns = (
        Column("network", align="l"), Column("batch"), Column("runtime", align="l"), Column("median", "milliseconds"),
        Column("quartiles", "milliseconds"), Column("times as fast", "against eager"),
        Column("95 % interval", "against eager"), Column("launches"), Column("MiB"), Column("G multiply-adds/s"),
        Column("GB/s"),
    )  # fmt: skip
    eager = {(row.hash, row.batch): row for row in session.rows if row.runtime == "eager"}
    rows = tuple(_row(row, eager.get((row.hash, row.batch)), session) for row in session.rows)
    return Table("Measured time", columns, rows, (where(session), limits(session), *session.skipped))


def score_table(scores: Sequence[Scored], session: Session) -> Table:
    """Return the score of each network in each form beside its time at the smallest batch of a session."""
    batch = min(row.batch for row in session.rows)
    times = {(row.hash, row.runtime): quartiles(row.milliseconds).median for row in session.rows if row.batch == batch}
    columns = (
        Column("network", align="l"), Column("runtime", align="l"), Column("type", align="l"), Column("ms"),
        Column(scores[0].metric), Column("loss", "against eager, float32"),
    )  # fmt: skip
    rows = []
    for each in scores:
        time = times.get((each.hash, each.runtime)) if each.dtype == session.dtype else None
        rows.append((
            Cell(each.network), Cell(each.runtime), Cell(each.dtype), Cell(EMPTY if time is None else f"{time:.2f}"),
            Cell(EMPTY if each.value is None else f"{each.value:.2f}"),
            Cell(EMPTY if each.loss is None else f"{each.loss:.2f}"),
        ))  # fmt: skip
    caption = f"Scores by each network's own recipe; milliseconds at batch {batch}."
    return Table("Score and time", columns, tuple(rows), (caption,))


def _row(row: Row, eager: Row | None, session: Session) -> tuple[Cell, ...]:
    time = quartiles(row.milliseconds)
    macs, traffic = 1e3 * row.macs / time.median, 1e3 * row.bytes / time.median
    found = ratio(eager.milliseconds, row.milliseconds) if eager and eager is not row else None
    return (
        Cell(row.network),
        Cell(str(row.batch)),
        Cell(row.runtime),
        Cell(f"{time.median:.2f}"),
        Cell(f"{time.low:.2f}-{time.high:.2f}"),
        Cell(f"{found.median:.2f}" if found else EMPTY),
        Cell(f"{found.low:.2f}-{found.high:.2f}" if found else EMPTY),
        Cell(EMPTY if row.launches is None else str(row.launches)),
        Cell(EMPTY if row.peak_mib is None else f"{row.peak_mib:.1f}"),
        Cell(f"{macs / GIGA:.1f} ({macs / session.gemm_macs:.0%})"),
        Cell(f"{traffic / GIGA:.1f} ({traffic / session.copy_bytes:.0%})"),
    )


def profile_tables(name: str, parts: Sequence[Part]) -> tuple[Table, Table]:
    """Return where a network's time goes, by block and by operator."""
    return (
        _shares(f"{name}: time by block", "block", shares(parts, lambda part: part.block)),
        _shares(f"{name}: time by operator", "operator", shares(parts, lambda part: part.operator)),
    )


def _shares(heading: str, what: str, found: Sequence[Share]) -> Table:
    time, work = sum(each.milliseconds for each in found), sum(each.macs for each in found)
    columns = (
        Column(what, align="l"), Column("calls"), Column("ms"), Column("of the time"), Column("of the multiply-adds"),
        Column("G multiply-adds/s"),
    )  # fmt: skip
    rows = tuple(
        (
            Cell(each.name),
            Cell(str(each.calls)),
            Cell(f"{each.milliseconds:.2f}"),
            Cell(f"{each.milliseconds / time:.1%}"),
            Cell(f"{each.macs / work:.1%}"),
            Cell(f"{each.macs / each.milliseconds / MEGA:.1f}" if each.macs else EMPTY),
        )
        for each in found
    )
    return Table(heading, columns, rows, (f"Eager, the least of an operator's times, in place; {time:.2f} ms in sum.",))
