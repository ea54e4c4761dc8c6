"""The tables that the commands on a search's candidates print."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from archlab.network.differences import Difference
from archlab.report.tables import EMPTY, Cell, Column, Table, signed
from archlab.search.candidates import OUTCOMES, Side
from archlab.search.report.estimates import by_rung, deepest, front, known, shown_scores
from archlab.search.report.quantities import COSTS, quantity
from archlab.search.results import Candidate, Result
from archlab.search.space.sample import choices

NOT_FOUND_YET = "No trial has been trained to the end yet."


def best(result: Result, found: Sequence[Candidate], by: str | None) -> Table:
    """Return the front, or the best by one figure, followed by the references."""
    shown = [*found, *result.references]
    names = [
        *(o.name for o in result.objectives),
        *([by] if by else ()),
        *shown_scores(result, shown),
        "params",
        "mflops",
    ]
    names = [name for name in dict.fromkeys(names) if any(known(candidate, name) for candidate in shown)]
    columns = (
        Column("Trial", align="l"),
        Column("Hash", align="l"),
        Column("Seeds"),
        *(Column(quantity(n, result).title) for n in names),
    )
    rows = [
        (Cell(c.name if c in result.references else str(c.number)), Cell(c.hash[:8]), Cell(str(max(len(c.seeds), 1))),
         *(Cell(quantity(name, result).with_error(known(c, name))) for name in names))
        for c in shown
    ]  # fmt: skip
    sought = ", ".join(
        f"{quantity(o.name, result).label} {'up' if o.direction == 'maximize' else 'down'}" for o in result.objectives
    )
    heading = f"{result.study}: best by {quantity(by, result).label}" if by else f"{result.study}: the front ({sought})"
    caption = [] if found else [NOT_FOUND_YET]
    caption += ["Networks with a name are references from outside the search."] if result.references else []
    if any(len(c.seeds) > 1 for c in shown):
        caption.append("±: half the 95 % t-interval of the mean over seeds.")
    if any(len(c.seeds) < 2 for c in found):
        caption.append("The best of many single scores is partly luck.")
    return Table(heading, columns, tuple(rows), (" ".join(caption),) if caption else ())


def trial(result: Result, candidate: Candidate, weights: Path | None) -> list[Table]:
    """Return one trial: its costs, scores and choices. weights: in the folder of its run."""
    on_front = ", on the front" if candidate in front(result) else ""
    at = f" ({deepest(result, candidate)})" if candidate.outcome == "stopped" else ""
    lines = {
        "outcome": f"{OUTCOMES[candidate.outcome]}{at}{on_front}",
        "reason": candidate.reason,
        "hash": candidate.hash,
        "run": str(weights.parent) if weights else "",
        "time": f"{candidate.seconds:.0f} s, finished {candidate.finished / 60:.1f} min after the study began",
        **{
            f"cost: {quantity(name, result).title}": quantity(name, result).text(candidate.cost.get(name))
            for name in COSTS
        },
        **{f"proxy: {name}": f"{value:.4g}" for name, value in candidate.proxies.items()},
        **{f"choice: {name}": made for name, made in choices(result.parameters, candidate.point).items()},
    }
    rows = [(Cell(name), Cell(" ".join(text.split()))) for name, text in lines.items() if text]
    columns = Column("Trial", align="l"), Column(str(candidate.number), align="l")
    about = Table(result.title, columns, tuple(rows), ())
    return [about, *_scores(result, candidate)]


def _scores(result: Result, candidate: Candidate) -> Iterator[Table]:
    names = shown_scores(result, [candidate])
    if not names:
        return
    columns = (
        Column("Rung", align="l"),
        Column("Samples"),
        Column("Input"),
        *(Column(quantity(n, result).title) for n in names),
    )
    lines = [(result.rungs[i], scores) for i, scores in by_rung(result, candidate).items()]
    rows = [
        (rung.label, f"{rung.samples:,}" if rung.samples else EMPTY, "x".join(map(str, rung.input)), scores)
        for rung, scores in lines
    ]
    last = rows[-1][1:3]
    rows += [(f"the same, seed {seed}", *last, scores) for seed, scores in candidate.seeds.items()]
    cells = [(*map(Cell, row[:3]), *(Cell(quantity(n, result).text(row[3].get(n))) for n in names)) for row in rows]
    if len(candidate.seeds) > 1:
        mean = (
            Cell("mean over seeds"),
            *map(Cell, last),
            *(Cell(quantity(n, result).with_error(known(candidate, n))) for n in names),
        )
        cells.append(mean)
    yield Table("Scores", columns, tuple(cells), ("±: half the 95 % t-interval.",) if len(candidate.seeds) > 1 else ())


def compared(result: Result | None, a: Side, b: Side, found: Sequence[Difference]) -> list[Table]:
    """Return the costs of two networks, their scores in a search, if any, and the fields in which they differ."""
    heads = Column("", align="l"), Column(a.label), Column(b.label)
    rows = [
        (Cell(COSTS[n].title), Cell(COSTS[n].text(a.cost[n])), Cell(COSTS[n].text(b.cost[n])),
         Cell(f"{signed(100 * (b.cost[n] / a.cost[n] - 1), 1)} %" if a.cost[n] else EMPTY))
        for n in COSTS if n in a.cost and n in b.cost
    ]  # fmt: skip
    mine, its = (_by_rung(result, each) if result else {} for each in (a, b))
    for key in dict.fromkeys([*mine, *its]):
        one, other = mine.get(key), its.get(key)
        change = Cell(signed(other[0] - one[0], 1) if one and other else EMPTY)
        rows.append((Cell(key), Cell(one[1] if one else EMPTY), Cell(other[1] if other else EMPTY), change))
    where = f", {result.study}" if result else ""
    sizes = Table(f"{a.label} and {b.label}{where}", (*heads, Column("difference")), tuple(rows), ())
    same = "the same network" if a.hash == b.hash else "both files have the same fields"
    columns = Column("Field", align="l"), Column(a.label, align="l"), Column(b.label, align="l")
    lines = tuple((Cell(each.field), Cell(_shown(each.a)), Cell(_shown(each.b))) for each in found)
    caption = ("Defaults are filled in. Positions count from 0.",) if found else (f"None: {same}.",)
    return [sizes, Table("Fields in which they differ", columns, lines, caption)]


def _by_rung(result: Result, side: Side) -> dict[str, tuple[float, str]]:
    """Return scores by name and rung, as number and as text; at the last rung with the interval over seeds."""
    candidate = side.candidate
    if not candidate:
        return {}
    found: dict[str, tuple[float, str]] = {}
    rungs = by_rung(result, candidate)
    for i, scores in rungs.items():
        for name in shown_scores(result, [candidate]):
            ended = known(candidate, name) if i == max(rungs) else None
            mean = ended.mean if ended else scores.get(name)
            if mean is not None:
                what = f"{quantity(name, result).label} at {result.rungs[i].label}"
                found[what] = (
                    mean,
                    quantity(name, result).with_error(ended) if ended else quantity(name, result).text(mean),
                )
    return found


def _shown(value: Any) -> str:
    return EMPTY if value is None else value if isinstance(value, str) else json.dumps(value)
