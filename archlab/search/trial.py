"""The evaluation of one candidate: proxies, rungs and full training; its trial stores each score as it comes."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import torch

from archlab.core.device import pick_device
from archlab.network.load import at_input
from archlab.network.spec import Spec
from archlab.report.ranking import goes_on
from archlab.search import proxies
from archlab.search.config import LATENCY
from archlab.search.latency import Stopwatch
from archlab.search.load import Fidelity, Search, fitted
from archlab.search.recovery import CANDIDATE, REASON, is_lost
from archlab.search.samplers import signed
from archlab.search.space.gate import Checked
from archlab.search.space.space import METRICS
from archlab.tasks.metrics import Scores, first_view
from archlab.training.evaluate import context_of
from archlab.training.loop import plan
from archlab.training.options import RunOptions
from archlab.training.recipe import Recipe, ensure_data
from archlab.training.run import train
from archlab.training.runs import Record

NOBODYS_FAULT = (OSError, optuna.exceptions.OptunaError)
"""A full disk or a lost database. Any other error is the candidate's fault, since users' blocks can raise anything."""
PROXY_SAMPLES = 16
MOST_WORDS = 2000


class CandidateError(RuntimeError):
    """A candidate that cannot be trained; its trial stores the reason."""


@dataclass(frozen=True)
class Bench:
    """How a worker trains candidates.

    runs: the folder of their run folders.
    data: None for the data that the recipe generates.
    """

    search: Search
    runs: Path
    data: Path | None = None
    device: str | None = None
    threads: int | None = None

    @property
    def stopwatch(self) -> Stopwatch | None:
        """Return what measures the candidates' time; None if the search needs none."""
        return Stopwatch(self.search.form.latency, self.runs.parent / "latency") if self.search.is_timed else None


def candidate_facts(search: Search, found: Checked) -> dict[str, Any]:
    """Return what a trial stores of its network before training: hash, choices and costs."""
    assert found.cost is not None
    costs = {name: metric(found.cost) for name, metric in METRICS.items()}
    return {
        "hash": found.hash,
        "point": search.space.labels(found.point),
        "cost": costs,
    }


def timed(bench: Bench, trial: optuna.Trial, spec: Spec) -> dict[str, float]:
    """Return a candidate's costs with its measured time, which its trial stores.

    Raises TrialPruned if the time breaks a limit.
    """
    facts = trial.user_attrs[CANDIDATE]
    if bench.stopwatch is None:
        return dict(facts["cost"])
    found = bench.stopwatch.milliseconds(spec)
    cost = {**facts["cost"], LATENCY: found}
    trial.set_user_attr(CANDIDATE, {**facts, "cost": cost})
    limit = bench.search.form.limits.get(LATENCY)
    if limit and limit.excess(found):
        trial.set_user_attr(REASON, f"its latency is {found:.2f} ms")
        raise optuna.TrialPruned(f"its latency is {found:.2f} ms")
    return cost


def score(bench: Bench, study: optuna.Study, trial: optuna.Trial, spec: Spec, cost: Mapping[str, float]) -> list[float]:
    """Evaluate a candidate and return its objectives.

    Raises TrialPruned if a rung stops it, and CandidateError if it cannot be trained; its trial stores the reason.
    """
    try:
        return Evaluation(bench, study, trial, spec, cost).run()
    except NOBODYS_FAULT:
        raise
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).strip() or 'no message'}"
        trial.set_user_attr(REASON, reason[:MOST_WORDS])
        traceback.print_exception(error)  # into the worker's log
        raise CandidateError(reason) from error


@dataclass(frozen=True)
class Evaluation:
    """The evaluation of a candidate through the rungs of a search."""

    bench: Bench
    study: optuna.Study
    trial: optuna.Trial
    spec: Spec
    cost: Mapping[str, float]

    def run(self) -> list[float]:
        """Return the objectives after full training."""
        self._measure_proxies()
        for number, rung in enumerate(self.bench.search.rungs):
            if rung.length is None:
                values, scores = self._by_proxy(rung.proxy) if rung.proxy else self._by_recipe(rung.recipe)
                if not self._passes(number, values, scores):
                    raise optuna.TrialPruned(f"stopped at rung {number + 1}, {rung.label}")
        record = self._train_fully()
        if record.state == "stopped":
            raise optuna.TrialPruned(record.reason)
        scores = figures_of(record.scores_at(self.bench.search.recipe.budgets))
        self.trial.set_user_attr("scores", scores)
        return self._values(scores)

    def _train_fully(self) -> Record:
        """Train by the search's own recipe, with its rungs on the way."""
        recipe = fitted(self.bench.search.recipe, self.spec)
        own = [(number, rung) for number, rung in enumerate(self.bench.search.rungs) if rung.length is not None]

        def judge(i: int, scores: dict[str, Scores]) -> bool:
            figures = figures_of(scores)
            return self._passes(own[i][0], self._values(figures), figures)

        return self._train(recipe, rungs=[self._iteration(rung, recipe) for _, rung in own], judge=judge)

    def _passes(self, rung: int, values: list[float], scores: Mapping[str, float]) -> bool:
        """Return whether it ranks in the best 1/eta of those that reached this rung; a first judgement stays."""
        reached = list(self.trial.user_attrs.get("rungs", []))
        if len(reached) > rung:
            return bool(reached[rung]["goes_on"])
        losses = [signed(each, self.study) for each in (*self._others(rung), values)]
        passed = goes_on(losses, len(losses) - 1, self.bench.search.eta)
        label = self.bench.search.rungs[rung].label
        found = {"label": label, "values": values, "scores": dict(scores), "goes_on": passed}
        self.trial.set_user_attr("rungs", [*reached, found])
        return passed

    def _others(self, rung: int) -> list[list[float]]:
        """Return the objectives of the other candidates that reached a rung; the retry of a lost one repeats it."""
        trials = [t for t in self.study.get_trials(deepcopy=False) if t.number != self.trial.number and not is_lost(t)]
        reached = [trial.user_attrs.get("rungs", []) for trial in trials]
        return [rungs[rung]["values"] for rungs in reached if len(rungs) > rung]

    def _values(self, scores: Mapping[str, float]) -> list[float]:
        """Return the objectives; `scores` are by their keys in a record."""
        found = {name: scores[m.key] for name, m in self.bench.search.scores.items() if m.key in scores}
        found |= self.cost
        names = [objective.name for objective in self.bench.search.objectives]
        if missing := [name for name in names if name not in found]:
            raise CandidateError(f"the run has no {', '.join(missing)}")
        return [found[name] for name in names]

    def _by_recipe(self, recipe: Recipe | None) -> tuple[list[float], Mapping[str, float]]:
        """Return objectives and scores at the end of another recipe, at its input."""
        assert recipe is not None
        spec = at_input(self.spec, (3, *recipe.input))
        scores = figures_of(self._train(recipe, spec=spec).scores_at(recipe.budgets))
        return self._values(scores), scores

    def _by_proxy(self, proxy: str) -> tuple[list[float], Mapping[str, float]]:
        """Return objectives in which a proxy, of which more is better, replaces every score."""
        value = self.trial.user_attrs["proxies"].get(proxy)
        if value is None:
            raise CandidateError(f"the proxy {proxy} is not finite")
        objectives = self.bench.search.objectives
        signs = {each.name: 1.0 if each.direction == "maximize" else -1.0 for each in objectives}
        return [self.cost.get(each.name, signs[each.name] * value) for each in objectives], {proxy: value}

    def _measure_proxies(self) -> None:
        search = self.bench.search
        wanted = dict.fromkeys([*search.form.proxies, *(rung.proxy for rung in search.rungs if rung.proxy)])
        if not wanted or "proxies" in self.trial.user_attrs:
            return
        recipe = fitted(search.recipe, self.spec)
        root = ensure_data(recipe, self.bench.data)
        context = context_of(recipe, torch.device("cpu"))
        samples = recipe.task.training(root, context, seed=recipe.seed, augment=False)
        batch = proxies.proxy_batch(samples, min(PROXY_SAMPLES, len(samples)), recipe.seed)
        device = pick_device(self.bench.device)
        found = proxies.measure(self.spec, list(wanted), batch, recipe.loss, device=device)
        finite = {name: value for name, value in found.items() if abs(value) < float("inf")}
        self.trial.set_user_attr("proxies", finite)

    def _iteration(self, rung: Fidelity, recipe: Recipe) -> int:
        """Return the iteration of the recipe at which a rung is."""
        if rung.iterations:
            return rung.iterations
        assert rung.epochs
        count = recipe.task.count(ensure_data(recipe, self.bench.data), recipe.options, recipe.input)
        return rung.epochs * plan(recipe, count).steps

    def _train(
        self,
        recipe: Recipe,
        *,
        spec: Spec | None = None,
        rungs: Sequence[int] = (),
        judge: Callable[[int, dict[str, Scores]], bool] | None = None,
    ) -> Record:
        """Return the record of a training, which waits while a worker that was considered lost still runs it."""
        bench, spec = self.bench, spec or self.spec
        options = RunOptions(
            out=bench.runs,
            device=bench.device,
            threads=bench.threads,
            rungs=tuple(rungs),
            judge=judge,
            keep_stopped=bench.search.form.keep_stopped,
            pictures=False,
        )
        return train(spec, recipe, bench.data, options).record


def figures_of(scores: Mapping[str, Scores]) -> dict[str, float]:
    """Return the defined figures of a record's first view, by their keys."""
    return {name: value for name, value in first_view(scores).items() if value is not None}


def release_memory() -> None:
    """Release the GPU memory of the last candidate."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
