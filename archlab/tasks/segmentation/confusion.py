"""Figures of a confusion matrix: intersection over union and accuracy, 0-100."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from archlab.tasks.metrics import Scores
from archlab.tasks.segmentation.classes import IGNORE

Counts = NDArray[np.int64]
"""(C, C), pixels by class in the ground truth (rows) and in the prediction (columns)."""


def confusion(label: Tensor, found: Tensor, classes: int) -> Tensor:
    """Return (C, C) int64, the pixels by label and prediction; those whose label is IGNORE are left out."""
    label, found = label.long(), found.long()
    cell = torch.where(label == IGNORE, classes**2, label * classes + found)
    return torch.bincount(cell.flatten(), minlength=classes**2 + 1)[:-1].view(classes, classes)


def figures(counts: Counts, names: Sequence[str]) -> Scores:
    """Return mIoU over the classes in the ground truth, pixel accuracy, frequency-weighted IoU and each class's IoU.

    counts: may have one more column, for predictions of no class.
    IoU_c = n_cc / (sum_j n_cj + sum_i n_ic - n_cc). None for a class that the ground truth lacks.
    """
    hits, truth = np.diag(counts).astype(float), counts.sum(axis=1).astype(float)
    union = truth + counts.sum(axis=0)[: len(names)] - hits
    here = truth > 0
    iou = 100 * hits / np.maximum(union, 1)
    total = truth.sum()
    by_class = {f"iou_{name}": float(iou[i]) if here[i] else None for i, name in enumerate(names)}
    if not total:
        return {"miou": None, "pixel_accuracy": None, "frequency_weighted_iou": None, **by_class}
    return {
        "miou": float(iou[here].mean()),
        "pixel_accuracy": float(100 * hits.sum() / total),
        "frequency_weighted_iou": float((truth * iou).sum() / total),
        **by_class,
    }
