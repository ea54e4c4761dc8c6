"""Whole batches of windows computed on the device, from pictures that are kept there decoded."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from archlab.tasks.loading import Batch, in_advance
from archlab.tasks.pixels import MEAN, STD
from archlab.tasks.segmentation.classes import IGNORE
from archlab.tasks.segmentation.data.dataset import TrainingWindows
from archlab.tasks.segmentation.data.windows import GREY, Size, Window, inside

Decoded = tuple[Tensor, Tensor]
"""A picture (H, W, 3) and its label (H, W), uint8, on the host or on the device."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """The host's part of a batch. places: (N, H + W) float32, the rows and then the columns that windows read."""

    index: Tensor
    pictures: list[Decoded]
    windows: list[Window]
    places: Tensor


StandIns = Callable[[Callable[[list[int]], Prepared], Sequence[int]], Prepared]
"""Calls the function that prepares a batch with its pictures, with replacements for damaged ones."""


class BatchedWindows:
    """The samples of `TrainingWindows` in batches on the device, with the same random numbers and labels.

    Pixels agree to 1 grey level. budget_bytes: of pictures kept on the device; the others are decoded each time.
    workers: threads that decode; with at least one, the next two batches are prepared while the current one is used.
    stand_ins: replaces damaged pictures; without it, one raises InputError.
    """

    def __init__(
        self,
        windows: TrainingWindows,
        *,
        device: torch.device,
        budget_bytes: int = 0,
        workers: int = 0,
        stand_ins: StandIns | None = None,
    ) -> None:
        self.windows, self.device, self.workers = windows, device, workers
        self._stand_ins, self._left = stand_ins, budget_bytes
        self._kept: dict[int, Decoded] = {}
        self._class_weight = windows.class_weight.to(device)

    def stream(self, batches: Iterable[Sequence[int]]) -> Iterator[Batch]:
        """Yield the batch of each sequence of picture numbers."""
        yield from map(self._finish, in_advance(self._prepare, batches, workers=min(self.workers, 1), most=2))

    def _prepare(self, rows: Sequence[int]) -> Prepared:
        return self._stand_ins(self._prepare_sound, rows) if self._stand_ins else self._prepare_sound(rows)

    def _prepare_sound(self, rows: Sequence[int]) -> Prepared:
        pictures = self._take(rows)
        size = self.windows.size
        windows = [self.windows.window(row, _size(label)) for row, (_, label) in zip(rows, pictures, strict=True)]
        places = np.stack([np.concatenate(window.places(size)) for window in windows])
        return Prepared(self._host(np.asarray(rows, np.int64)), pictures, windows, self._host(places))

    def _take(self, rows: Sequence[int]) -> list[Decoded]:
        """Return pictures, on the device if they are kept there. Raises InputError if one cannot be read."""
        missing = sorted({row for row in rows if row not in self._kept})
        if self.workers > 1 and len(missing) > 1:
            with ThreadPoolExecutor(self.workers) as pool:
                found = dict(zip(missing, pool.map(self.windows.cache.take, missing), strict=True))
        else:
            found = {row: self.windows.cache.take(row) for row in missing}
        fresh = {row: self._keep(row, (self._host(image), self._host(label))) for row, (image, label) in found.items()}
        return [self._kept[row] if row in self._kept else fresh[row] for row in rows]

    def _keep(self, row: int, decoded: Decoded) -> Decoded:
        """Move a picture to the device if the budget allows."""
        size = sum(part.nbytes for part in decoded)
        if size > self._left:
            return decoded
        self._left -= size
        self._kept[row] = decoded[0].to(self.device), decoded[1].to(self.device)
        return self._kept[row]

    def _finish(self, prepared: Prepared) -> Batch:
        size, count = self.windows.size, len(prepared.windows)
        grey = torch.empty((count, *size, 3), device=self.device)
        label = torch.empty((count, *size), dtype=torch.uint8, device=self.device)
        places = prepared.places.to(self.device, non_blocking=True)
        for number, (picture, window) in enumerate(zip(prepared.pictures, prepared.windows, strict=True)):
            image, own = (part.to(self.device, non_blocking=True) for part in picture)
            rows, columns = places[number, : size[0]], places[number, size[0] :]
            grey[number] = toned(bilinear(image, rows, columns).round_(), window.tones)
            label[number] = nearest(own, rows, columns)
        image = normalised(grey)
        for number, window in enumerate(prepared.windows):
            height, width = inside(window, size)
            image[number, :, height:], image[number, :, :, width:] = 0, 0
            label[number, height:], label[number, :, width:] = IGNORE, IGNORE
        index = prepared.index.to(self.device, non_blocking=True)
        return {"image": image, "label": label, "class_weight": self._class_weight.expand(count, -1), "index": index}

    def _host(self, values: NDArray[np.generic]) -> Tensor:
        """Return the values as a tensor, in pinned memory if the device is a GPU."""
        tensor = torch.from_numpy(values)
        return tensor.pin_memory() if self.device.type == "cuda" else tensor


def bilinear(image: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return (h, w, C) float32, an image (H, W, C) read at rows (h,) and columns (w,) between its pixels.

    Places outside are those of the nearest edge.
    """
    made = image
    for axis, places in enumerate((rows, columns)):
        places = places.clamp(0, image.shape[axis] - 1)
        first = places.floor()
        share = (places - first).view(-1, *([1] * (2 - axis)))
        low = first.long()
        high = (low + 1).clamp_max(image.shape[axis] - 1)
        made = torch.lerp(made.index_select(axis, low).float(), made.index_select(axis, high).float(), share)
    return made


def nearest(label: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Return (h, w), the labels (H, W) of the pixels nearest to rows (h,) and columns (w,)."""
    for axis, places in enumerate((rows, columns)):
        label = label.index_select(axis, (places + 0.5).floor().long().clamp(0, label.shape[axis] - 1))
    return label


def toned(grey: Tensor, tones: tuple[float, float, float]) -> Tensor:
    """Return RGB values (H, W, 3) in 0-255 with the changes of `windows.toned`, without a wait for the device."""
    if tones == (1.0, 1.0, 1.0):
        return grey
    bright, contrast, saturation = tones
    grey = grey * bright
    mean = _luminance(grey).mean()
    grey = (grey - mean) * contrast + mean
    lightness = _luminance(grey)[..., None]
    return ((grey - lightness) * saturation + lightness).round_().clamp_(0, 255)


def normalised(grey: Tensor) -> Tensor:
    """Return grey levels (N, H, W, 3) as (N, 3, H, W), channels last: (value / 255 - mean) / std per channel."""
    grey.div_(255)
    for channel, (mean, std) in enumerate(zip(MEAN, STD, strict=True)):
        grey[..., channel].sub_(mean).div_(std)
    return grey.permute(0, 3, 1, 2)


def _luminance(grey: Tensor) -> Tensor:
    """Return the grey level of RGB values (H, W, 3); Python numbers, since a new tensor would wait for the device."""
    red, green, blue = GREY
    return grey[..., 0] * red + grey[..., 1] * green + grey[..., 2] * blue


def _size(label: Tensor) -> Size:
    return label.shape[0], label.shape[1]
