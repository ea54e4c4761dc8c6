"""Labelled pictures as samples: windows with augmentation for training, whole pictures for scoring."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from archlab.tasks.images import read_image
from archlab.tasks.pixels import Image, sample_generator
from archlab.tasks.segmentation.data.layout import Pictures
from archlab.tasks.segmentation.data.windows import Size, Window, cut, cut_label, draw_window
from archlab.tasks.segmentation.options import SegmentationOptions, WindowAugmentation

Sample = dict[str, Any]


class PictureCache:
    """Pictures with their labels, decoded once while they fit into `budget_bytes`."""

    def __init__(self, pictures: Pictures, budget_bytes: int = 0) -> None:
        self.pictures = pictures
        self._kept: dict[int, tuple[Image, NDArray[np.uint8]]] = {}
        self._left = budget_bytes

    def take(self, index: int) -> tuple[Image, NDArray[np.uint8]]:
        """Return a picture (H, W, 3) and its label (H, W). Raises InputError if one of them cannot be read."""
        found = self._kept.get(index)
        return self._keep(index) if found is None else found

    def _keep(self, index: int) -> tuple[Image, NDArray[np.uint8]]:
        found = read_image(self.pictures.images[index]), self.pictures.label(index)
        size = sum(part.nbytes for part in found)
        if size <= self._left:
            self._kept[index] = found
            self._left -= size
        return found


class TrainingWindows:
    """One sample a picture: `image` (3, H, W) normalised, `label` (H, W) uint8, `class_weight` (C,), `index`.

    augmentation: None cuts the middle; else the random numbers of a sample depend only on (seed, epoch, index).
    """

    def __init__(
        self,
        pictures: Pictures,
        size: Size,
        options: SegmentationOptions,
        *,
        augmentation: WindowAugmentation | None = None,
        seed: int = 0,
        cache_bytes: int = 0,
    ) -> None:
        self.pictures, self.size, self.options = pictures, size, options
        self.augmentation, self.seed, self.epoch = augmentation, seed, 0
        self.cache = PictureCache(pictures, cache_bytes)
        weights = options.class_weights or pictures.classes.weights or (1.0,) * len(pictures.classes)
        self.class_weight = torch.tensor(weights, dtype=torch.float32)

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Sample:
        image, label = self.cache.take(index)
        window = self.window(index, label.shape)
        return {
            "image": torch.from_numpy(cut(image, window, self.size)),
            "label": torch.from_numpy(cut_label(label, window, self.size)),
            "class_weight": self.class_weight,
            "index": index,
        }

    def window(self, index: int, picture: Size) -> Window:
        """Return the window of a picture in this epoch."""
        random = sample_generator(self.seed, self.epoch, index) if self.augmentation else None
        return draw_window(random, self.augmentation, picture, base_size(picture, self.size, self.options), self.size)


class WholePictures:
    """Whole pictures to score: `image` (3, H, W) normalised, at the size at which they are scored; `label`, `index`."""

    def __init__(self, pictures: Pictures, size: Size, options: SegmentationOptions) -> None:
        self.pictures, self.size, self.options = pictures, size, options

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> Sample:
        image, label = read_image(self.pictures.images[index]), self.pictures.label(index)
        base = base_size(label.shape, self.size, self.options)
        pixels = cut(image, Window(label.shape, base), base)
        return {"image": torch.from_numpy(pixels), "label": torch.from_numpy(label), "index": index}


def base_size(picture: Size, input: Size, options: SegmentationOptions) -> Size:
    """Return the size of a picture before random scaling: its own, or the network's input."""
    return input if options.size == "input" else picture
