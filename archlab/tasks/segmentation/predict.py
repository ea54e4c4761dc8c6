"""Prediction: a network's class for every pixel of whole pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from archlab.network.resized import at_size
from archlab.tasks.base import Context
from archlab.tasks.finite import check_finite
from archlab.tasks.loading import load_batches
from archlab.tasks.segmentation.data.dataset import WholePictures
from archlab.tasks.segmentation.data.layout import Pictures
from archlab.tasks.segmentation.data.windows import Size
from archlab.tasks.segmentation.loss import resized
from archlab.tasks.segmentation.options import SegmentationOptions

Sized = Callable[[Size], nn.Module]


@dataclass(frozen=True)
class Predicted:
    """Pictures of one size. index: (N,), in `Pictures`. label, found: (N, H, W), train ids, on the device."""

    index: NDArray[np.int64]
    label: Tensor
    found: Tensor


def predict(network: nn.Module, pictures: Pictures, context: Context[SegmentationOptions]) -> Iterator[Predicted]:
    """Yield the classes of this process's pictures, at the labels' size; the network is left in evaluation mode.

    On CUDA the network runs in the recipe's precision, elsewhere in float32. Raises InputError if a picture or a label
    is damaged.
    """
    options, device, world = context.options, context.device, context.world
    samples = WholePictures(pictures, context.input, options)
    rows = _rows(pictures, range(world.rank, len(pictures), world.size), context.batch)
    bf16 = context.bf16 and device.type == "cuda"
    network.eval()
    sized = cache(partial(at_size, network))
    loaded = load_batches(samples, rows, workers=context.workers, pin=device.type == "cuda")
    with world.progress("scoring", sum(map(len, rows))) as advance:
        for batch in loaded:
            image, label = (batch[name].to(device, non_blocking=True) for name in ("image", "label"))
            with torch.inference_mode(), torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
                found = classes_of(sized, image, (label.shape[1], label.shape[2]), options)
            yield Predicted(batch["index"].numpy(), label, found)
            advance(len(label))


def classes_of(sized: Sized, image: Tensor, size: Size, options: SegmentationOptions) -> Tensor:
    """Return the most probable class of every pixel, (N, H, W) at `size`, of whole pictures (N, 3, h, w).

    sized: returns the network for inputs of a size. With a flip test or several scales, the mean of the class
    probabilities decides, else the logits.
    """
    sides = (False, True) if options.flip_test else (False,)
    views = [(scale, flipped) for scale in options.scales for flipped in sides]
    if len(views) == 1:
        return _largest(_logits(sized, image, views[0], size, options.stride))
    total = torch.zeros(())
    for number, view in enumerate(views):
        probability = _logits(sized, image, view, size, options.stride).softmax(1)
        total = probability if number == 0 else total.add_(probability)
    return _largest(total)


def _largest(scores: Tensor) -> Tensor:
    """Return the class of the largest score of each pixel. Raises InputError if a picture has NaN among its scores."""
    check_finite(scores.detach().sum((1, 2, 3)).cpu().numpy())
    return scores.argmax(1)


def _logits(sized: Sized, image: Tensor, view: tuple[float, bool], size: Size, stride: int) -> Tensor:
    """Return float32 logits at `size`, of pictures at a scale and perhaps mirrored, padded to the network's stride."""
    scale, flipped = view
    height, width = (max(1, round(side * scale)) for side in image.shape[-2:])
    scaled = resized(image, (height, width))
    scaled = scaled.flip(-1) if flipped else scaled
    padded = F.pad(scaled, (0, -width % stride, 0, -height % stride))
    whole = (padded.shape[2], padded.shape[3])
    logits = resized(sized(whole)(padded).float(), whole)[..., :height, :width]
    return resized(logits.flip(-1) if flipped else logits, size)


def _rows(pictures: Pictures, mine: range, batch: int) -> list[list[int]]:
    """Return the pictures in batches of one size each, in order within a size."""
    by_size: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for row in mine:
        by_size[tuple(pictures.sizes[row])].append(row)
    return [rows[start : start + batch] for rows in by_size.values() for start in range(0, len(rows), batch)]
