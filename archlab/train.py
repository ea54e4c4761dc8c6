"""Training a spec by a recipe: from a data set to a run folder with its record, weights, curves and predictions."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

import archlab
from archlab import yamlio
from archlab.data.coco import People, load_people
from archlab.data.coco import fingerprint as data_fingerprint
from archlab.data.dataset import PoseDataset
from archlab.errors import InputError, Problem
from archlab.evaluate import (
    TRAIN,
    Validation,
    load_validation,
    pick_device,
    placed,
    predict,
    score_mean_pose,
    score_network,
)
from archlab.files import write_text
from archlab.journal import read_rows
from archlab.loop import fit
from archlab.recipe import Recipe, ensure_data, recipe_hash
from archlab.runs import Record, circumstances, fingerprint, locked, read_record
from archlab.spec import Spec

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
) -> Path:
    """Train and score a network; its run folder in `out`.

    A run that is there already is gone on with, or returned as it is when it is done; with `resume=False` it starts
    anew. Without `data_root` the recipe's own data is made. `seed` and `threads` override the recipe's; `fields` says,
    for the record, what was overridden in the spec. Raises InputError for what does not fit together, before training
    begins, and TrainingError when the loss is no longer a number.
    """
    seed = recipe.seed if seed is None else seed
    root = ensure_data(recipe, data_root)
    where = pick_device(device)
    folder = run_folder(spec, recipe, root, seed=seed, out=out)
    with locked(folder), using_threads(threads or recipe.threads):
        if not resume:
            for name in ("record.json", "checkpoint.pt", "metrics.jsonl"):
                (folder / name).unlink(missing_ok=True)
        if not is_done(folder):
            people = _people_to_train(spec, recipe, root)
            validation = load_validation(root, recipe)
            record = describe(spec, recipe, root, people, validation, seed=seed, fields=fields, device=where)
            _run(spec, recipe, people, validation, record, folder, where)
    return folder


def run_folder(spec: Spec, recipe: Recipe, root: Path, *, seed: int, out: Path = Path("runs")) -> Path:
    """Where this run lies or would lie; the data set `root` must be there."""
    return out / fingerprint(
        spec_hash=archlab.spec_hash(spec), recipe_hash=recipe_hash(recipe), data=data_fingerprint(root), seed=seed
    )


def is_done(folder: Path) -> bool:
    """Whether the run in this folder has been trained and scored to its end."""
    return (folder / "record.json").is_file() and read_record(folder).state == "done"


def describe(
    spec: Spec,
    recipe: Recipe,
    root: Path,
    people: People,
    validation: Validation,
    *,
    seed: int,
    fields: Mapping[str, Any] | None,
    device: torch.device,
) -> Record:
    """The record of a run that is about to start."""
    cost = archlab.cost(spec)
    data = {
        "root": root.resolve().name,
        "kind": _kind(root),
        "fingerprint": data_fingerprint(root),
        "train_people": len(people),
        "val_people": len(validation.truth),
    }
    return Record(
        fingerprint=run_folder(spec, recipe, root, seed=seed).name,
        state="running",
        spec=spec.name,
        spec_hash=archlab.spec_hash(spec),
        recipe_hash=recipe_hash(recipe),
        fields=dict(fields or {}),
        recipe=recipe.name,
        data=data,
        seed=seed,
        input=spec.input,
        outputs=spec.outputs,
        cost={"params": cost.params, "flops": dict(cost.flops), "activations": cost.activations},
        scores={},
        baseline={},
        samples=0,
        seconds=0.0,
        device=device_name(device),
        threads=torch.get_num_threads(),
        **circumstances(),
    )


def device_name(device: torch.device) -> str:
    """The device as a reader of the record knows it: its kind and, where that can be told, its model."""
    if device.type == "cuda":
        return f"cuda: {torch.cuda.get_device_name(device)}"
    return f"{device.type}: {_processor()}"


@contextmanager
def using_threads(count: int | None) -> Iterator[None]:
    """PyTorch with so many CPU threads inside the block; None leaves their number as it is."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _run(
    spec: Spec,
    recipe: Recipe,
    people: People,
    validation: Validation,
    record: Record,
    folder: Path,
    device: torch.device,
) -> None:
    """Train, score and draw; the record says how it went."""
    record.write(folder)
    write_text(folder / "spec.yaml", spec.to_yaml())
    write_text(folder / "recipe.yaml", yamlio.dump(recipe))
    torch.manual_seed(record.seed)
    network = placed(archlab.build(spec), device)
    dataset = PoseDataset(
        people,
        recipe.input,
        augmentation=recipe.augmentation,
        seed=record.seed,
        sigma=recipe.sigma,
        cache_bytes=CACHE_BYTES,
    )
    score = partial(score_network, recipe=recipe, validation=validation, device=device)
    during = partial(score, validation=_first_boxes(validation))
    try:
        journal = fit(network, dataset, recipe, seed=record.seed, folder=folder, device=device, validate=during)
        scores = score(network)
    except Exception as error:
        replace(record, state="failed", reason=f"{type(error).__name__}: {error}").write(folder)
        raise
    journal.append({"validation": scores})
    baseline = {"mean_pose": score_mean_pose(people, validation)}
    done = replace(record, scores=scores, baseline=baseline, samples=journal.samples, seconds=round(journal.seconds, 1))
    draw(network, recipe, validation, done, folder, device)
    replace(done, state="done").write(folder)


def draw(
    network: nn.Module, recipe: Recipe, validation: Validation, record: Record, folder: Path, device: torch.device
) -> None:
    """The run's pictures: curves.png and predictions.png."""
    from archlab import pictures

    rows = read_rows(folder / "metrics.jsonl")
    pictures.curves(rows, record, folder / "curves.png")
    some = pictures.spread(validation.truth)
    keypoints = predict(network, some, recipe, device)
    pictures.predictions(some, keypoints.points, keypoints.heights, recipe.input, record, folder / "predictions.png")


def _people_to_train(spec: Spec, recipe: Recipe, root: Path) -> People:
    """The training people; InputError if spec, recipe and data do not go together."""
    height, width = recipe.input
    people = load_people(root, TRAIN, aspect=width / height)
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


def _kind(root: Path) -> str:
    """`synthetic LEVEL` for an embedded data set, else `coco`: whatever comes in COCO's layout."""
    request = root / "synthetic.json"
    return f"synthetic {json.loads(request.read_text(encoding='utf-8'))['level']}" if request.is_file() else "coco"


def _processor() -> str:
    """The processor's model from Linux' /proc/cpuinfo, else what Python knows."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
