"""Scoring: a network's figures on labelled pictures, from one confusion matrix over the set."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from archlab.core import notes
from archlab.core.errors import InputError, Problem
from archlab.core.files import write_bytes
from archlab.tasks.base import Context
from archlab.tasks.metrics import Scores
from archlab.tasks.segmentation.classes import IGNORE
from archlab.tasks.segmentation.confusion import Counts, confusion, figures
from archlab.tasks.segmentation.data.layout import TRAIN_IDS, Pictures
from archlab.tasks.segmentation.options import SegmentationOptions
from archlab.tasks.segmentation.predict import Predicted, predict
from archlab.tasks.terms import Ratio, Scored, Terms, digest_of

VIEW = "pictures"
_LAYOUT = (48, 96)
"""Height and width of the grid on which the most frequent classes are counted."""


def score_network(
    network: nn.Module,
    pictures: Pictures,
    context: Context[SegmentationOptions],
    *,
    results: Path | None = None,
) -> Scored:
    """Return the network's figures, and each picture's part in the pixel accuracy. mIoU is no ratio of sums.

    results: a folder for the predictions, as NAME_gtFine_labelTrainIds.png.
    """
    count = len(pictures.classes)
    total = torch.zeros((count, count), dtype=torch.int64, device=context.device)
    rows: list[NDArray[np.int64]] = [np.zeros((0, 3), np.int64)]
    if results and results.exists() and not results.is_dir():
        raise InputError(Problem("predictions are written to a folder, but this is a file", file=str(results)))
    for batch in predict(network, pictures, context):
        total += confusion(batch.label, batch.found, count)
        rows.append(np.stack((batch.index, *_right(batch)), axis=1))
        if results:
            for index, found in zip(batch.index, batch.found.cpu().numpy(), strict=True):
                _write(results / f"{pictures.names[index]}{TRAIN_IDS}", found.astype(np.uint8))
    if results and context.world.first:
        notes.note(f"wrote {results}")
    gathered = context.world.gather((total.cpu().numpy(), np.concatenate(rows)))
    counts: Counts = np.sum([part for part, _ in gathered], axis=0)
    terms = _terms(pictures, np.concatenate([part for _, part in gathered]))
    return Scored({VIEW: figures(counts, pictures.classes.names)}, {VIEW: terms})


def _right(batch: Predicted) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each picture's number of pixels whose class is right, and of labelled ones."""
    scored = batch.label != IGNORE
    right = (batch.found == batch.label) & scored
    hits, labelled = (part.sum(dim=(1, 2)).cpu().numpy() for part in (right, scored))
    return hits, labelled


def _terms(pictures: Pictures, rows: NDArray[np.int64]) -> Terms:
    """Return the terms of the pixel accuracy from rows (N, 3) of index, right and labelled pixels, in any order.

    Terms are shares, here of the largest picture's pixels.
    """
    ordered = rows[np.argsort(rows[:, 0])]
    largest = pictures.sizes.prod(axis=1).max(initial=1)
    accuracy = Ratio(ordered[:, 1] / largest, ordered[:, 2] / largest)
    return Terms(digest_of(pictures.names), {"pixel_accuracy": accuracy})


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
    write_bytes(path, data.tobytes())
