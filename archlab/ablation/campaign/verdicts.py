"""A campaign judged in one setting, as plain data: differences by seed, controls, claims and the order of the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from archlab.ablation.captions import too_small_to_rank
from archlab.ablation.row import Row
from archlab.ablation.rows import Reported, Setting, runs_in
from archlab.ablation.study import Campaign, Claim, Control
from archlab.report.statistics import Agreement, Interval, agreement, interval
from archlab.tasks import find_task
from archlab.tasks.metrics import View

Verdict = Literal["held", "not held", "undecided", "not measured"]
Shown = Literal["shown", "not shown", "undecided", "not measured"]
VERDICTS: tuple[Verdict, ...] = ("held", "not held", "undecided", "not measured")


@dataclass(frozen=True)
class Line:
    """One network: its AP by seed, the mean, and the mean difference from the reference over the seeds of both.

    detector: the mean AP in detector boxes, if it was also scored in them.
    """

    row: Row
    by_seed: Mapping[int, float]
    ap: Interval | None
    difference: Interval | None
    detector: Interval | None


@dataclass(frozen=True)
class JudgedControl:
    """Whether the data shows a control's margin from the reference."""

    control: Control
    difference: Interval | None
    shown: Shown


@dataclass(frozen=True)
class JudgedClaim:
    """A claim with its two rows, and the printed and measured AP of better minus worse."""

    claim: Claim
    better: Row
    worse: Row
    printed: float | None
    difference: Interval | None
    verdict: Verdict


@dataclass(frozen=True)
class Judged:
    """A campaign in one setting.

    view: whose scores are judged. ranks: whether the runs are large enough to rank networks.
    """

    setting: Setting
    view: View
    ranks: bool
    lines: tuple[Line, ...]
    controls: tuple[JudgedControl, ...]
    claims: tuple[JudgedClaim, ...]
    order: Agreement | None

    def line(self, spec: str) -> Line:
        return next(line for line in self.lines if line.row.spec == spec)

    @property
    def can_judge(self) -> bool | None:
        """Whether every control is shown; None while one is undecided."""
        found = [each.shown for each in self.controls]
        if "not shown" in found:
            return False
        return True if found and set(found) == {"shown"} else None


def judge(study: Campaign, rows: Sequence[Reported], setting: Setting) -> Judged:
    """Judge the runs of one setting. rows: the campaign's networks, its controls last."""
    views: Sequence[View] = find_task(setting.task).views
    view = _view(rows, views, setting)
    found = [_by_seed(row, setting, view.key) for row in rows]
    (reference,) = (values for row, values in zip(rows, found, strict=True) if row.row.spec == study.reference)
    lines = [
        Line(row.row, values, _mean(values), paired(values, reference), _mean(_by_seed(row, setting, views[-1].key)))
        for row, values in zip(rows, found, strict=True)
    ]
    named = {line.row.spec: line for line in lines[: len(study.rows)]}
    ranks = not too_small_to_rank(setting)
    controls = zip(study.controls, lines[len(study.rows) :], strict=True)
    return Judged(
        setting,
        view,
        ranks,
        tuple(lines),
        tuple(JudgedControl(each, line.difference, shown(each, line.difference, ranks)) for each, line in controls),
        tuple(_claim(each, named, ranks) for each in study.claims),
        _order(lines[: len(study.rows)]),
    )


def _mean(values: Mapping[int, float]) -> Interval | None:
    return interval([*values.values()])


def paired(values: Mapping[int, float], others: Mapping[int, float]) -> Interval | None:
    """Return the interval of values - others over the seeds that both have."""
    return interval([value - others[seed] for seed, value in values.items() if seed in others])


def shown(control: Control, difference: Interval | None, ranks: bool = True) -> Shown:
    """Return `shown` if the mean difference reaches the control's margin and the interval is on its side of zero."""
    if difference is None:
        return "not measured"
    sign = 1 if control.side == "above" else -1
    if not ranks or difference.low is None or difference.high is None:
        return "undecided"
    nearest_to_zero = min(sign * difference.low, sign * difference.high)
    return "shown" if sign * difference.mean >= control.at_least and nearest_to_zero > 0 else "not shown"


def verdict(claim: Claim, difference: Interval | None, ranks: bool = True) -> Verdict:
    """Return the verdict of the whole interval; `undecided` for one seed or if the runs are too small to rank networks.

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


def _view(rows: Sequence[Reported], views: Sequence[View], setting: Setting) -> View:
    """Return the first view with scores: ground-truth boxes before those of a synthetic detector."""
    runs = runs_in(rows, setting)
    return next((view for view in views if any(run.scores.get(view.key) for run in runs)), views[0])


def _by_seed(row: Reported, setting: Setting, view: str) -> dict[int, float]:
    found = {run.seed: run.scores.get(view, {}).get("AP") for run in runs_in([row], setting)}
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
    """Compare our order of the rows by mean AP with the paper's, over the seeds that all measured rows share."""
    known = [line for line in lines if line.by_seed and line.row.published.ap is not None]
    if len(known) < 2:
        return None
    common = set.intersection(*(set(line.by_seed) for line in known))
    ours = [sum(line.by_seed[seed] for seed in common) for line in known]
    return agreement(ours, [line.row.published.ap or 0.0 for line in known]) if common else None
