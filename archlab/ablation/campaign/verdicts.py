"""A campaign judged in one setting, as plain data: differences by seed, controls, claims and the order of the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from archlab.ablation.captions import too_small_to_rank
from archlab.ablation.row import Row
from archlab.ablation.rows import Reported, Setting, runs_in
from archlab.ablation.study import Campaign, Claim, Control
from archlab.core.errors import InputError, Problem, nearest
from archlab.report.bootstrap import Difference, difference, holm, mean_figure, order_agreement
from archlab.report.correlation import Correlation
from archlab.report.statistics import CONFIDENCE, Agreement, Interval, agreement, interval
from archlab.tasks import find_task
from archlab.tasks.metrics import Metric, View
from archlab.tasks.terms import Ratio
from archlab.training.runs import Record

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
    """A claim with its two rows, and the printed AP and the measured score of better minus worse.

    p: corrected for the number of claims; None without a resampling of the scored samples.
    """

    claim: Claim
    better: Row
    worse: Row
    printed: float | None
    difference: Interval | None
    verdict: Verdict
    p: float | None = None


@dataclass(frozen=True)
class Judged:
    """A campaign in one setting, at the end of the trainings or at a budget.

    view, metric: whose scores are judged, and which figure. people: the number of samples that were resampled for the
    intervals, 0 if they are over seeds alone. ranks: whether the runs are large enough to rank networks.
    """

    setting: Setting
    budget: int | None
    view: View
    metric: Metric
    people: int
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

    rows: the campaign's networks, its controls last. Where every run has the terms of its figure, differences are
    judged by the two-way bootstrap over seeds and samples, else by Student's t over seeds.
    """
    task = find_task(setting.task)
    metric = _metric(study, task.metrics)
    view = _view(rows, task.views, setting)
    found = [Runs.of(row, setting, view.key, metric.key, budget) for row in rows]
    (reference,) = (runs for row, runs in zip(rows, found, strict=True) if row.row.spec == study.reference)
    lines = [_line(row, runs, reference, setting, task.views[-1].key) for row, runs in zip(rows, found, strict=True)]
    ranks = not too_small_to_rank(setting)
    controls = zip(study.controls, lines[len(study.rows) :], strict=True)
    own = found[: len(study.rows)]
    return Judged(
        setting,
        budget,
        view,
        metric,
        max((len(ratio.parts) for runs in found for ratio in runs.terms.values()), default=0),
        ranks,
        tuple(lines),
        tuple(JudgedControl(each, line.difference, shown(each, line.difference, ranks)) for each, line in controls),
        _claims(study, rows, own, ranks),
        _order(lines[: len(study.rows)]),
        _agreement(rows, own),
    )


@dataclass(frozen=True)
class Runs:
    """The runs of one network: their scores by seed, how they round, and the terms of the score if all have them."""

    by_seed: Mapping[int, float]
    rounding: Mapping[int, tuple[str, int]]
    terms: Mapping[int, Ratio]
    ap: Mapping[int, float]

    @classmethod
    def of(cls, row: Reported, setting: Setting, view: str, key: str, budget: int | None) -> Runs:
        runs = runs_in([row], setting)
        scores = {run.seed: _scores(run, view, budget) for run in sorted(runs, key=lambda run: run.seed)}
        terms = {run.seed: run.terms_of(view, budget) for run in runs}
        ratios = {seed: each.ratios[key] for seed, each in terms.items() if each and key in each.ratios}
        digests = {each.samples for each in terms.values() if each}
        whole = set(ratios) >= {seed for seed, each in scores.items() if each.get(key) is not None}
        return cls(
            _known(scores, key),
            {run.seed: run.rounding for run in runs},
            ratios if whole and len(digests) == 1 else {},
            _known(scores, "AP"),
        )

    def minus(self, other: Runs) -> Interval | None:
        """Return the mean difference over the seeds that both have, computed on one kind of machine."""
        common = {s for s in self.by_seed if s in other.by_seed and self.rounding[s] == other.rounding[s]}
        if self.terms and other.terms:
            mine = {seed: self.terms[seed] for seed in common}
            return difference(mine, {seed: other.terms[seed] for seed in common})
        return interval([self.by_seed[seed] - other.by_seed[seed] for seed in sorted(common)])

    @property
    def mean(self) -> Interval | None:
        return mean_figure(self.terms) if self.terms else interval([*self.by_seed.values()])


def _scores(run: Record, view: str, budget: int | None) -> Mapping[str, float | None]:
    if budget is None:
        return run.scores.get(view, {})
    return next((each.scores.get(view, {}) for each in run.budgets if each.budget == budget), {})


def _known(scores: Mapping[int, Mapping[str, float | None]], key: str) -> dict[int, float]:
    found = {seed: each.get(key) for seed, each in scores.items()}
    return {seed: value for seed, value in found.items() if value is not None}


def _metric(study: Campaign, metrics: Sequence[Metric]) -> Metric:
    """Return the figure that a campaign judges. Raises InputError if its task has none of this name."""
    known = {metric.name: metric for metric in metrics}
    if study.metric not in known:
        rule = f"no figure is called {study.metric!r}{nearest(study.metric, known)}"
        raise InputError(Problem(rule, "metric", f"{study.name}.yaml"))
    return known[study.metric]


def _line(row: Reported, runs: Runs, reference: Runs, setting: Setting, detector: str) -> Line:
    found = {run.seed: run.scores.get(detector, {}) for run in runs_in([row], setting)}
    return Line(
        row.row,
        runs.by_seed,
        runs.mean,
        _mean(runs.ap),
        runs.minus(reference),
        _mean(_known(found, "AP")),
    )


def _mean(values: Mapping[int, float]) -> Interval | None:
    return interval([*values.values()])


def shown(control: Control, difference: Interval | None, ranks: bool = True) -> Shown:
    """Return `shown` if the mean difference reaches the control's margin and the interval is on its side of zero."""
    if difference is None:
        return "not measured"
    sign = 1 if control.side == "above" else -1
    if not ranks or difference.n < 2 or difference.low is None or difference.high is None:
        return "undecided"
    nearest_to_zero = min(sign * difference.low, sign * difference.high)
    return "shown" if sign * difference.mean >= control.at_least and nearest_to_zero > 0 else "not shown"


def verdict(claim: Claim, difference: Interval | None, ranks: bool = True, p: float | None = None) -> Verdict:
    """Return the verdict of the whole interval; `undecided` for one seed or if the runs are too small to rank networks.

    "Better" holds above zero and fails below; "comparable" holds within -+`within` and fails outside. p: corrected for
    the number of claims; a claim also needs p < 0.05 to be decided.
    """
    if difference is None:
        return "not measured"
    if not ranks or difference.n < 2 or difference.low is None or difference.high is None:
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


def _claims(study: Campaign, rows: Sequence[Reported], found: Sequence[Runs], ranks: bool) -> tuple[JudgedClaim, ...]:
    named = {row.row.spec: (row.row, runs) for row, runs in zip(rows, found, strict=False)}
    pairs = [(claim, *named[claim.better], *named[claim.worse]) for claim in study.claims]
    differences = [better.minus(worse) for _, _, better, _, worse in pairs]
    corrected = _corrected(study.claims, differences)
    return tuple(
        JudgedClaim(claim, first, second, _printed(first, second), minus, verdict(claim, minus, ranks, p), p)
        for (claim, first, _, second, _), minus, p in zip(pairs, differences, corrected, strict=True)
    )


def _corrected(claims: Sequence[Claim], differences: Sequence[Interval | None]) -> list[float | None]:
    """Return Holm's p of each claim that was resampled over two seeds or more; None for the others.

    A claim of being comparable outside its margin keeps the p of a difference; inside, it has that of two one-sided
    tests.
    """
    raw: dict[int, float] = {}
    for number, (claim, found) in enumerate(zip(claims, differences, strict=True)):
        if isinstance(found, Difference) and found.n > 1:
            near = claim.within is not None and abs(found.mean) < claim.within
            raw[number] = found.p_beyond(claim.within or 0.0) if near else found.p
    corrected = dict(zip(raw, holm([*raw.values()]), strict=True))
    return [corrected.get(number) for number in range(len(claims))]


def _printed(better: Row, worse: Row) -> float | None:
    first, second = better.published.ap, worse.published.ap
    return None if first is None or second is None else first - second


def _agreement(rows: Sequence[Reported], found: Sequence[Runs]) -> Correlation | None:
    """Return the tau of our order with the paper's and its interval, where every measured row can be resampled."""
    known = [(runs, row.row.published.ap) for row, runs in zip(rows, found, strict=False) if runs.by_seed]
    printed = [(runs, ap) for runs, ap in known if ap is not None]
    if not printed or not all(runs.terms for runs, _ in printed):
        return None
    return order_agreement([runs.terms for runs, _ in printed], [ap for _, ap in printed])


def _order(lines: Sequence[Line]) -> Agreement | None:
    """Compare our order of the rows by mean score with the paper's, over the seeds that all measured rows share."""
    known = [line for line in lines if line.by_seed and line.row.published.ap is not None]
    if len(known) < 2:
        return None
    common = set.intersection(*(set(line.by_seed) for line in known))
    ours = [sum(line.by_seed[seed] for seed in common) for line in known]
    return agreement(ours, [line.row.published.ap or 0.0 for line in known]) if common else None
