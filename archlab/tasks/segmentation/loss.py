"""Cross-entropy of class logits, with ignored pixels and class weights."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from archlab.tasks.segmentation.classes import IGNORE
from archlab.tasks.segmentation.options import SegmentationOptions


def segmentation_loss(logits: Tensor, label: Tensor, class_weight: Tensor, options: SegmentationOptions) -> Tensor:
    """Return sum_p w(y_p) * -log softmax(z_p)[y_p] / sum_p w(y_p) over the pixels p that are not ignored, 0 if none.

    logits: (N, C, h, w). label: (N, H, W) uint8. class_weight: (C,).
    """
    logits = logits.float()
    if options.loss_at == "label":
        logits = resized(logits, label.shape[-2:])
    elif logits.shape[-2:] != label.shape[-2:]:
        label = F.interpolate(label[:, None], size=logits.shape[-2:], mode="nearest")[:, 0]
    target = label.long()
    total = F.cross_entropy(logits, target, class_weight, ignore_index=IGNORE, reduction="sum")
    padded = F.pad(class_weight, (0, IGNORE + 1 - len(class_weight)))
    return total / padded[target].sum().clamp_min(1e-6)


def resized(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Return maps (N, C, h, w) at another size, bilinear, with pixels as areas (corners not aligned)."""
    if tuple(maps.shape[-2:]) == tuple(size):
        return maps
    return F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)
