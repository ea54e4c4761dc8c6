"""The tables of a search's report: the front, cost bands, importances and correlations."""

from __future__ import annotations

from typing import Any

from archlab.report.correlation import Correlation
from archlab.report.tables import EMPTY, Cell, Column, Table, TableSet
from archlab.search.report.analysis import Analysis, AtRung
from archlab.search.report.bands import Bounded
from archlab.search.report.correlations import Pairing, rank_correlations
from archlab.search.report.estimates import known, shown_scores
from archlab.search.report.quantities import quantity
from archlab.search.report.records import records
from archlab.search.results import Candidate, Result

KINDS = {"rung": "lower rung", "seed": "other seed", "proxy": "zero-cost proxy", "cost": "cost"}


def report_tables(analysis: Analysis) -> TableSet:
    """Return the tables in the order in which a report shows them, with all candidates as records."""
    result = analysis.result
    made = [
        front(analysis),
        *(bands(analysis, rung) for rung in ends(analysis)),
        importance(analysis),
        correlations(analysis),
    ]
    tables = tuple(table for table in made if table and table.rows)
    return TableSet(result.study, result.title, result.space, tables, tuple(records(result)))


def ends(analysis: Analysis) -> tuple[AtRung, ...]:
    """Return the first rung, which scored all candidates, and the last, which scored those that passed the others."""
    return tuple({rung.index: rung for rung in (*analysis.rungs[:1], *analysis.rungs[-1:])}.values())


def front(analysis: Analysis) -> Table:
    """Return the front's members with their intervals, followed by the references."""
    result = analysis.result
    names = [o.name for o in result.objectives]
    names += [n for n in (*shown_scores(result, result.complete), "params", "macs", "mflops") if n not in names]
    names = [n for n in names if any(known(c, n) for c in analysis.front)]
    columns = [
        Column("Candidate", align="l"),
        Column("Seeds"),
        *(Column(quantity(n, analysis.result).title) for n in names),
        Column("Hash", align="l"),
    ]
    rows = [
        (Cell(c.name if c in result.references else str(c.number)), Cell(str(max(len(c.seeds), 1))),
         *(Cell(quantity(n, analysis.result).with_error(known(c, n))) for n in names), Cell(c.hash[:8]))
        for c in (*analysis.front, *result.references)
    ]  # fmt: skip
    caption = "Candidates by number, references by name. ±: half the 95 % t-interval of the mean over seeds."
    return Table("Front and references", tuple(columns), tuple(rows) if analysis.front else (), (caption,))


def bands(analysis: Analysis, rung: AtRung) -> Table:
    """Return the median and the best in cost bands of equal count."""
    cost, score = quantity(analysis.cost, analysis.result), quantity(analysis.score, analysis.result)
    columns = (
        Column(cost.title, align="l"),
        Column("Candidates"),
        Column(f"Median {score.label}"),
        Column(f"Best {score.label}"),
    )
    rows = [
        (Cell(f"{cost.text(band.low)} to {cost.text(band.high)}"), Cell(str(band.n)),
         *(Cell(_bounded(found, score.text)) for found in (band.median, band.best)))
        for band in rung.bands
    ]  # fmt: skip
    caption = "In brackets: the bootstrap 95 % interval. For a best, it never exceeds the best score found."
    return Table(f"Bands of equal count at {rung.label}", columns, tuple(rows), (caption,))


def importance(analysis: Analysis) -> Table:
    """Return each parameter's share of the variance, at the first and last rung with enough candidates."""
    rungs = [rung for rung in ends(analysis) if rung.importances]
    shares = [{each.parameter: each.share for each in rung.importances} for rung in rungs]
    names = list(dict.fromkeys(name for found in shares for name in found))
    columns = Column("Parameter", align="l"), *(Column(f"At {rung.label} ({len(rung.scores)})") for rung in rungs)
    rows = [(Cell(n), *(Cell(_bounded(f[n], _percent) if n in f else EMPTY) for f in shares)) for n in names]
    caption = "Share of the variance of scores explained by the parameter's main effect (%), corrected for chance."
    return Table("Importance of parameters", columns, tuple(rows), (caption,))


def correlations(analysis: Analysis) -> Table:
    """Return how well other quantities predict the score at the last rung."""
    result = analysis.result
    columns = (Column("What", align="l"), Column("Predicts", align="l"), Column("Kind", align="l"), Column("n"),
               Column("Kendall's tau"), Column("Spearman's rho"), Column("", align="l"))  # fmt: skip
    rows = [
        (Cell(_words(pair.name, result)), Cell(_words(pair.against, result)), Cell(KINDS[pair.kind]), Cell(str(pair.n)),
         Cell(_correlation(pair.kendall)), Cell(_correlation(pair.spearman)),
         Cell("" if pair.enough else "too few to conclude"))
        for pair in sorted(rank_correlations(result), key=_kind_order)
    ]  # fmt: skip
    caption = (
        "Complete candidates only. They were selected at the lower rungs, and selection makes correlations weaker. In "
        "brackets: the bootstrap 95 % interval."
    )
    return Table("Rank correlations", columns, tuple(rows), (caption,))


def _kind_order(pair: Pairing) -> int:
    return list(KINDS).index(pair.kind)


def _bounded(found: Bounded, text: Any) -> str:
    return f"{text(found.value)} [{text(found.low)}, {text(found.high)}]"


def _percent(share: float) -> str:
    return f"{round(100 * share) + 0}"


def _correlation(found: Correlation | None) -> str:
    return _bounded(Bounded(found.value, found.low, found.high), "{:.2f}".format) if found else EMPTY


def _words(name: str, result: Result) -> str:
    """Return `pck at 64x48` with the score's title."""
    first, _, rest = name.partition(" at ")
    label = quantity(first, result).label
    return f"{label} at {rest}" if rest else label


def front_records_alone(analysis: Analysis) -> TableSet:
    """Return the records of the front's members, in order of their numbers."""
    result = analysis.result
    held = tuple(record for record in records(result) if record["on_front"])
    return TableSet(f"{result.study}_front", result.title, result.space, (), held)


def in_order(analysis: Analysis) -> list[Candidate]:
    """Return candidates from best to worst: the front, references, then by the last rung reached and its score."""

    def worth(c: Candidate) -> tuple[int, float]:
        found = known(c, analysis.score) if c.rungs else None
        sign = -1.0 if analysis.upwards else 1.0
        return -len(c.rungs), sign * found.mean if found else 0.0

    return [*analysis.front, *analysis.result.references, *sorted(analysis.result.candidates, key=worth)]
