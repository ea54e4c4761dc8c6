"""An ONNX file of a trained network, checked against PyTorch before it is kept."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

import archlab
from archlab.blocks.wiring import Shape
from archlab.core.errors import InputError, Problem
from archlab.core.files import write_bytes
from archlab.deploy.onnx.metadata import PREFIX, check_installed
from archlab.deploy.onnx.session import session_of
from archlab.network.module import Network
from archlab.tasks.pixels import MEAN, STD
from archlab.training.evaluate import context_of
from archlab.training.recipe import Recipe

OLDEST, DEFAULT, NEWEST = 13, 17, 21
"""Operator sets: the oldest in which every operator has the form used here, the default, and the newest tested."""
TOLERANCE = 1e-4
"""The largest difference from PyTorch, as a share of the output's largest value."""
REAL = 4
"""The number of a data folder's images that a model is checked on."""
RANDOM = 3
"""The number of random images that a model is checked on."""


@dataclass(frozen=True)
class Exported:
    """A checked model. operators: the number of each. difference: the largest, as a share of the output's scale.

    images: the number of those on which it was checked.
    """

    content: bytes
    operators: Mapping[str, int]
    difference: float
    images: int

    def write(self, path: Path) -> None:
        """Write the file; one that is there is replaced as a whole."""
        write_bytes(path, self.content)


def export_onnx(
    network: Network,
    recipe: Recipe,
    names: tuple[str, ...] | None = None,
    *,
    dynamic_batch: bool = False,
    opset: int = DEFAULT,
    images: Iterable[Tensor] = (),
    whole: bool = True,
) -> Exported:
    """Return a network in evaluation mode as a checked ONNX model: `image` (N, 3, H, W) to `output`.

    recipe: gives task and decoding, which the file states. names: of the outputs.
    dynamic_batch: N is free, else 1. images: batches of real inputs to check it on, besides random ones.
    whole: keep maps whole, which is faster in float32 and less exact in int8.
    Raises InputError if an extra is missing, if a user's module cannot be exported, and if the outputs differ.
    """
    check_installed("--onnx")
    if not OLDEST <= opset <= NEWEST:
        raise InputError(Problem(f"operator sets {OLDEST} to {NEWEST} are supported, not {opset}", "--opset"))
    from archlab.deploy.onnx.model import model_of

    about = _about(network, recipe, names)
    model = model_of(network, dynamic_batch=dynamic_batch, opset=opset, metadata=about, whole=whole)
    content = model.SerializeToString()
    batches = [*_random(network, dynamic_batch), *images]
    difference = max(_differences(network, content, batches, 0 if dynamic_batch else 1))
    if not difference <= TOLERANCE:  # NaN too
        rule = f"ONNX Runtime's output differs from PyTorch's by {difference:.1e} of its scale, more than {TOLERANCE:g}"
        raise InputError(Problem(f"{rule}; nothing is written", "--onnx"))
    operators = Counter(node.op_type for node in model.graph.node)
    return Exported(content, dict(operators.most_common()), difference, sum(map(len, batches)))


def real_images(recipe: Recipe, data: Path, input: Shape) -> list[Tensor]:
    """Return a batch of a data folder's images as the network reads them. Raises InputError if the data is wrong."""
    context = replace(context_of(recipe, torch.device("cpu")), input=input[1:])  # type: ignore[arg-type]
    samples = recipe.task.training(data, context, seed=0, augment=False)
    return [next(samples.batches([range(min(REAL, len(samples)))]))["image"].contiguous()]


def _about(network: Network, recipe: Recipe, names: tuple[str, ...] | None) -> dict[str, str]:
    """Return what the file states of itself: the words that `metadata.read` reads."""
    graph = network.graph
    task = recipe.task
    named = getattr(task, "predicted_names", lambda names, *_: names)  # a user's task may predict no pictures
    known = named(names, graph.outputs, recipe.options)
    stated = {
        "version": archlab.__version__,
        "network": graph.name,
        "hash": graph.hash,
        "input": json.dumps(graph.input),
        "mean": json.dumps([float(value) for value in MEAN]),
        "std": json.dumps([float(value) for value in STD]),
        "task": task.name,
        task.outputs_are: json.dumps(known),
        "recipe": recipe.to_yaml(),
    }
    return {f"{PREFIX}{name}": value for name, value in stated.items()}


def _random(network: Network, dynamic_batch: bool) -> Iterator[Tensor]:
    generator = torch.Generator().manual_seed(0)
    for _ in range(1 if dynamic_batch else RANDOM):
        yield torch.randn(RANDOM if dynamic_batch else 1, *network.graph.input, generator=generator)


def _differences(network: Network, content: bytes, batches: Iterable[Tensor], most: int) -> Iterator[float]:
    """Yield the difference in each batch. most: the largest batch that the model takes, 0 if any."""
    session = session_of(content)
    for batch in batches:
        for part in torch.split(batch, most or len(batch)):
            with torch.inference_mode():
                expected = network(part).numpy()
            found = session.run(None, {"image": part.numpy()})[0]
            yield float(np.abs(found - expected).max() / max(np.abs(expected).max(), np.finfo(np.float32).tiny))
