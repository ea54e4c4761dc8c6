"""Training samples of people: single crops on the host, or whole batches on the device."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from archlab.tasks.base import Context
from archlab.tasks.damaged_images import DamagedImages
from archlab.tasks.loading import Batch, load_batches
from archlab.tasks.pose.data.batched import BatchedPipeline
from archlab.tasks.pose.data.coco import People
from archlab.tasks.pose.data.dataset import PoseDataset, Sample
from archlab.tasks.pose.options import PoseOptions

CACHE_BYTES = 2 * 2**30
"""Memory for decoded training images: enough for all of the quick level and a part of COCO."""


def pose_samples(
    people: People, context: Context[PoseOptions], *, seed: int, folder: Path | None = None, augment: bool = True
) -> PoseSamples:
    """Return the people as samples by the recipe's options; without `augment`, cropped as in scoring."""
    options = context.options
    dataset = PoseDataset(
        people,
        context.input,
        augmentation=options.augmentation if augment else None,
        seed=seed,
        sigma=options.sigma,
        cache_bytes=CACHE_BYTES,
        crops=options.crops,
        targets=options.targets,
    )
    return PoseSamples(dataset, context, folder)


class PoseSamples:
    """Training people as `Samples`: `image` (N, 3, H, W), `target` (N, K, H/4, W/4), `weight` (N, K, 1), `index`.

    `DamagedImages` replaces people in damaged images. folder: the run's, where it lists them.
    """

    def __init__(self, dataset: PoseDataset, context: Context[PoseOptions], folder: Path | None = None) -> None:
        people = dataset.people
        damaged = DamagedImages(people.image_files, people.image_index, folder, writes=context.world.first)
        self.dataset, self.people, self._context = dataset, people, context
        self._batched = _batched(dataset, context, damaged) if context.pipeline == "batched" else None
        self._sound = _SoundSamples(dataset, damaged)

    def __len__(self) -> int:
        return len(self.people)

    def set_epoch(self, epoch: int) -> None:
        self.dataset.set_epoch(epoch)

    def batches(self, rows: Iterable[Sequence[int]]) -> Iterator[Batch]:
        if self._batched:
            return self._batched.stream(rows)
        pin = self._context.device.type == "cuda"
        return load_batches(self._sound, rows, workers=self._context.workers, pin=pin)

    def describe(self, rows: Sequence[int]) -> dict[str, Any]:
        people = self.people
        return {
            "annotation_ids": [int(people.annotation_ids[row]) for row in rows],
            "image_ids": [int(people.image_ids[row]) for row in rows],
            "image_files": [str(people.image_files[int(people.image_index[row])]) for row in rows],
        }


def _batched(dataset: PoseDataset, context: Context[PoseOptions], damaged: DamagedImages) -> BatchedPipeline:
    return BatchedPipeline(
        dataset,
        device=context.device,
        budget_bytes=int(context.keep_gigabytes * 1e9),
        workers=context.workers,
        stand_ins=damaged.without,
    )


class _SoundSamples:
    """The samples of a data set; `DamagedImages` replaces those in damaged images."""

    def __init__(self, dataset: PoseDataset, damaged: DamagedImages) -> None:
        self._dataset, self._damaged = dataset, damaged

    def __getitem__(self, index: int) -> Sample:
        return self._damaged.without(lambda rows: self._dataset[rows[0]], [index])
