"""Prediction: a network's keypoints for people, from the crops of their boxes."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from archlab.core.distributed import World
from archlab.tasks.base import Context
from archlab.tasks.finite import check_finite
from archlab.tasks.loading import Batch, load_batches
from archlab.tasks.pose.data.batched import BatchedPipeline
from archlab.tasks.pose.data.coco import People
from archlab.tasks.pose.data.dataset import PoseDataset
from archlab.tasks.pose.decode import as_array, decode
from archlab.tasks.pose.decode_gpu import decode_batch, flip_back
from archlab.tasks.pose.options import PoseOptions

Kept = dict[Hashable, BatchedPipeline]
"""The pipeline whose people stay decoded between scorings, by its people, input size, crops, device and process."""


class Keypoints(NamedTuple):
    """A network's prediction for N people: keypoints (N, K, 2) in image pixels and their peak heights (N, K)."""

    points: NDArray[Any]
    heights: NDArray[Any]


def predict(
    network: nn.Module,
    people: People,
    context: Context[PoseOptions],
    *,
    kept: Kept | None = None,
) -> Keypoints:
    """Return the keypoints of people from the crops of their boxes; the network is left in evaluation mode.

    Several processes split the people, and each returns the keypoints of all. On CUDA the network runs in the recipe's
    precision (bf16: with the autocast of training), and nothing waits for the device before the last batch; elsewhere
    it runs in float32. With `pipeline: batched` whole batches are cropped, as in training.

    kept: keeps people decoded for the next call, up to `keep_gigabytes` in addition to training's.
    Raises InputError if an image is damaged, or if the network's output is NaN.
    """
    world = context.world
    mine = _share(people, world)
    count = people.layout.count
    found = Keypoints(np.zeros((0, count, 2), np.float32), np.zeros((0, count), np.float32))
    if len(mine):  # empty if there are fewer people than processes
        found = _predict(network, _crops(people, context, kept), context)
    parts = world.gather((mine, *found))
    order = np.argsort(np.concatenate([rows for rows, _, _ in parts]))
    points, heights = (np.concatenate([part[column] for part in parts])[order] for column in (1, 2))
    check_finite(heights)
    return Keypoints(points, heights)


def _share(people: People, world: World) -> NDArray[np.int64]:
    return np.arange(world.rank, len(people), world.size)


def _crops(people: People, context: Context[PoseOptions], kept: Kept | None) -> PoseDataset | BatchedPipeline:
    """Return the samples of this process's people; a batched pipeline is stored in `kept` with its decoded people."""
    options, device, world = context.options, context.device, context.world
    mine = people.subset(_share(people, world))
    samples = PoseDataset(mine, context.input, sigma=options.sigma, crops=options.crops)
    if context.pipeline == "samples":
        return samples
    make = partial(BatchedPipeline, samples, device=device, workers=context.workers)
    if kept is None:
        return make()
    key = (people, context.input, options.crops, device, world)
    if key not in kept:
        kept.clear()  # one budget for all pipelines
        kept[key] = make(budget_bytes=int(context.keep_gigabytes * 1e9))
    return kept[key]


def _predict(network: nn.Module, crops: PoseDataset | BatchedPipeline, context: Context[PoseOptions]) -> Keypoints:
    options, device = context.options, context.device
    people = crops.people
    centers, scales, order = (
        torch.as_tensor(values, device=device) for values in (people.centers, people.scales, people.layout.flip_order)
    )
    bf16 = context.bf16 and device.type == "cuda"
    points, heights = [], []
    network.eval()
    with context.world.progress("scoring", len(people)) as advance, torch.inference_mode():
        for batch in _batches(crops, context):
            images, here = (batch[name].to(device, non_blocking=True) for name in ("image", "index"))
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
                shift = options.crops == "released"
                heatmaps = flip_averaged(network, images, order, shift=shift) if options.flip_test else network(images)
            found, peaks = _decoded(heatmaps, centers[here], scales[here], options)
            points.append(found)
            heights.append(peaks)
            advance(len(here))
    return Keypoints(torch.cat(points).cpu().numpy(), torch.cat(heights).cpu().numpy())


def _batches(crops: PoseDataset | BatchedPipeline, context: Context[PoseOptions]) -> Iterator[Batch]:
    size = context.batch
    rows = [range(start, min(start + size, len(crops))) for start in range(0, len(crops), size)]
    if isinstance(crops, BatchedPipeline):
        return crops.stream(rows)
    return load_batches(crops, rows, workers=context.workers, pin=context.device.type == "cuda")


def _decoded(heatmaps: Tensor, centers: Tensor, scales: Tensor, options: PoseOptions) -> tuple[Tensor, Tensor]:
    """Return keypoints and heights of a batch: decoded on the device on CUDA, without waiting, else on the host."""
    forms: dict[str, Any] = {
        "form": options.decoding,
        "crops": options.crops,
        "sigma": options.sigma,
        "post_gaussian": options.post_gaussian,
    }
    if heatmaps.device.type == "cuda":
        return decode_batch(heatmaps, centers, scales, **forms)
    points, heights = decode(as_array(heatmaps), as_array(centers), as_array(scales), **forms)
    return torch.from_numpy(points), torch.from_numpy(heights)


def flip_averaged(
    network: nn.Module, images: Tensor, flip_order: Sequence[int] | Tensor, *, shift: bool = True
) -> Tensor:
    """Return the float32 mean of the heat-maps (N, K, h, w) of images and of their mirror images."""
    straight, mirrored = network(images).float(), network(images.flip(-1)).float()
    maps: Tensor = (straight + flip_back(mirrored, flip_order, shift=shift)) / 2
    return maps
