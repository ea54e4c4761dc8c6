"""The tables of a search: the front, bands and correlations; all candidates as records for CSV."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from archlab.report.correlation import Correlation
from archlab.report.tables import EMPTY, Cell, Column, Table, TableSet
from archlab.search.report.analysis import Analysis, AtRung
from archlab.search.report.bands import Bounded
from archlab.search.report.correlations import Pairing, rank_correlations
from archlab.search.report.estimates import by_rung, known, score_names, shown_scores
from archlab.search.report.importance import as_text
from archlab.search.report.payload import kind
from archlab.search.report.quantities import quantity
from archlab.search.results import Candidate

KINDS = {"rung": "lower rung", "seed": "other seed", "proxy": "zero-cost proxy", "cost": "cost"}


def document(analysis: Analysis) -> TableSet:
    """The tables in the order in which a report shows them."""
    result = analysis.result
    made = [
        front(analysis),
        *(bands(analysis, rung) for rung in ends(analysis)),
        importance(analysis),
        correlations(analysis),
    ]
    tables = tuple(table for table in made if table and table.rows)
    return TableSet(result.study, result.title, result.space, tables, tuple(records(analysis)))


def ends(analysis: Analysis) -> tuple[AtRung, ...]:
    """The first rung, where all were scored, and the last, where only those that went on were."""
    return tuple({rung.index: rung for rung in (*analysis.rungs[:1], *analysis.rungs[-1:])}.values())


def front(analysis: Analysis) -> Table:
    """The front's members with their intervals, and the references below them."""
    result = analysis.result
    names = [o.name for o in result.objectives]
    names += [n for n in (*shown_scores(result, result.complete), "params", "macs", "mflops") if n not in names]
    names = [n for n in names if any(known(c, n) for c in analysis.front)]
    columns = [
        Column("Candidate", align="l"),
        Column("Seeds"),
        *(Column(quantity(n).title) for n in names),
        Column("Hash", align="l"),
    ]
    rows = [
        (Cell(c.name if c in result.references else str(c.number)), Cell(str(max(len(c.seeds), 1))),
         *(Cell(quantity(n).with_error(known(c, n))) for n in names), Cell(c.hash[:8]))
        for c in (*analysis.front, *result.references)
    ]  # fmt: skip
    caption = "Candidates by number, references by name. ±: half the 95 % t-interval of the mean over seeds."
    return Table("Front and references", tuple(columns), tuple(rows) if analysis.front else (), (caption,))


def bands(analysis: Analysis, rung: AtRung) -> Table:
    """Median and best in bands of equally many candidates by cost."""
    cost, score = quantity(analysis.cost), quantity(analysis.score)
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
    caption = "In brackets, the bootstrap 95 % interval; that of a best never lies above the best found."
    return Table(f"Bands of equal count at {rung.label}", columns, tuple(rows), (caption,))


def importance(analysis: Analysis) -> Table:
    """Each parameter's share of the variance, at each of the two rungs that has enough candidates."""
    rungs = [rung for rung in ends(analysis) if rung.importances]
    shares = [{each.parameter: each.share for each in rung.importances} for rung in rungs]
    names = list(dict.fromkeys(name for found in shares for name in found))
    columns = Column("Parameter", align="l"), *(Column(f"At {rung.label} ({len(rung.scores)})") for rung in rungs)
    rows = [(Cell(n), *(Cell(_bounded(f[n], _percent) if n in f else EMPTY) for f in shares)) for n in names]
    caption = (
        "Share of the variance of scores that the parameter's main effect accounts for (%), less what chance gives."
    )
    return Table("Importance of parameters", columns, tuple(rows), (caption,))


def correlations(analysis: Analysis) -> Table:
    """What foretold the score at the last rung."""
    columns = (Column("What", align="l"), Column("Foretells", align="l"), Column("Kind", align="l"), Column("n"),
               Column("Kendall's tau"), Column("Spearman's rho"), Column("", align="l"))  # fmt: skip
    rows = [
        (Cell(_words(pair.name)), Cell(_words(pair.against)), Cell(KINDS[pair.kind]), Cell(str(pair.n)),
         Cell(_correlation(pair.kendall)), Cell(_correlation(pair.spearman)),
         Cell("" if pair.enough else "too few to conclude from"))
        for pair in sorted(rank_correlations(analysis.result), key=_kind_order)
    ]  # fmt: skip
    caption = (
        "Of the complete candidates only. They were chosen at the lower rungs, and among chosen ones correlations are "
        "weaker than among all. In brackets, the bootstrap 95 % interval."
    )
    return Table("Rank correlations", columns, tuple(rows), (caption,))


def records(analysis: Analysis) -> Iterator[dict[str, Any]]:
    """Every candidate and reference at full precision; parameters as text, `_low` and `_high` the 95 % interval."""
    result = analysis.result
    scores = score_names((*result.candidates, *result.references))
    for c in (*result.candidates, *result.references):
        which = kind(analysis, c)
        record: dict[str, Any] = {
            "number": c.number,
            "name": c.name,
            "kind": "reference" if which == "reference" else "candidate",
            "outcome": c.outcome,
            "on_front": which == "front",
            "hash": c.hash,
            "seeds": max(len(c.seeds), 1),
            "rungs_reached": len(c.rungs),
        }
        for name in scores:
            found = known(c, name)
            record |= {
                name: found and found.mean,
                f"{name}_low": found and found.low,
                f"{name}_high": found and found.high,
            }
        at = by_rung(result, c)
        record |= {
            f"{name}@{rung.label}": at.get(i, {}).get(name) for i, rung in enumerate(result.rungs) for name in scores
        }
        record |= {**c.cost, **{f"proxy.{name}": value for name, value in c.proxies.items()}}
        record |= {f"point.{name}": as_text(c.point[name]) if name in c.point else None for name in result.parameters}
        yield record | {"seconds": c.seconds, "finished": c.finished, "reason": c.reason}


def _kind_order(pair: Pairing) -> int:
    return list(KINDS).index(pair.kind)


def _bounded(found: Bounded, text: Any) -> str:
    return f"{text(found.value)} [{text(found.low)}, {text(found.high)}]"


def _percent(share: float) -> str:
    return f"{round(100 * share) + 0}"


def _correlation(found: Correlation | None) -> str:
    return _bounded(Bounded(found.value, found.low, found.high), "{:.2f}".format) if found else EMPTY


def _words(name: str) -> str:
    """`pck at 64x48` with the score's own name."""
    first, _, rest = name.partition(" at ")
    return f"{quantity(first).label} at {rest}" if rest else quantity(first).label


def front_document(analysis: Analysis) -> TableSet:
    """The records of the front's members alone."""
    result = analysis.result
    held = tuple(record for record in records(analysis) if record["on_front"])
    return TableSet(f"{result.study}_front", result.title, result.space, (), held)


def in_order(analysis: Analysis) -> list[Candidate]:
    """Candidates by worth: the front, references, then by the deepest rung and the score there."""

    def worth(c: Candidate) -> tuple[int, float]:
        found = known(c, analysis.score) if c.rungs else None
        return -len(c.rungs), -found.mean if found else 0.0

    return [*analysis.front, *analysis.result.references, *sorted(analysis.result.candidates, key=worth)]
