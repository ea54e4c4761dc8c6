"""The runs of a network as they are compared with those of another: by seed and machine, and person by person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from archlab.ablation.rows import Reported, Setting, runs_in
from archlab.core import notes
from archlab.core.errors import InputError
from archlab.report.bootstrap import difference, error_over_seeds, mean_figure
from archlab.report.seed_error import SeedError
from archlab.report.statistics import Interval, interval
from archlab.tasks.metrics import Scores
from archlab.tasks.terms import Ratio, Terms
from archlab.training.runs import Record

Place = tuple[int, str, int]
"""A seed, a device and its number of threads: runs in one place are paired."""


@dataclass(frozen=True)
class Errors:
    """The errors over seeds that all networks share, of differences and of means; None if they are not known."""

    paired: SeedError | None
    unpaired: SeedError | None

    @classmethod
    def of(cls, networks: Sequence[Runs]) -> Errors:
        terms = [runs.terms for runs in networks if runs.terms]
        return cls(error_over_seeds(terms), error_over_seeds(terms, paired=False))


@dataclass(frozen=True)
class Runs:
    """The runs of one network: the judged score and AP of each, and the terms of the score.

    terms: also by the digest of the scored samples, so that only the same people are paired.
    """

    scores: Mapping[Place, float]
    ap: Mapping[Place, float]
    terms: Mapping[tuple[Place, str], Ratio]

    @classmethod
    def of(cls, row: Reported, setting: Setting, view: str, key: str, budget: int | None) -> Runs:
        runs = {(run.seed, *run.rounding): run for run in runs_in([row], setting)}
        scores = {place: _scores(run, view, budget) for place, run in sorted(runs.items())}
        terms = {place: _terms(run, view, budget) for place, run in sorted(runs.items())}
        return cls(
            _known(scores, key),
            _known(scores, "AP"),
            {(place, each.samples): each.ratios[key] for place, each in terms.items() if each and key in each.ratios},
        )

    @property
    def by_seed(self) -> dict[int, float]:
        """The judged score of each seed."""
        return {place[0]: score for place, score in self.scores.items()}

    def mean(self, errors: Errors) -> Interval | None:
        """Return the mean score, over seeds and people if every run has its terms, else over seeds."""
        if len(self.terms) < len(self.scores):
            return interval([*self.scores.values()])
        return mean_figure(self.terms, errors.unpaired)

    def minus(self, other: Runs, errors: Errors) -> Interval | None:
        """Return the mean difference of paired runs, over seeds and people if both networks have terms."""
        if self.terms and other.terms:
            return difference(self.terms, other.terms, errors.paired)
        return _paired(self.scores, other.scores)

    def ap_minus(self, other: Runs) -> Interval | None:
        """Return the mean difference of AP of paired runs, over seeds."""
        return _paired(self.ap, other.ap)


def _paired(mine: Mapping[Place, float], others: Mapping[Place, float]) -> Interval | None:
    return interval([value - others[place] for place, value in mine.items() if place in others])


def _scores(run: Record, view: str, budget: int | None) -> Scores:
    if budget is None:
        return run.scores.get(view, {})
    return next((each.scores.get(view, {}) for each in run.budgets if each.budget == budget), {})


def _terms(run: Record, view: str, budget: int | None) -> Terms | None:
    """Return the terms of a run, None without any; note damaged ones, so that one record stops no report."""
    try:
        return run.terms_of(view, budget)
    except InputError as error:
        notes.note(f"not compared person by person: {error.problems[0]}")
        return None


def _known(scores: Mapping[Place, Scores], key: str) -> dict[Place, float]:
    found = {place: each.get(key) for place, each in scores.items()}
    return {place: value for place, value in found.items() if value is not None}
