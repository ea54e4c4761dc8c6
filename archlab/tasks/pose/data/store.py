"""Decoded regions of images for training and scoring, kept in memory or on the device within a budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock

import numpy as np
import torch
from torch import Tensor

from archlab.core.progress import progress
from archlab.tasks.images import read_image
from archlab.tasks.pixels import Image
from archlab.tasks.pose.data.coco import People
from archlab.tasks.pose.data.regions import Region, Size

RegionOf = Callable[[int, Size], Region]
"""Returns the region to keep of a person, by index and by the width and height of the image."""

_CHANNELS = 3
_CHUNK = 64
"""Images decoded between two checks of the budget in `preload`."""


@dataclass(frozen=True, eq=False)
class Patch:
    """One person's pixels: in the store from pixel `start` on, or, if they exceeded the budget, in `fresh`."""

    region: Region
    start: int = -1
    fresh: Image | None = None


class CropStore:
    """Up to `budget_bytes` of uint8 regions, one after another in `pixels` (P, 3) on `device`, allocated at once.

    150,000 people at 320 x 256 x 3 bytes take 36.9 GB. An image is decoded once for all of its people. The budget
    changes the time of a batch, never its pixels: regions beyond it are cut from their images each time.

    region_of: the region to keep of a person. limit: the largest number of pixels of a region. workers: threads.
    """

    def __init__(
        self,
        people: People,
        region_of: RegionOf,
        *,
        limit: int,
        budget_bytes: int,
        device: torch.device,
        workers: int = 0,
    ) -> None:
        self.people = people
        self.workers = workers
        room = min(budget_bytes // _CHANNELS, len(people) * limit)
        self.pixels = torch.empty((room, _CHANNELS), dtype=torch.uint8, device=device)
        self._region_of = region_of
        self._kept: dict[int, Patch] = {}
        self._used = 0
        self._full = room == 0
        self._lock = Lock()
        by_image = np.argsort(people.image_index, kind="stable")
        counts = np.bincount(people.image_index, minlength=len(people.image_files))
        self._people_of = np.split(by_image, np.cumsum(counts)[:-1])

    def __len__(self) -> int:
        """Return the number of people kept."""
        return len(self._kept)

    @property
    def used_bytes(self) -> int:
        return self._used * _CHANNELS

    def take(self, indices: Sequence[int]) -> list[Patch]:
        """Return the people's pixels; decode those not kept. Raises InputError if an image cannot be read."""
        missing = {index for index in indices if index not in self._kept}
        numbers = sorted({int(self.people.image_index[index]) for index in missing})
        found: dict[int, Patch] = {}
        for patches in self._map(lambda number: self._cut(number, missing), numbers):
            found |= self._keep(patches)
        return [self._kept.get(index) or found[index] for index in indices]

    def preload(self) -> None:
        """Decode until everybody is kept or the budget is used up. Raises InputError if an image cannot be read."""
        numbers = range(len(self._people_of))
        with progress("decoding people", len(numbers)) as advance:
            for start in range(0, len(numbers), _CHUNK):
                chunk = numbers[start : start + _CHUNK]
                for patches in self._map(lambda number: self._cut(number, set()), chunk):
                    self._keep(patches)
                    advance()
                if self._full:
                    return

    def view(self, patch: Patch) -> Image:
        """Return the pixels (h, w, 3), a view of the store for a kept patch; only if the store is in host memory."""
        if patch.fresh is not None:
            return patch.fresh
        width, height = patch.region.size_wh
        flat: Image = self.pixels[patch.start : patch.start + width * height].numpy()
        return flat.reshape(height, width, _CHANNELS)

    def _map(self, work: Callable[[int], dict[int, Patch]], numbers: Sequence[int]) -> list[dict[int, Patch]]:
        if self.workers < 2 or len(numbers) < 2:
            return [work(number) for number in numbers]
        with ThreadPoolExecutor(self.workers) as pool:
            return list(pool.map(work, numbers))

    def _cut(self, number: int, wanted: set[int]) -> dict[int, Patch]:
        """Return the wanted people of an image and, while there is room, its other people that are not kept yet."""
        image = read_image(self.people.image_files[number])
        people = [int(index) for index in self._people_of[number] if int(index) not in self._kept]
        if self._full:
            people = [index for index in people if index in wanted]
        regions = {index: self._region_of(index, (image.shape[1], image.shape[0])) for index in people}
        return {index: Patch(region, fresh=region.cut(image)) for index, region in regions.items()}

    def _keep(self, patches: dict[int, Patch]) -> dict[int, Patch]:
        """Move patches into the store and return them; patches without room are unchanged."""
        with self._lock:
            return {index: self._put(index, patch) for index, patch in patches.items()}

    def _put(self, index: int, patch: Patch) -> Patch:
        assert patch.fresh is not None
        if index in self._kept:
            return self._kept[index]
        pixels: Tensor = torch.from_numpy(patch.fresh).reshape(-1, _CHANNELS)
        end = self._used + len(pixels)
        if end > len(self.pixels):
            self._full = True
            return patch
        self.pixels[self._used : end] = pixels.to(self.pixels.device)
        self._kept[index] = Patch(patch.region, start=self._used)
        self._used = end
        return self._kept[index]
