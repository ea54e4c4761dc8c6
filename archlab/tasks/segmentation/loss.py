"""Cross-entropy of class logits, with ignored pixels, class weights and auxiliary outputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from archlab.core.errors import InputError, Problem
from archlab.tasks.segmentation.classes import IGNORE
from archlab.tasks.segmentation.options import SegmentationOptions


def segmentation_loss(output: Any, label: Tensor, class_weight: Tensor, options: SegmentationOptions) -> Tensor:
    """Return the main output's loss plus the weighted losses of the auxiliary ones (`SegmentationOptions.auxiliary`).

    output: logits (N, C, h, w), or a sequence of them, the main one first. label: (N, H, W) uint8.
    class_weight: (C,). Raises InputError unless each auxiliary output has a weight.
    """
    outputs = outputs_of(output)
    weights = (1.0, *options.auxiliary)
    if len(outputs) != len(weights):
        raise InputError(Problem(_unweighted(len(outputs) - 1, len(options.auxiliary)), "auxiliary"))
    losses = [cross_entropy(logits, label, class_weight, options) for logits in outputs]
    return torch.stack([weight * loss for weight, loss in zip(weights, losses, strict=True)]).sum()


def cross_entropy(logits: Tensor, label: Tensor, class_weight: Tensor, options: SegmentationOptions) -> Tensor:
    """Return sum_p w(y_p) * -log softmax(z_p)[y_p] / sum_p w(y_p) over the pixels p that are not ignored, 0 if none."""
    logits = logits.float()
    if options.loss_at == "label":
        logits = resized(logits, label.shape[-2:])
    elif logits.shape[-2:] != label.shape[-2:]:
        label = F.interpolate(label[:, None], size=logits.shape[-2:], mode="nearest")[:, 0]
    target = label.long()
    total = F.cross_entropy(logits, target, class_weight, ignore_index=IGNORE, reduction="sum")
    padded = F.pad(class_weight, (0, IGNORE + 1 - len(class_weight)))
    return total / padded[target].sum().clamp_min(1e-6)


def outputs_of(output: Any) -> Sequence[Tensor]:
    """Return a network's outputs, the main one first."""
    return [output] if isinstance(output, Tensor) else list(output)


def resized(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Return maps (N, C, h, w) at another size, bilinear, with pixels as areas (corners not aligned)."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)


def _unweighted(outputs: int, weights: int) -> str:
    return f"the network has {outputs} auxiliary outputs, but the recipe weighs {weights}: each needs a weight"
