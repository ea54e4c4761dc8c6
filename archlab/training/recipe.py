"""The recipe: how a network is trained and scored, as a dataclass and a YAML file."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from archlab import yamlio
from archlab.core import builtin
from archlab.core.errors import InputError, Problem
from archlab.network.load import check_channels, load_at, plain_fusion
from archlab.network.spec import Spec
from archlab.tasks import find_task
from archlab.tasks.base import Task
from archlab.training.budgets import Samples, samples_of
from archlab.training.runs import digest
from archlab.training.schedule import Optimiser, Schedule
from archlab.yamlio import Above, AtLeast, AtMost, Item, MultipleOf

if TYPE_CHECKING:
    from torch import Tensor

    from archlab.tasks.base import Batch

Side = Annotated[int, AtLeast(32), AtMost(8192), MultipleOf(32)]

MOST_THREADS = 1024

_TASK = "The name of the task that networks are trained for."
_EXTENDS = "Another recipe, by name or file in the same folder, whose fields this one changes; one level."
CHANGES = "--recipe-set"
"""The place of changed fields in an error."""
DATA = Path("data")
"""The folder of generated data sets, in the working folder."""
DEFAULT_TASK = "pose"
NOT_IDENTITY = (
    "name", "data", "seed", "eval_batch", "keep_gigabytes", "workers", "threads", "checkpoint_every",
    "checkpoint_seconds", "log_every", "execution", "budgets",
)  # fmt: skip
"""Fields that are not part of a run's identity. Data and seed are separate parts of a run's fingerprint; `execution`,
like `threads`, changes at most the rounding; a run can be extended to more `budgets`.
"""
LATER = (
    "task", "dataset", "crops", "targets", "decoding", "post_gaussian", "nms", "accumulate", "ema", "pipeline",
    "fusion", "cooldown",
)  # fmt: skip
"""Fields newer than recorded runs. The hash omits them at their defaults, so recorded hashes stay valid."""


@dataclass(frozen=True)
class Recipe:
    """One way to train and score any network; the fields of its task are in `options`, and flat in a file."""

    name: Annotated[str, "Defaults to the file's name."] = ""
    task: Annotated[Any, _TASK] = field(default_factory=lambda: find_task(DEFAULT_TASK))
    input: Annotated[tuple[Side, Side], "Height and width of the network's input, pixels."] = (256, 192)
    epochs: Annotated[
        int | None, AtLeast(1), AtMost(10**6), "The length of training; a recipe states one of the three."
    ] = None
    iterations: Annotated[
        int | None, AtLeast(1), AtMost(10**9), "The length of training; a recipe states one of the three."
    ] = None
    budgets: Annotated[
        tuple[Samples, ...],
        "Numbers of samples, as 8000 or 8k, at which one training is scored; the last is its length.",
    ] = ()
    cooldown: Annotated[
        float | None,
        Above(0),
        AtMost(0.9),
        "Share of each budget that a copy of the network trains with the rate falling to 0, to be scored; null: none.",
    ] = None
    batch: Annotated[
        int, AtLeast(1), AtMost(2**16), "Samples per step; an incomplete last batch of an epoch is dropped."
    ] = 32
    accumulate: Annotated[
        int, AtLeast(1), "Micro-batches per step and process; the learning rate is for the whole batch."
    ] = 1
    optimiser: Optimiser = Optimiser()  # noqa: RUF009  frozen, so one default can be shared
    schedule: Schedule = Schedule()  # noqa: RUF009
    fusion: Annotated[
        Literal["spec", "plain"],
        "spec: fuse branches as the network's file states; plain: use HRNet's plain sum in each `fusion` block.",
    ] = "spec"
    precision: Annotated[Literal["float32", "bf16"], "bf16: autocast, with weights kept in float32."] = "float32"
    execution: Annotated[
        Literal["eager", "graph", "compile"],
        "How a step runs. graph: recorded once as a CUDA graph, in one process on a GPU; compile: by torch.compile, "
        "which took over 7 minutes on two CPU cores and gained nothing. Both change at most the rounding.",
    ] = "eager"
    ema: Annotated[
        float | None, Above(0), AtMost(0.999999), "Decay of the averaged weights, which are scored; null: no average."
    ] = None
    validate_every: Annotated[
        int | None, AtLeast(1), "Epochs or iterations between scorings during training; null: score only at the end."
    ] = None
    seed: Annotated[int, AtLeast(0), "Of initial weights, the order of samples, and augmentation."] = 1
    pipeline: Annotated[
        Literal["samples", "batched"],
        "samples: prepare samples one by one on the CPU; batched: keep samples decoded and make batches on the device.",
    ] = "samples"
    keep_gigabytes: Annotated[
        float, AtLeast(0), "Memory for decoded samples, on the device or the host; batched only."
    ] = 4.0
    eval_batch: Annotated[
        int | None, AtLeast(1), AtMost(2**16), "Samples per batch in scoring; null: as in training."
    ] = None
    workers: Annotated[int, AtLeast(0), AtMost(256), "Threads that load data; 0: load in the training thread."] = 0
    threads: Annotated[
        int | None,
        AtLeast(1),
        AtMost(MOST_THREADS),
        "CPU threads; null: PyTorch's default. Results repeat bit for bit at equal numbers.",
    ] = None
    checkpoint_every: Annotated[int | None, AtLeast(1), "Iterations between checkpoints."] = None
    checkpoint_seconds: Annotated[float | None, AtLeast(0), "Seconds between checkpoints."] = 60.0
    log_every: Annotated[int, AtLeast(1), "Iterations between lines of metrics.jsonl."] = 10
    options: Any = None

    def __post_init__(self) -> None:
        if self.options is None:
            object.__setattr__(self, "options", self.task.options())
        object.__setattr__(self, "budgets", tuple(samples_of(each) for each in self.budgets))

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

    def loss(self, output: Any, batch: Batch) -> Tensor:
        """Return the task's scalar loss of the network's output for a batch."""
        return self.task.loss(output, batch, self.options)  # type: ignore[no-any-return]

    def plain(self) -> dict[str, Any]:
        """Return the flat fields as JSON-able values."""
        common = {each.name: getattr(self, each.name) for each in dataclasses.fields(self) if each.name != "options"}
        return {**yamlio.to_plain({**common, "task": self.task.name}), **yamlio.to_plain(self.options)}

    def samples(self, epoch: int) -> int:
        """Return the number of training samples of the whole training; epoch: of one epoch."""
        if self.budgets:
            return int(self.budgets[-1])
        return self.iterations * self.batch if self.iterations else (self.epochs or 0) * epoch

    def to_yaml(self) -> str:
        """Return the recipe as a YAML file with every field."""
        return yamlio.dump(self.plain())

    def problems(self, item: Item) -> Iterator[Problem]:
        lengths = [name for name in ("epochs", "iterations", "budgets") if getattr(self, name)]
        if len(lengths) != 1:
            rule = "a recipe needs exactly one of `epochs`, `iterations` and `budgets`"
            yield _at(item, (*lengths, "epochs")[0], rule)
        length = self.epochs or self.iterations or 0
        if self.batch % self.accumulate:
            rule = f"a batch of {self.batch} cannot be split into {self.accumulate} equal parts"
            yield item.problem(rule, "accumulate")
        if self.budgets:
            yield from self._budget_problems(item)
        elif self.cooldown:
            yield _at(item, "cooldown", "only a recipe with `budgets` takes it")
        elif any(milestone >= length for milestone in self.schedule.milestones):
            yield item.problem(f"must lie before the end, {length}", "schedule.milestones")

    def _budget_problems(self, item: Item) -> Iterator[Problem]:
        steps = [budget // self.batch for budget in self.budgets]
        if any(now <= before for before, now in pairwise([0, *steps])):
            yield _at(item, "budgets", f"must increase, each by at least a step of {self.batch} samples")
        if self.schedule.decay != "constant":
            rule = "a training with `budgets` has a schedule without an end: a warm-up and a constant rate"
            yield _at(item, "schedule.decay", rule)
        if self.validate_every:
            yield _at(item, "validate_every", "a training with `budgets` is scored at each of them instead")


def _at(item: Item, place: str, rule: str) -> Problem:
    """Return a recipe's problem at the line of its field, or at the file's first without one."""
    here = item
    for name in place.split("."):
        here = here.entries.get(name, here) if isinstance(here.value, dict) else here
    return here.problem(rule, place)


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
    """Read a recipe by its built-in name (`quick`) or its path; a Recipe is returned unchanged.

    plugin: modules or files whose tasks it may name.
    changes: values of fields by dotted path, e.g. `{"optimiser.lr": 1e-3}`; the recipe's name lists them.
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
    recipe = _parsed(item, plugin)
    changed = ", ".join(f"{place}={value.plain()}" for place, value in items.items())
    return replace(recipe, name=(recipe.name or name) + (f" ({changed})" if changed else ""))


def recipe_of_text(text: str, file: str, *, plugin: Iterable[str] = ()) -> Recipe:
    """Return the recipe that a file holds as text; one that only looks at pictures states no length of training.

    Raises InputError with every problem of it.
    """
    item = yamlio.read_text(text, file)
    stated = {name for name, entry in item.entries.items() if entry.value}
    if not stated & {"epochs", "iterations", "budgets"}:
        item = yamlio.set_path(item, "epochs", yamlio.item_of(1, file))
    return _parsed(item, plugin)


def _parsed(item: Item, plugin: Iterable[str]) -> Recipe:
    task = _task_of(item, plugin)
    form: Any = yamlio.parse(item, form_of(cast(Any, task)))
    return _recipe_of(form, task)


def _find(name_or_path: str | Path) -> Path:
    return builtin.find(name_or_path, "studies", "recipes/*.yaml", "recipe")


def _with_base(item: Item, path: Path) -> Item:
    """Return a recipe's document laid over the one that it extends. Raises InputError if that extends another."""
    named = item.entries.get("extends") if isinstance(item.value, dict) else None
    if named is None:
        return item
    sibling = path.parent / f"{named.value}.yaml"
    try:
        found = sibling if sibling.is_file() and sibling != path else _find(str(named.value))
    except InputError as error:
        raise InputError(named.problem(problem.message, "extends") for problem in error.problems) from None
    return yamlio.extended(item, found)


def _task_of(item: Item, plugin: Iterable[str]) -> Task[Any, Any]:
    named = item.entries.get("task") if isinstance(item.value, dict) else None
    try:
        found: Task[Any, Any] = find_task(str(named.value) if named else DEFAULT_TASK, plugin)
    except InputError as error:
        assert named is not None
        raise InputError(named.problem(problem.message, "task") for problem in error.problems) from None
    return found


def recipe_hash(recipe: Recipe) -> str:
    """Return a hash of the fields that decide the result."""
    plain, default = recipe.plain(), Recipe(task=recipe.task).plain() | {"task": DEFAULT_TASK}
    hashed = {name: value for name, value in plain.items() if name not in LATER or value != default[name]}
    return digest({name: value for name, value in hashed.items() if name not in NOT_IDENTITY})


def training_hash(recipe: Recipe) -> str:
    """Return a hash of the recipe's result and of its budgets, which are not part of a run's identity."""
    return digest([recipe_hash(recipe), *recipe.budgets]) if recipe.budgets else recipe_hash(recipe)


def at_recipe(
    name_or_path: str | Path,
    recipe: Recipe,
    outputs: Callable[[], int | None],
    *,
    fields: Mapping[str, Any],
    plugin: Iterable[str] = (),
) -> tuple[Spec, int | None]:
    """Read a network at the recipe's input and with as many outputs as the data asks for.

    outputs: returns the data's number, None if unknown; it is not asked if `fields` set the number.
    Returns the spec, and the network's own number of outputs if it was changed, else None.
    """
    own = load_at(name_or_path, recipe.input, plugin=plugin, **fields)
    asked = None if "outputs" in fields else outputs()
    if asked in (None, own.outputs):
        return own, None
    return load_at(name_or_path, recipe.input, plugin=plugin, **{**fields, "outputs": asked}), own.outputs


def in_recipe(spec: Spec, recipe: Recipe) -> Spec:
    """Return the network as the recipe trains it: with plain sums for `fusion: plain`. Idempotent.

    Raises InputError unless its input has the channels of RGB images.
    """
    check_channels(spec)
    return plain_fusion(spec) if recipe.fusion == "plain" else spec


def data_folder(recipe: Recipe, root: Path | None) -> Path:
    """Return `root`, or the folder of the data that the recipe generates, which may not exist yet.

    Raises InputError if `root` does not exist, or if it is None and the recipe generates no data.
    """
    if root is not None:
        if not root.is_dir():
            raise InputError(Problem("no such data folder", "--data", str(root)))
        return root
    if recipe.options.data is None:
        raise InputError(Problem(f"the recipe {recipe.name!r} generates no data; name a data folder", "--data"))
    return DATA / str(recipe.options.data.folder)


def ensure_data(recipe: Recipe, root: Path | None) -> Path:
    """Return the data folder as `data_folder` does; generate the recipe's own data if it does not exist."""
    folder = data_folder(recipe, root)
    if root is None:
        recipe.task.generate(recipe.options.data, folder)
    return folder


def data_fingerprint(recipe: Recipe, root: Path) -> str:
    """Return the digest of the data in `root` as the recipe's task reads it."""
    found: str = recipe.task.fingerprint(root, recipe.options)
    return found
