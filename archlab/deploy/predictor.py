"""Predictions for pictures in Python: a network with weights, called with pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from archlab.core.errors import InputError, Problem
from archlab.deploy.boxes import BoxFile
from archlab.deploy.onnx.predict import is_onnx, open_onnx
from archlab.deploy.sources import Frame
from archlab.tasks.images import read_image
from archlab.tasks.pixels import Image
from archlab.tasks.prediction import Boxes, Picture, Prediction

if TYPE_CHECKING:
    from archlab.training.trained import Trained


class Predictor:
    """A network that takes pictures: `Predictor("runs/FINGERPRINT")(image)`.

    network: a run's folder, a network's name or file, an exported ONNX file, or what `open_network` returned.
    weights: a file of weights, ours or released. recipe: gives task, input and options (default: the run's or the
    ONNX file's own). device: cuda, mps or cpu. batch: crops or pictures at a time.
    Raises InputError if the weights do not fit, if the device is missing or if the task predicts no pictures.
    An ONNX file needs ONNX Runtime and no PyTorch.
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
        if is_onnx(network):
            if weights or fields:
                rule = "an ONNX file has its weights inside, and its network is as it was exported"
                raise InputError(Problem(rule, "--weights" if weights else "--set", str(network)))
            self.task, self._predict = open_onnx(
                Path(str(network)), recipe=recipe, device=device, batch=batch, plugin=plugin
            )
            return
        from archlab.deploy.trained import open_trained

        if isinstance(network, str | Path):
            from archlab.training.trained import open_network

            file = Path(weights) if weights else None
            network = open_network(network, file, recipe=recipe, fields=fields, plugin=plugin)
        self.task, self._predict = open_trained(network, device, batch)

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
        found: Iterator[Prediction] = self._predict(pictures)
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
