"""A recipe: how a network is trained and scored, as its YAML file says."""

from __future__ import annotations

import dataclasses
import math
import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from archlab import yamlio
from archlab.core import builtin
from archlab.core.errors import InputError, Problem
from archlab.network.load import plain_fusion
from archlab.network.spec import Spec
from archlab.tasks import find_task
from archlab.tasks.base import Task
from archlab.training.runs import digest
from archlab.yamlio import Above, AtLeast, AtMost, Item, MultipleOf

Count = Annotated[int, AtLeast(1)]
Side = Annotated[int, AtLeast(32), MultipleOf(32)]
Share = Annotated[float, AtLeast(0), AtMost(1)]

_TASK = "What networks are trained for."
_EXTENDS = "Another recipe, by name or file in the same folder, whose fields this one changes; one level."
CHANGES = "--recipe-set"
"""The place of changed fields in an error."""
DATA = Path("data")
"""Where embedded data is made: a folder for each, under the working folder."""
DEFAULT_TASK = "pose"
NOT_IDENTITY = (
    "name", "data", "seed", "eval_batch", "keep_gigabytes", "workers", "threads", "checkpoint_every",
    "checkpoint_seconds", "log_every", "execution",
)  # fmt: skip
"""Fields in which two runs may differ and still be the same run. Data and seed have places of their own in a run's
fingerprint; `execution`, like `threads`, changes rounding at most.
"""
LATER = (
    "task", "dataset", "crops", "targets", "decoding", "post_gaussian", "nms", "accumulate", "ema", "pipeline",
    "fusion",
)  # fmt: skip
"""Fields younger than recorded runs. At their defaults they are left out of the hash, so recorded hashes stay."""


@dataclass(frozen=True)
class Optimiser:
    """The rule of a training step: Adam, or SGD with momentum."""

    name: Literal["adam", "sgd"] = "adam"
    lr: Annotated[float, Above(0), "The learning rate after warm-up and before any decay."] = 2e-3
    weight_decay: Annotated[
        float,
        AtLeast(0),
        "Added to the gradient, times the weight. With Adam it is known to wreck Lite-HRNet's result.",
    ] = 0.0
    momentum: Annotated[float, AtLeast(0), AtMost(1), "Of SGD only."] = 0.9
    betas: Annotated[tuple[Share, Share], "Of Adam only."] = (0.9, 0.999)


@dataclass(frozen=True)
class Schedule:
    """The course of the learning rate: a linear warm-up times a decay."""

    warm_up: Annotated[int, AtLeast(0), "Iterations until the rate has its full value."] = 0
    warm_up_start: Annotated[float, AtLeast(0), AtMost(1), "The share of the full rate at the first iteration."] = 0.001
    decay: Annotated[
        Literal["constant", "step", "cosine", "poly"],
        "step: times `factor` at each milestone; cosine: (1 + cos(pi t)) / 2; poly: (1 - t)^power; t goes from 0 to 1.",
    ] = "constant"
    milestones: Annotated[tuple[Count, ...], "In epochs or iterations, whichever the recipe's length is in."] = ()
    factor: Annotated[float, Above(0), "Of the step decay."] = 0.1
    power: Annotated[float, Above(0), "Of the poly decay."] = 0.9

    def problems(self, item: Item) -> Iterator[Problem]:
        if (self.decay == "step") != bool(self.milestones):
            yield item.problem("`decay: step` and `milestones` go together", "schedule")
        if list(self.milestones) != sorted(set(self.milestones)):
            yield item.problem("must rise from each to the next", "schedule.milestones")

    def at(self, iteration: int, *, total: int, unit: int) -> float:
        """The share of the full rate at an iteration, from 0, of `total`; milestones count `unit` iterations each.

        rise * decay with rise = 1 - (1 - i / warm_up) * (1 - warm_up_start) during warm-up, else 1.
        """
        rise = 1.0
        if iteration < self.warm_up:
            rise -= (1 - iteration / self.warm_up) * (1 - self.warm_up_start)
        return rise * self._decay(iteration, total, unit)

    def _decay(self, iteration: int, total: int, unit: int) -> float:
        if self.decay == "step":
            return self.factor ** sum(iteration >= milestone * unit for milestone in self.milestones)
        if self.decay == "cosine":
            return (1 + math.cos(math.pi * iteration / total)) / 2
        return (1 - iteration / total) ** self.power if self.decay == "poly" else 1.0


@dataclass(frozen=True)
class Recipe:
    """One way to train and score any network; the fields of its task are in `options`, and flat in a file."""

    name: Annotated[str, "The file's name where this is left out."] = ""
    task: Annotated[Any, _TASK] = field(default_factory=lambda: find_task(DEFAULT_TASK))
    input: Annotated[tuple[Side, Side], "Height and width of the network's input, pixels."] = (256, 192)
    epochs: Annotated[int | None, AtLeast(1), "The length of training; either this or `iterations`."] = None
    iterations: Annotated[int | None, AtLeast(1), "The length of training; either this or `epochs`."] = None
    batch: Annotated[int, AtLeast(1), "Samples a step; the rest of an epoch that fills no batch is left out."] = 32
    accumulate: Annotated[
        int, AtLeast(1), "Micro-batches a step, one after the other in each process; the rate stays the whole batch's."
    ] = 1
    optimiser: Optimiser = Optimiser()
    schedule: Schedule = Schedule()
    fusion: Annotated[
        Literal["spec", "plain"],
        "Of branches: as the network's file says, or HRNet's plain sum in each of its `fusion` blocks.",
    ] = "spec"
    precision: Annotated[Literal["float32", "bf16"], "bf16: autocast, with weights kept in float32."] = "float32"
    execution: Annotated[
        Literal["eager", "graph", "compile"],
        "Of a step. graph: recorded once as a CUDA graph, of one process on a GPU; compile: by torch.compile, which on "
        "two CPU cores took over 7 minutes and gained nothing. Neither changes more than rounding.",
    ] = "eager"
    ema: Annotated[
        float | None, Above(0), AtMost(0.999999), "Decay of the averaged weights that are scored; null: none."
    ] = None
    validate_every: Annotated[
        int | None, AtLeast(1), "Score during training too, every so many epochs or iterations; null: only at the end."
    ] = None
    seed: Annotated[int, AtLeast(0), "For initial weights, the order of samples, and augmentation."] = 1
    pipeline: Annotated[
        Literal["samples", "batched"],
        "samples: one by one on the CPU; batched: samples kept decoded, whole batches made on the device.",
    ] = "samples"
    keep_gigabytes: Annotated[float, AtLeast(0), "For decoded samples, on the device or in memory; batched only."] = 4.0
    eval_batch: Annotated[int | None, AtLeast(1), "Samples a batch in scoring; null: as in training."] = None
    workers: Annotated[int, AtLeast(0), "Threads that load data beside training; 0: none."] = 0
    threads: Annotated[
        int | None, AtLeast(1), "CPU threads; null: as many as PyTorch takes. Bits agree at equal numbers only."
    ] = None
    checkpoint_every: Annotated[int | None, AtLeast(1), "Iterations from one checkpoint to the next."] = None
    checkpoint_seconds: Annotated[float | None, AtLeast(0), "Seconds from one checkpoint to the next."] = 60.0
    log_every: Annotated[int, AtLeast(1), "Iterations from one line of metrics.jsonl to the next."] = 10
    options: Any = None

    def __post_init__(self) -> None:
        if self.options is None:
            object.__setattr__(self, "options", self.task.options())

    @classmethod
    def of(cls, *, task: Task[Any, Any] | None = None, **fields: Any) -> Recipe:
        """Build a recipe from common and task fields alike."""
        task = task or find_task(DEFAULT_TASK)
        own = {name: fields.pop(name) for name in _names(task.options) & set(fields)}
        return cls(task=task, options=task.options(**own), **fields)

    def changed(self, **fields: Any) -> Recipe:
        """Return the recipe with common or task fields changed."""
        own = {name: fields.pop(name) for name in _names(self.task.options) & set(fields)}
        return replace(self, options=replace(self.options, **own), **fields)

    def plain(self) -> dict[str, Any]:
        """Return the flat fields as JSON-able values."""
        common = {each.name: getattr(self, each.name) for each in dataclasses.fields(self) if each.name != "options"}
        return {**yamlio.to_plain({**common, "task": self.task.name}), **yamlio.to_plain(self.options)}

    def to_yaml(self) -> str:
        return yamlio.dump(self.plain())

    def problems(self, item: Item) -> Iterator[Problem]:
        if (self.epochs is None) == (self.iterations is None):
            yield item.problem("a recipe says either `epochs` or `iterations`", "epochs")
        length = self.epochs or self.iterations or 0
        if self.batch % self.accumulate:
            rule = f"a batch of {self.batch} cannot be split into {self.accumulate} equal parts"
            yield item.problem(rule, "accumulate")
        if any(milestone >= length for milestone in self.schedule.milestones):
            yield item.problem(f"milestones must lie before the end, {length}", "schedule.milestones")


@cache
def form_of(task: Any) -> type[Any]:
    """Return the dataclass of a task's recipe file: the common fields and the task's own, flat."""
    parts: list[tuple[str, Any, Any]] = []
    for cls in (Recipe, task.options):
        hints = typing.get_type_hints(cls, include_extras=True)
        parts += [(each.name, hints[each.name], _default(each)) for each in fields(cls) if each.name != "options"]
    parts = [("task", Annotated[str, _TASK], field(default=task.name)) if part[0] == "task" else part for part in parts]
    parts.append(("extends", Annotated[str, _EXTENDS], field(default="")))
    body = {"problems": _problems_of(task), "__doc__": Recipe.__doc__}
    return dataclasses.make_dataclass("RecipeForm", parts, frozen=True, namespace=body)


def _names(cls: type[Any]) -> set[str]:
    return {each.name for each in fields(cls)}


def _default(each: dataclasses.Field[Any]) -> Any:
    if each.default is not dataclasses.MISSING:
        return field(default=each.default)
    return field(default_factory=each.default_factory) if each.default_factory is not dataclasses.MISSING else field()


def _problems_of(task: Task[Any, Any]) -> Any:
    def problems(form: Any, item: Item) -> Iterator[Problem]:
        recipe = _recipe_of(form, task)
        yield from recipe.problems(item)
        if hasattr(recipe.options, "problems"):
            yield from recipe.options.problems(item)

    return problems


def _recipe_of(form: Any, task: Task[Any, Any]) -> Recipe:
    given = {each.name: getattr(form, each.name) for each in fields(form) if each.name != "extends"}
    return Recipe.of(**given | {"task": task})


def load_recipe(
    name_or_path: str | Path | Recipe, *, plugin: Iterable[str] = (), changes: Mapping[str, Any] | None = None
) -> Recipe:
    """Read a recipe by its built-in name (`quick`) or its file; a Recipe is returned as it is.

    plugin: modules with tasks that it may name.
    changes: values of fields by dotted path, e.g. `{"optimiser.lr": 1e-3}`; the name tells them.
    Raises InputError with every problem of the file and of the changes.
    """
    items = {place: yamlio.item_of(value, file=CHANGES) for place, value in (changes or {}).items()}
    if isinstance(name_or_path, Recipe):
        if not items:
            return name_or_path
        name, item = name_or_path.name, yamlio.item_of(name_or_path.plain(), file=name_or_path.name)
    else:
        path = _find(name_or_path)
        name, item = path.stem, _with_base(yamlio.read(path), path)
    for place, value in items.items():
        item = yamlio.set_path(item, place, value)
    task = _task_of(item, plugin)
    form: Any = yamlio.parse(item, form_of(cast(Any, task)))
    recipe = _recipe_of(form, task)
    changed = ", ".join(f"{place}={value.plain()}" for place, value in items.items())
    return replace(recipe, name=(recipe.name or name) + (f" ({changed})" if changed else ""))


def _find(name_or_path: str | Path) -> Path:
    return builtin.find(name_or_path, "studies", "recipes/*.yaml", "recipe")


def _with_base(item: Item, path: Path) -> Item:
    """Return a recipe's document laid over the one that it extends. Raises InputError if that extends another."""
    named = item.entries.get("extends") if isinstance(item.value, dict) else None
    if named is None:
        return item
    beside = path.parent / f"{named.value}.yaml"
    try:
        found = beside if beside.is_file() and beside != path else _find(str(named.value))
    except InputError as error:
        raise InputError(named.problem(problem.message, "extends") for problem in error.problems) from None
    base = yamlio.read(found)
    if "extends" in base.entries:
        raise InputError(named.problem(f"{found.name} extends a recipe itself; one level is the most", "extends"))
    unnamed = {key: value for key, value in base.entries.items() if key != "name"}
    return yamlio.overlay(replace(base, value=unnamed), item)


def _task_of(item: Item, plugin: Iterable[str]) -> Task[Any, Any]:
    named = item.entries.get("task") if isinstance(item.value, dict) else None
    try:
        found: Task[Any, Any] = find_task(str(named.value) if named else DEFAULT_TASK, plugin)
    except InputError as error:
        assert named is not None
        raise InputError(named.problem(problem.message, "task") for problem in error.problems) from None
    return found


def recipe_hash(recipe: Recipe) -> str:
    """Return a hash of what decides the result: not the name, nor the speed and the pieces of the work."""
    plain, default = recipe.plain(), Recipe(task=recipe.task).plain() | {"task": DEFAULT_TASK}
    said = {name: value for name, value in plain.items() if name not in LATER or value != default[name]}
    return digest({name: value for name, value in said.items() if name not in NOT_IDENTITY})


def in_recipe(spec: Spec, recipe: Recipe) -> Spec:
    """Return the network as the recipe trains it: with plain sums if it says `fusion: plain`. Idempotent."""
    return plain_fusion(spec) if recipe.fusion == "plain" else spec


def data_folder(recipe: Recipe, root: Path | None) -> Path:
    """Return the data folder: `root`, which must exist, else that of the recipe's own data, which may not exist yet.

    Raises InputError if there is neither.
    """
    if root is not None:
        if not root.is_dir():
            raise InputError(Problem("no such data folder", "--data", str(root)))
        return root
    if recipe.options.data is None:
        raise InputError(Problem(f"the recipe {recipe.name!r} generates no data; name a data folder", "--data"))
    return DATA / str(recipe.options.data.folder)


def ensure_data(recipe: Recipe, root: Path | None) -> Path:
    """Return the data folder as `data_folder` does; generate the recipe's own data if it does not exist yet."""
    folder = data_folder(recipe, root)
    if root is None:
        recipe.task.generate(recipe.options.data, folder)
    return folder


def data_fingerprint(recipe: Recipe, root: Path) -> str:
    """Return the digest of the data in `root` as the recipe's task reads it."""
    found: str = recipe.task.fingerprint(root, recipe.options)
    return found
