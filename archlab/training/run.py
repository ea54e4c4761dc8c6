"""A run: a network trained by a recipe and scored, with its record, weights and pictures in a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

import archlab
from archlab.core import notes
from archlab.core.device import pick_device, placed, using_threads
from archlab.core.distributed import is_first_process, joined
from archlab.core.errors import InputError, Problem, in_words
from archlab.core.figures import save_figure
from archlab.core.files import write_text
from archlab.core.signals import Stopped, StopRequest
from archlab.network.checkpoint import load_for_finetuning, weights_digest
from archlab.network.graph import Graph
from archlab.network.spec import Spec
from archlab.tasks.damaged_images import SKIPPED, skipped_images
from archlab.training.cleaning import drop_weights
from archlab.training.divergence import NAN_BATCH
from archlab.training.evaluate import context_of
from archlab.training.lock import locked
from archlab.training.loop import CHECKPOINT, Exam, Halted, Training, fit
from archlab.training.metrics_log import MetricsLog, Row, read_rows, summary_writer
from archlab.training.options import RunOptions
from archlab.training.outputs import loss_of
from archlab.training.prepared import Prepared, prepare
from archlab.training.recipe import (
    Recipe,
    at_recipe,
    data_fingerprint,
    ensure_data,
    in_recipe,
    load_recipe,
    recipe_hash,
)
from archlab.training.runs import AtBudget, Record, Run, State, fingerprint, record_of
from archlab.training.saved import previous


def train(
    spec: Spec | str | Path, recipe: Recipe | str | Path, data: Path | None = None, options: RunOptions | None = None
) -> Run:
    """Train and score a network; return its run. An unfinished run resumes, a finished one is returned unchanged.

    spec, recipe: may be names or files. data: the data folder; None generates the recipe's own data.
    Under torchrun the processes train together, and only rank 0 writes.

    Raises InputError before training if spec, recipe, data and device do not fit together, TrainingError if the loss
    becomes NaN or infinite, and Stopped on SIGTERM or Ctrl-C: the run is saved, and the same call resumes it.
    """
    options = options or RunOptions()
    recipe = load_recipe(recipe, plugin=options.plugin)
    spec = in_recipe(spec_for(spec, recipe, data, plugin=options.plugin, fields=options.fields), recipe)
    graph = archlab.assemble(spec)
    if options.tensorboard:
        summary_writer()
    where = pick_device(options.device)
    if recipe.execution == "graph" and where.type != "cuda":
        raise InputError(Problem(f"a CUDA graph needs a CUDA GPU, but the device is {where.type!r}", "execution"))
    threads = options.threads or recipe.threads
    with joined(where.type) as world, using_threads(threads), StopRequest().caught() as stop:
        with world.first_alone():
            root = ensure_data(recipe, data)
        seed = recipe.seed if options.seed is None else options.seed
        folder = run_folder(graph, recipe, root, seed=seed, out=options.out, weights=options.weights)
        with locked(folder, waits=world.size == 1) if world.first else nullcontext():
            if world.first and not options.resume:
                forget(folder)
            if not any(world.gather(world.first and is_done(folder, recipe))):
                if world.first:
                    _warn_of_threads(folder)
                context = context_of(recipe, world.device(where), world)
                _run(prepare(spec, graph, recipe, root, seed, folder, context, options), stop)
    return Run(folder, options.plugin)


def spec_for(
    spec: Spec | str | Path,
    recipe: Recipe,
    data: Path | None,
    *,
    fields: Mapping[str, Any] | None = None,
    plugin: Sequence[str] = (),
) -> Spec:
    """Return the named network with the recipe's input size and the data's number of outputs."""
    if isinstance(spec, Spec):
        return spec
    asked = partial(recipe.task.outputs, data, recipe.options)
    found, own = at_recipe(spec, recipe, asked, fields=fields or {}, plugin=plugin)
    if own and is_first_process():
        notes.note(f"{found.outputs} outputs, as the data labels, not the network's {own}")
    return found


def run_folder(
    network: Spec | Graph,
    recipe: Recipe,
    root: Path,
    *,
    seed: int,
    out: Path = Path("runs"),
    weights: Path | None = None,
) -> Path:
    """Return the run's folder, which need not exist; the data set `root` must exist."""
    return out / fingerprint(
        spec_hash=archlab.spec_hash(network),
        recipe_hash=recipe_hash(recipe),
        data=data_fingerprint(recipe, root),
        seed=seed,
        weights=weights_digest(weights) if weights else "",
    )


def forget(folder: Path) -> None:
    """Remove the files that a run would resume from."""
    for name in ("record.json", CHECKPOINT, previous(Path(CHECKPOINT)).name, "metrics.jsonl", SKIPPED, NAN_BATCH):
        (folder / name).unlink(missing_ok=True)


def is_done(folder: Path, recipe: Recipe) -> bool:
    """Return whether the run in this folder is trained and scored, at each budget of the recipe."""
    record = record_of(folder)
    return record is not None and record.is_done(recipe.budgets)


def _warn_of_threads(folder: Path) -> None:
    """Note that a run resumes with another number of CPU threads, and so rounds differently from here on."""
    before, now = record_of(folder), torch.get_num_threads()
    if before and not before.rounds_with(now) and (folder / CHECKPOINT).is_file():
        notes.note(f"{folder}: begun with {before.threads} CPU threads, resumed with {now}")


def _run(run: Prepared, stop: StopRequest) -> None:
    """Train, score and draw; write the run's state to its record.

    The record of a run that is extended to more budgets stays as it is until all are scored.
    """
    folder, world, record = run.folder, run.world, run.record
    before = record_of(folder)
    extended = world.any(before is not None and before.is_done())
    network = _initialised(run)  # before the record, so that a wrong file of weights leaves no run

    def write(state: State, reason: str = "") -> None:
        if not extended:
            run.write(replace(record, state=state, reason=reason))

    write("running")
    if world.first:
        write_text(folder / "spec.yaml", run.spec.to_yaml())
        write_text(folder / "recipe.yaml", run.recipe.to_yaml())
    try:
        log, scored = _trained_and_scored(run, network, stop)
    except Halted as halted:
        write("stopped", str(halted))
        if run.world.first and not run.options.keep_stopped:
            drop_weights(folder)
        return
    except Stopped as stopped:
        write("stopped", f"{stopped}; run the same command to resume")
        if world.first:
            notes.note(f"{stopped}; saved in {folder}; run the same command to resume")
        raise
    except Exception as error:
        write("failed", f"{type(error).__name__}: {error}")
        raise
    _finish(run, network, log, scored)


def _finish(run: Prepared, network: nn.Module, log: MetricsLog, scored: Row) -> None:
    """Draw the run's pictures and write its record as done. scored: its `scores` and `terms`."""
    folder, record = run.folder, run.record
    budgets = tuple(AtBudget(**log.budgets[each]) for each in sorted(log.budgets))
    skipped = skipped_images(folder)
    done = replace(
        record,
        state="done",
        data={**record.data, **({"skipped_images": skipped} if skipped else {})},
        scores=scored["scores"],
        terms={} if budgets else scored["terms"],
        baseline=run.recipe.task.baseline(run.samples, run.validation),
        samples=budgets[-1].samples if budgets else log.samples,
        seconds=round(log.seconds, 1),
        budgets=budgets,
    )
    if run.world.first and run.options.pictures:
        _try_to_draw(run, network, done)
    if run.world.first:
        previous(folder / CHECKPOINT).unlink(missing_ok=True)
    run.write(done)


def _trained_and_scored(run: Prepared, network: nn.Module, stop: StopRequest) -> tuple[MetricsLog, Row]:
    """Train the network in place; return its metrics log, and its `scores` and `terms`."""
    recipe, context, world, options = run.recipe, run.context, run.world, run.options
    loss = loss_of(recipe, run.graph)
    exam = Exam(partial(run.score, first_view=True), run.score, tuple(options.rungs), options.judge)
    training = Training(network, run.samples, loss, recipe, run.record.seed, run.folder, context.device, world)
    log = fit(training, exam, stop=stop, board=options.tensorboard)
    if recipe.budgets:
        return log, log.budgets[max(log.budgets)]
    if log.validated < training.plan.total:  # else it was killed after this row and before its record
        scored = run.score(network)
        log.append({"validation": scored.figures, **scored.with_terms()})
        log.close()
    return log, {"scores": log.scores, "terms": log.terms}


def _initialised(run: Prepared) -> nn.Module:
    """Return the network on its device with its initial weights."""
    seed, world = run.record.seed, run.world
    torch.manual_seed(seed)
    network: nn.Module = archlab.build(run.graph.training or run.graph)
    if run.options.weights:
        note = load_for_finetuning(network, run.options.weights)
        if world.first:
            notes.note(f"initialised from {note}")
    network = placed(network, run.context.device)
    if not world.first:  # same weights, different dropout
        torch.manual_seed(seed + 2**32 * world.rank)
    return network


def _try_to_draw(run: Prepared, network: nn.Module, record: Record) -> None:
    """Draw the run's pictures; a picture that cannot be written is noted, and the run is done without it."""
    try:
        _draw(run, network, record)
    except OSError as error:
        notes.note(f"the pictures could not be drawn: {in_words(error)}")


def _draw(run: Prepared, network: nn.Module, record: Record) -> None:
    """Draw the run's pictures: curves.png and predictions.png."""
    from archlab.training.curves import curves, run_title

    rows = read_rows(run.folder / "metrics.jsonl")
    save_figure(curves(rows, record, run.recipe.task), run.folder / "curves.png")
    title = run_title(record)
    run.recipe.task.draw(network, run.validation, run.context, title, run.folder / "predictions.png")
