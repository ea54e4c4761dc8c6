"""Predictions for pictures in Python: a network with weights, called with pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archlab.core.device import pick_device, placed
from archlab.core.errors import InputError, Problem
from archlab.deploy.boxes import BoxFile
from archlab.deploy.sources import Frame
from archlab.tasks.images import read_image
from archlab.tasks.pixels import Image
from archlab.tasks.prediction import Boxes, Picture, Prediction
from archlab.training.evaluate import context_of
from archlab.training.trained import Trained, open_network


class Predictor:
    """A network that takes pictures: `Predictor("runs/FINGERPRINT")(image)`.

    network: a run's folder, a network's name or file, or what `open_network` returned.
    weights: a file of weights, ours or released. recipe: gives task, input and options (default: the run's own).
    device: cuda, mps or cpu. batch: crops or pictures at a time.
    Raises InputError if the weights do not fit, if the device is missing or if the task predicts no pictures.
    """

    def __init__(
        self,
        network: str | Path | Trained,
        weights: str | Path | None = None,
        *,
        recipe: str | Path | None = None,
        device: str | None = None,
        batch: int | None = None,
        fields: Mapping[str, Any] | None = None,
        plugin: Sequence[str] = (),
    ) -> None:
        file = Path(weights) if weights else None
        where = pick_device(device)
        if not isinstance(network, Trained):
            network = open_network(network, file, recipe=recipe, fields=fields, plugin=plugin)
        self.task = network.recipe.task
        if not hasattr(self.task, "predict"):
            raise InputError(Problem(f"the task {self.task.name!r} predicts no pictures"))
        recipe_ = network.recipe if batch is None else network.recipe.changed(eval_batch=batch)
        self._context = context_of(recipe_, where)
        self._names, self._outputs = network.names, network.graph.outputs
        self._network = placed(network.network, where)

    def __call__(self, picture: str | Path | Image, boxes: NDArray[Any] | Sequence[Any] | None = None) -> Prediction:
        """Return the prediction for one picture, a file or RGB pixels (H, W, 3) uint8.

        boxes: (N, 4) x, y, w, h in pixels, or (N, 5) with scores (default: the whole picture is one box).
        """
        file = isinstance(picture, str | Path)
        image = read_image(Path(picture)) if isinstance(picture, str | Path) else picture
        name = str(picture) if file else ""
        return next(self.predict([Picture(name, image, boxes=None if boxes is None else _boxes_of(boxes))]))

    def predict(self, pictures: Iterable[Picture]) -> Iterator[Prediction]:
        """Yield the prediction for each picture, in order; crops of several pictures share a batch."""
        found: Iterator[Prediction] = self.task.predict(
            self._network, pictures, self._context, self._names, self._outputs
        )
        return found


def _boxes_of(boxes: NDArray[Any] | Sequence[Any]) -> Boxes:
    table = np.asarray(boxes, np.float64)
    table = table.reshape(-1, table.shape[-1] if table.size else 4)
    if table.shape[1] not in (4, 5):
        raise InputError(Problem(f"boxes are (N, 4) or (N, 5), not {np.shape(boxes)}"))
    return Boxes(table[:, :4], table[:, 4] if table.shape[1] == 5 else np.ones(len(table)))


def pictures_of(frames: Iterable[Frame], boxes: BoxFile | None) -> Iterator[Picture]:
    """Yield frames as pictures with boxes and image ids: the box file's, else the number in a name, else counted."""
    for count, frame in enumerate(frames):
        known = boxes.number_of(frame.path) if boxes else None
        stem = frame.path.stem
        own = int(stem) if stem.isdecimal() and frame.frame is None else count
        yield Picture(frame.name, frame.image, own if known is None else known, boxes.of(frame.path) if boxes else None)
