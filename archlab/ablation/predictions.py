"""Predictions of a trained network drawn on pictures: the weights and the pictures of a study, and its figure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from archlab.ablation.drawings import Predictions
from archlab.ablation.records import check_records
from archlab.core.errors import InputError, Problem
from archlab.report.mosaic import fitted, rows_of
from archlab.training.runs import Record, read_record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from archlab.tasks.pixels import Image
    from archlab.tasks.prediction import Prediction
    from archlab.training.trained import Trained

WIDTH, PAGE, DPI = 1200, 2.0, 140
"""The width of the page in pixels, its width over its height, about, and its pixels to the inch."""


@dataclass(frozen=True)
class Drawn:
    """What a study of predictions draws.

    weights: a run's folder, or a file of weights, ours or released, of the study's network; None if there are none.
    data: the data folder whose validation pictures are drawn on (default: the embedded data of the recipe, a run's own
    or else the study's). device: by default the best available.
    """

    weights: Path | None = None
    data: Path | None = None
    device: str | None = None


def check_weights(weights: Path | None, studies: Iterable[object]) -> None:
    """Raise InputError if there are weights and no study that draws with them."""
    if weights and not any(isinstance(study, Predictions) for study in studies):
        raise InputError(Problem("only a study of kind predictions takes weights, and none is named", "--weights"))


def write_predictions(
    study: Predictions, drawn: Drawn, out: Path, *, plugin: Sequence[str] = (), allow_dirty: bool = False
) -> list[Path]:
    """Write the figure of a study as PNG and return the file.

    Raises InputError without weights, if they do not fit the network, and without data.
    """
    from archlab.core.figures import save_figure
    from archlab.training.recipe import ensure_data

    shown = _shown(study, drawn, plugin)
    if shown.run and not allow_dirty:
        check_records([shown.run], out)
    recipe = shown.trained.recipe
    root = ensure_data(recipe, drawn.data)
    found = _predictions(study, shown.trained, root, drawn.device)
    data = f"{len(found)} validation pictures ({recipe.task.kind(root, recipe.options)})"
    path = out / f"{study.name}.png"
    save_figure(_figure(found, f"{shown.network}\n{data}, evenly spaced and not chosen by score"), path)
    return [path]


@dataclass(frozen=True, eq=False)
class _Shown:
    """A network with weights, its name and training in words, and its run if it has one."""

    trained: Trained
    network: str
    run: Record | None = None


def _shown(study: Predictions, drawn: Drawn, plugin: Sequence[str]) -> _Shown:
    from archlab.network.load import load_at
    from archlab.training.recipe import load_recipe
    from archlab.training.trained import open_network, run_folder

    weights = drawn.weights
    if weights is None:
        rule = f"`archlab ablate {study.name}` trains {study.spec}, or --weights names a run's folder or a file"
        raise InputError(Problem(f"needs weights: {rule}", "--weights", study.name))
    folder = run_folder(weights)
    if folder is None:
        own = load_at(study.spec, None, plugin=plugin, **study.fields)
        recipe = replace(load_recipe(study.recipe, plugin=plugin), input=(own.input[1], own.input[2]))
        trained = open_network(study.spec, weights, recipe=recipe, fields=study.fields, plugin=plugin)
        return _Shown(trained, f"{study.spec}, weights {weights.name}")
    run, trained = read_record(folder), open_network(folder, plugin=plugin)
    text = f"{run.spec}, recipe {run.recipe}, {run.samples:,} training samples, seed {run.seed}"
    return _Shown(trained, text, run)


def _predictions(study: Predictions, trained: Trained, root: Path, device: str | None) -> list[Prediction]:
    """Return what the network finds in the study's number of validation pictures."""
    from archlab.core.device import pick_device
    from archlab.deploy.predictor import Predictor
    from archlab.training.evaluate import context_of

    predictor, recipe = Predictor(trained, device=device), trained.recipe
    if not hasattr(recipe.task, "pictures"):
        raise InputError(Problem(f"the task {recipe.task.name!r} shows no pictures of its validation data"))
    validation = recipe.task.validation(root, context_of(recipe, pick_device(device)))
    return list(predictor.predict(recipe.task.pictures(validation, study.pictures)))


def _figure(found: Sequence[Prediction], title: str) -> Figure:
    """Return the drawn pictures in rows under a title."""
    from archlab.core.figures import new_figure

    page = _page(found)
    height, width = page.shape[:2]
    figure = new_figure(width / DPI, height / DPI + 0.5)
    axes = figure.subplots()
    axes.imshow(page)
    axes.axis("off")
    figure.suptitle(title, fontsize=9)
    return figure


def _page(found: Sequence[Prediction]) -> Image:
    """Return predictions drawn on their pictures, which fill rows of WIDTH together."""
    rows = []
    for numbers in rows_of([each.picture.size for each in found], page=PAGE):
        sizes = fitted([found[i].picture.size for i in numbers], WIDTH)
        row = [found[i].resized(size).draw() for i, size in zip(numbers, sizes, strict=True)]
        height = max(len(each) for each in row)  # legends below pictures differ in their lines
        full = [np.pad(each, ((0, height - len(each)), (0, 0), (0, 0)), constant_values=255) for each in row]
        rows.append(np.concatenate(full, axis=1))
    return np.concatenate(rows)
