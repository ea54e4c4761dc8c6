"""A study and its runs gathered into a result; what of the front and the references is still to be trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import Any

import optuna
from optuna.trial import FrozenTrial

import archlab
from archlab.counting.count import total
from archlab.network.spec import Spec
from archlab.report.ranking import ranks
from archlab.search.config import SCORES
from archlab.search.load import Fidelity, Search, fitted
from archlab.search.recovery import outcome
from archlab.search.results import Candidate, Result, Rung
from archlab.search.samplers import signed
from archlab.search.space.points import size
from archlab.search.space.space import METRICS
from archlab.search.trial import figures_of
from archlab.search.worker import ABOUT, Session
from archlab.training.recipe import Recipe, in_recipe, recipe_hash
from archlab.training.runs import Record, fingerprint, read_record

FULL = "full training"


@dataclass(frozen=True)
class Run:
    """A training of a network by a recipe from a seed; `hash` is the network's, as the recipe trains it."""

    spec: Spec
    recipe: Recipe
    seed: int
    hash: str


@dataclass(frozen=True)
class Runs:
    """Where the runs of a search lie, and the data that they are of."""

    folder: Path
    data: str

    def path(self, run: Run) -> Path:
        """Its folder."""
        return self.folder / fingerprint(
            spec_hash=run.hash, recipe_hash=recipe_hash(run.recipe), data=self.data, seed=run.seed
        )

    def record(self, run: Run) -> Record | None:
        """Its record, if it is trained to the end."""
        path = self.path(run) / "record.json"
        record = read_record(path) if path.is_file() else None
        return record if record and record.state == "done" else None


def gather(session: Session, runs: Runs, *, asked: int, plugin: Sequence[str] = ()) -> Result:
    """What the study has found so far."""
    search, study = session.search, session.study
    about = study.user_attrs[ABOUT]
    records = [record for spec in members(session, runs) for record in _of_seeds(search, spec, runs).values()]
    candidates = tuple(_candidate(session, trial, runs) for trial in finished(study))
    references = tuple(found for spec in references_of(search, plugin) if (found := _reference(search, spec, runs)))
    devices = {record.device: record.threads for record in records} or {"": 0}
    device, threads = next(iter(devices.items()))
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
        data=records[0].data["kind"] if records else "",
        device=device,
        threads=threads,
        versions={**about["versions"], "optuna": optuna.__version__},
        date=about["date"],
        command=about["command"],
        fingerprint=runs.data,
    )


def finished(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that count, in the order of their numbers."""
    return [trial for trial in study.get_trials(deepcopy=False) if outcome(trial)]


def trained(study: optuna.Study) -> list[FrozenTrial]:
    """Those of them that were trained to the end."""
    return [trial for trial in finished(study) if outcome(trial) == "complete"]


def spec_of(session: Session, trial: FrozenTrial) -> Spec:
    """The network of a trial."""
    return session.search.candidate(session.sampler.point(trial.params), trial.number)


def members(session: Session, runs: Runs) -> list[Spec]:
    """The front: of the networks trained to the end those that none dominates, by the means over the seeds they have.

    More seeds may move a member behind a network that has one, which then is a member and is given more in its turn,
    until all of the front have all.
    """
    complete = trained(session.study)
    specs = [spec_of(session, trial) for trial in complete]
    means = [_means(session.search, trial, spec, runs) for trial, spec in zip(complete, specs, strict=True)]
    losses = [signed(each, session.study) for each in means]
    found = ranks(losses).tolist() if losses else []
    return [spec for spec, rank in zip(specs, found, strict=True) if rank == 0]


def _means(search: Search, trial: FrozenTrial, spec: Spec, runs: Runs) -> list[float]:
    """The objectives of a complete trial, scores as means over its seeds."""
    scores = [_figures(record) for record in _of_seeds(search, spec, runs).values()]
    return [
        fmean(each[objective.name] for each in scores) if scores and objective.name in SCORES else value
        for objective, value in zip(search.objectives, trial.values, strict=True)
    ]


def missing(session: Session, runs: Runs, plugin: Sequence[str] = ()) -> list[Run]:
    """What the references and the front's members are still to be trained from, seed by seed."""
    search = session.search
    specs = [*references_of(search, plugin), *members(session, runs)]
    turns = zip(*(_wanted(search, spec) for spec in specs), strict=True)
    return [each for turn in turns for each in turn if runs.record(each) is None]


def seeds_of(search: Search) -> list[int]:
    return list(dict.fromkeys([search.recipe.seed, *search.form.front_seeds]))


def references_of(search: Search, plugin: Sequence[str] = ()) -> list[Spec]:
    """The networks that candidates are held against, at the recipe's input."""
    shape = (3, *search.recipe.input)
    return [archlab.load(name, input=shape, outputs=search.outputs, plugin=plugin) for name in search.form.references]


def rungs_of(search: Search, session: Session) -> tuple[Rung, ...]:
    """Where candidates were compared, the full training last."""
    found = []
    for halt in search.rungs:
        recipe = halt.recipe or search.recipe
        samples = 0 if halt.proxy else _samples(recipe, halt)
        found.append(Rung(halt.label, samples, recipe.input))
    return (*found, Rung(FULL, _samples(search.recipe, None), search.recipe.input))


def _samples(recipe: Recipe, at: Fidelity | None) -> int:
    """Return the training crops up to a rung, or of the whole recipe; 0 for epochs of data that it does not make."""
    iterations, epochs = (at.iterations, at.epochs) if at and at.length else (recipe.iterations, recipe.epochs)
    if iterations:
        return iterations * recipe.batch
    return (epochs or 0) * (recipe.data.train if recipe.data else 0)


def _wanted(search: Search, spec: Spec) -> list[Run]:
    """A network's trainings, one a seed; its hash, which takes some milliseconds, is asked for once."""
    recipe = fitted(search.recipe, spec)
    network = archlab.spec_hash(in_recipe(spec, recipe))
    return [Run(spec, recipe, seed, network) for seed in seeds_of(search)]


def _of_seeds(search: Search, spec: Spec, runs: Runs) -> dict[str, Record]:
    found = {str(run.seed): runs.record(run) for run in _wanted(search, spec)}
    return {seed: record for seed, record in found.items() if record}


def _candidate(session: Session, trial: FrozenTrial, runs: Runs) -> Candidate:
    search = session.search
    said = trial.user_attrs
    state = outcome(trial)
    assert state is not None
    spec = spec_of(session, trial)
    reached = [rung["scores"] for rung in said.get("rungs", [])] + ([said["scores"]] if "scores" in said else [])
    values = trial.values or (said["rungs"][-1]["values"] if said.get("rungs") else [])
    ended = trial.datetime_complete or datetime.now()
    seeds = {seed: _figures(record) for seed, record in _of_seeds(search, spec, runs).items()}
    return Candidate(
        number=trial.number,
        name=spec.name,
        outcome=state,
        hash=said["candidate"]["hash"],
        point=said["candidate"]["point"],
        cost=said["candidate"]["cost"],
        values=dict(zip([o.name for o in search.objectives], values, strict=False)),
        rungs=tuple(_named(rung) for rung in reached),
        spec=spec.to_yaml(),
        seconds=(ended - (trial.datetime_start or ended)).total_seconds(),
        finished=ended.timestamp() - session.study.user_attrs[ABOUT]["began"],
        proxies=said.get("proxies", {}),
        seeds=seeds if len(seeds) > 1 else {},
        reason=said.get("reason", ""),
    )


def _reference(search: Search, spec: Spec, runs: Runs) -> Candidate | None:
    records = _of_seeds(search, spec, runs)
    if not records:
        return None
    first = next(iter(records.values()))
    cost = costs_of(spec)
    scores = _figures(first)
    values = {o.name: cost.get(o.name, scores.get(o.name, float("nan"))) for o in search.objectives}
    return Candidate(
        number=-1,
        name=spec.name,
        outcome="complete",
        hash=first.spec_hash,
        point={},
        cost=cost,
        values=values,
        rungs=(scores,),
        spec=spec.to_yaml(),
        seconds=first.seconds,
        finished=0.0,
        seeds={seed: _figures(record) for seed, record in records.items()} if len(records) > 1 else {},
    )


def costs_of(spec: Spec) -> dict[str, float]:
    """A network's costs by their names as objectives."""
    count = total(node.count for node in archlab.cost(spec).nodes)
    return {name: metric(count) for name, metric in METRICS.items()}


def _figures(record: Record) -> dict[str, float]:
    return _named(figures_of(record.scores))


def _named(scores: Mapping[str, Any]) -> dict[str, float]:
    """Scores by the names that objectives have; proxies as they are."""
    names = {figure: name for name, figure in SCORES.items()}
    return {names.get(figure, figure): value for figure, value in scores.items()}
