"""Whole batches of samples computed on the device, from people whose decoded pixels are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from archlab.tasks.loading import in_advance
from archlab.tasks.pixels import normalise
from archlab.tasks.pose.data.crops import Placement, crop_matrix, map_joints
from archlab.tasks.pose.data.dataset import PoseDataset
from archlab.tasks.pose.data.regions import Region, Size, reachable, whole_crop
from archlab.tasks.pose.data.store import CropStore, Patch
from archlab.tasks.pose.data.warp import gaussian_targets_batch, normalise_batch, sample_crops
from archlab.tasks.pose.targets import STRIDE, stride_of

Batch = dict[str, Tensor]
Warp = Literal["torch", "opencv"]

REGION_PIXELS = 640 * 480
"""The largest part of an image that is kept of a training person; a larger part is shrunk, which costs sharpness.

On 115 people of COCO, augmented, at 256 x 192: 387 kB a person (58 GB for 150,000), 96 % of them not shrunk, crops 0.05
grey levels from the reference in the mean. With 320 * 256: 183 kB, 46 %, 1.7 levels. Without a bound: 395 kB, and no
crop more than 1 level away.
"""


@dataclass(frozen=True, eq=False)
class Prepared:
    """The host's part of a batch: the random draws of its people, and their pixels.

    inverse: (N, 2, 3) float64, from crop pixels to pixels of the kept images.
    joints, visible: (N, K, 2) and (N, K), of the crops.
    images: (N, 3, H, W), if the host crops.
    """

    index: Tensor
    patches: list[Patch]
    inverse: NDArray[np.float64]
    joints: Tensor
    visible: Tensor
    images: Tensor | None = None


StandIns = Callable[[Callable[[list[int]], Prepared], Sequence[int]], Prepared]
"""Calls the function that prepares a batch with its people, with replacements for those in damaged images."""


class BatchedPipeline:
    """The samples of a `PoseDataset` in batches: `image` (N, 3, H, W), `target`, `weight` and `index`, on `device`.

    The random numbers are those of `PoseDataset`, a function of (seed, epoch, index); joints, weights and (to 1e-6)
    targets are the same. Pixels agree to 1 grey level for people whose region is not shrunk: all people in
    evaluation, and in training those whose reachable part of the image has at most `region_pixels`.

    budget_bytes: of the `CropStore`.
    warp: by default "torch" on a GPU and "opencv" on the CPU: on one core OpenCV crops about ten times as fast as
      torch, directly from the kept bytes.
    workers: threads that decode; with at least one, `stream` prepares batches ahead.
    stand_ins: replaces people in damaged images; without it, a damaged image raises InputError.
    """

    def __init__(
        self,
        samples: PoseDataset,
        *,
        device: torch.device | None = None,
        budget_bytes: int = 0,
        region_pixels: int = REGION_PIXELS,
        warp: Warp | None = None,
        workers: int = 0,
        stand_ins: StandIns | None = None,
    ) -> None:
        self.people = samples.people
        self.device = device or torch.device("cpu")
        self.warp = warp or ("opencv" if self.device.type == "cpu" else "torch")
        self.workers = workers
        self.region_pixels = region_pixels
        self._stand_ins = stand_ins
        self._samples = samples
        self.size_wh = samples.size_wh
        self.store = CropStore(
            samples.people,
            self._region,
            limit=region_pixels if samples.augmentation else samples.size_wh[0] * samples.size_wh[1],
            budget_bytes=budget_bytes,
            device=torch.device("cpu") if self.warp == "opencv" else self.device,
            workers=workers,
        )

    def __len__(self) -> int:
        return len(self.people)

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the random numbers; call it before the epoch's `stream`."""
        self._samples.set_epoch(epoch)

    def batch(self, indices: Sequence[int]) -> Batch:
        """Return the samples of these people, in this order."""
        return self._finish(self._prepare(indices))

    def stream(self, batches: Iterable[Sequence[int]]) -> Iterator[Batch]:
        """Yield the batches; with `workers`, the host prepares the next two while the current one is used."""
        yield from map(self._finish, in_advance(self._prepare, batches, workers=min(self.workers, 1), most=2))

    def _region(self, index: int, image_wh: Size) -> Region:
        samples, people = self._samples, self.people
        if samples.augmentation is None:
            return whole_crop(samples.place(index, image_wh[0]), image_wh[0], self.size_wh, samples.crops)
        place = Placement(samples.centers[index], people.scales[index], people.joints[index], people.visible[index])
        limit = self.region_pixels
        return reachable(place, samples.augmentation, people.layout, image_wh, self.size_wh, limit=limit)

    def _prepare(self, indices: Sequence[int]) -> Prepared:
        return self._stand_ins(self._prepare_sound, indices) if self._stand_ins else self._prepare_sound(indices)

    def _prepare_sound(self, indices: Sequence[int]) -> Prepared:
        patches = self.store.take(indices)
        widths = [patch.region.image_width for patch in patches]
        places = [self._samples.place(index, width) for index, width in zip(indices, widths, strict=True)]
        matrices = [
            crop_matrix(p.center, p.scale, p.rotation_degrees, self.size_wh, self._samples.crops) for p in places
        ]
        joints = [map_joints(p.joints, p.visible, matrix) for p, matrix in zip(places, matrices, strict=True)]
        mirrored = [width - 1 if place.flipped else -1 for place, width in zip(places, widths, strict=True)]
        inverse = _inverse(matrices, mirrored, [patch.region.matrix for patch in patches])
        return Prepared(
            self._host(np.asarray(indices, dtype=np.int64)),
            patches,
            inverse,
            self._host(np.stack(joints)),
            self._host(np.stack([place.visible for place in places])),
            self._crop_on_host(patches, inverse) if self.warp == "opencv" else None,
        )

    def _crop_on_host(self, patches: list[Patch], inverse: NDArray[np.float64]) -> Tensor:
        images = np.empty((len(patches), 3, self.size_wh[1], self.size_wh[0]), dtype=np.float32)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        for image, patch, matrix in zip(images, patches, inverse, strict=True):
            pixels: NDArray[Any] = self.store.view(patch)
            if patch.region.box is not None:  # else the patch is the crop
                pixels = cv2.warpAffine(pixels, matrix, self.size_wh, flags=flags)
            for channel, values, table in zip(image, cv2.split(pixels), _TABLE, strict=True):
                cv2.LUT(values, table, dst=channel)
        return self._host(images)

    def _finish(self, prepared: Prepared) -> Batch:
        index, joints, visible = map(self._up, (prepared.index, prepared.joints, prepared.visible))
        heat_map = (self.size_wh[0] // STRIDE, self.size_wh[1] // STRIDE)
        samples, stride = self._samples, stride_of(self.size_wh, self._samples.crops)
        target, weight = gaussian_targets_batch(
            joints, visible, heat_map, sigma=samples.sigma, form=samples.targets, stride=stride
        )
        image = self._crop_on_device(prepared) if prepared.images is None else self._up(prepared.images)
        return {"image": image, "target": target, "weight": weight, "index": index}

    def _crop_on_device(self, prepared: Prepared) -> Tensor:
        """Crop kept people directly from the store, and the others from one block of their pixels."""
        patches, size = prepared.patches, (self.size_wh[1], self.size_wh[0])
        sizes = np.array([patch.region.size_wh for patch in patches], dtype=np.int64)
        starts = np.array([patch.start for patch in patches], dtype=np.int64)
        loose = np.array([patch.fresh is not None for patch in patches])
        images = torch.empty((len(patches), 3, *size), device=self.device, memory_format=torch.channels_last)
        if loose.any():
            lengths = sizes[loose].prod(axis=1)
            starts[loose] = np.cumsum(lengths) - lengths
            flat = np.concatenate([patch.fresh.reshape(-1, 3) for patch in patches if patch.fresh is not None])
            self._sample(images, np.flatnonzero(loose), self._up(self._host(flat)), prepared, starts, sizes)
        if not loose.all():
            self._sample(images, np.flatnonzero(~loose), self.store.pixels, prepared, starts, sizes)
        return normalise_batch(images)

    def _sample(
        self,
        images: Tensor,
        rows: NDArray[np.int64],
        pixels: Tensor,
        prepared: Prepared,
        starts: NDArray[np.int64],
        sizes: NDArray[np.int64],
    ) -> None:
        """Fill these rows of `images` from one block of pixels."""
        inverse = prepared.inverse[rows].astype(np.float32)
        where, begin, size, back = (self._up(self._host(a)) for a in (rows, starts[rows], sizes[rows], inverse))
        images[where] = sample_crops(pixels, begin, size, back, self.size_wh)

    def _host(self, values: NDArray[Any]) -> Tensor:
        """Return the values as a tensor, in pinned memory if the device is a GPU."""
        tensor = torch.from_numpy(values)
        return tensor.pin_memory() if self.device.type == "cuda" else tensor

    def _up(self, values: Tensor) -> Tensor:
        return values.to(self.device, non_blocking=True)


def _inverse(
    matrices: list[NDArray[np.float64]], mirrored: list[int], regions: list[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Return (N, 2, 3) from crop to kept image: the inverse crop, the mirror x -> `mirrored` - x, then the region.

    A person whose `mirrored` is -1 is not mirrored.
    """
    crops, kept = (np.tile(np.eye(3), (len(matrices), 1, 1)) for _ in range(2))
    crops[:, :2], kept[:, :2] = np.stack(matrices), np.stack(regions)
    mirror = np.tile(np.eye(3), (len(matrices), 1, 1))
    last = np.array(mirrored, dtype=np.float64)
    mirror[last >= 0, 0, 0] = -1.0
    mirror[:, 0, 2] = np.maximum(last, 0.0)
    return np.asarray((kept @ mirror @ np.linalg.inv(crops))[:, :2])


def _normalisation_table() -> NDArray[np.float32]:
    """Return (3, 256), the values of `normalise` for all grey levels."""
    levels = np.repeat(np.arange(256, dtype=np.uint8)[:, None, None], 3, axis=2)
    return np.ascontiguousarray(normalise(levels)[:, :, 0])


_TABLE = _normalisation_table()
