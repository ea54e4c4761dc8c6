"""A run about to start: its data read, its parts checked against each other, and the record of what it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

import archlab
from archlab.core.device import device_name
from archlab.core.distributed import World
from archlab.core.errors import InputError, Problem
from archlab.network.checkpoint import weights_digest
from archlab.network.graph import Graph
from archlab.network.spec import Spec
from archlab.tasks.base import Context, Samples
from archlab.tasks.terms import Scored
from archlab.training.circumstances import circumstances
from archlab.training.loop import plan
from archlab.training.norms import check_norms
from archlab.training.options import RunOptions
from archlab.training.outputs import wrong_auxiliary
from archlab.training.recipe import Recipe, data_fingerprint, recipe_hash
from archlab.training.runs import Record


@dataclass(frozen=True)
class Prepared:
    """The inputs of a run in this process, checked and read."""

    spec: Spec
    graph: Graph
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
        """Write the record to the run folder, in rank 0 only."""
        if self.world.first:
            record.write(self.folder)

    def score(self, network: nn.Module, *, first_view: bool = False) -> Scored:
        """Return the network's figures by view and their terms; `first_view`: only in the first view."""
        scored: Scored = self.recipe.task.score(network, self.validation, self.context, first_view=first_view)
        return scored


def prepare(
    spec: Spec,
    graph: Graph,
    recipe: Recipe,
    root: Path,
    seed: int,
    folder: Path,
    context: Context[Any],
    options: RunOptions,
) -> Prepared:
    """Read the data. Raises InputError if spec, recipe and data do not fit together."""
    samples = recipe.task.training(root, context, seed=seed, folder=folder)
    check_fit(spec, recipe, root)
    check_norms(graph, recipe, plan(recipe, len(samples), context.world.size))
    validation = recipe.task.validation(root, context)
    record = replace(
        _described(spec, graph, recipe, seed, options),
        fingerprint=folder.name,
        data=_data_of(recipe, root, len(samples), len(validation)),
        device=device_name(context.device),
        processes=context.world.size,
    )
    return Prepared(spec, graph, recipe, samples, validation, context, record, folder, options)


def check_fit(spec: Spec, recipe: Recipe, root: Path) -> None:
    """Raise InputError unless the network's input is the recipe's and its outputs are those of data and task."""
    height, width = recipe.input
    problems = []
    if spec.input != (3, height, width):
        rule = f"the recipe's input is (3, {height}, {width}), but the network's is {spec.input}"
        problems.append(Problem(rule, "input", spec.name))
    problems += [*wrong_outputs(spec, recipe, root), *wrong_auxiliary(spec, archlab.assemble(spec), recipe)]
    if problems:
        raise InputError(problems)


def wrong_outputs(spec: Spec, recipe: Recipe, root: Path) -> list[Problem]:
    """Return the problem of a network that has not as many outputs as the data, if any."""
    rule = unequal_outputs(recipe, root, spec.outputs)
    return [Problem(rule, "outputs", spec.name)] if rule else []


def unequal_outputs(recipe: Recipe, root: Path, outputs: int, of: str = "the network has") -> str:
    """Return that the data has another number of outputs, empty if it does not. of: what has `outputs`, and a verb."""
    asked = recipe.task.outputs(root, recipe.options)
    if asked in (None, outputs):
        return ""
    return f"the data set has {asked} {recipe.task.outputs_are}, but {of} {outputs} outputs"


def _data_of(recipe: Recipe, root: Path, train: int, val: int) -> dict[str, Any]:
    """Return the record's entry for the data set."""
    task = recipe.task
    names = task.output_names(root, recipe.options)
    return {
        "root": root.resolve().name,
        "kind": task.kind(root, recipe.options),
        "fingerprint": data_fingerprint(recipe, root),
        f"train_{task.unit}": train,
        f"val_{task.unit}": val,
        **({task.outputs_are: list(names)} if names else {}),
    }


def _described(spec: Spec, graph: Graph, recipe: Recipe, seed: int, options: RunOptions) -> Record:
    """Return the record of a run before the data is read; the fields that follow from the data are empty."""
    cost = archlab.cost(graph)
    weights = options.weights
    return Record(
        fingerprint="",
        state="running",
        spec=spec.name,
        spec_hash=graph.hash,
        recipe_hash=recipe_hash(recipe),
        fields=dict(options.fields),
        recipe=recipe.name,
        task=recipe.task.name,
        fusion=recipe.fusion,
        data={},
        seed=seed,
        input=spec.input,
        outputs=spec.outputs,
        cost={
            "params": cost.params,
            **({"auxiliary_params": cost.auxiliary_params} if cost.auxiliary_params else {}),
            "flops": dict(cost.flops),
            "activations": cost.activations,
        },
        scores={},
        baseline={},
        samples=0,
        seconds=0.0,
        device="",
        threads=torch.get_num_threads(),
        weights=f"{weights.name} {weights_digest(weights)}" if weights else "",
        **circumstances(),
    )
