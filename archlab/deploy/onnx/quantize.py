"""An ONNX model whose convolutions work in int8, by ranges that are measured on pictures."""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from archlab.core.errors import InputError, Problem
from archlab.deploy.onnx import metadata
from archlab.deploy.onnx.file import Exported
from archlab.deploy.onnx.predict import maps_of
from archlab.deploy.onnx.session import session_of
from archlab.deploy.sources import find_sources
from archlab.tasks.metrics import Metric, headline
from archlab.tasks.prediction import Floats, Looks, Picture
from archlab.training.evaluate import evaluate
from archlab.training.prepared import unequal_outputs
from archlab.training.recipe import Recipe

PICTURES = 100
"""The number of calibration pictures, unless another is asked for."""


@dataclass(frozen=True)
class Quantized:
    """A model in int8. pictures: the number that its ranges are from. difference: on those, from the float model.

    The difference is the root of the mean square, as a share of the float output's.
    """

    model: Exported
    pictures: int
    difference: float


def quantize(exported: Exported, recipe: Recipe, folder: Path, most: int = PICTURES) -> Quantized:
    """Return a model with convolutions in int8: weights by output channel, ranges of maps from a folder's pictures.

    most: the number of pictures, evenly spaced. Raises InputError if the folder holds none that can be read.
    """
    seen, outputs, pictures = _seen(exported.content, recipe, folder, most)
    with tempfile.TemporaryDirectory() as temporary:
        content = _quantized(exported.content, seen, Path(temporary))
    found = maps_of(session_of(content))
    errors = [_mean_square(found(image) - output) for image, output in zip(seen, outputs, strict=True)]
    scale = np.mean([_mean_square(output) for output in outputs])
    operators = Counter(node.op_type for node in onnx.load_from_string(content).graph.node)
    model = replace(exported, content=content, operators=dict(operators.most_common()))
    return Quantized(model, pictures, float(np.sqrt(np.mean(errors) / (scale or 1.0))))


def _mean_square(values: Floats) -> float:
    return float(np.square(values).mean())


def _seen(content: bytes, recipe: Recipe, folder: Path, most: int) -> tuple[list[Floats], list[Floats], int]:
    """Return what a model reads of a folder's pictures, what it makes of it, and the number of pictures."""
    if not hasattr(recipe.task, "predict_by"):
        raise InputError(Problem(f"the task {recipe.task.name!r} predicts no pictures", "--quantize"))
    files = find_sources([folder]).files
    count = min(most, len(files))
    chosen = [files[i * len(files) // count] for i in range(count)]
    session = session_of(content)
    about = metadata.read(session.get_modelmeta().custom_metadata_map, folder)
    maps, images, outputs = maps_of(session), list[Floats](), list[Floats]()

    def watched(batch: Floats) -> Floats:
        made = maps(batch)
        images.extend(np.split(batch, len(batch)))
        outputs.extend(np.split(made, len(made)))
        return made

    looks = Looks(recipe.options, about.input[1:], recipe.eval_batch or recipe.batch)
    pictures = (Picture(frame.name, frame.image) for frame in find_sources(chosen).frames())
    read = sum(1 for _ in recipe.task.predict_by(watched, pictures, looks, about.names, len(about.names)))
    if not read:
        raise InputError(Problem("holds no picture that can be read", "--calibrate", str(folder)))
    return images, outputs, read


def _quantized(content: bytes, images: list[Floats], folder: Path) -> bytes:
    """Return a model whose convolutions ONNX Runtime quantised: maps without sign, weights with it, by channel."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        feeds: Iterator[Any] = iter([{"image": image} for image in images])

        def get_next(self) -> Any:
            return next(self.feeds, None)

    source, target = folder / "float.onnx", folder / "int8.onnx"
    source.write_bytes(content)
    with _without_advice():
        quantize_static(source, target, Reader(), quant_format=QuantFormat.QDQ, op_types_to_quantize=["Conv"],
                        per_channel=True, activation_type=QuantType.QUInt8,
                        weight_type=QuantType.QInt8)  # fmt: skip
    return target.read_bytes()


@contextmanager
def _without_advice() -> Iterator[None]:
    """Keep ONNX Runtime's advice on how to prepare a model, which ours needs no more, off the terminal."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)


class InRuntime(nn.Module):
    """An `onnxruntime.InferenceSession` as a network that a task can score."""

    def __init__(self, session: Any) -> None:
        super().__init__()
        self._maps = maps_of(session)

    def forward(self, images: Tensor) -> Tensor:
        return torch.from_numpy(self._maps(images.cpu().numpy()))


def score(model: Exported, recipe: Recipe, data: Path) -> tuple[Metric, float | None]:
    """Return a model's first figure on a data folder, by the protocol of its recipe.

    Raises InputError if the data has other outputs, or pictures of another size than the model's input.
    """
    session = session_of(model.content)
    about = metadata.read(session.get_modelmeta().custom_metadata_map, data)
    if rule := unequal_outputs(recipe, data, len(about.names)):
        raise InputError(Problem(rule, "--data", str(data)))
    sized = replace(recipe, input=about.input[1:])
    try:
        figures = evaluate(InRuntime(session), sized, data, torch.device("cpu"))
    except Exception as error:
        if type(error).__name__ != "InvalidArgument":  # ONNX Runtime's own, of another size
            raise
        rule = "an ONNX file has one input size: score segmentation by a recipe with `size: input`"
        raise InputError(Problem(rule, "--recipe")) from error
    found = headline(recipe.task.metrics, figures)
    assert found is not None, "a task has a first figure"
    return found
