"""A paper's statements about systems, held to its own printed scores and to our counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from archlab.ablation.counted_systems import CountedSystem
from archlab.ablation.systems import Systems, SystemsClaim
from archlab.report.tables import EMPTY, Cell, Column, Table, plural, signed

HOLDS, FAILS, OPEN = "holds", "does not hold", "no figure"
LOWER = {"params": "parameters, 10⁶", "flops": "multiply-adds, 2³⁰"}
"""The counted figures of which less is better, with their units."""


@dataclass(frozen=True)
class Judged:
    """One comparison of a claim: two systems, a figure of both, and whether the claim holds in it."""

    claim: SystemsClaim
    better: str
    worse: str
    figures: tuple[float, float] | None
    verdict: str


def judged_claims(study: Systems, rows: Sequence[CountedSystem]) -> Iterator[Judged]:
    """Yield every comparison of the study's claims."""
    for claim in study.claims:
        for better in claim.better:
            for worse in claim.worse:
                found = _figure(claim, better, rows), _figure(claim, worse, rows)
                figures = None if found[0] is None or found[1] is None else (found[0], found[1])
                yield Judged(claim, better, worse, figures, OPEN if figures is None else _verdict(claim, *figures))


def _figure(claim: SystemsClaim, label: str, rows: Sequence[CountedSystem]) -> float | None:
    """Return the figure of the first row of a label, and of the claim's input if it names one, that has it."""
    for each in rows:
        system = each.system
        if system.label == label and claim.input in (None, system.input):
            value = _counted(claim.figure, each) if claim.figure in LOWER else system.scores.get(claim.figure)
            if value is not None:
                return value
    return None


def _counted(figure: str, each: CountedSystem) -> float | None:
    if each.count is None:
        return None
    return each.count.params / 1e6 if figure == "params" else each.count.paper / 2**30


def _verdict(claim: SystemsClaim, better: float, worse: float) -> str:
    if claim.within is not None:
        holds = abs(better - worse) <= claim.within + 1e-9
    else:
        holds = better < worse if claim.figure in LOWER else better > worse
    return HOLDS if holds else FAILS


def claims_table(study: Systems, rows: Sequence[CountedSystem]) -> Table:
    """Return the claims with both figures, their difference and the verdict."""
    columns = [Column(name, align="l") for name in ("Claim", "Place", "Better", "Worse", "Figure")]
    columns += [Column(name) for name in ("better's", "worse's", "diff.")] + [Column("Verdict", align="l")]
    found = list(judged_claims(study, rows))
    body = [tuple(map(Cell, _texts(study, each))) for each in found]
    failed = sum(each.verdict == FAILS for each in found)
    caption = (
        f"{plural(len(found), 'comparison')}, of which {failed} do not hold. Scores are the paper's own; multiply-adds "
        "and parameters are counted here, multiply-adds by the paper's counter. What holds in print is no measurement."
    )
    return Table("Claims, held to the printed scores and to our counts", tuple(columns), tuple(body), (caption,))


def _texts(study: Systems, each: Judged) -> list[str]:
    claim = each.claim
    within = "" if claim.within is None else f", within {claim.within:g}"
    figure = LOWER.get(claim.figure) or study.scores[claim.figure]
    digits = 3 if claim.figure in LOWER else 1
    values = [EMPTY] * 3
    if each.figures:
        better, worse = each.figures
        values = [f"{better:.{digits}f}", f"{worse:.{digits}f}", signed(better - worse, digits)]
    return [claim.sentence, claim.place, each.better, each.worse, figure + within, *values, each.verdict]
