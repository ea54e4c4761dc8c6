"""One candidate's way: proxies, the rungs, training to the end; what it scored is kept in its trial as it comes."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import optuna
import torch

import archlab
from archlab.core.device import pick_device
from archlab.core.errors import InputError
from archlab.network.load import at_input
from archlab.network.spec import Spec
from archlab.report.ranking import goes_on
from archlab.search import proxies
from archlab.search.config import SCORES
from archlab.search.load import Fidelity, Search, fitted
from archlab.search.recovery import REASON, is_lost
from archlab.search.samplers import signed
from archlab.search.space.gate import Checked
from archlab.search.space.space import METRICS
from archlab.tasks.metrics import Scores
from archlab.training.evaluate import context_of
from archlab.training.loop import plan
from archlab.training.recipe import Recipe, ensure_data, in_recipe
from archlab.training.run import RunOptions, run_folder, train
from archlab.training.runs import Record, held

NOBODYS_FAULT = (OSError, optuna.exceptions.OptunaError)
"""A full disk, a lost database; everything else a candidate is to blame for, and blocks of users raise anything."""
BUSY_SECONDS = 1.0
PROXY_SAMPLES = 16
MOST_WORDS = 2000


class CandidateError(RuntimeError):
    """A candidate that cannot be trained, which is what its trial says."""


@dataclass(frozen=True)
class Bench:
    """Where a search's candidates are trained. `data`: None for what the recipe makes itself."""

    search: Search
    runs: Path
    data: Path | None = None
    device: str | None = None
    threads: int | None = None


def candidate_facts(search: Search, found: Checked) -> dict[str, Any]:
    """What a trial says of its network from the start: hash, choices, costs."""
    assert found.spec is not None
    assert found.cost is not None
    costs = {name: metric(found.cost) for name, metric in METRICS.items()}
    return {
        "hash": found.hash or archlab.spec_hash(found.spec),
        "point": search.space.labels(found.point),
        "cost": costs,
    }


def score(bench: Bench, study: optuna.Study, trial: optuna.Trial, spec: Spec, cost: Mapping[str, float]) -> list[float]:
    """The objectives of a candidate trained to the end.

    Raises TrialPruned where a rung ends it and CandidateError where it cannot be trained, the reason in its trial.
    """
    try:
        return Way(bench, study, trial, spec, cost).go()
    except NOBODYS_FAULT:
        raise
    except Exception as error:
        if _is_write_failure(error):
            raise OSError(str(error).strip()) from error
        reason = f"{type(error).__name__}: {str(error).strip() or 'no message'}"
        trial.set_user_attr(REASON, reason[:MOST_WORDS])
        traceback.print_exception(error)  # into the worker's log
        raise CandidateError(reason) from error


def _is_write_failure(error: Exception) -> bool:
    """Whether it is how torch.save says that a file cannot be written."""
    return isinstance(error, RuntimeError) and ("PytorchStreamWriter" in str(error) or "inline_container" in str(error))


@dataclass(frozen=True)
class Way:
    """A candidate on its way through the rungs of a search."""

    bench: Bench
    study: optuna.Study
    trial: optuna.Trial
    spec: Spec
    cost: Mapping[str, float]

    def go(self) -> list[float]:
        search = self.bench.search
        own = [(k, halt) for k, halt in enumerate(search.rungs) if halt.length is not None]
        self._proxies()
        for k, halt in enumerate(search.rungs):
            if halt.recipe or halt.proxy:
                values, figures = self._proxy(halt) if halt.proxy else self._trained(halt.recipe)
                if not self._judge(k, values, figures):
                    raise optuna.TrialPruned(f"stopped at rung {k + 1}, {halt.label}")
        recipe = fitted(search.recipe, self.spec)
        numbers = [k for k, _ in own]
        judge = lambda i, scores: self._judge(numbers[i], self._values(figures_of(scores)), figures_of(scores))  # noqa: E731
        record = self._train(recipe, rungs=[self._iteration(halt, recipe) for _, halt in own], judge=judge)
        if record.state == "stopped":
            raise optuna.TrialPruned(record.reason)
        scores = figures_of(record.scores)
        self.trial.set_user_attr("scores", scores)
        return self._values(scores)

    def _judge(self, rung: int, values: list[float], scores: Mapping[str, float]) -> bool:
        """Whether it is among the best 1/eta, by rank, of those that reached this rung; what was said once is kept."""
        reached = list(self.trial.user_attrs.get("rungs", []))
        if len(reached) > rung:
            return bool(reached[rung]["goes_on"])
        others = [
            trial.user_attrs["rungs"][rung]["values"]
            for trial in self.study.get_trials(deepcopy=False)
            if trial.number != self.trial.number
            and not is_lost(trial)  # the one that tries it again says the same
            and len(trial.user_attrs.get("rungs", [])) > rung
        ]
        losses = [signed(each, self.study) for each in (*others, values)]
        on = goes_on(losses, len(losses) - 1, self.bench.search.eta)
        label = self.bench.search.rungs[rung].label
        self.trial.set_user_attr(
            "rungs", [*reached, {"label": label, "values": values, "scores": dict(scores), "goes_on": on}]
        )
        return on

    def _values(self, scores: Mapping[str, float]) -> list[float]:
        names = [objective.name for objective in self.bench.search.objectives]
        missing = [name for name in names if name not in self.cost and SCORES[name] not in scores]
        if missing:
            raise CandidateError(f"the run has no {', '.join(missing)}")
        return [self.cost[name] if name in self.cost else scores[SCORES[name]] for name in names]

    def _trained(self, recipe: Recipe | None) -> tuple[list[float], Mapping[str, float]]:
        """At the end of a rung's own recipe, whose input the network is given."""
        assert recipe is not None
        spec = at_input(self.spec, (3, *recipe.input))
        scores = figures_of(self._train(recipe, spec=spec).scores)
        return self._values(scores), scores

    def _proxy(self, halt: Fidelity) -> tuple[list[float], Mapping[str, float]]:
        """A proxy in the place of every score, beside the costs that are sought."""
        assert halt.proxy is not None
        value = self.trial.user_attrs["proxies"].get(halt.proxy)
        if value is None:
            raise CandidateError(f"the proxy {halt.proxy} is not finite")
        names = [objective.name for objective in self.bench.search.objectives]
        return [self.cost.get(name, value) for name in names], {halt.proxy: value}

    def _proxies(self) -> None:
        search = self.bench.search
        wanted = dict.fromkeys([*search.form.proxies, *(halt.proxy for halt in search.rungs if halt.proxy)])
        if not wanted or "proxies" in self.trial.user_attrs:
            return
        recipe = fitted(search.recipe, self.spec)
        root = ensure_data(recipe, self.bench.data)
        context = context_of(recipe, torch.device("cpu"))
        samples = recipe.task.training(root, context, seed=recipe.seed, augment=False)
        batch = proxies.proxy_batch(samples, min(PROXY_SAMPLES, len(samples)), recipe.seed)
        device = pick_device(self.bench.device)
        found = proxies.measure(self.spec, list(wanted), batch, recipe.task.loss, device=device)
        finite = {name: value for name, value in found.items() if abs(value) < float("inf")}
        self.trial.set_user_attr("proxies", finite)

    def _iteration(self, rung: Fidelity, recipe: Recipe) -> int:
        """Return the iteration of the recipe at which a rung stands."""
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
        rungs: list[int] | None = None,
        judge: Callable[[int, dict[str, Scores]], bool] | None = None,
    ) -> Record:
        """The record of its run; waits while a worker that was taken for lost is still at it."""
        bench, spec = self.bench, spec or self.spec
        options = RunOptions(
            out=bench.runs,
            device=bench.device,
            threads=bench.threads,
            rungs=tuple(rungs or ()),
            judge=judge,
            pictures=False,
        )
        go = partial(train, spec, recipe, bench.data, options)
        root = ensure_data(recipe, bench.data)
        folder = run_folder(in_recipe(spec, recipe), recipe, root, seed=recipe.seed, out=bench.runs)
        while True:
            try:
                return go().record
            except InputError:
                if not held(folder):
                    raise
            time.sleep(BUSY_SECONDS)


def figures_of(scores: Mapping[str, Scores]) -> dict[str, float]:
    """The figures of the first kind of boxes that are defined."""
    first = next(iter(scores.values()), {})
    return {name: value for name, value in first.items() if value is not None}


def release_memory() -> None:
    """Give back what the last candidate held on a GPU."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
