"""Predictions by an exported ONNX file, in a Python without PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from archlab.core.errors import InputError, Problem
from archlab.deploy.onnx import metadata
from archlab.deploy.onnx.session import open_session
from archlab.tasks.prediction import Floats, Looks, Maps, Picture, Prediction
from archlab.training.recipe import load_recipe, recipe_of_text


def is_onnx(name: Any) -> bool:
    """Return whether a network is named by an ONNX file."""
    return isinstance(name, str | Path) and Path(name).suffix.lower() == ".onnx"


def open_onnx(
    file: Path, *, recipe: Any = None, device: str | None = None, batch: int | None = None, plugin: Sequence[str] = ()
) -> tuple[Any, Any]:
    """Return an exported file's task, and the function that predicts pictures by it.

    recipe: gives options in place of the file's own; the input size is the file's.
    Raises InputError if the file is none of ours, or for another device than the CPU.
    """
    metadata.check_installed("NETWORK", ["onnxruntime"])
    if device not in (None, "cpu"):
        raise InputError(Problem(f"an ONNX file runs on the CPU here, not on {device}", "--device", str(file)))
    session = open_session(file)
    about = metadata.read(session.get_modelmeta().custom_metadata_map, file)
    used = load_recipe(recipe, plugin=plugin) if recipe else recipe_of_text(about.recipe, str(file), plugin=plugin)
    if used.task.name != about.task:
        raise InputError(Problem(f"{file.name} is for {about.task}, not {used.task.name}", "--recipe"))
    if not hasattr(used.task, "predict_by"):
        raise InputError(Problem(f"the task {about.task!r} predicts no pictures"))
    looks = Looks(used.options, about.input[1:], batch or used.eval_batch or used.batch)
    return used.task, partial(_predicted, used.task, maps_of(session), looks, about)


def _predicted(
    task: Any, maps: Maps, looks: Looks[Any], about: metadata.About, pictures: Iterable[Picture]
) -> Iterator[Prediction]:
    found: Iterator[Prediction] = task.predict_by(maps, pictures, looks, about.names, len(about.names))
    return found


def maps_of(session: Any) -> Maps:
    """Return a session as a function of arrays; a model of a fixed batch runs once for each image."""
    (image,) = session.get_inputs()
    most = image.shape[0] if isinstance(image.shape[0], int) else None

    def maps(images: Floats) -> Floats:
        parts = [images[i : i + most] for i in range(0, len(images), most)] if most else [images]
        made: Floats = np.concatenate([session.run(None, {image.name: part})[0] for part in parts])
        return made

    return maps
