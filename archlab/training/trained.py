"""A network with its weights, from a run folder, or from a network and a file of weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from archlab.core import notes
from archlab.core.errors import InputError, Problem
from archlab.network.checkpoint import load_weights, outputs_in
from archlab.network.graph import Graph, assemble
from archlab.network.load import check_channels, load_at
from archlab.network.module import Network, build
from archlab.training.recipe import Recipe, load_recipe
from archlab.training.runs import Record, read_record, runs_in, spec_of

SHORTEST = 4
"""The fewest letters of a fingerprint that name a run."""

Named = str | Path | Recipe
"""A recipe by its name or file, or the recipe itself."""


@dataclass(frozen=True, eq=False)
class Trained:
    """A network with weights, in evaluation mode on the CPU, and how it looks at pictures.

    recipe: its task, input and options. names: of its outputs, None if they are not recorded.
    """

    graph: Graph
    network: Network
    recipe: Recipe
    names: tuple[str, ...] | None


def run_folder(name: str | Path) -> Path | None:
    """Return the folder of the run that a name means; None if it means no run.

    name: a run's folder, or FOLDER/NAME: the run in FOLDER of the network NAME, or whose fingerprint begins with NAME.
    Raises InputError if several runs have that name.
    """
    path = Path(name)
    if (path / "record.json").is_file():
        return path
    if path.suffix or path.exists() or not any(path.parent.glob("*/record.json")):
        return None
    found = [(record, file.parent) for record, file in runs_in(path.parent) if _is_of(record, path.name)]
    if len(found) > 1:
        each = ", ".join(f"{record.fingerprint} (recipe {record.recipe}, seed {record.seed})" for record, _ in found)
        raise InputError(Problem(f"{len(found)} runs have this name: {each}", file=str(path)))
    return found[0][1] if found else None


def _is_of(record: Record, name: str) -> bool:
    """Return whether a run is of the network of that name, or has a fingerprint that begins with it."""
    return record.spec == name or (len(name) >= SHORTEST and record.fingerprint.startswith(name))


def open_network(
    name: str | Path,
    weights: Path | None = None,
    *,
    recipe: Named | None = None,
    fields: Mapping[str, Any] | None = None,
    plugin: Sequence[str] = (),
) -> Trained:
    """Return a run's network, or a named network with the weights of a file.

    weights: in place of the run's. recipe: gives task, input and options (default: the run's own, else pose as
    released, at the network's input). fields: of the network, overridden; not of a run.
    Raises InputError if there are no weights, or if they do not fit.
    """
    if run := run_folder(name):
        return _of_run(run, weights, recipe, fields or {}, plugin)
    if weights is None:
        raise InputError(Problem(f"{name} has no weights: name a file, or a run folder", "--weights"))
    stated = load_recipe(recipe, plugin=plugin) if recipe else None
    outputs = outputs_in(weights)
    spec = load_at(name, stated.input if stated else None, outputs=outputs, plugin=plugin, **(fields or {}))
    check_channels(spec)
    used = stated or replace(Recipe(), input=spec.input[1:])  # type: ignore[arg-type]
    return _loaded(assemble(spec), weights, used, None)


def _of_run(
    folder: Path,
    weights: Path | None,
    recipe: str | Path | Recipe | None,
    fields: Mapping[str, Any],
    plugin: Sequence[str],
) -> Trained:
    if fields:
        raise InputError(Problem("a run's network is as it was trained: no field can be changed", "--set", str(folder)))
    record = read_record(folder)
    if not record.is_done():
        notes.note(f"{folder}: the run is {record.state}; its last checkpoint is used")
    own = load_recipe(recipe or folder / "recipe.yaml", plugin=plugin)
    names = record.data.get(own.task.outputs_are)
    file = weights or folder / "checkpoint.pt"
    return _loaded(assemble(spec_of(folder, plugin)), file, own, tuple(names) if isinstance(names, list) else None)


def _loaded(graph: Graph, weights: Path, recipe: Recipe, names: tuple[str, ...] | None) -> Trained:
    network = build(graph)
    load_weights(network, weights)
    return Trained(graph, network.eval(), recipe, names)
