"""A run: a network trained by a recipe and scored, from a data set to a folder with record, weights and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

import archlab
from archlab.core import notes
from archlab.core.device import device_name, pick_device, placed, using_threads
from archlab.core.distributed import World, joined
from archlab.core.errors import InputError, Problem
from archlab.core.figures import save_figure
from archlab.core.files import write_text
from archlab.core.signals import Stopped, StopRequest
from archlab.network.checkpoint import load_for_finetuning, weights_digest
from archlab.network.spec import Spec
from archlab.tasks.base import Context, Samples
from archlab.tasks.damaged_images import SKIPPED, skipped_images
from archlab.tasks.metrics import Scores
from archlab.training.divergence import NAN_BATCH
from archlab.training.evaluate import context_of
from archlab.training.loop import CHECKPOINT, Exam, Halted, Judge, Training, fit
from archlab.training.metrics_log import MetricsLog, read_rows, summary_writer
from archlab.training.recipe import Recipe, data_fingerprint, ensure_data, in_recipe, load_recipe, recipe_hash
from archlab.training.runs import Record, Run, circumstances, fingerprint, locked, read_record
from archlab.training.state import previous


@dataclass(frozen=True)
class RunOptions:
    """How a run is made; only `seed` and `weights` are part of its identity.

    seed, threads: in place of the recipe's. out: the folder of run folders. weights: initialise from a checkpoint,
    ours or the released format; a last layer of another shape is re-initialised, with a note on stderr.
    resume: continue an unfinished run and return a finished one unchanged; False starts over. fields: what was
    overridden in the spec, for the record. tensorboard: also write TensorBoard events. pictures: draw curves and a
    sheet of predictions. rungs, judge: after each rung, in iterations, `judge` decides by the scores whether the run
    continues (see `Exam`); a run it ends has the state `stopped`, and the same call without rungs completes it.
    plugin: modules or files with blocks and tasks.
    """

    seed: int | None = None
    out: Path = Path("runs")
    fields: Mapping[str, Any] = field(default_factory=dict)
    device: str | None = None
    threads: int | None = None
    resume: bool = True
    weights: Path | None = None
    tensorboard: bool = False
    pictures: bool = True
    rungs: tuple[int, ...] = ()
    judge: Judge | None = None
    plugin: tuple[str, ...] = ()


def train(
    spec: Spec | str | Path, recipe: Recipe | str | Path, data: Path | None = None, options: RunOptions | None = None
) -> Run:
    """Train and score a network; return its run. An unfinished run resumes, a finished one is returned unchanged.

    `spec` and `recipe` may be names or files. Without `data` the recipe's own data is generated. Started by torchrun,
    the processes train together and rank 0 alone writes.

    Raises InputError before training for what does not fit together, TrainingError if the loss is no longer finite,
    and Stopped on SIGTERM or Ctrl-C: the run is saved, and the same call resumes it.
    """
    options = options or RunOptions()
    recipe = load_recipe(recipe, plugin=options.plugin)
    spec = in_recipe(spec_for(spec, recipe, data, plugin=options.plugin, fields=options.fields), recipe)
    if options.tensorboard:
        summary_writer()
    where = pick_device(options.device)
    if recipe.execution == "graph" and where.type != "cuda":
        raise InputError(Problem(f"a CUDA graph needs a GPU by CUDA, and the device is {where.type!r}", "execution"))
    threads = options.threads or recipe.threads
    with joined(where.type) as world, using_threads(threads), StopRequest().caught() as stop:
        with world.first_alone():
            root = ensure_data(recipe, data)
        seed = recipe.seed if options.seed is None else options.seed
        folder = run_folder(spec, recipe, root, seed=seed, out=options.out, weights=options.weights)
        with locked(folder) if world.first else nullcontext():
            if world.first and not options.resume:
                forget(folder)
            if not any(world.gather(world.first and is_done(folder))):
                context = context_of(recipe, world.device(where), world)
                _run(_prepared(spec, recipe, root, seed, folder, context, options), stop)
    return Run(folder, options.plugin)


def spec_for(
    spec: Spec | str | Path,
    recipe: Recipe,
    data: Path | None,
    *,
    fields: Mapping[str, Any] | None = None,
    plugin: Sequence[str] = (),
) -> Spec:
    """Return the named network at the recipe's input and with as many outputs as the data asks for."""
    if isinstance(spec, Spec):
        return spec
    changes = dict(fields or {})
    if "outputs" not in changes:
        changes["outputs"] = recipe.task.outputs(data, recipe.options)
    return archlab.load(spec, input=(3, *recipe.input), plugin=plugin, **changes)


def run_folder(
    spec: Spec, recipe: Recipe, root: Path, *, seed: int, out: Path = Path("runs"), weights: Path | None = None
) -> Path:
    """Return where this run lies or would lie; the data set `root` must exist."""
    return out / fingerprint(
        spec_hash=archlab.spec_hash(spec),
        recipe_hash=recipe_hash(recipe),
        data=data_fingerprint(recipe, root),
        seed=seed,
        weights=weights_digest(weights) if weights else "",
    )


def forget(folder: Path) -> None:
    """Remove what a run would resume from."""
    for name in ("record.json", CHECKPOINT, previous(Path(CHECKPOINT)).name, "metrics.jsonl", SKIPPED, NAN_BATCH):
        (folder / name).unlink(missing_ok=True)


def is_done(folder: Path) -> bool:
    """Return whether the run in this folder has been trained and scored to its end."""
    return (folder / "record.json").is_file() and read_record(folder).state == "done"


@dataclass(frozen=True)
class Prepared:
    """A run about to start in this process."""

    spec: Spec
    recipe: Recipe
    samples: Samples
    validation: Any
    context: Context[Any]
    record: Record
    folder: Path
    options: RunOptions

    @property
    def world(self) -> World:
        return self.context.world

    def write(self, record: Record) -> None:
        if self.world.first:
            record.write(self.folder)

    def score(self, network: nn.Module, *, first_view: bool = False) -> dict[str, Scores]:
        scores: dict[str, Scores] = self.recipe.task.score(
            network, self.validation, self.context, first_view=first_view
        )
        return scores


def _prepared(
    spec: Spec, recipe: Recipe, root: Path, seed: int, folder: Path, context: Context[Any], options: RunOptions
) -> Prepared:
    """Read the data. Raises InputError if spec, recipe and data do not fit together."""
    samples = recipe.task.training(root, context, seed=seed, folder=folder)
    check_fit(spec, recipe, root)
    validation = recipe.task.validation(root, context)
    record = replace(
        _described(spec, recipe, seed, options),
        fingerprint=folder.name,
        data=_data_of(recipe, root, len(samples), len(validation)),
        device=device_name(context.device),
        processes=context.world.size,
    )
    return Prepared(spec, recipe, samples, validation, context, record, folder, options)


def check_fit(spec: Spec, recipe: Recipe, root: Path) -> None:
    """Raise InputError unless the network's input is the recipe's and its outputs are the data's."""
    height, width = recipe.input
    problems = []
    if spec.input != (3, height, width):
        wanted = f"the recipe's crops are (3, {height}, {width}) and the network takes {spec.input}"
        problems.append(Problem(wanted, "input", spec.name))
    asked = recipe.task.outputs(root, recipe.options)
    if asked is not None and spec.outputs != asked:
        labelled = f"the data set labels {asked} {recipe.task.outputs_are} and the network has {spec.outputs} outputs"
        problems.append(Problem(labelled, "outputs", spec.name))
    if problems:
        raise InputError(problems)


def _data_of(recipe: Recipe, root: Path, train: int, val: int) -> dict[str, Any]:
    """Return the data set as the record keeps it."""
    task = recipe.task
    return {
        "root": root.resolve().name,
        "kind": task.kind(root, recipe.options),
        "fingerprint": data_fingerprint(recipe, root),
        f"train_{task.unit}": train,
        f"val_{task.unit}": val,
    }


def _described(spec: Spec, recipe: Recipe, seed: int, options: RunOptions) -> Record:
    """Return the record of a run as far as spec and recipe decide it."""
    cost = archlab.cost(spec)
    weights = options.weights
    return Record(
        fingerprint="",
        state="running",
        spec=spec.name,
        spec_hash=archlab.spec_hash(spec),
        recipe_hash=recipe_hash(recipe),
        fields=dict(options.fields),
        recipe=recipe.name,
        task=recipe.task.name,
        fusion=recipe.fusion,
        data={},
        seed=seed,
        input=spec.input,
        outputs=spec.outputs,
        cost={"params": cost.params, "flops": dict(cost.flops), "activations": cost.activations},
        scores={},
        baseline={},
        samples=0,
        seconds=0.0,
        device="",
        threads=torch.get_num_threads(),
        weights=f"{weights.name} {weights_digest(weights)}" if weights else "",
        **circumstances(),
    )


def _run(run: Prepared, stop: StopRequest) -> None:
    """Train, score and draw; the record keeps how it went."""
    folder, world, record = run.folder, run.world, run.record
    run.write(record)
    if world.first:
        write_text(folder / "spec.yaml", run.spec.to_yaml())
        write_text(folder / "recipe.yaml", run.recipe.to_yaml())
    try:
        network, log, scores = _trained_and_scored(run, stop)
    except Halted as halted:
        run.write(replace(record, state="stopped", reason=str(halted)))
        return
    except Stopped as stopped:
        run.write(replace(record, state="stopped", reason=f"{stopped}; run the same command to resume"))
        if world.first:
            notes.note(f"{stopped}, saved in {folder}: run the same command to resume")
        raise
    except Exception as error:
        run.write(replace(record, state="failed", reason=f"{type(error).__name__}: {error}"))
        raise
    _finish(run, network, log, scores)


def _finish(run: Prepared, network: nn.Module, log: MetricsLog, scores: dict[str, Scores]) -> None:
    """Draw the run's pictures and write its record as done."""
    folder, record = run.folder, run.record
    skipped = skipped_images(folder)
    done = replace(
        record,
        state="done",
        data={**record.data, **({"skipped_images": skipped} if skipped else {})},
        scores=scores,
        baseline=run.recipe.task.baseline(run.samples, run.validation),
        samples=log.samples,
        seconds=round(log.seconds, 1),
    )
    if run.world.first and run.options.pictures:
        _draw(run, network, done)
    if run.world.first:
        previous(folder / CHECKPOINT).unlink(missing_ok=True)
    run.write(done)


def _trained_and_scored(run: Prepared, stop: StopRequest) -> tuple[nn.Module, MetricsLog, dict[str, Scores]]:
    """Return the network as it is scored, the log of its training, and its scores."""
    recipe, context, world, options = run.recipe, run.context, run.world, run.options
    network = _initialised(run)
    exam = Exam(lambda trained: run.score(trained, first_view=True), tuple(options.rungs), options.judge)
    training = Training(
        network, run.samples, recipe.task.loss, recipe, run.record.seed, run.folder, context.device, world
    )
    log = fit(training, exam, stop=stop, board=options.tensorboard)
    scores = run.score(network)
    log.append({"validation": scores})
    log.close()
    return network, log, scores


def _initialised(run: Prepared) -> nn.Module:
    """Return the network on its device with its initial weights."""
    seed, world = run.record.seed, run.world
    torch.manual_seed(seed)
    network: nn.Module = archlab.build(run.spec)
    if run.options.weights:
        note = load_for_finetuning(network, run.options.weights)
        if world.first:
            notes.note(f"initialised from {note}")
    network = placed(network, run.context.device)
    if not world.first:  # the same weights, other dropout
        torch.manual_seed(seed + 2**32 * world.rank)
    return network


def _draw(run: Prepared, network: nn.Module, record: Record) -> None:
    """Draw the run's pictures: curves.png and predictions.png."""
    from archlab.training.curves import curves, run_title

    rows = read_rows(run.folder / "metrics.jsonl")
    save_figure(curves(rows, record, run.recipe.task), run.folder / "curves.png")
    title = run_title(record)
    run.recipe.task.draw(network, run.validation, run.context, title, run.folder / "predictions.png")
