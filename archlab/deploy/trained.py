"""Predictions by a network in PyTorch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from archlab.core.device import pick_device, placed
from archlab.core.errors import InputError, Problem
from archlab.tasks.prediction import Picture, Prediction
from archlab.training.evaluate import context_of
from archlab.training.trained import Trained


def open_trained(trained: Trained, device: str | None, batch: int | None) -> tuple[Any, Any]:
    """Return a trained network's task, and the function that predicts pictures by it on a device.

    Raises InputError if the device is missing, or if the task predicts no pictures.
    """
    where, task = pick_device(device), trained.recipe.task
    if not hasattr(task, "predict"):
        raise InputError(Problem(f"the task {task.name!r} predicts no pictures"))
    recipe = trained.recipe if batch is None else trained.recipe.changed(eval_batch=batch)
    context, network = context_of(recipe, where), placed(trained.network, where)

    def predict(pictures: Iterable[Picture]) -> Iterator[Prediction]:
        found: Iterator[Prediction] = task.predict(network, pictures, context, trained.names, trained.graph.outputs)
        return found

    return task, predict
