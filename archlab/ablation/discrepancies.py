"""The page of all printed figures that our counts do not give, each with its reason, made from the study files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial

from archlab.ablation.counted_systems import CountedSystem, counted_systems
from archlab.ablation.load import load_study
from archlab.ablation.measured import counted_figures
from archlab.ablation.printed import DIFFERS
from archlab.ablation.rows import count_network, match_runs
from archlab.ablation.study import Ablation, Study, UnitComplexity
from archlab.ablation.systems import Discrepancies, Systems
from archlab.report.tables import EMPTY, Cell, Column, Table, TableSet, number, plural

FIGURES = {"params": "parameters", "flops": "multiply-adds", "params_m": "parameters",
           "coco_mflops": "MFLOPs, COCO", "mpii_mflops": "MFLOPs, MPII"}  # fmt: skip


@dataclass(frozen=True)
class Discrepancy:
    """A printed figure that our count does not give, or gives by a reading that needs a reason."""

    source: str
    system: str
    figure: str
    rule: str
    counted: str
    printed: str
    verdict: str
    reason: str


@dataclass(frozen=True)
class Quoted:
    """A system whose printed figures nothing here can be held to."""

    source: str
    system: str
    reason: str


def discrepancy_tables(study: Discrepancies, plugin: Sequence[str] = ()) -> TableSet:
    """Return the figures that differ, the systems that are only quoted, and the remarks of the studies."""
    found: list[Discrepancy] = []
    quoted: list[Quoted] = []
    remarks: list[tuple[str, str]] = []
    for named in map(load_study, study.studies):
        found += discrepancies(named, plugin)
        if isinstance(named, Systems):
            quoted += [Quoted(named.source, row.label, row.reason) for row in named.rows if row.reason]
        remarks += [(named.source, note) for note in _notes(named)]
    remarks += [(remark.place, remark.text) for remark in study.remarks]
    tables = (_figures(found), _quoted(quoted), _remarks(remarks))
    return TableSet(study.name, study.title, study.source, tables, tuple(map(asdict, found)))


def discrepancies(study: Study, plugin: Sequence[str] = ()) -> Iterator[Discrepancy]:
    """Yield the printed costs of a study that differ from our counts or have a reason, in the order of its rows."""
    if isinstance(study, Systems):
        for system in counted_systems(study, (), plugin):
            yield from _of_system(study, system)
    elif isinstance(study, Ablation):
        reported = match_runs(study.rows, (), partial(count_network, plugin=plugin), counted_at=study.counted_at)
        for row, name, printed, value in counted_figures(reported):
            verdict, reason = printed.judged(value), row.notes.get(name, "")
            if verdict == DIFFERS or reason:
                figure = FIGURES.get(name, name)
                yield Discrepancy(
                    study.source, row.name, figure, printed.rule, f"{value:.3f}", printed.printed, verdict, reason
                )


def _of_system(study: Systems, each: CountedSystem) -> Iterator[Discrepancy]:
    system = each.system
    if each.count and system.input and system.counted:
        ours, printed_size = (f"{height}×{width}" for height, width in (system.counted, system.input))
        reason = system.counted_reason
        yield Discrepancy(study.source, system.label, "input", EMPTY, ours, printed_size, DIFFERS, reason)
    for name, printed in system.costs.items() if each.count else ():
        verdict = each.verdict(printed)
        if verdict == DIFFERS or printed.reason:
            ours = number(each.value(printed), 3)
            yield Discrepancy(
                study.source, system.label, FIGURES[name], printed.rule, ours, printed.printed, verdict, printed.reason
            )


def _notes(study: Study) -> tuple[str, ...]:
    return (*study.notes, *study.unit_notes) if isinstance(study, UnitComplexity) else ()


def _figures(found: Sequence[Discrepancy]) -> Table:
    names = ("Source", "System", "Figure", "Counted as", "Counted", "Printed", "Verdict", "Reason")
    columns = tuple(Column(name, align="r" if name in ("Counted", "Printed") else "l") for name in names)
    rows = tuple(tuple(map(Cell, asdict(each).values())) for each in found)
    differ = sum(each.verdict == DIFFERS for each in found)
    caption = (
        f"{plural(differ, 'printed figure')} of the studies differ from our counts. A figure that is reproduced is "
        "listed if its reading needs a reason."
    )
    return Table("Figures", columns, rows, (caption,))


def _quoted(quoted: Iterable[Quoted]) -> Table:
    columns = tuple(Column(name, align="l") for name in ("Source", "System", "Reason"))
    rows = tuple((Cell(each.source), Cell(each.system), Cell(each.reason)) for each in quoted)
    return Table("Published only", columns, rows, ("The printed figures of these systems are quoted alone.",))


def _remarks(remarks: Iterable[tuple[str, str]]) -> Table:
    columns = (Column("Place", align="l"), Column("Remark", align="l"))
    return Table("Remarks", columns, tuple((Cell(place), Cell(text)) for place, text in remarks), ())
