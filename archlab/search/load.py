"""Reading a search: its file, and the space, the recipes and the networks that the file names."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import archlab
from archlab import yamlio
from archlab.ablation.study import KINDS
from archlab.core import builtin
from archlab.core.errors import InputError, Problem
from archlab.network.graph import Graph
from archlab.network.spec import Spec
from archlab.search.config import OF_DATASET, SCORES, RungForm, SearchForm, listed
from archlab.search.results import Direction, Objective
from archlab.search.space.document import Point
from archlab.search.space.points import size
from archlab.search.space.space import Space, load_space
from archlab.training.recipe import Recipe, load_recipe, recipe_hash
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
    """A search that was read from `path`, with its space, its recipe and its rungs."""

    name: str
    form: SearchForm
    space: Space
    recipe: Recipe
    rungs: tuple[Fidelity, ...]
    outputs: int | None
    path: Path

    @property
    def objectives(self) -> tuple[Objective, ...]:
        return tuple(Objective(name, direction) for name, direction in self.form.objectives.items())

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
        rungs = [[each.label, recipe_hash(each.recipe) if each.recipe else ""] for each in self.rungs]
        return {
            "space": digest(self.space.plain()),
            "recipe": recipe_hash(self.recipe),
            "objectives": [[o.name, o.direction] for o in self.objectives],
            "rungs": [*rungs, self.eta],
            "seed": self.recipe.seed,
            "data": data,
        }


def fitted(recipe: Recipe, spec: Spec) -> Recipe:
    """Return the recipe at the network's own input size, which a space may vary."""
    _, height, width = spec.input
    return replace(recipe, input=(height, width))


def load_search(name_or_path: str | Path, *, data: Path | None = None, plugin: tuple[str, ...] = ()) -> Search:
    """Read a search by name or path, together with its space, recipes and references.

    Candidates take the recipe's input size, unless the space varies it, and one output per keypoint in the data.
    Raises InputError with every problem found.
    """
    path = builtin.find(name_or_path, "studies", "*.yaml", "search")
    item = yamlio.read(path)
    _check_kind(item)
    return _Loader(path, item, yamlio.parse(item, SearchForm), data, plugin).load()


@dataclass
class _Loader:
    """Reads what a search's file names and collects the problems."""

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
            at |= {"input": (3, *recipe.input), "outputs": recipe.task.outputs(self.data, recipe.options)}
        space = self.tried(entries["space"], "space", load_space, _beside(form.space, self.path), **at)
        for name, place in zip(references, listed(entries.get("references")), strict=True):
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
        return Search(self.path.stem, form, space, recipe, tuple(rungs), at["outputs"], self.path)

    def tried(self, place: Item, where: str, load: Callable[..., T], *given: Any, **named: Any) -> T | None:
        """Return what `load` reads, or None after noting its problems, at their own places or where it is named."""
        try:
            return load(*given, **named)
        except InputError as error:
            for each in error.problems:
                words = f"{each.file}: {each.message}" if each.file else each.message
                self.problems.append(each if each.line else place.problem(words, where))
        return None

    def check_recipe(self, recipe: Recipe, place: Item, where: str) -> None:
        if recipe.fusion == "plain":
            rule = "the space of a search sets how branches are summed; its recipe cannot have `fusion: plain`"
            self.problems.append(place.problem(rule, where))

    def check_objectives(self, recipe: Recipe) -> None:
        known = OF_DATASET[recipe.options.dataset]
        for name in self.form.objectives:
            if name in SCORES and name not in known:
                rule = f"the recipe {recipe.name} is scored as {recipe.options.dataset}, which has {', '.join(known)}"
                place = self.item.entries["objectives"].entries[name]
                self.problems.append(place.key_problem(rule, f"objectives.{name}"))

    def rungs(self, recipe: Recipe) -> list[Fidelity]:
        """Return the rungs in order: proxies and other recipes first, then rising lengths of the recipe itself."""
        made: list[Fidelity] = []
        if not self.form.rungs:
            return made
        for form, place in zip(self.form.rungs.at, listed(self.item.entries["rungs"].entries["at"]), strict=True):
            rung = self.tried(place, "rungs.at", self.rung, form)
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
            other = load_recipe(_beside(form.recipe, self.path))
            return Fidelity(f"{other.name} {other.input[0]}x{other.input[1]}", recipe=other)
        if form.epochs:
            return Fidelity(f"{form.epochs} epochs", epochs=form.epochs)
        return Fidelity(f"{form.iterations} iterations", iterations=form.iterations)


def _shaped(name: str, **at: Any) -> Graph:
    """Load a network and check its shapes."""
    return archlab.assemble(archlab.load(name, **at))


def _broken(rung: Fidelity, above: Sequence[Fidelity], recipe: Recipe) -> Iterator[str]:
    """Yield the rules that a rung breaks at its position."""
    if rung.length is not None:
        yield from _broken_length(rung, rung.length, above, recipe)
        return
    if any(other.length for other in above):
        yield "proxies and other recipes come before the recipe's own rungs"
    if rung in above:
        yield "repeats a rung above it"
    if rung.recipe and rung.recipe.options.dataset != recipe.options.dataset:
        other, own = rung.recipe.options.dataset, recipe.options.dataset
        yield f"the recipe {rung.recipe.name} is for {other} data, the search's for {own}"
    if rung.recipe and recipe_hash(rung.recipe) == recipe_hash(recipe):
        yield f"the recipe {rung.recipe.name} is the search's own, whose end needs no rung"


def _broken_length(rung: Fidelity, length: int, above: Sequence[Fidelity], recipe: Recipe) -> Iterator[str]:
    """Yield the rules that a rung of the search's own recipe breaks."""
    unit, end = ("epochs", recipe.epochs) if rung.epochs else ("iterations", recipe.iterations)
    last = max((other.length for other in above if other.length), default=0)
    if end is None:
        yield f"the recipe {recipe.name} does not count its length in {unit}"
    elif not last < length < end:
        yield f"rungs must rise and end before the recipe does, at {end} {unit}"


def _check_kind(item: Item) -> None:
    """Raise InputError if the file is no search, and say which command reads it."""
    kind = item.entries.get("kind")
    if kind is None:
        raise InputError(item.problem("a search's file needs `kind: search`", "kind"))
    if kind.value == "search":
        return
    if kind.value in KINDS:
        raise InputError(
            kind.problem(f"a study of kind {kind.shown()}; use `archlab ablate` or `archlab report`", "kind")
        )
    raise InputError(kind.problem(f"a search's file needs `kind: search`, found {kind.shown()}", "kind"))


def _beside(name: str, path: Path) -> str | Path:
    """Return the path of a file beside the study, or a built-in name unchanged."""
    there = path.parent / name
    return there if name.endswith((".yaml", ".yml")) and there.is_file() else name
