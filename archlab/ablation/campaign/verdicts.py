"""A campaign judged in one setting, as plain data: differences by seed, controls, claims, and the order of the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from archlab.ablation.captions import ranks_nothing
from archlab.ablation.rows import BOXES, Reported, Setting
from archlab.ablation.study import Campaign, Claim, Control, Row
from archlab.report.statistics import Agreement, Interval, agreement, interval

Verdict = Literal["held", "not held", "undecided", "not measured"]
Shown = Literal["shown", "not shown", "undecided", "not measured"]
VERDICTS: tuple[Verdict, ...] = ("held", "not held", "undecided", "not measured")


@dataclass(frozen=True)
class Line:
    """One network: its AP by seed, the mean, and the mean of its differences from the reference, seed by seed.

    detector: the mean AP in detector boxes, where it was scored in them besides.
    """

    row: Row
    by_seed: Mapping[int, float]
    ap: Interval | None
    difference: Interval | None
    detector: Interval | None


@dataclass(frozen=True)
class JudgedControl:
    """Whether the data shows a control as far from the reference as it must be."""

    control: Control
    difference: Interval | None
    shown: Shown


@dataclass(frozen=True)
class JudgedClaim:
    """A claim with its two rows, what is printed and what is measured of better minus worse, AP."""

    claim: Claim
    better: Row
    worse: Row
    printed: float | None
    difference: Interval | None
    verdict: Verdict


@dataclass(frozen=True)
class Judged:
    """All of it; `boxes` says whose, `ranks` whether the scale is one that may rank anything."""

    setting: Setting
    boxes: str
    ranks: bool
    lines: tuple[Line, ...]
    controls: tuple[JudgedControl, ...]
    claims: tuple[JudgedClaim, ...]
    order: Agreement | None

    def line(self, spec: str) -> Line:
        return next(line for line in self.lines if line.row.spec == spec)

    @property
    def can_judge(self) -> bool | None:
        """Whether every control is shown; None while one is not decided."""
        found = [each.shown for each in self.controls]
        if "not shown" in found:
            return False
        return True if found and set(found) == {"shown"} else None


def judge(study: Campaign, rows: Sequence[Reported], setting: Setting) -> Judged:
    """Judge what was measured in one setting; `rows` are the campaign's networks, its controls last."""
    boxes = _boxes(rows, setting)
    found = [_by_seed(row, setting, boxes) for row in rows]
    (reference,) = (values for row, values in zip(rows, found, strict=True) if row.row.spec == study.reference)
    lines = [
        Line(row.row, values, _mean(values), paired(values, reference), _mean(_by_seed(row, setting, BOXES[1])))
        for row, values in zip(rows, found, strict=True)
    ]
    named = {line.row.spec: line for line in lines[: len(study.rows)]}
    ranks = not ranks_nothing(setting)
    controls = zip(study.controls, lines[len(study.rows) :], strict=True)
    return Judged(
        setting,
        boxes,
        ranks,
        tuple(lines),
        tuple(JudgedControl(each, line.difference, shown(each, line.difference, ranks)) for each, line in controls),
        tuple(_claim(each, named, ranks) for each in study.claims),
        _order(lines[: len(study.rows)]),
    )


def _mean(values: Mapping[int, float]) -> Interval | None:
    return interval([*values.values()])


def paired(values: Mapping[int, float], others: Mapping[int, float]) -> Interval | None:
    """values - others over the seeds that both have."""
    return interval([value - others[seed] for seed, value in values.items() if seed in others])


def shown(control: Control, difference: Interval | None, ranks: bool = True) -> Shown:
    """A control is shown if the mean difference reaches its margin and the interval lies on its side of zero."""
    if difference is None:
        return "not measured"
    sign = 1 if control.side == "above" else -1
    if not ranks or difference.low is None or difference.high is None:
        return "undecided"
    nearest_to_zero = min(sign * difference.low, sign * difference.high)
    return "shown" if sign * difference.mean >= control.at_least and nearest_to_zero > 0 else "not shown"


def verdict(claim: Claim, difference: Interval | None, ranks: bool = True) -> Verdict:
    """Held or not held where the whole interval says so; undecided otherwise, from one seed, or on a small scale.

    "Better" holds above zero and fails below; "comparable" holds within -+`within` and fails outside.
    """
    if difference is None:
        return "not measured"
    if not ranks or difference.low is None or difference.high is None:
        return "undecided"
    if claim.within is None:
        return "held" if difference.low > 0 else "not held" if difference.high < 0 else "undecided"
    if -claim.within <= difference.low and difference.high <= claim.within:
        return "held"
    outside = difference.low > claim.within or difference.high < -claim.within
    return "not held" if outside else "undecided"


def _boxes(rows: Sequence[Reported], setting: Setting) -> str:
    """Ground-truth boxes where anything was scored in them: they leave the made-up detector out of it."""
    runs = [run for row in rows if setting in row.measured for run in row.measured[setting].runs]
    return next((kind for kind in BOXES if any(run.scores.get(kind) for run in runs)), BOXES[0])


def _by_seed(row: Reported, setting: Setting, boxes: str) -> dict[int, float]:
    runs = row.measured[setting].runs if setting in row.measured else ()
    found = {run.seed: run.scores.get(boxes, {}).get("AP") for run in runs}
    return {seed: ap for seed, ap in sorted(found.items()) if ap is not None}


def _claim(claim: Claim, lines: Mapping[str, Line], ranks: bool) -> JudgedClaim:
    better, worse = lines[claim.better], lines[claim.worse]
    printed = [better.row.published.ap, worse.row.published.ap]
    difference = paired(better.by_seed, worse.by_seed)
    return JudgedClaim(
        claim,
        better.row,
        worse.row,
        None if printed[0] is None or printed[1] is None else printed[0] - printed[1],
        difference,
        verdict(claim, difference, ranks),
    )


def _order(lines: Sequence[Line]) -> Agreement | None:
    """Our order of the rows by mean AP against the paper's, over the seeds that all measured rows share."""
    known = [line for line in lines if line.by_seed and line.row.published.ap is not None]
    if len(known) < 2:
        return None
    common = set.intersection(*(set(line.by_seed) for line in known))
    ours = [sum(line.by_seed[seed] for seed in common) for line in known]
    return agreement(ours, [line.row.published.ap or 0.0 for line in known]) if common else None
