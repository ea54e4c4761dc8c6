"""Collecting a study and its runs into a result, and what is left to train of the front and the references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import Any

import optuna
from optuna.trial import FrozenTrial

import archlab
from archlab.counting.rules import total
from archlab.network.load import load_at
from archlab.network.spec import Spec
from archlab.report.machines import machines, round_alike
from archlab.report.pareto import non_dominated
from archlab.search.config import COSTS, LATENCY
from archlab.search.latency import Stopwatch
from archlab.search.load import Fidelity, Search, fitted
from archlab.search.recovery import CANDIDATE, outcome
from archlab.search.results import Candidate, Result, Rung, shown
from archlab.search.samplers import signed
from archlab.search.space.points import size
from archlab.search.space.space import METRICS
from archlab.search.trial import figures_of
from archlab.search.worker import ABOUT, Session
from archlab.training.recipe import Recipe, recipe_hash
from archlab.training.runs import Record, fingerprint, read_record

FULL = "full training"


@dataclass(frozen=True)
class Hashed:
    """A network with its canonical hash, which takes some milliseconds to compute."""

    spec: Spec
    hash: str


@dataclass(frozen=True)
class Training:
    """The training of a network by a recipe with a seed; `hash` is that of the network as the recipe trains it."""

    spec: Spec
    recipe: Recipe
    seed: int
    hash: str


@dataclass(frozen=True)
class RunFolders:
    """The run folders of a search, and the fingerprint of its data."""

    folder: Path
    data: str

    def path(self, run: Training) -> Path:
        """Return the run folder of a training."""
        return self.folder / fingerprint(
            spec_hash=run.hash, recipe_hash=recipe_hash(run.recipe), data=self.data, seed=run.seed
        )

    def record(self, run: Training) -> Record | None:
        """Return the record of a training that is done, else None."""
        path = self.path(run) / "record.json"
        record = read_record(path) if path.is_file() else None
        return record if record and record.is_done(run.recipe.budgets) else None


def collect(session: Session, runs: RunFolders, *, asked: int, plugin: Sequence[str] = ()) -> Result:
    """Return what the study has found so far; `asked` is the number of trials requested."""
    search, study = session.search, session.study
    about = study.user_attrs[ABOUT]
    named = references_of(search, plugin)
    networks = [*(network_of(session, trial) for trial in trained(study)), *named]
    records = [record for each in networks for record in _of_seeds(search, each, runs).values()]
    candidates = tuple(_candidate(session, trial, runs) for trial in finished(study))
    references = tuple(found for each in named if (found := _reference(search, each, runs)))
    first = records[0] if records else None
    return Result(
        study=search.name,
        title=search.form.title or search.name,
        space=search.space.title,
        space_size=size(search.space),
        recipe=search.recipe.name,
        sampler=search.form.sampler.name,
        objectives=search.objectives,
        rungs=rungs_of(search, session),
        parameters=tuple(parameter.name for parameter in search.space.parameters),
        candidates=candidates,
        references=references,
        asked=asked,
        data=first.data["kind"] if first else "",
        device=first.device if first else "",
        threads=first.threads if first else 0,
        versions={**about["versions"], "optuna": optuna.__version__},
        date=about["date"],
        command=about["command"],
        fingerprint=runs.data,
        scores=shown(search.recipe.task.metrics),
        latency=search.form.latency.about if search.is_timed else "",
        machines=() if round_alike(records) else tuple(machines(records)),
    )


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """Return the finished trials by number."""
    return [trial for trial in study.get_trials(deepcopy=False) if outcome(trial)]


def trained(study: optuna.Study) -> list[FrozenTrial]:
    """Return the finished trials that were trained to the end."""
    return [trial for trial in finished(study) if outcome(trial) == "complete"]


def network_of(session: Session, trial: FrozenTrial) -> Hashed:
    """Return the network of a trial, with the hash that the trial holds."""
    spec = session.search.candidate(session.sampler.point(trial.params), trial.number)
    return Hashed(spec, trial.user_attrs[CANDIDATE]["hash"])


def members(session: Session, runs: RunFolders) -> list[Hashed]:
    """Return the front of the networks trained to the end, by their means over the seeds trained so far.

    Re-training with more seeds changes the means, so the front can change: a single-seed network may enter it and is
    then trained with all seeds too. Repeat until every member has every seed.
    """
    complete = trained(session.study)
    networks = [network_of(session, trial) for trial in complete]
    means = [_means(session.search, trial, each, runs) for trial, each in zip(complete, networks, strict=True)]
    best = non_dominated([signed(each, session.study) for each in means])
    return [each for each, on_front in zip(networks, best, strict=True) if on_front]


def _means(search: Search, trial: FrozenTrial, network: Hashed, runs: RunFolders) -> list[float]:
    """Return the objectives of a complete trial, with scores as means over its seeds."""
    scores = [_figures(search, record) for record in _of_seeds(search, network, runs).values()]
    return [
        fmean(each[objective.name] for each in scores) if scores and objective.name not in COSTS else value
        for objective, value in zip(search.objectives, trial.values, strict=True)
    ]


def missing(session: Session, runs: RunFolders, plugin: Sequence[str] = ()) -> list[Training]:
    """Return the missing trainings of the references and the front's members, seed by seed."""
    search = session.search
    networks = [*references_of(search, plugin), *members(session, runs)]
    turns = zip(*(_wanted(search, each) for each in networks), strict=True)
    return [each for turn in turns for each in turn if runs.record(each) is None]


def seeds_of(search: Search) -> list[int]:
    return list(dict.fromkeys([search.recipe.seed, *search.form.front_seeds]))


def references_of(search: Search, plugin: Sequence[str] = ()) -> list[Hashed]:
    """Return the networks that candidates are compared with, at the recipe's input."""
    at: dict[str, Any] = {"outputs": search.outputs, "plugin": plugin}
    specs = [load_at(name, search.recipe.input, **at) for name in search.form.references]
    return [Hashed(spec, archlab.spec_hash(spec)) for spec in specs]


def rungs_of(search: Search, session: Session) -> tuple[Rung, ...]:
    """Return the rungs at which candidates were compared, the full training last."""
    found = []
    for rung in search.rungs:
        recipe = rung.recipe or search.recipe
        samples = 0 if rung.proxy else _samples(recipe, rung)
        found.append(Rung(rung.label, samples, recipe.input))
    return (*found, Rung(FULL, _samples(search.recipe, None), search.recipe.input))


def _samples(recipe: Recipe, at: Fidelity | None) -> int:
    """Return the training crops up to a rung, or of the whole recipe; 0 for epochs of data that it does not make."""
    if at and at.length:
        recipe = replace(recipe, iterations=at.iterations, epochs=at.epochs, budgets=())
    return recipe.samples(recipe.options.data.train if recipe.options.data else 0)


def _wanted(search: Search, network: Hashed) -> list[Training]:
    """Return a network's trainings, one per seed; a search's recipe trains networks unchanged."""
    assert search.recipe.fusion == "spec"
    recipe = fitted(search.recipe, network.spec)
    return [Training(network.spec, recipe, seed, network.hash) for seed in seeds_of(search)]


def _of_seeds(search: Search, network: Hashed, runs: RunFolders) -> dict[str, Record]:
    found = {str(each.seed): runs.record(each) for each in _wanted(search, network)}
    return {seed: record for seed, record in found.items() if record}


def _candidate(session: Session, trial: FrozenTrial, runs: RunFolders) -> Candidate:
    search = session.search
    attributes = trial.user_attrs
    state = outcome(trial)
    assert state is not None
    network = network_of(session, trial)
    reached = [rung["scores"] for rung in attributes.get("rungs", [])]
    reached += [attributes["scores"]] if "scores" in attributes else []
    values = trial.values or (attributes["rungs"][-1]["values"] if attributes.get("rungs") else [])
    ended = trial.datetime_complete or datetime.now()
    seeds = {seed: _figures(search, record) for seed, record in _of_seeds(search, network, runs).items()}
    return Candidate(
        number=trial.number,
        name=network.spec.name,
        outcome=state,
        hash=network.hash,
        point=attributes[CANDIDATE]["point"],
        cost=attributes[CANDIDATE]["cost"],
        values=dict(zip([o.name for o in search.objectives], values, strict=False)),
        rungs=tuple(_named(search, rung) for rung in reached),
        spec=network.spec.to_yaml(),
        seconds=(ended - (trial.datetime_start or ended)).total_seconds(),
        finished=ended.timestamp() - session.study.user_attrs[ABOUT]["began"],
        proxies=attributes.get("proxies", {}),
        seeds=seeds if len(seeds) > 1 else {},
        reason=attributes.get("reason", ""),
    )


def _reference(search: Search, network: Hashed, runs: RunFolders) -> Candidate | None:
    records = _of_seeds(search, network, runs)
    if not records:
        return None
    first = next(iter(records.values()))
    cost = costs_of(network.spec)
    if search.is_timed:
        cost[LATENCY] = Stopwatch(search.form.latency, runs.folder.parent / LATENCY).milliseconds(network.spec)
    scores = _figures(search, first)
    values = {o.name: cost.get(o.name, scores.get(o.name, float("nan"))) for o in search.objectives}
    return Candidate(
        number=-1,
        name=network.spec.name,
        outcome="complete",
        hash=first.spec_hash,
        point={},
        cost=cost,
        values=values,
        rungs=(scores,),
        spec=network.spec.to_yaml(),
        seconds=first.seconds,
        finished=0.0,
        seeds={seed: _figures(search, record) for seed, record in records.items()} if len(records) > 1 else {},
    )


def costs_of(spec: Spec) -> dict[str, float]:
    """Return a network's costs by their names as objectives."""
    count = total(node.count for node in archlab.cost(spec).nodes)
    return {name: metric(count) for name, metric in METRICS.items()}


def _figures(search: Search, record: Record) -> dict[str, float]:
    return _named(search, figures_of(record.scores))


def _named(search: Search, scores: Mapping[str, Any]) -> dict[str, float]:
    """Return scores by their names as objectives; keys of other scores stay."""
    names = {metric.key: name for name, metric in search.scores.items()}
    return {names.get(key, key): value for key, value in scores.items()}
