"""The candidates of a search: reading its result, the best candidates, one by its number, and its file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import archlab
from archlab.core import builtin
from archlab.core.errors import InputError, Problem, nearest
from archlab.network.load import load_at, load_text
from archlab.network.spec import Spec
from archlab.search.report.analysis import best_of_front, is_upwards
from archlab.search.report.estimates import (
    COUNTED,
    MEASURED,
    all_known,
    by_rung,
    deepest,
    front,
    known,
    score_names,
    shown_scores,
    vector,
)
from archlab.search.report.quantities import quantity
from archlab.search.report.write import is_result, result_file
from archlab.search.results import Candidate, Objective, Result, read_result
from archlab.search.space.space import METRICS

BEST = 10
HEADLINE = "best"
"""Names, in place of a number, the member of the front with the best score."""
OUTCOMES = {"complete": "trained to the end", "stopped": "stopped at a rung", "failed": "failed"}


@dataclass(frozen=True)
class Side:
    """A network to compare; `candidate` is its trial or reference, None if it was not trained."""

    label: str
    spec: Spec
    cost: dict[str, float]
    candidate: Candidate | None = None

    @property
    def hash(self) -> str:
        return self.candidate.hash if self.candidate else archlab.spec_hash(self.spec)

    def as_json(self, result: Result | None) -> dict[str, Any]:
        trained = as_json(result, self.candidate) if result and self.candidate else {}
        return {
            "name": self.spec.name,
            "hash": self.hash,
            "cost": self.cost,
            **trained,
            "spec": self.spec.document.plain(),
        }


def result_of(
    study: str,
    *,
    searches: Path = Path("searches"),
    storage: str | None = None,
    data: Path | None = None,
    plugin: tuple[str, ...] = (),
) -> Result:
    """Return what a search has found: from its study by name or file, or from a `result.json` or a folder with one.

    Raises InputError if the search was never started there.
    """
    if is_result(study):
        return read_result(result_file(Path(study)))
    name = builtin.find(study, "studies", "*.yaml", "search").stem
    folder = searches / name
    if storage is None and not folder.is_dir():
        begin = f"`archlab search {study}` starts it, and --searches names its folder"
        raise InputError(Problem(f"this search has no study; {begin}", file=str(folder)))
    from archlab.search.options import SearchOptions
    from archlab.search.run import result_of as collected  # last, since it imports PyTorch and Optuna

    options = SearchOptions(study, storage=storage, data=data, out=searches, plugin=plugin)
    try:
        return collected(options)
    except InputError as error:
        if (kept := folder / "result.json").is_file():
            here = Problem("its earlier result is here", file=str(kept))
            raise InputError([*error.problems, here]) from None
        raise


def folder_of(study: str, result: Result, searches: Path) -> Path:
    """Return the folder of a search that a user named as for `result_of`; one without runs has them in `searches`."""
    own = result_file(Path(study)).parent
    return own if is_result(study) and (own / "runs").is_dir() else searches / result.study


def candidate_of(result: Result, number: str) -> Candidate:
    """Return a trial by its number, or the best one of the front. Raises InputError with the numbers that exist."""
    if number == HEADLINE and (winner := best_of_front(result)):
        return winner
    found = {str(candidate.number): candidate for candidate in result.candidates}
    if number in found:
        return found[number]
    if not found:
        raise InputError(Problem(f"{result.study} has no finished trial yet", "NUMBER"))
    between = f"{len(found)} are finished, {min(map(int, found))} to {max(map(int, found))}"
    rule = f"{result.study} has no finished trial {number!r}: {between}{nearest(number, found)}"
    raise InputError(Problem(rule, "NUMBER"))


def weights_of(candidate: Candidate, folder: Path) -> Path | None:
    """Return the weights of a trial's longest finished training in the search's folder; None if there are none."""
    from archlab.training.runs import runs_in

    known = runs_in(folder / "runs")
    runs = [(record, path.parent / "checkpoint.pt") for record, path in known if record.spec_hash == candidate.hash]
    done = [(record.samples, path) for record, path in runs if record.is_done() and path.is_file()]
    return max(done)[1] if done else None


def best(result: Result, *, by: str | None = None, most: int | None = None) -> list[Candidate]:
    """Return the front, or the first `most` complete candidates by one figure, ties by number.

    by: an objective, another score, or a cost.
    """
    if by is None:
        return front(result)[:most]
    objective = _objective(result, by)
    sign = -1.0 if objective.direction == "maximize" else 1.0
    held = all_known(result.complete, [objective])
    return sorted(held, key=lambda c: (sign * vector(c, [objective])[0], c.number))[: most or BEST]


def _objective(result: Result, name: str) -> Objective:
    sought = {objective.name: objective for objective in result.objectives}
    names = dict.fromkeys([*sought, *score_names(result.candidates), *COUNTED, *_measured(result)])
    if name not in names:
        rule = f"no objective, score or cost is called {name!r}{nearest(name, names)}"
        raise InputError(Problem(rule, "--objective"))
    if name in sought:
        return sought[name]
    return Objective(name, "minimize" if name in (*COUNTED, *MEASURED) or not is_upwards(result, name) else "maximize")


def _measured(result: Result) -> list[str]:
    """Return the costs that were measured."""
    return [name for name in MEASURED if any(name in candidate.cost for candidate in result.candidates)]


def spec_of(candidate: Candidate, plugin: Iterable[str] = ()) -> Spec:
    """Return a candidate's network from its YAML."""
    return load_text(candidate.spec, candidate.name, plugin=plugin)


def side(result: Result | None, name: str, plugin: Sequence[str] = ()) -> Side:
    """Return what a user names for a comparison: a trial by its number, or a network at the study's input.

    A network that is a reference of the study or one of its trials, by its hash, has their scores.
    result: None for a comparison without a search, of networks at their own inputs.
    """
    if name.isdigit() or name == HEADLINE:
        if result is None:
            raise InputError(Problem(f"name a search before the trial {name}", "STUDY"))
        candidate = candidate_of(result, name)
        return Side(f"trial {candidate.number}", spec_of(candidate, plugin), dict(candidate.cost), candidate)
    trained = (*result.references, *result.candidates) if result else ()
    outputs = spec_of(trained[0], plugin).outputs if trained else None
    spec = load_at(name, result.rungs[-1].input if result else None, outputs=outputs, plugin=plugin)
    graph = archlab.assemble(spec)
    total, key = archlab.cost(graph).total, graph.hash
    cost = {metric: value(total) for metric, value in METRICS.items()}
    return Side(spec.name, spec, cost, next((each for each in trained if each.hash == key), None))


def as_variant(result: Result, candidate: Candidate) -> str:
    """Return the text of a network's file, with a comment on its origin and its scores."""
    scores = [
        quantity(name, result).phrase(found.mean)
        for name in shown_scores(result, [candidate])
        if (found := known(candidate, name))
    ]
    costs = [
        quantity(name, result).phrase(candidate.cost[name])
        for name in ("params", "macs", "mflops")
        if name in candidate.cost
    ]
    seeds = f", mean of {len(candidate.seeds)} seeds" if len(candidate.seeds) > 1 else ""
    at = f" at {deepest(result, candidate)}{seeds}, recipe {result.recipe} on {result.data}" if scores else ""
    lines = [
        f"Trial {candidate.number} of the search {result.study}, {result.date}: {OUTCOMES[candidate.outcome]}.",
        f"{', '.join(scores)}{at}." if scores else "Not scored.",
        f"{', '.join(costs)}.",
        f"Hash {candidate.hash}.",
    ]
    return "".join(f"# {' '.join(line.split())}\n" for line in lines) + candidate.spec


def as_json(result: Result, candidate: Candidate) -> dict[str, Any]:
    """Return a candidate as plain data: means over seeds, with 95 % intervals if there are several."""
    found = {o.name: known(candidate, o.name) for o in result.objectives}
    return {
        "number": candidate.number,
        "name": candidate.name,
        "hash": candidate.hash,
        "outcome": candidate.outcome,
        "seeds": max(len(candidate.seeds), 1),
        "values": {name: each.mean for name, each in found.items() if each},
        "intervals": {name: [each.low, each.high] for name, each in found.items() if each and each.low is not None},
        "cost": dict(candidate.cost),
        "point": dict(candidate.point),
    }


def in_full(result: Result, candidate: Candidate, plugin: Iterable[str] = ()) -> dict[str, Any]:
    """Return a candidate as plain data, with the scores at each rung and of each seed, and its network."""
    rungs = [{**asdict(result.rungs[i]), "scores": dict(found)} for i, found in by_rung(result, candidate).items()]
    return {
        **as_json(result, candidate),
        "on_front": candidate in front(result),
        "reason": candidate.reason,
        "rungs": rungs,
        "scores_by_seed": {seed: dict(scores) for seed, scores in candidate.seeds.items()},
        "proxies": dict(candidate.proxies),
        "seconds": candidate.seconds,
        "finished": candidate.finished,
        "spec": spec_of(candidate, plugin).document.plain(),
    }
