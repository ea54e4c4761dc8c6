"""Scoring a finished run again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

import archlab
from archlab.core.device import pick_device, placed
from archlab.core.distributed import ALONE, World
from archlab.core.errors import InputError, Problem
from archlab.network.checkpoint import load_weights
from archlab.network.load import check_channels
from archlab.network.spec import Spec
from archlab.tasks.base import Context
from archlab.tasks.metrics import Scores
from archlab.tasks.output_names import different_names
from archlab.training.prepared import unequal_outputs, wrong_outputs
from archlab.training.recipe import Recipe, ensure_data, load_recipe
from archlab.training.runs import Record, read_record, spec_of
from archlab.training.trained import open_network

PROTOCOL = "coco_256x192"
"""The recipe by whose protocol a file of weights is scored: the published one."""


def context_of(recipe: Recipe, device: torch.device, world: World = ALONE) -> Context[Any]:
    """Return the context in which the recipe's task works in this process."""
    return Context(
        recipe.options,
        recipe.input,
        device,
        world,
        batch=recipe.eval_batch or recipe.batch,
        bf16=recipe.precision == "bf16",
        pipeline=recipe.pipeline,
        keep_gigabytes=recipe.keep_gigabytes,
        workers=recipe.workers,
    )


def evaluate_run(
    run: Path,
    data_root: Path | None = None,
    *,
    changes: Mapping[str, Any] | None = None,
    device: str | None = None,
    results: Path | None = None,
    plugin: Sequence[str] = (),
) -> dict[str, Scores]:
    """Score a run folder's network again, on its own data or on other data; the folder is not changed.

    `changes`: recipe fields to override by dotted path, as `{"boxes": "detector"}`. Raises InputError if the folder is
    not complete, or if its data cannot be generated and `data_root` is not given.
    """
    record = read_record(run)
    recipe = load_recipe(run / "recipe.yaml", plugin=plugin, changes=changes)
    own = recipe.options.data
    if data_root is None and (own is None or own.folder != record.data["root"]):
        raise InputError(
            Problem(f"the run was trained on {record.data['root']!r}; name that data folder", "--data", str(run))
        )
    spec = spec_of(run, plugin)
    check_channels(spec)
    where = pick_device(device)
    network = archlab.build(spec)
    load_weights(network, run / "checkpoint.pt")
    root = ensure_data(recipe, data_root)
    _check_outputs(spec, recipe, root, record)
    return evaluate(placed(network, where), recipe, root, where, results=results)


def evaluate_weights(
    name: str | Path,
    weights: Path,
    data_root: Path,
    *,
    recipe: str | Path | Recipe = PROTOCOL,
    changes: Mapping[str, Any] | None = None,
    device: str | None = None,
    results: Path | None = None,
    plugin: Sequence[str] = (),
) -> dict[str, Scores]:
    """Score a named network with the weights of a file, ours or released, as the recipe scores.

    Raises InputError if the weights do not fit the network, or the network's outputs not the data.
    """
    scored = load_recipe(recipe, plugin=plugin, changes=changes)
    where = pick_device(device)
    trained = open_network(name, weights, recipe=scored, plugin=plugin)
    if rule := unequal_outputs(scored, data_root, trained.graph.outputs, "the weights have"):
        raise InputError(Problem(rule, "--weights", str(weights)))
    return evaluate(placed(trained.network, where), scored, data_root, where, results=results)


def evaluate(
    network: nn.Module, recipe: Recipe, data_root: Path, device: torch.device, *, results: Path | None = None
) -> dict[str, Scores]:
    """Return the network's figures by view, as the recipe's task scores them; `results`: also write predictions."""
    context = context_of(recipe, device)
    validation = recipe.task.validation(data_root, context)
    scores: dict[str, Scores] = recipe.task.score(network, validation, context, results=results).figures
    return scores


def _check_outputs(spec: Spec, recipe: Recipe, root: Path, record: Record) -> None:
    """Raise InputError unless the data has the number of outputs of the run, with the same names in the same order."""
    if problems := wrong_outputs(spec, recipe, root):
        raise InputError(problems)
    task = recipe.task
    names, trained = task.output_names(root, recipe.options), record.data.get(task.outputs_are)
    if names and trained:
        rule = different_names(names, trained, "the data", "the run", what=task.outputs_are)
        if rule:
            raise InputError(Problem(rule, "--data", str(root)))
