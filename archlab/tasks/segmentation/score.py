"""Scoring: a network's figures on labelled pictures, from one confusion matrix over the set."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from archlab.core.errors import InputError, Problem
from archlab.core.files import replacing
from archlab.tasks.base import Context
from archlab.tasks.metrics import Scores
from archlab.tasks.segmentation.confusion import Counts, confusion, figures
from archlab.tasks.segmentation.data.layout import TRAIN_IDS, Pictures
from archlab.tasks.segmentation.options import SegmentationOptions
from archlab.tasks.segmentation.predict import predict

VIEW = "pictures"
_LAYOUT = (48, 96)
"""Height and width of the grid on which the most frequent classes are counted."""


def score_network(
    network: nn.Module,
    pictures: Pictures,
    context: Context[SegmentationOptions],
    *,
    results: Path | None = None,
) -> dict[str, Scores]:
    """Return the network's figures.

    results: a folder for the predictions, as NAME_gtFine_labelTrainIds.png.
    """
    count = len(pictures.classes)
    total = torch.zeros((count, count), dtype=torch.int64, device=context.device)
    if results and results.exists() and not results.is_dir():
        raise InputError(Problem("predictions are written to a folder, but this is a file", file=str(results)))
    for batch in predict(network, pictures, context):
        total += confusion(batch.label, batch.found, count)
        if results:
            for index, found in zip(batch.index, batch.found.cpu().numpy(), strict=True):
                _write(results / f"{pictures.names[index]}{TRAIN_IDS}", found.astype(np.uint8))
    counts: Counts = np.sum(context.world.gather(total.cpu().numpy()), axis=0)
    return {VIEW: figures(counts, pictures.classes.names)}


def score_layout(train: Pictures, val: Pictures) -> Scores:
    """Return the figures of the most frequent class at each place of the training pictures: the baseline."""
    count = len(train.classes)
    seen = np.zeros((count, *_LAYOUT), np.int64)
    for index in range(len(train)):
        small = cv2.resize(train.label(index), _LAYOUT[::-1], interpolation=cv2.INTER_NEAREST)
        for number in range(count):
            seen[number] += small == number
    guess = seen.argmax(axis=0).astype(np.uint8)
    total = np.zeros((count, count), np.int64)
    for index in range(len(val)):
        label = val.label(index)
        found = cv2.resize(guess, label.shape[::-1], interpolation=cv2.INTER_NEAREST)
        total += confusion(torch.from_numpy(label), torch.from_numpy(found), count).numpy()
    return figures(total, val.classes.names)


def _write(path: Path, values: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    coded, data = cv2.imencode(".png", values)
    assert coded
    with replacing(path) as temporary:
        temporary.write_bytes(data.tobytes())
