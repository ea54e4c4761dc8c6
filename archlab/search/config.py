"""The format of a search's file: a space, how its candidates are trained, what is optimised and by which sampler."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

from archlab.core.errors import Problem, nearest
from archlab.search.space.space import METRICS, CostRange
from archlab.tasks.metrics import Direction, Metric
from archlab.yamlio import Above, AtLeast, AtMost, Item, Length

SETTINGS = {
    "random": (),
    "tpe": ("startup",),
    "gp": ("startup",),
    "nsga2": ("population",),
    "nsga3": ("population",),
    "evolution": ("startup", "population", "tournament"),
}
"""The settings that each sampler takes."""
Count = Annotated[int, AtLeast(1)]
LATENCY = "latency"
"""The limit and the objective that is measured, in milliseconds."""
COSTS = (*METRICS, LATENCY)
TIMED = ("limits", "objectives")


@dataclass(frozen=True)
class RungForm:
    """What candidates are compared by: iterations or epochs of the recipe, the end of another recipe, or a proxy."""

    iterations: Count | None = None
    epochs: Count | None = None
    recipe: Annotated[str | None, "Name or file of another recipe; it is trained on the search's data."] = None
    proxy: str | None = None

    def problems(self, item: Item) -> Iterator[Problem]:
        given = [name for name, value in vars(self).items() if value is not None]
        if len(given) != 1:
            yield item.problem(f"needs one of iterations, epochs, recipe and proxy, found {len(given)}", "rungs.at")
        if self.proxy is not None:
            yield from _unknown_proxies([item.entries["proxy"]], "rungs.at.proxy")


@dataclass(frozen=True)
class RungsForm:
    """`at`: the rungs in order. A candidate passes a rung if it is in the best 1/`eta` of those that reached it."""

    at: Annotated[tuple[RungForm, ...], Length(1)]
    eta: Annotated[float, Above(1)] = 3.0


@dataclass(frozen=True)
class SamplerForm:
    """The sampler that proposes candidates."""

    name: Literal["random", "tpe", "nsga2", "nsga3", "gp", "evolution"] = "tpe"
    startup: Annotated[int, AtLeast(1), "Random candidates before the model is used; tpe, gp, evolution."] = 10
    population: Annotated[int, AtLeast(2), AtMost(10**5), "Population size; nsga2, nsga3, evolution."] = 20
    tournament: Annotated[int, AtLeast(1), "Tournament size, whose best becomes a parent; evolution."] = 5

    def problems(self, item: Item) -> Iterator[Problem]:
        for name, given in item.entries.items():
            if name not in ("name", *SETTINGS[self.name]):
                yield given.key_problem(f"is no setting of the sampler {self.name}", f"sampler.{name}")
        if self.name == "evolution" and self.tournament > self.population:
            rule = f"a tournament cannot exceed the population of {self.population}, found {self.tournament}"
            yield item.problem(rule, "sampler.tournament")


@dataclass(frozen=True)
class LatencyForm:
    """Where and how the time of candidates is measured, for a limit or an objective `latency` in milliseconds."""

    device: Annotated[str, "cpu, cuda or mps."] = "cpu"
    threads: Annotated[int, AtLeast(1), "CPU threads."] = 1
    batch: Annotated[int, AtLeast(1), "Images a pass."] = 1
    runtime: Literal["eager", "folded", "onnxruntime"] = "folded"
    rounds: Annotated[int, AtLeast(3), "Passes whose median it is."] = 10

    @property
    def about(self) -> str:
        """The setting in words."""
        return f"{self.device} {self.threads} threads batch {self.batch} {self.runtime}"


@dataclass(frozen=True)
class SearchForm:
    """A search's file. A network or file that it names is a built-in one or is next to it."""

    kind: Literal["search"]
    space: str
    recipe: str
    objectives: Annotated[dict[str, Direction], Length(1)]
    title: str = ""
    trials: Annotated[
        int, AtLeast(1), AtMost(10**6), "Candidates to finish: trained, stopped at a rung, or failed."
    ] = 50
    sampler: SamplerForm = SamplerForm()
    seed: Annotated[int, AtLeast(0), "Seed of the sampler; candidates are trained with the recipe's seed."] = 1
    rungs: RungsForm | None = None
    proxies: Annotated[tuple[str, ...], "Zero-cost proxies, computed for every candidate before training."] = ()
    front_seeds: Annotated[
        tuple[Annotated[int, AtLeast(0)], ...], "Seeds with which the final front's members are trained."
    ] = ()
    start: Annotated[tuple[str, ...], "Networks of the space that are the first candidates, in this order."] = ()
    references: Annotated[tuple[str, ...], "Networks that are trained for comparison with the candidates."] = ()
    limits: Annotated[dict[str, CostRange], "Limits on cost at the recipe's input; each replaces the space's own."] = (
        field(default_factory=dict)
    )
    latency: LatencyForm = LatencyForm()
    keep_stopped: Annotated[bool, "Keep the weights of candidates that a rung stopped, some 10 MB each."] = False


def problems_of(item: Item) -> Iterator[Problem]:
    """Yield the rules between the fields of a search's file that are broken, also if other fields are wrong."""
    limits = item.entries.get("limits", Item({})).entries
    for name, each in limits.items():
        if name not in COSTS:
            yield each.key_problem(f"no cost is called {name!r}{nearest(name, COSTS)}", f"limits.{name}")
    if "latency" in item.entries and not any(LATENCY in item.entries.get(k, Item({})).entries for k in TIMED):
        yield item.entries["latency"].key_problem(
            "is read by a limit or an objective `latency`; there is none", LATENCY
        )
    for where in ("proxies", "front_seeds", "start", "references"):
        yield from _repeated(listed(item.entries.get(where)), where)
    yield from _unknown_proxies(listed(item.entries.get("proxies")), "proxies")


def objective_problems(item: Item, scores: Mapping[str, Metric], every: Mapping[str, Metric]) -> Iterator[Problem]:
    """Yield what is wrong with the objectives of a search.

    scores: what the recipe's task measures on its data set, by name.
    every: what the task measures on any data set.
    """
    for name, given in item.entries.items():
        where = f"objectives.{name}"
        known = [*scores, *COSTS]
        if name in every and name not in scores:
            yield given.key_problem(f"the recipe's data set has {', '.join(scores)}, not {name}", where)
        elif name not in known:
            yield given.key_problem(f"no objective is called {name!r}{nearest(name, known)}", where)
        elif given.value in get_args(Direction) and given.value != (right := direction_of(name, scores)):
            yield given.problem(f"must be {right}", where)
    if item.entries and all(name in COSTS for name in item.entries):
        yield item.problem(f"needs a score, one of {', '.join(scores)}; costs need no training", "objectives")


def direction_of(name: str, scores: Mapping[str, Metric]) -> Direction:
    """Return in which direction an objective is better; costs are minimised."""
    return scores[name].direction if name in scores else "minimize"


def listed(item: Item | None) -> tuple[Item, ...]:
    """Return the entries of a list, empty for anything else."""
    return item.value if item and isinstance(item.value, tuple) else ()


def _repeated(places: Sequence[Item], where: str) -> Iterator[Problem]:
    values = [place.plain() for place in places]
    for i, (place, value) in enumerate(zip(places, values, strict=True)):
        if value in values[:i]:
            yield place.problem(f"{value!r} is listed twice", where)


def _unknown_proxies(places: Sequence[Item], where: str) -> Iterator[Problem]:
    from archlab.search.proxies import PROXIES

    for place in places:
        if isinstance(place.value, str) and place.value not in PROXIES:
            yield place.problem(f"no proxy is called {place.value!r}{nearest(place.value, PROXIES)}", where)
