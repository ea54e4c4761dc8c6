"""Training samples of labelled pictures: single windows on the host, or whole batches on the device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from archlab.tasks.base import Context
from archlab.tasks.damaged_images import DamagedImages
from archlab.tasks.loading import Batch, load_batches
from archlab.tasks.segmentation.data.batched import BatchedWindows
from archlab.tasks.segmentation.data.dataset import Sample, TrainingWindows
from archlab.tasks.segmentation.data.layout import Pictures
from archlab.tasks.segmentation.options import SegmentationOptions

CACHE_BYTES = 2 * 2**30
"""Memory for decoded training pictures: enough for all of CamVid."""


class PictureSamples:
    """Training pictures as `Samples`: `image` (N, 3, H, W), `label` (N, H, W), `class_weight` (N, C), `index`.

    `DamagedImages` replaces damaged pictures. folder: the run's, where it lists them.
    """

    def __init__(
        self,
        pictures: Pictures,
        context: Context[SegmentationOptions],
        *,
        seed: int,
        folder: Path | None = None,
        augment: bool = True,
    ) -> None:
        options = context.options
        self.pictures, self._context = pictures, context
        self.windows = TrainingWindows(
            pictures,
            context.input,
            options,
            augmentation=options.augmentation if augment else None,
            seed=seed,
            cache_bytes=CACHE_BYTES if context.pipeline == "samples" else 0,
        )
        self._damaged = DamagedImages(pictures.images, np.arange(len(pictures)), folder, writes=context.world.first)
        self._batched = self._on_device() if context.pipeline == "batched" else None

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Sample:
        """Return a picture's sample, or that of the next picture that is not damaged."""
        return self._damaged.without(lambda rows: self.windows[rows[0]], [index])

    def set_epoch(self, epoch: int) -> None:
        self.windows.epoch = epoch

    def batches(self, rows: Iterable[Sequence[int]]) -> Iterator[Batch]:
        if self._batched:
            return self._batched.stream(rows)
        pin = self._context.device.type == "cuda"
        return load_batches(self, rows, workers=self._context.workers, pin=pin)

    def _on_device(self) -> BatchedWindows:
        context = self._context
        return BatchedWindows(
            self.windows,
            device=context.device,
            budget_bytes=int(context.keep_gigabytes * 1e9),
            workers=context.workers,
            stand_ins=self._damaged.without,
        )

    def describe(self, rows: Sequence[int]) -> dict[str, Any]:
        pictures = self.pictures
        return {
            "pictures": [pictures.names[row] for row in rows],
            "image_files": [str(pictures.images[row]) for row in rows],
            "label_files": [str(pictures.labels[row]) for row in rows],
        }
