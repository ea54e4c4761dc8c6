"""Optuna samplers whose proposals all pass the gate, including regularised evolution."""

from __future__ import annotations

import copy
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from itertools import islice
from random import Random
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from archlab.report.ranking import best_first
from archlab.search.config import SamplerForm
from archlab.search.space.document import Point
from archlab.search.space.gate import Checked, Gate
from archlab.search.space.points import cross, mutate
from archlab.search.space.space import Space

ASKED = 10
"""How often a sampler is asked for a candidate that passes, before a walk from its last proposal is tried."""
NEARBY = 300
ROUNDS, POOL, PARENTS, LOOKED_AT = 2, 100, 4, 20
"""For the Gaussian process: rounds, candidates per round, their parents, and how many of the best are checked."""

SCORED = (TrialState.COMPLETE, TrialState.PRUNED)


class GatedSampler(BaseSampler):
    """Asks another sampler until a proposal passes the gate, so that a refused candidate never becomes a trial.

    If the sampler's proposals keep failing, its last one is changed step by step until it passes. Every parameter of
    the space is an integer, the number of its choice; inactive ones are ignored. A proposal is determined by the seed,
    the trial's number and the earlier trials, so a study continues after a restart as if there had been none. Only the
    Gaussian process is kept within a process, because its next fit then takes half the time; a new process starts it
    from the trial's number. No two trials have the same network if workers propose one at a time.

    start: points that are proposed first, in this order.
    """

    def __init__(self, space: Space, form: SamplerForm, seed: int, start: Sequence[Point] = ()) -> None:
        self.space, self.form, self.seed, self.start = space, form, seed, start
        self.gate = Gate(space, exact=True)
        self.accepted: dict[int, Checked] = {}
        self._seen: set[int] = set()
        self._judged: dict[int, FrozenTrial] = {}
        self._kept: BaseSampler | None = None
        self.sizes = {
            parameter.name: len(parameter.labels) for parameter in space.parameters if len(parameter.labels) > 1
        }

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {name: IntDistribution(0, size - 1) for name, size in self.sizes.items()}

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        self._learn(study, trial)
        random = Random(f"{self.seed}-{trial.number}")
        found = self._started() or self._asked(JudgedStudy(study, self._judged), trial, random)
        found = found or self.gate.sample(random)
        self.accepted[trial.number] = found
        return self.parameters(found.point)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        raise AssertionError(f"{param_name} is not a parameter of {self.space.name}")

    def point(self, parameters: Mapping[str, Any]) -> Point:
        """Return the point of a trial's parameters."""
        return self.space.canonical(tuple(parameters.get(p.name, 0) for p in self.space.parameters))

    def parameters(self, point: Point) -> dict[str, int]:
        """Return a trial's parameters; inactive ones have their first choice, so that equal points are equal trials."""
        choices = {p.name: max(c, 0) for p, c in zip(self.space.parameters, point, strict=True)}
        return {name: choices[name] for name in self.sizes}

    def is_new(self, point: Point) -> bool:
        """Return whether a point would pass the gate."""
        return self.gate.is_new(self.gate.look(point))

    def _learn(self, study: optuna.Study, mine: FrozenTrial) -> None:
        """Add the networks of all other trials, also of other workers, to those the gate knows."""
        for trial in study.get_trials(deepcopy=False):
            if (
                trial.number not in self._seen
                and trial.number != mine.number
                and self.sizes.keys() <= trial.params.keys()
            ):
                self._seen.add(trial.number)
                self.gate.learn(self.point(trial.params))
                self.gate.hashes.update(trial.user_attrs.get("candidate", {}).get("hash", "").split())

    def _started(self) -> Checked | None:
        """Return the next network to start from, None if each has a trial."""
        return next((found for point in self.start if (found := self.gate.passes(point))), None)

    def _asked(self, study: optuna.Study, trial: FrozenTrial, random: Random) -> Checked | None:
        last: Point | None = None
        for proposed in self._proposals(study, trial, random):
            if found := self.gate.passes(proposed):
                return found
            last = proposed
        return None if last is None else self.gate.nearby(last, random, tries=NEARBY)

    def _proposals(self, study: optuna.Study, trial: FrozenTrial, random: Random) -> Iterator[Point]:
        """Of the sampler; none as long as it wants chance to choose."""
        if self.form.name == "random":
            return
        if self.form.name == "evolution":
            parents = parents_of(study, self.form)
            for _ in range(ASKED if parents else 0):
                yield mutate(self.space, self.point(fittest(parents, study, self.form, random).params), random)
            return
        inner = self._kept or INNER[self.form.name](self, self.seed * 1_000_003 + trial.number)
        if self.form.name == "gp":
            self._kept = inner
        space = self.infer_relative_search_space(study, trial)
        for _ in range(1 if inner is self._kept else ASKED):  # it has already looked for one that passes
            found = inner.sample_relative(study, trial, space)
            if not found:
                return
            for name in [name for name in space if name not in found]:
                found[name] = inner.sample_independent(study, trial, name, space[name])
            yield self.point(found)


class JudgedStudy(optuna.Study):
    """A study in which every trial that reached a rung is complete, with its objectives at the first rung.

    Samplers learn from it. Optuna's samplers for several objectives would ignore stopped trials, and all trials are
    compared after the same training.
    """

    def __init__(self, study: optuna.Study, known: dict[int, FrozenTrial]) -> None:
        super().__init__(study.study_name, study._storage, study.sampler, study.pruner)
        self._known = known

    def _get_trials(
        self, deepcopy: bool = True, states: Container[TrialState] | None = None, use_cache: bool = False
    ) -> list[FrozenTrial]:
        trials = [self._as_judged(trial) for trial in super()._get_trials(False, None, use_cache)]
        return [trial for trial in trials if states is None or trial.state in states]

    def _as_judged(self, trial: FrozenTrial) -> FrozenTrial:
        if trial.state not in SCORED or not trial.user_attrs.get("rungs"):
            return trial
        if trial.number not in self._known:
            self._known[trial.number] = judged = copy.copy(trial)
            judged.state, judged.values = TrialState.COMPLETE, trial.user_attrs["rungs"][0]["values"]
        return self._known[trial.number]


def losses_of(trial: FrozenTrial, study: optuna.Study) -> list[float] | None:
    """Return a trial's objectives at its first rung, or at the end if there is no rung, all minimised.

    None for a trial that failed or is not finished: it cannot be a parent.
    """
    if trial.state not in SCORED:
        return None
    rungs = trial.user_attrs.get("rungs")
    values = rungs[0]["values"] if rungs else trial.values
    return None if values is None else signed(values, study)


def signed(values: Sequence[float], study: optuna.Study) -> list[float]:
    """Return objectives with signs such that all are minimised."""
    up = optuna.study.StudyDirection.MAXIMIZE
    return [-value if direction == up else value for value, direction in zip(values, study.directions, strict=True)]


def parents_of(study: optuna.Study, form: SamplerForm) -> list[FrozenTrial]:
    """Return the population: the youngest trials with scores, whatever these are; none until there are enough.

    Real, "Regularized evolution" (2019), algorithm 1: the oldest leaves.
    """
    scored = [trial for trial in study.get_trials(deepcopy=False) if losses_of(trial, study) is not None]
    young = sorted(scored, key=lambda trial: trial.number)[-form.population :]
    return young if len(young) >= min(form.population, form.startup) else []


def fittest(parents: Sequence[FrozenTrial], study: optuna.Study, form: SamplerForm, random: Random) -> FrozenTrial:
    """Return the winner of a random tournament: by non-dominated rank, then by crowding in the tournament."""
    chosen = random.sample(parents, min(form.tournament, len(parents)))
    return chosen[best_first([losses_of(trial, study) or () for trial in chosen])[0]]


class PooledGP(optuna.samplers.GPSampler):
    """Optuna's Gaussian process, with its acquisition function maximised over candidates that pass the gate.

    Optuna maximises it one parameter at a time, which takes a second per proposal for 30 parameters and mostly ends at
    a point that the gate refuses. Here POOL mutations and crossovers of the front's members are evaluated in a batch;
    the best that pass are the next parents, for ROUNDS rounds, and the best of all is proposed. Proposals stay near
    the front. Optuna offers this method for overriding.
    """

    def __init__(self, gated: GatedSampler, seed: int) -> None:
        # Scores of trainings are noisy, so the noise is fitted.
        super().__init__(n_startup_trials=gated.form.startup, deterministic_objective=False, seed=seed)
        self._gated = gated
        self._forms: NDArray[np.float64] = np.array(list(gated.sizes.values()), float)

    def _optimize_acqf(self, acqf: Any, best_params: NDArray[np.float64] | None) -> NDArray[np.float64]:
        assert best_params is not None
        random = Random(int(self._rng.rng.randint(2**31)))
        parents = [self._point(row) for row in best_params]
        passing: dict[Point, float] = {}
        for _ in range(ROUNDS):
            children = list({_child(self._gated.space, parents, random): None for _ in range(POOL)})
            worth = acqf.eval_acqf_no_grad(np.stack([self._row(point) for point in children])).tolist()
            ranked = sorted(zip(worth, children, strict=True), reverse=True)[:LOOKED_AT]
            new = ((value, point) for value, point in ranked if self._gated.is_new(point))
            passing.update((point, value) for value, point in islice(new, PARENTS))
            parents = sorted(passing, key=lambda point: passing[point], reverse=True)[:PARENTS] or parents
        return self._row(parents[0])

    def _row(self, point: Point) -> NDArray[np.float64]:
        """Return a point as Optuna's Gaussian process encodes it: choices as the centres of equal parts of [0, 1]."""
        choices = np.array(list(self._gated.parameters(point).values()), float)
        row: NDArray[np.float64] = (choices + 0.5) / self._forms
        return row

    def _point(self, row: NDArray[np.float64]) -> Point:
        choices = np.floor(row * self._forms).astype(int).tolist()
        return self._gated.point(dict(zip(self._gated.sizes, choices, strict=True)))


def _child(space: Space, parents: Sequence[Point], random: Random) -> Point:
    """Return a mutation of a parent or, with probability 1/2, of a crossover of two parents, which may be equal."""
    one, other = random.choice(parents), random.choice(parents)
    if random.random() < 0.5:
        one = cross(space, one, other, random)
    return mutate(space, one, random, changes=random.randint(1, 2))


INNER: dict[str, Callable[[GatedSampler, int], BaseSampler]] = {
    "tpe": lambda gated, seed: optuna.samplers.TPESampler(
        n_startup_trials=gated.form.startup, multivariate=True, constant_liar=True, seed=seed
    ),
    "nsga2": lambda gated, seed: optuna.samplers.NSGAIISampler(population_size=gated.form.population, seed=seed),
    "nsga3": lambda gated, seed: optuna.samplers.NSGAIIISampler(population_size=gated.form.population, seed=seed),
    "gp": PooledGP,
}
