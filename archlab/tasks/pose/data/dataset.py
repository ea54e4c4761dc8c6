"""People as training samples: crops with target heat-maps."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch.utils.data import Dataset

from archlab.core.progress import progress
from archlab.tasks.images import read_image
from archlab.tasks.pixels import Image, normalise, sample_generator
from archlab.tasks.pose.data.coco import People
from archlab.tasks.pose.data.crops import (
    Placement,
    augment,
    crop,
    crop_matrix,
    map_joints,
    mirror,
    shift_centers,
)
from archlab.tasks.pose.options import Augmentation, Crops, Targets
from archlab.tasks.pose.targets import STRIDE, gaussian_targets, sigma_for, stride_of

Sample = dict[str, Any]

_CHUNK = 64
"""Images decoded between two checks of the cache's size."""


class PoseDataset(Dataset[Sample]):
    """One sample per person: `image` (3, H, W) normalised, `target` (K, H/4, W/4), `weight` (K, 1), `index`.

    augmentation: None crops as in evaluation; else the random numbers of a sample depend only on (seed, epoch, index).
    crops, targets: their forms (`PoseOptions`). cache_bytes: of decoded images kept in memory, per worker process
    unless `preload` is called before the workers start.
    """

    def __init__(
        self,
        people: People,
        size_hw: tuple[int, int],
        *,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        sigma: float | None = None,
        cache_bytes: int = 0,
        crops: Crops = "released",
        targets: Targets = "released",
    ) -> None:
        self.people = people
        self.size_wh = (size_hw[1], size_hw[0])
        self.augmentation = augmentation
        self.seed = seed
        self.sigma = sigma_for(size_hw[0]) if sigma is None else sigma
        self.crops: Crops = crops
        self.targets: Targets = targets
        self.epoch = 0
        self.centers = people.centers
        if augmentation is not None and augmentation.shift_probability > 0:
            self.centers = shift_centers(people.centers, people.boxes, augmentation, seed)
        self._cache: dict[int, Image] = {}
        self._cache_left = cache_bytes

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the random numbers; call it before the epoch's loader and its workers start."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, index: int) -> Sample:
        image = self.image(index)
        place = self.place(index, image.shape[1])
        matrix = crop_matrix(place.center, place.scale, place.rotation_degrees, self.size_wh, self.crops)
        pixels = crop(mirror(image) if place.flipped else image, matrix, self.size_wh)
        joints = map_joints(place.joints, place.visible, matrix)
        heat_map = (self.size_wh[0] // STRIDE, self.size_wh[1] // STRIDE)
        stride = stride_of(self.size_wh, self.crops)
        target, weight = gaussian_targets(
            joints, place.visible, heat_map, sigma=self.sigma, form=self.targets, stride=stride
        )
        return {
            "image": torch.from_numpy(normalise(pixels)),
            "target": torch.from_numpy(target),
            "weight": torch.from_numpy(weight),
            "index": index,
        }

    def place(self, index: int, image_width: int) -> Placement:
        """Return where and how the person is cropped in this epoch."""
        people = self.people
        place = Placement(self.centers[index], people.scales[index], people.joints[index], people.visible[index])
        if self.augmentation is None:
            return place
        random = sample_generator(self.seed, self.epoch, index)
        aspect = self.size_wh[0] / self.size_wh[1]
        return augment(place, self.augmentation, random, people.layout, image_width=image_width, aspect=aspect)

    def image(self, index: int) -> Image:
        """Return the person's whole image, (H, W, 3) RGB."""
        number = int(self.people.image_index[index])
        image = self._cache.get(number)
        return self._keep(number, read_image(self.people.image_files[number])) if image is None else image

    def preload(self) -> None:
        """Fill the cache on all cores; worker processes forked later share it."""
        files = self.people.image_files
        missing = [number for number in range(len(files)) if number not in self._cache]
        with progress("decoding images", len(missing)) as advance, ThreadPoolExecutor() as pool:
            for start in range(0, len(missing), _CHUNK):
                numbers = missing[start : start + _CHUNK]
                for number, image in zip(numbers, pool.map(lambda n: read_image(files[n]), numbers), strict=True):
                    if image.nbytes > self._cache_left:
                        return
                    self._keep(number, image)
                    advance()

    def _keep(self, number: int, image: Image) -> Image:
        if image.nbytes <= self._cache_left:
            self._cache[number] = image
            self._cache_left -= image.nbytes
        return image
