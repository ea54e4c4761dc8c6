"""Reading a search: its file, and the space, the recipes and the networks that the file names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import archlab
from archlab import yamlio
from archlab.ablation.study import KINDS
from archlab.core import builtin
from archlab.core.errors import InputError, Problem, in_order
from archlab.network.graph import Graph
from archlab.network.load import check_channels, load_at
from archlab.network.spec import Spec
from archlab.search.config import LATENCY, RungForm, SearchForm, listed, objective_problems, problems_of
from archlab.search.results import Objective
from archlab.search.space.document import Point
from archlab.search.space.gate import Checked, check
from archlab.search.space.points import size
from archlab.search.space.space import Space, load_space
from archlab.tasks.metrics import Direction, Metric, used
from archlab.training.budgets import budgets_in_steps
from archlab.training.recipe import Recipe, load_recipe, training_hash
from archlab.training.runs import digest
from archlab.yamlio import Item

T = TypeVar("T")


@dataclass(frozen=True)
class Fidelity:
    """What a candidate is evaluated by at a rung.

    Exactly one field besides `label` is given: `iterations` or `epochs` of the search's own recipe, the whole of
    another `recipe`, or a `proxy`.
    """

    label: str
    iterations: int | None = None
    epochs: int | None = None
    recipe: Recipe | None = None
    proxy: str | None = None

    @property
    def length(self) -> int | None:
        """The iterations or epochs of the search's own recipe; None for another recipe or a proxy."""
        return self.iterations or self.epochs


@dataclass(frozen=True)
class Search:
    """A search that was read from `path`, with its space, its recipe and its rungs.

    start: the points of the networks that are its first candidates.
    """

    name: str
    form: SearchForm
    space: Space
    recipe: Recipe
    rungs: tuple[Fidelity, ...]
    outputs: int | None
    path: Path
    start: tuple[Point, ...] = ()

    @property
    def objectives(self) -> tuple[Objective, ...]:
        return tuple(Objective(name, direction) for name, direction in self.form.objectives.items())

    @property
    def scores(self) -> dict[str, Metric]:
        """Return the scores that the search may optimise, by name."""
        return scores_of(self.recipe)

    @property
    def costs(self) -> tuple[str, ...]:
        """Return the costs and scores that the search limits or optimises, by name."""
        return tuple(dict.fromkeys([*self.space.limits, *self.form.limits, *self.form.objectives]))

    @property
    def is_timed(self) -> bool:
        """Return whether the search measures the time of its candidates."""
        return LATENCY in self.form.limits or LATENCY in self.form.objectives

    @property
    def directions(self) -> list[Direction]:
        return [objective.direction for objective in self.objectives]

    def candidate(self, point: Point, number: int) -> Spec:
        """Return the network of a trial, named after the search and the trial's number."""
        return self.space.spec(point, f"{self.name}_{number:04}")

    @property
    def eta(self) -> float:
        return self.form.rungs.eta if self.form.rungs else 1.0

    def parts(self, data: str) -> dict[str, Any]:
        """Return what must stay the same while a study runs, by part; `data` is the data's fingerprint."""
        rungs = [[each.label, training_hash(each.recipe) if each.recipe else ""] for each in self.rungs]
        timed = [yamlio.to_plain(self.form.latency), yamlio.to_plain(self.form.limits.get(LATENCY))]
        return {
            "space": digest(self.space.plain()),
            "recipe": training_hash(self.recipe),
            "objectives": [[o.name, o.direction] for o in self.objectives],
            "rungs": [*rungs, self.eta],
            "seed": self.recipe.seed,
            "data": data,
            **({"latency": timed} if self.is_timed else {}),
        }


def fitted(recipe: Recipe, spec: Spec) -> Recipe:
    """Return the recipe at the network's own input size, which a space may vary."""
    _, height, width = spec.input
    return replace(recipe, input=(height, width))


def load_search(name_or_path: str | Path, *, data: Path | None = None, plugin: tuple[str, ...] = ()) -> Search:
    """Read a search by name or path, together with its space, recipes and references.

    Candidates take the recipe's input size, unless the space varies it, and as many outputs as the data asks for.
    Raises InputError with the problems of all these files.
    """
    path = builtin.find(name_or_path, "studies", "*.yaml", "search")
    item = yamlio.read(path)
    _check_kind(item)
    return _Loader(path, item, data, plugin).load()


@dataclass
class _Loader:
    """Reads a search's file and what that names, and collects the problems of all files."""

    path: Path
    item: Item
    data: Path | None
    plugin: tuple[str, ...]
    problems: list[Problem] = field(default_factory=list)

    def load(self) -> Search:
        partial = yamlio.parse_partly(self.item, SearchForm)
        sound, entries = partial.sound, self.item.entries
        self.problems += [*partial.problems, *problems_of(self.item)]
        recipe = self.named("recipe", sound, load_recipe, plugin=self.plugin)
        at: dict[str, Any] = {"plugin": self.plugin}
        if recipe:
            at |= {"input": recipe.input, "outputs": recipe.task.outputs(self.data, recipe.options)}
        space = self.named("space", sound, load_space, **at)
        references = tuple(str(_beside(name, self.path)) for name in sound.get("references", ()))
        for name, place in zip(references, listed(entries.get("references")), strict=False):
            self.tried(place, "references", _trainable, name, **at)
        rungs = self.rungs(recipe) if recipe else []
        if recipe:
            self.check_recipe(recipe, entries["recipe"], "recipe")
            self.problems += objective_problems(entries.get("objectives", Item({})), scores_of(recipe), _every(recipe))
        self.problems += space.channel_problems() if space else []
        if space and "trials" in sound:
            self.check_size(space, sound["trials"])
        if space:
            counted = {name: limit for name, limit in sound.get("limits", {}).items() if name != LATENCY}
            space = replace(space, limits={**space.limits, **counted})
        start = self.start(space, sound.get("trials"), at) if space else ()
        if self.problems:
            raise InputError(in_order(self.problems))
        assert partial.value
        assert recipe
        assert space
        form = replace(partial.value, references=references)
        return Search(self.path.stem, form, space, recipe, tuple(rungs), at["outputs"], self.path, start)

    def named(self, field: str, sound: Mapping[str, Any], load: Callable[..., T], **options: Any) -> T | None:
        """Return what a field names, None if the field or what it names has problems."""
        if field not in sound:
            return None
        return self.tried(self.item.entries[field], field, load, _beside(sound[field], self.path), **options)

    def tried(self, place: Item, where: str, load: Callable[..., T], *given: Any, **named: Any) -> T | None:
        """Return what `load` reads, or None after noting its problems, at their own places or where it is named."""
        try:
            return load(*given, **named)
        except InputError as error:
            for each in error.problems:
                words = f"{each.file}: {each.message}" if each.file else each.message
                self.problems.append(each if each.line else place.problem(words, where))
        return None

    def start(self, space: Space, trials: int | None, at: Mapping[str, Any]) -> tuple[Point, ...]:
        """Return the points of the first candidates; note what cannot be one."""
        found: dict[str, Checked] = {}
        places = listed(self.item.entries.get("start"))
        for place in places:
            name = str(place.value)
            first = self.tried(place, "start", _candidate, str(_beside(name, self.path)), space, **at)
            if first and first.hash in found:
                self.problems.append(place.problem(f"{name!r} is the same network as one before it", "start"))
            elif first:
                found[first.hash] = first
        if trials is not None and len(places) > trials:
            rule = f"{len(places)} networks to start from need as many trials, found {trials}"
            self.problems.append(self.item.entries["start"].problem(rule, "start"))
        return tuple(first.point for first in found.values())

    def check_recipe(self, recipe: Recipe, place: Item, where: str) -> None:
        if recipe.fusion == "plain":
            rule = "the space of a search sets how branches are summed; its recipe cannot have `fusion: plain`"
            self.problems.append(place.problem(rule, where))

    def check_size(self, space: Space, trials: int) -> None:
        if (points := size(space)) < trials:
            rule = f"the space {space.name} has {points} points, too few for {trials} distinct networks"
            self.problems.append(self.item.entries.get("trials", self.item).problem(rule, "trials"))

    def rungs(self, recipe: Recipe) -> list[Fidelity]:
        """Return the sound rungs in order: proxies and other recipes first, then rising lengths of the recipe."""
        made: list[Fidelity] = []
        rungs = self.item.entries.get("rungs", Item({}))
        for place in listed(rungs.entries.get("at")):
            form = yamlio.parse_partly(place, RungForm).value
            rung = self.tried(place, "rungs.at", self.rung, form) if form else None
            if rung:
                self.problems += [place.problem(rule, "rungs.at") for rule in _broken(rung, made, recipe)]
                made.append(rung)
            if rung and rung.recipe:
                self.check_recipe(rung.recipe, place, "rungs.at.recipe")
        return made

    def rung(self, form: RungForm) -> Fidelity:
        if form.proxy:
            return Fidelity(form.proxy, proxy=form.proxy)
        if form.recipe:
            other = load_recipe(_beside(form.recipe, self.path), plugin=self.plugin)
            return Fidelity(f"{other.name} {other.input[0]}x{other.input[1]}", recipe=other)
        if form.epochs:
            return Fidelity(f"{form.epochs} epochs", epochs=form.epochs)
        return Fidelity(f"{form.iterations} iterations", iterations=form.iterations)


def scores_of(recipe: Recipe) -> dict[str, Metric]:
    """Return the scores that a search with this recipe may optimise, by name."""
    return {each.name: each for each in used(recipe.task.metrics, "objective", dataset=recipe.options.dataset)}


def _every(recipe: Recipe) -> dict[str, Metric]:
    """Return the scores that a search may optimise on any data set of the recipe's task."""
    return {each.name: each for each in used(recipe.task.metrics, "objective")}


def _trainable(name: str, *, input: tuple[int, int] | None = None, **at: Any) -> Graph:
    """Load a network and check its shapes and its input channels."""
    spec = load_at(name, input, **at)
    check_channels(spec)
    return archlab.assemble(spec)


def _candidate(name: str, space: Space, *, input: tuple[int, int] | None = None, **at: Any) -> Checked:
    """Return a network as a candidate. Raises InputError if it is not in the space or breaks a limit."""
    found = check(space, space.point_of(load_at(name, input, **at)))
    if found.refused:
        raise InputError(f"{name!r} breaks a limit of the search: its {found.refused}")
    return found


def _broken(rung: Fidelity, above: Sequence[Fidelity], recipe: Recipe) -> Iterator[str]:
    """Yield the rules that a rung breaks at its position."""
    if rung.length is not None:
        yield from _broken_length(rung, rung.length, above, recipe)
        return
    if any(other.length for other in above):
        yield "proxies and other recipes come before the recipe's own rungs"
    if rung in above:
        yield "repeats a rung above it"
    if rung.recipe and rung.recipe.task.name != recipe.task.name:
        yield f"the recipe {rung.recipe.name} trains for {rung.recipe.task.name}, the search for {recipe.task.name}"
    elif rung.recipe and rung.recipe.options.dataset != recipe.options.dataset:
        other, own = rung.recipe.options.dataset, recipe.options.dataset
        yield f"the recipe {rung.recipe.name} is for {other} data, the search's for {own}"
    if rung.recipe and training_hash(rung.recipe) == training_hash(recipe):
        yield f"the recipe {rung.recipe.name} is the search's own, whose end needs no rung"


def _broken_length(rung: Fidelity, length: int, above: Sequence[Fidelity], recipe: Recipe) -> Iterator[str]:
    """Yield the rules that a rung of the search's own recipe breaks."""
    unit, end = ("epochs", recipe.epochs) if rung.epochs else ("iterations", _iterations(recipe))
    last = max((other.length for other in above if other.length), default=0)
    if end is None:
        yield f"the recipe {recipe.name} does not count its length in {unit}"
    elif not last < length < end:
        yield f"rungs must rise and end before the recipe does, at {end} {unit}"


def _iterations(recipe: Recipe) -> int | None:
    """Return the length of the recipe's main line, None if it is counted in epochs."""
    budgets = budgets_in_steps(recipe.budgets, recipe.batch, recipe.cooldown)
    return budgets[-1].fork if budgets else recipe.iterations


def _check_kind(item: Item) -> None:
    """Raise InputError if the file is no search, and say which command reads it."""
    kind = item.entries.get("kind")
    if kind is None:
        raise InputError(item.problem("a search's file needs `kind: search`", "kind"))
    if kind.value == "search":
        return
    if isinstance(kind.value, str) and kind.value in KINDS:
        raise InputError(
            kind.problem(f"a study of kind {kind.shown()}; use `archlab ablate` or `archlab report`", "kind")
        )
    raise InputError(kind.problem(f"a search's file needs `kind: search`, found {kind.shown()}", "kind"))


def _beside(name: str, path: Path) -> str | Path:
    """Return the path of a file beside the study, or a built-in name unchanged."""
    there = path.parent / name
    return there if name.endswith((".yaml", ".yml")) and there.is_file() else name
