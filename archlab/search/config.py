"""A search as a file: a space, how its candidates are trained and judged, what is sought, by which sampler."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import archlab
from archlab import yamlio
from archlab.ablation.study import KINDS
from archlab.core import builtin
from archlab.core.errors import InputError, Problem, nearest
from archlab.network.graph import Graph
from archlab.network.spec import Spec
from archlab.search.results import Direction, Objective
from archlab.search.space.document import Point
from archlab.search.space.points import size
from archlab.search.space.space import METRICS, Band, Space, load_space
from archlab.tasks.pose.data.sets import labelled_keypoints
from archlab.training.recipe import Recipe, load_recipe, recipe_hash
from archlab.training.runs import digest
from archlab.yamlio import Above, AtLeast, Item, Length

SCORES = {"ap": "AP", "mean_oks": "mean_oks", "pck": "pck", "pckh": "mean_weighted"}
"""Objectives that are trained for, and the names of their figures in a record; 0 to 100."""
OF_DATASET = {"coco": ("ap", "mean_oks", "pck"), "mpii": ("pck", "pckh")}
SETTINGS = {
    "random": (),
    "tpe": ("startup",),
    "gp": ("startup",),
    "nsga2": ("population",),
    "nsga3": ("population",),
    "evolution": ("startup", "population", "tournament"),
}
"""What of a sampler's form each sampler asks for."""
Count = Annotated[int, AtLeast(1)]
T = TypeVar("T")


@dataclass(frozen=True)
class RungForm:
    """Where candidates are compared: after iterations or epochs, at the end of another recipe, or by a proxy."""

    iterations: Count | None = None
    epochs: Count | None = None
    recipe: Annotated[str | None, "Another recipe's name or file; it is trained on the search's data."] = None
    proxy: str | None = None

    def problems(self, item: Item) -> Iterator[Problem]:
        said = [name for name, value in vars(self).items() if value is not None]
        if len(said) != 1:
            yield item.problem(f"say one of iterations, epochs, recipe and proxy, found {len(said)}", "rungs.at")
        if self.proxy is not None:
            yield from _unknown_proxies([self.proxy], (item.entries["proxy"],), "rungs.at.proxy")


@dataclass(frozen=True)
class RungsForm:
    """`at`: the rungs, in order; at each a candidate goes on if it is in the best 1/`eta` of those that reached it."""

    at: Annotated[tuple[RungForm, ...], Length(1)]
    eta: Annotated[float, Above(1)] = 3.0


@dataclass(frozen=True)
class SamplerForm:
    """Who proposes candidates."""

    name: Literal["random", "tpe", "nsga2", "nsga3", "gp", "evolution"] = "tpe"
    startup: Annotated[int, AtLeast(1), "So many by chance first; of tpe, gp and evolution."] = 10
    population: Annotated[int, AtLeast(2), "Of nsga2, nsga3 and evolution."] = 20
    tournament: Annotated[int, AtLeast(1), "The best of so many becomes a parent; of evolution."] = 5

    def problems(self, item: Item) -> Iterator[Problem]:
        for name, given in item.entries.items():
            if name not in ("name", *SETTINGS[self.name]):
                yield given.key_problem(f"means nothing to the sampler {self.name}", f"sampler.{name}")
        if self.name == "evolution" and self.tournament > self.population:
            rule = f"a tournament is among the population, {self.population}; found {self.tournament}"
            yield item.problem(rule, "sampler.tournament")


@dataclass(frozen=True)
class SearchForm:
    """A search's file. Networks and files that it names are built-in ones, or files beside it."""

    kind: Literal["search"]
    space: str
    recipe: str
    objectives: Annotated[dict[str, Direction], Length(1)]
    title: str = ""
    trials: Annotated[
        int, AtLeast(1), "Candidates that are trained, stopped at a rung, or fail by their own fault."
    ] = 50
    sampler: SamplerForm = SamplerForm()
    seed: Annotated[int, AtLeast(0), "Of the sampler; candidates are trained from the recipe's seed."] = 1
    rungs: RungsForm | None = None
    proxies: Annotated[tuple[str, ...], "Zero-cost ones, noted of every candidate before it is trained."] = ()
    front_seeds: Annotated[
        tuple[Annotated[int, AtLeast(0)], ...], "The front's members are trained from each of these in the end."
    ] = ()
    references: Annotated[tuple[str, ...], "Networks that are trained beside the candidates."] = ()
    limits: Annotated[dict[str, Band], "At the recipe's input; each in place of the space's own."] = field(
        default_factory=dict
    )

    def problems(self, item: Item) -> Iterator[Problem]:
        entries = item.entries
        for name, direction in self.objectives.items():
            at, where = entries["objectives"].entries[name], f"objectives.{name}"
            right = "maximize" if name in SCORES else "minimize"
            if name not in SCORES and name not in METRICS:
                yield at.key_problem(f"no objective is called {name!r}{nearest(name, [*SCORES, *METRICS])}", where)
            elif direction != right:
                yield at.problem(f"{name} is sought {'upwards' if name in SCORES else 'downwards'}: {right}", where)
        if all(name in METRICS for name in self.objectives):
            rule = f"nothing is trained for: seek a score, one of {', '.join(SCORES)}"
            yield entries["objectives"].problem(rule, "objectives")
        for name in self.limits:
            if name not in METRICS:
                at = entries["limits"].entries[name]
                yield at.key_problem(f"no cost is called {name!r}{nearest(name, METRICS)}", f"limits.{name}")
        for where in ("proxies", "front_seeds", "references"):
            places, said = _listed(entries.get(where)), getattr(self, where)
            for i, (place, value) in enumerate(zip(places, said, strict=True)):
                if value in said[:i]:
                    yield place.problem(f"{value!r} is listed twice", where)
        yield from _unknown_proxies(self.proxies, _listed(entries.get("proxies")), "proxies")


@dataclass(frozen=True)
class Halt:
    """A rung, resolved. `iterations` of the main recipe, or the whole of another `recipe`, or a `proxy`."""

    label: str
    iterations: int | None = None
    recipe: Recipe | None = None
    proxy: str | None = None


@dataclass(frozen=True)
class Search:
    """A search with its space, its recipe and its rungs read."""

    name: str
    form: SearchForm
    space: Space
    recipe: Recipe
    rungs: tuple[Halt, ...]
    outputs: int | None

    @property
    def objectives(self) -> tuple[Objective, ...]:
        return tuple(Objective(name, direction) for name, direction in self.form.objectives.items())

    @property
    def directions(self) -> list[Direction]:
        return [objective.direction for objective in self.objectives]

    def candidate(self, point: Point, number: int) -> Spec:
        """The network of a trial, named after the search and the trial's number."""
        return self.space.spec(point, f"{self.name}_{number:04}")

    @property
    def eta(self) -> float:
        return self.form.rungs.eta if self.form.rungs else 1.0

    def parts(self, data: str) -> dict[str, Any]:
        """What a study must not change under way, by the name of what it is; `data` is the data's fingerprint."""
        rungs = [[h.label, recipe_hash(h.recipe) if h.recipe else ""] for h in self.rungs]
        return {
            "space": digest(self.space.plain()),
            "recipe": recipe_hash(self.recipe),
            "objectives": [[o.name, o.direction] for o in self.objectives],
            "rungs": [*rungs, self.eta],
            "seed": self.recipe.seed,
            "data": data,
        }


def fitted(recipe: Recipe, spec: Spec) -> Recipe:
    """The recipe at the network's own input, which may be one of the choices."""
    _, height, width = spec.input
    return replace(recipe, input=(height, width))


def load_search(name_or_path: str | Path, *, data: Path | None = None, plugin: tuple[str, ...] = ()) -> Search:
    """A search by its name or file, its space, recipes and references with it; InputError with every problem found.

    Candidates get the recipe's input, unless the space varies that, and as many outputs as the data labels keypoints.
    """
    path = builtin.find(name_or_path, "studies", "*.yaml", "search")
    item = yamlio.read(path)
    _check_kind(item)
    return _Loader(path, item, yamlio.parse(item, SearchForm), data, plugin).load()


@dataclass
class _Loader:
    """Reads what a search's file names, gathering problems."""

    path: Path
    item: Item
    form: SearchForm
    data: Path | None
    plugin: tuple[str, ...]
    problems: list[Problem] = field(default_factory=list)

    def load(self) -> Search:
        form, entries = self.form, self.item.entries
        references = tuple(str(_beside(name, self.path)) for name in form.references)
        recipe = self.tried(entries["recipe"], "recipe", load_recipe, _beside(form.recipe, self.path))
        at: dict[str, Any] = {"plugin": self.plugin}
        if recipe:
            at |= {"input": (3, *recipe.input), "outputs": labelled_keypoints(recipe.dataset, self.data)}
        space = self.tried(entries["space"], "space", load_space, _beside(form.space, self.path), **at)
        for name, place in zip(references, _listed(entries.get("references")), strict=True):
            self.tried(place, "references", _shaped, name, **at)
        rungs = self.rungs(recipe) if recipe else []
        if recipe:
            self.check_recipe(recipe, entries["recipe"], "recipe")
            self.check_objectives(recipe)
        if space and size(space) < form.trials:
            rule = f"the space {space.name} has {size(space)} points, too few for {form.trials} distinct networks"
            self.problems.append(entries.get("trials", self.item).problem(rule, "trials"))
        if self.problems:
            raise InputError(self.problems)
        assert recipe
        assert space
        space = replace(space, limits={**space.limits, **form.limits})
        form = replace(form, references=references)
        return Search(self.path.stem, form, space, recipe, tuple(rungs), at["outputs"])

    def tried(self, place: Item, where: str, load: Callable[..., T], *given: Any, **named: Any) -> T | None:
        """What loads, or None and the problems: those of a file at their own places, others where it is named."""
        try:
            return load(*given, **named)
        except InputError as error:
            for each in error.problems:
                words = f"{each.file}: {each.message}" if each.file else each.message
                self.problems.append(each if each.line else place.problem(words, where))
        return None

    def check_recipe(self, recipe: Recipe, place: Item, where: str) -> None:
        if recipe.fusion == "plain":
            rule = "in a search the space says how branches are summed, and not a recipe's `fusion: plain`"
            self.problems.append(place.problem(rule, where))

    def check_objectives(self, recipe: Recipe) -> None:
        known = OF_DATASET[recipe.dataset]
        for name in self.form.objectives:
            if name in SCORES and name not in known:
                rule = f"the recipe {recipe.name} is scored as {recipe.dataset}, which has {', '.join(known)}"
                place = self.item.entries["objectives"].entries[name]
                self.problems.append(place.key_problem(rule, f"objectives.{name}"))

    def rungs(self, recipe: Recipe) -> list[Halt]:
        """The rungs in order: proxies and other recipes first, then rising lengths of the recipe itself."""
        made: list[Halt] = []
        if not self.form.rungs:
            return made
        for form, place in zip(self.form.rungs.at, _listed(self.item.entries["rungs"].entries["at"]), strict=True):
            rung = self.tried(place, "rungs.at", self.rung, form)
            if rung:
                self.problems += [place.problem(rule, "rungs.at") for rule in _broken(rung, made, recipe)]
                made.append(rung)
            if rung and rung.recipe:
                self.check_recipe(rung.recipe, place, "rungs.at.recipe")
        return made

    def rung(self, form: RungForm) -> Halt:
        if form.proxy:
            return Halt(form.proxy, proxy=form.proxy)
        if form.recipe:
            other = load_recipe(_beside(form.recipe, self.path))
            return Halt(f"{other.name} {other.input[0]}x{other.input[1]}", recipe=other)
        if form.epochs:
            return Halt(f"{form.epochs} epochs", iterations=-form.epochs)
        return Halt(f"{form.iterations} iterations", iterations=form.iterations)


def _shaped(name: str, **at: Any) -> Graph:
    """A network, once its shapes are known to fit."""
    return archlab.assemble(archlab.load(name, **at))


def _broken(rung: Halt, above: Sequence[Halt], recipe: Recipe) -> Iterator[str]:
    """The rules that a rung breaks in its place."""
    if rung.iterations is None:
        if any(other.iterations for other in above):
            yield "proxies and other recipes come before the recipe's own rungs"
        if rung in above:
            yield "a rung like one above it"
        if rung.recipe and rung.recipe.dataset != recipe.dataset:
            yield f"the recipe {rung.recipe.name} is of {rung.recipe.dataset} data, the search's of {recipe.dataset}"
        if rung.recipe and recipe_hash(rung.recipe) == recipe_hash(recipe):
            yield f"the recipe {rung.recipe.name} is the search's own, whose end needs no rung"
        return
    unit, length = ("epochs", recipe.epochs) if rung.iterations < 0 else ("iterations", recipe.iterations)
    last = max((abs(other.iterations) for other in above if other.iterations), default=0)
    if length is None:
        yield f"the recipe {recipe.name} does not count its length in {unit}"
    elif not last < abs(rung.iterations) < length:
        yield f"rungs rise and lie before the recipe's end, {length} {unit}"


def _check_kind(item: Item) -> None:
    """InputError for the file of something else, saying what reads that."""
    kind = item.entries.get("kind")
    if kind is None:
        raise InputError(item.problem("a search says `kind: search`", "kind"))
    if kind.value == "search":
        return
    if kind.value in KINDS:
        raise InputError(kind.problem(f"a study of kind {kind.shown()}: `archlab ablate` and `report` read it", "kind"))
    raise InputError(kind.problem(f"a search says `kind: search`, found {kind.shown()}", "kind"))


def _unknown_proxies(names: Sequence[str], places: Sequence[Item], where: str) -> Iterator[Problem]:
    from archlab.search.proxies import PROXIES

    for name, place in zip(names, places, strict=True):
        if name not in PROXIES:
            yield place.problem(f"no proxy is called {name!r}{nearest(name, PROXIES)}", where)


def _listed(item: Item | None) -> tuple[Item, ...]:
    return item.value if item and isinstance(item.value, tuple) else ()


def _beside(name: str, path: Path) -> str | Path:
    """A file that a study names, found beside the study; a built-in name as it is."""
    there = path.parent / name
    return there if name.endswith((".yaml", ".yml")) and there.is_file() else name
