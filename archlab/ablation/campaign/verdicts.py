"""A campaign judged in one setting, as plain data: differences by seed, controls, claims and the order of the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from archlab.ablation.campaign.paired import Errors, Place, Runs
from archlab.ablation.captions import too_small_to_rank
from archlab.ablation.row import Row
from archlab.ablation.rows import Reported, Setting, runs_in
from archlab.ablation.study import Campaign, Claim, Control
from archlab.core.errors import InputError, Problem, nearest
from archlab.report.bootstrap import Difference, holm, order_agreement
from archlab.report.correlation import Correlation
from archlab.report.seed_error import SeedError
from archlab.report.statistics import CONFIDENCE, Agreement, Interval, agreement, interval
from archlab.tasks import find_task
from archlab.tasks.metrics import Metric, View

Verdict = Literal["held", "not held", "undecided", "not measured"]
Shown = Literal["shown", "not shown", "undecided", "not measured"]
VERDICTS: tuple[Verdict, ...] = ("held", "not held", "undecided", "not measured")


@dataclass(frozen=True)
class Line:
    """One network: its score by seed, the mean, and the mean difference from the reference over the seeds of both.

    ap: the mean AP, the figure that the paper prints. detector: the mean score in detector boxes, if it was also scored
    in them.
    """

    row: Row
    by_seed: Mapping[int, float]
    score: Interval | None
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
    """A claim with its two rows, and better minus worse: the printed AP (or PCKh), and the measured score and AP.

    p: corrected for the number of the campaign's claims; None unless the difference is over seeds and people.
    """

    claim: Claim
    better: Row
    worse: Row
    printed: float | None
    difference: Interval | None
    ap: Interval | None
    verdict: Verdict
    p: float | None

    @property
    def raw_p(self) -> float | None:
        """p of this claim alone, not corrected."""
        return claim_p(self.claim, self.difference) if isinstance(self.difference, Difference) and self.p else None


@dataclass(frozen=True)
class Judged:
    """A campaign in one setting, at the end of the trainings or at a budget.

    view, metric: whose scores are judged, and which figure. people: the number of samples that were resampled for the
    intervals, 0 if they are over seeds alone. error: over seeds, with people resampled; None if it is not known.
    ranks: whether the runs are large enough to rank networks. agreement: of our order with the paper's.
    """

    setting: Setting
    budget: int | None
    view: View
    metric: Metric
    people: int
    error: SeedError | None
    ranks: bool
    lines: tuple[Line, ...]
    controls: tuple[JudgedControl, ...]
    claims: tuple[JudgedClaim, ...]
    order: Agreement | None
    agreement: Correlation | None = None

    def line(self, spec: str) -> Line:
        return next(line for line in self.lines if line.row.spec == spec)

    @property
    def can_judge(self) -> bool | None:
        """Whether every control is shown; None while one is undecided."""
        found = [each.shown for each in self.controls]
        if "not shown" in found:
            return False
        return True if found and set(found) == {"shown"} else None


def judge(study: Campaign, rows: Sequence[Reported], setting: Setting, budget: int | None = None) -> Judged:
    """Judge the runs of one setting, at their end or at one of their budgets.

    rows: the campaign's networks, its controls last. Differences are over seeds and people where the records hold what
    each person adds to the figure, else over seeds by Student's t.
    """
    task = find_task(setting.task)
    metric = _metric(study, task.metrics)
    view = _view(rows, task.views, setting)
    found = [Runs.of(row, setting, view.key, metric.key, budget) for row in rows]
    errors = Errors.of(found)
    reference = next(runs for row, runs in zip(rows, found, strict=True) if row.row.spec == study.reference)
    detector = [Runs.of(row, setting, task.views[-1].key, metric.key, budget) for row in rows]
    lines = [
        Line(row.row, runs.by_seed, runs.mean(errors), _mean(runs.ap), runs.minus(reference, errors), _mean(other.ap))
        for row, runs, other in zip(rows, found, detector, strict=True)
    ]
    ranks = not too_small_to_rank(setting.data)
    controls = zip(study.controls, lines[len(study.all_rows) :], strict=True)
    return Judged(
        setting,
        budget,
        view,
        metric,
        max((len(ratio.parts) for runs in found for ratio in runs.terms.values()), default=0),
        errors.paired,
        ranks,
        tuple(lines),
        tuple(JudgedControl(each, line.difference, shown(each, line.difference, ranks)) for each, line in controls),
        _claims(study, rows, found, errors, ranks),
        _order(lines[: len(study.rows)]),
        _agreement(rows[: len(study.rows)], found, errors.paired),
    )


def _metric(study: Campaign, metrics: Sequence[Metric]) -> Metric:
    """Return the figure that a campaign judges. Raises InputError if its task has none of this name."""
    known = {metric.name: metric for metric in metrics}
    if study.metric not in known:
        rule = f"no figure is called {study.metric!r}{nearest(study.metric, known)}"
        raise InputError(Problem(rule, "metric", f"{study.name}.yaml"))
    return known[study.metric]


def _mean(values: Mapping[Place, float]) -> Interval | None:
    return interval([*values.values()])


def decides(difference: Interval) -> bool:
    """Return whether a difference has an error over seeds, without which it says nothing of other trainings."""
    return difference.freedom > 0 if isinstance(difference, Difference) else difference.low is not None


def shown(control: Control, difference: Interval | None, ranks: bool = True) -> Shown:
    """Return `shown` if the mean difference reaches the control's margin and the interval is on its side of zero."""
    if difference is None:
        return "not measured"
    sign = 1 if control.side == "above" else -1
    if not ranks or not decides(difference) or difference.low is None or difference.high is None:
        return "undecided"
    nearest_to_zero = min(sign * difference.low, sign * difference.high)
    return "shown" if sign * difference.mean >= control.at_least and nearest_to_zero > 0 else "not shown"


def verdict(claim: Claim, difference: Interval | None, ranks: bool = True, p: float | None = None) -> Verdict:
    """Return the verdict of the whole interval; `undecided` without an error over seeds, or if the runs rank nothing.

    "Better" holds above zero and fails below; "comparable" holds within -+`within` and fails outside. p: corrected for
    the number of claims; a claim also needs p < 0.05 to be decided.
    """
    if difference is None:
        return "not measured"
    if not ranks or not decides(difference) or difference.low is None or difference.high is None:
        return "undecided"
    if p is not None and p >= 1 - CONFIDENCE:
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


def _claims(
    study: Campaign, rows: Sequence[Reported], found: Sequence[Runs], errors: Errors, ranks: bool
) -> tuple[JudgedClaim, ...]:
    named = {each.row.spec: (each.row, runs) for each, runs in zip(rows[: len(study.all_rows)], found, strict=False)}
    pairs = [(claim, *named[claim.better], *named[claim.worse]) for claim in study.all_claims]
    differences = [better.minus(worse, errors) for _, _, better, _, worse in pairs]
    corrected = _corrected(study.all_claims, differences)
    return tuple(
        JudgedClaim(
            claim, first, second, _printed(claim, first, second), minus, mine.ap_minus(other),
            verdict(claim, minus, ranks, p), p,
        )
        for (claim, first, mine, second, other), minus, p in zip(pairs, differences, corrected, strict=True)
    )  # fmt: skip


def _corrected(claims: Sequence[Claim], differences: Sequence[Interval | None]) -> list[float | None]:
    """Return Holm's p of each claim whose difference is over seeds and people; None for the others, which count as 1.

    So a claim's p does not depend on how much of the campaign has been run.
    """
    known = [isinstance(found, Difference) and decides(found) for found in differences]
    raw = [
        claim_p(claim, found) if each and isinstance(found, Difference) else 1.0
        for claim, found, each in zip(claims, differences, known, strict=True)
    ]
    return [p if each else None for p, each in zip(holm(raw), known, strict=True)]


def claim_p(claim: Claim, found: Difference) -> float:
    """Return a claim's two-sided p: twice the smaller one of the tests for it and against it."""
    if claim.within is None:
        return found.p
    return min(1.0, 2 * min(found.p_beyond(claim.within), found.p_within(claim.within)))


def _printed(claim: Claim, better: Row, worse: Row) -> float | None:
    if claim.pckh is not None:
        return claim.pckh
    first, second = better.published.ap, worse.published.ap
    return None if first is None or second is None else first - second


def _agreement(rows: Sequence[Reported], found: Sequence[Runs], error: SeedError | None) -> Correlation | None:
    """Return the tau of our order with the paper's and its interval, where every measured row can be resampled."""
    known = [(runs, row.row.published.ap) for row, runs in zip(rows, found, strict=False) if runs.scores]
    printed = [(runs, ap) for runs, ap in known if ap is not None]
    if not printed or not all(runs.terms for runs, _ in printed):
        return None
    return order_agreement([runs.terms for runs, _ in printed], [ap for _, ap in printed], error)


def _order(lines: Sequence[Line]) -> Agreement | None:
    """Compare our order of the rows by mean score with the paper's, over the seeds that all measured rows share."""
    known = [line for line in lines if line.by_seed and line.row.published.ap is not None]
    if len(known) < 2:
        return None
    common = set.intersection(*(set(line.by_seed) for line in known))
    ours = [sum(line.by_seed[seed] for seed in common) for line in known]
    return agreement(ours, [line.row.published.ap or 0.0 for line in known]) if common else None
