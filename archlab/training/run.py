"""Training a spec by a recipe: from a data set to a run folder with its record, weights, curves and predictions."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

import archlab
from archlab import yamlio
from archlab.core.device import device_name, pick_device, placed, using_threads
from archlab.core.distributed import World, joined
from archlab.core.errors import InputError, Problem
from archlab.core.files import write_text
from archlab.core.signals import Stopped, StopRequest
from archlab.network.checkpoint import load_for_finetuning, weights_digest
from archlab.network.spec import Spec
from archlab.tasks.pose.data.coco import People
from archlab.tasks.pose.data.dataset import PoseDataset
from archlab.tasks.pose.data.sets import fingerprint as data_fingerprint
from archlab.tasks.pose.data.sets import kind as data_kind
from archlab.training.evaluate import (
    Validation,
    load_validation,
    predict,
    score_mean_pose,
    score_network,
    training_people,
)
from archlab.training.faults import NAN_BATCH, SKIPPED, skipped_images
from archlab.training.loop import CHECKPOINT, Halted, Judge, fit
from archlab.training.metrics_log import Journal, read_rows, summary_writer
from archlab.training.recipe import Recipe, ensure_data, in_recipe, recipe_hash
from archlab.training.runs import Record, Scores, circumstances, fingerprint, locked, read_record
from archlab.training.state import previous

CACHE_BYTES = 2 * 2**30
"""Of decoded training images kept in memory: all of the quick level, a part of COCO."""


def train(
    spec: Spec,
    recipe: Recipe,
    data_root: Path | None = None,
    *,
    seed: int | None = None,
    out: Path = Path("runs"),
    fields: Mapping[str, Any] | None = None,
    device: str | None = None,
    threads: int | None = None,
    resume: bool = True,
    tensorboard: bool = False,
    weights: Path | None = None,
    rungs: Sequence[int] = (),
    judge: Judge | None = None,
    pictures: bool = True,
) -> Path:
    """Train and score a network; its run folder in `out`.

    A run that is there already is gone on with, or returned as it is when it is done; with `resume=False` it starts
    anew. Without `data_root` the recipe's own data is made. `seed` and `threads` override the recipe's; `fields` says,
    for the record, what was overridden in the spec. Raises InputError for what does not fit together, before training
    begins, TrainingError when the loss is no longer a number, and Stopped on SIGTERM or Ctrl-C, which is a SystemExit
    with 128 and the signal's number: the run is saved, and the same call goes on from there.
    Started by torchrun, the processes train together and rank 0 alone writes. With `tensorboard` the metrics are
    written for it too, and without `pictures` no curves.png and predictions.png are drawn.
    The network begins with `weights`, our own or released ones, where they are given; a last layer of another size
    begins anew, which is told on stderr.
    After each of `rungs`, in iterations, `judge` says by the scores there whether the run goes on (see `fit`). One that
    does not is saved, and its record's state is `stopped`; the same call without them goes on from there to what an
    undisturbed run ends with. They are no part of a run's identity.
    """
    seed = recipe.seed if seed is None else seed
    spec = in_recipe(spec, recipe)
    if tensorboard:
        summary_writer()
    where = pick_device(device)
    if recipe.execution == "graph" and where.type != "cuda":
        raise InputError(Problem(f"a CUDA graph needs a GPU by CUDA, and the device is {where.type!r}", "execution"))
    with joined(where.type) as world, using_threads(threads or recipe.threads), StopRequest().caught() as stop:
        with world.first_alone():
            root = ensure_data(recipe, data_root)
        folder = run_folder(spec, recipe, root, seed=seed, out=out, weights=weights)
        with locked(folder) if world.first else nullcontext():
            if world.first and not resume:
                forget(folder)
            if not any(world.gather(world.first and is_done(folder))):
                people = _people_to_train(spec, recipe, root)
                validation = load_validation(root, recipe)
                work = Work(spec, recipe, people, validation, folder, world.device(where), world, stop, weights)
                options = Options(tensorboard, pictures, tuple(rungs), judge)
                _run(work, options, describe(work, root, seed=seed, fields=fields))
    return folder


def run_folder(
    spec: Spec,
    recipe: Recipe,
    root: Path,
    *,
    seed: int,
    out: Path = Path("runs"),
    weights: Path | None = None,
) -> Path:
    """Where this run lies or would lie; the data set `root` must be there."""
    return out / fingerprint(
        spec_hash=archlab.spec_hash(spec),
        recipe_hash=recipe_hash(recipe),
        data=data_fingerprint(root, recipe.dataset),
        seed=seed,
        weights=weights_digest(weights) if weights else "",
    )


def forget(folder: Path) -> None:
    """Remove what a run would go on from."""
    for name in ("record.json", CHECKPOINT, previous(Path(CHECKPOINT)).name, "metrics.jsonl", SKIPPED, NAN_BATCH):
        (folder / name).unlink(missing_ok=True)


def is_done(folder: Path) -> bool:
    """Whether the run in this folder has been trained and scored to its end."""
    return (folder / "record.json").is_file() and read_record(folder).state == "done"


@dataclass(frozen=True)
class Work:
    """What a run trains on and with, in this process."""

    spec: Spec
    recipe: Recipe
    people: People
    validation: Validation
    folder: Path
    device: torch.device
    world: World
    stop: StopRequest
    weights: Path | None = None


@dataclass(frozen=True)
class Options:
    """What changes nothing in a run's result, as `train` says."""

    tensorboard: bool
    pictures: bool
    rungs: tuple[int, ...]
    judge: Judge | None


def describe(work: Work, root: Path, *, seed: int, fields: Mapping[str, Any] | None) -> Record:
    """The record of a run that is about to start on the data set `root`."""
    spec, recipe, weights = work.spec, work.recipe, work.weights
    cost = archlab.cost(spec)
    data = {
        "root": root.resolve().name,
        "kind": data_kind(root, recipe.dataset),
        "fingerprint": data_fingerprint(root, recipe.dataset),
        "train_people": len(work.people),
        "val_people": len(work.validation.truth),
    }
    return Record(
        fingerprint=work.folder.name,
        state="running",
        spec=spec.name,
        spec_hash=archlab.spec_hash(spec),
        recipe_hash=recipe_hash(recipe),
        fields=dict(fields or {}),
        recipe=recipe.name,
        fusion=recipe.fusion,
        data=data,
        seed=seed,
        input=spec.input,
        outputs=spec.outputs,
        cost={"params": cost.params, "flops": dict(cost.flops), "activations": cost.activations},
        scores={},
        baseline={},
        samples=0,
        seconds=0.0,
        device=device_name(work.device),
        threads=torch.get_num_threads(),
        processes=work.world.size,
        weights=f"{weights.name} {weights_digest(weights)}" if weights else "",
        **circumstances(),
    )


def _run(work: Work, options: Options, record: Record) -> None:
    """Train, score and draw; the record says how it went."""
    folder, world = work.folder, work.world
    _write(record, work)
    if world.first:
        write_text(folder / "spec.yaml", work.spec.to_yaml())
        write_text(folder / "recipe.yaml", yamlio.dump(work.recipe))
    try:
        network, journal, scores = _trained_and_scored(work, options, record)
    except Halted as halted:
        _write(replace(record, state="stopped", reason=str(halted)), work)
        return
    except Stopped as stopped:
        _write(replace(record, state="stopped", reason=f"{stopped}; the same command goes on from there"), work)
        if world.first:
            print(f"{stopped}, saved in {folder}: the same command goes on from there", file=sys.stderr, flush=True)
        raise
    except Exception as error:
        _write(replace(record, state="failed", reason=f"{type(error).__name__}: {error}"), work)
        raise
    baseline = {"mean_pose": score_mean_pose(work.people, work.validation)}
    skipped = skipped_images(folder)
    data = {**record.data, **({"skipped_images": skipped} if skipped else {})}
    done = replace(record, data=data, scores=scores, baseline=baseline, samples=journal.samples)
    done = replace(done, seconds=round(journal.seconds, 1))
    if world.first and options.pictures:
        draw(network, work.recipe, work.validation, done, folder, work.device)
    if world.first:
        previous(folder / CHECKPOINT).unlink(missing_ok=True)
    _write(replace(done, state="done"), work)


def _trained_and_scored(work: Work, options: Options, record: Record) -> tuple[nn.Module, Journal, dict[str, Scores]]:
    """The network as it is scored, the course of its training, and its scores."""
    recipe = work.recipe
    torch.manual_seed(record.seed)
    network: nn.Module = archlab.build(work.spec)
    if work.weights:
        told = load_for_finetuning(network, work.weights)
        if work.world.first:
            print(f"begins with {told}", file=sys.stderr, flush=True)
    network = placed(network, work.device)
    if not work.world.first:  # the same weights, other dropout
        torch.manual_seed(record.seed + 2**32 * work.world.rank)
    dataset = PoseDataset(
        work.people,
        recipe.input,
        augmentation=recipe.augmentation,
        seed=record.seed,
        sigma=recipe.sigma,
        crops=recipe.crops,
        targets=recipe.targets,
        cache_bytes=CACHE_BYTES,
    )
    score = partial(score_network, recipe=recipe, validation=work.validation, device=work.device, world=work.world)
    during = partial(score, validation=_first_boxes(work.validation))
    journal = fit(
        network,
        dataset,
        recipe,
        seed=record.seed,
        folder=work.folder,
        device=work.device,
        validate=during,
        world=work.world,
        stop=work.stop,
        board=options.tensorboard,
        rungs=options.rungs,
        judge=options.judge,
    )
    scores = score(network)
    journal.append({"validation": scores})
    journal.close()
    return network, journal, scores


def _write(record: Record, work: Work) -> None:
    if work.world.first:
        record.write(work.folder)


def draw(
    network: nn.Module, recipe: Recipe, validation: Validation, record: Record, folder: Path, device: torch.device
) -> None:
    """The run's pictures: curves.png and predictions.png."""
    from archlab.training import pictures

    rows = read_rows(folder / "metrics.jsonl")
    pictures.curves(rows, record, folder / "curves.png")
    some = pictures.spread(validation.truth)
    keypoints = predict(network, some, recipe, device)
    pictures.predictions(some, keypoints.points, keypoints.heights, recipe.input, record, folder / "predictions.png")


def _people_to_train(spec: Spec, recipe: Recipe, root: Path) -> People:
    """The training people; InputError if spec, recipe and data do not go together."""
    height, width = recipe.input
    people = training_people(root, recipe)
    problems = []
    if spec.input != (3, height, width):
        wanted = f"the recipe's crops are (3, {height}, {width}) and the network takes {spec.input}"
        problems.append(Problem(wanted, "input", spec.name))
    if spec.outputs != people.layout.count:
        labelled = f"the data set labels {people.layout.count} keypoints and the network has {spec.outputs} outputs"
        problems.append(Problem(labelled, "outputs", spec.name))
    if problems:
        raise InputError(problems)
    return people


def _first_boxes(validation: Validation) -> Validation:
    """Validation during training keeps to one kind of boxes, the labelled ones where they are scored at all."""
    kind, people = next(iter(validation.boxes.items()))
    return replace(validation, boxes={kind: people})
