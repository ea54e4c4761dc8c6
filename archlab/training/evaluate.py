"""Scoring: a network's keypoints for the people of a validation set, and their figures."""

from __future__ import annotations

import json
import sys
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import archlab
from archlab.core.device import pick_device, placed
from archlab.core.distributed import ALONE, World
from archlab.core.errors import InputError, Problem
from archlab.core.files import write_text
from archlab.network.checkpoint import load_weights
from archlab.tasks.loading import Batch, load_batches
from archlab.tasks.pose.data import mpii, sets
from archlab.tasks.pose.data.batched import BatchedPipeline
from archlab.tasks.pose.data.coco import People, annotation_file
from archlab.tasks.pose.data.dataset import PoseDataset
from archlab.tasks.pose.decode import as_array, decode, flip_back
from archlab.tasks.pose.decode_gpu import decode_batch
from archlab.tasks.pose.keypoints import COCO
from archlab.tasks.pose.metrics.coco import (
    mean_oks,
    mean_pose,
    pck,
    predict_mean_pose,
    results_from,
    score_coco,
    truth_of,
)
from archlab.tasks.pose.metrics.coco_files import Truth
from archlab.tasks.pose.metrics.pckh import HeadTruth, pckh_figures, read_truth, write_predictions
from archlab.training.recipe import Boxes, BoxesChoice, Recipe, ensure_data, load_recipe
from archlab.training.runs import Scores, read_record

Kept = dict[Hashable, BatchedPipeline]
"""The pipeline whose people stay decoded from one scoring to the next, by whom it crops, how and where"""

VAL = "val2017"
FAR = -1e6
"""Pixels: where the keypoints of a person that no detection touches are put, so that they are all missed."""


class Keypoints(NamedTuple):
    """What a network says of N people: keypoints (N, K, 2) in image pixels and the heights (N, K) of their peaks."""

    points: NDArray[Any]
    heights: NDArray[Any]


@dataclass(frozen=True)
class Validation:
    """The people to score, read once: the labelled ones, and by kind the boxes in which to look for them.

    `answers` is what scores are measured by: COCO's annotations, MPII's .mat, or None where the latter is not there.
    `kept` is what the first scoring by `pipeline: batched` leaves to the following ones, as many as there are epochs.
    """

    answers: Truth | HeadTruth | None
    truth: People
    boxes: dict[Boxes, People]
    kept: Kept = field(default_factory=dict, compare=False, repr=False)


def training_people(root: Path, recipe: Recipe) -> People:
    """The people to train on. Raises InputError for what is missing or wrong in the data folder."""
    return sets.training_people(root, recipe.dataset, aspect=recipe.input[1] / recipe.input[0])


def load_validation(root: Path, recipe: Recipe) -> Validation:
    """The validation people of a data folder. Raises InputError if the annotations or detections are not there."""
    if recipe.dataset == "mpii" and recipe.all_boxes != ("ground_truth",):
        raise InputError("MPII marks where people are and has no detector boxes: score with `boxes: ground_truth`")
    aspect = recipe.input[1] / recipe.input[0]
    people: dict[Boxes, People] = {
        kind: sets.validation_people(root, recipe.dataset, aspect=aspect, boxes=kind) for kind in recipe.all_boxes
    }
    truth = people.get("ground_truth") or sets.validation_people(root, recipe.dataset, aspect=aspect)
    if recipe.dataset == "mpii":
        return Validation(_heads(root, truth), truth, people)
    answers = truth_of(annotation_file(root, VAL), sigmas=truth.layout.sigmas, category=truth.category)
    return Validation(answers, truth, people)


def _heads(root: Path, people: People) -> HeadTruth | None:
    """MPII's ground truth in the order of the people; without it nothing says how large a head is."""
    try:
        path = mpii.truth_file(root)
    except InputError as error:
        print(f"PCKh is not measured: {error}", file=sys.stderr, flush=True)
        return None
    truth = read_truth(path)
    if len(truth) != len(people):
        message = f"holds {len(truth)} people and the annotations of valid {len(people)}: they are not of one version"
        raise InputError(Problem(message, file=str(path)))
    return truth


def evaluate_run(
    run: Path,
    data_root: Path | None = None,
    *,
    boxes: BoxesChoice | None = None,
    device: str | None = None,
    results: Path | None = None,
    plugin: Sequence[str] = (),
) -> dict[str, Scores]:
    """Score a run folder's network again, as `evaluate` does, on its own data or another; nothing in it is changed.

    `boxes` overrides the recipe's. Raises InputError if the folder is not whole, or if its data cannot be made again
    and none are named.
    """
    record = read_record(run)
    recipe = load_recipe(run / "recipe.yaml")
    if data_root is None and (recipe.data is None or recipe.data.folder != record.data["root"]):
        raise InputError(
            Problem(f"this run was trained on {record.data['root']!r}: name that folder", "--data", str(run))
        )
    spec = archlab.load(run / "spec.yaml", plugin=plugin)
    where = pick_device(device)
    network = archlab.build(spec)
    load_weights(network, run / "checkpoint.pt")
    root = ensure_data(recipe, data_root)
    return evaluate(placed(network, where), replace(recipe, boxes=boxes or recipe.boxes), root, where, results=results)


def evaluate(
    network: nn.Module, recipe: Recipe, data_root: Path, device: torch.device, *, results: Path | None = None
) -> dict[str, Scores]:
    """Scores by kind of boxes, `ground_truth_boxes` and `detector_boxes`: pycocotools' ten figures, mean OKS, PCK.

    Of MPII: PCKh@0.5 by joint group, its means, and those at other thresholds under their own names (`pckh_figures`).
    The COCO results are written to `results`, or, for both kinds of boxes, to two files with the kind in their names;
    MPII's predictions as a .mat.
    """
    return score_network(network, recipe, load_validation(data_root, recipe), device, results=results)


def score_network(
    network: nn.Module,
    recipe: Recipe,
    validation: Validation,
    device: torch.device,
    *,
    results: Path | None = None,
    world: World = ALONE,
) -> dict[str, Scores]:
    """As `evaluate`, of people that are read already."""
    scores = {}
    first = next(iter(validation.boxes))  # the one that is scored during training, the others once at the end
    for kind, people in validation.boxes.items():
        kept = validation.kept if kind == first else None
        keypoints = predict(network, people, recipe, device, world=world, kept=kept)
        alone = len(validation.boxes) == 1
        file = results if alone or results is None else results.with_stem(f"{results.stem}_{kind}")
        scores[f"{kind}_boxes"] = _score(validation, recipe, kind, keypoints, file)
    return scores


def _score(validation: Validation, recipe: Recipe, kind: Boxes, keypoints: Keypoints, file: Path | None) -> Scores:
    if recipe.dataset == "mpii":
        if file is not None:
            write_predictions(file, keypoints.points)
        return _mpii_figures(validation, keypoints.points)
    people = validation.boxes[kind]
    found = results_from(people, keypoints.points, keypoints.heights, soft_nms=recipe.nms == "soft")
    if file is not None:
        write_text(file, json.dumps(found))
    points = keypoints.points if kind == "ground_truth" else matched(validation.truth, people, keypoints.points)
    return _coco_figures(validation, found, points)


def score_mean_pose(train: People, validation: Validation) -> Scores:
    """The score of the training people's mean pose, put into each ground-truth box: what a network must beat."""
    points = predict_mean_pose(validation.truth, mean_pose(train))
    if validation.truth.layout == mpii.MPII:
        return _mpii_figures(validation, points)
    found = results_from(validation.truth, points, np.ones(points.shape[:2]))
    return _coco_figures(validation, found, points)


def _coco_figures(validation: Validation, results: list[dict[str, Any]], points: NDArray[Any]) -> Scores:
    truth = validation.truth
    assert isinstance(validation.answers, Truth)
    sigmas = None if truth.layout == COCO else truth.layout.sigmas
    scores = score_coco(validation.answers, results, sigmas=sigmas)
    return {**scores, "mean_oks": mean_oks(truth, points), "pck": pck(truth, points)}


def _mpii_figures(validation: Validation, points: NDArray[Any]) -> Scores:
    """PCKh where the .mat is there; `pck` is of the square that MPII's scale spans. No OKS: MPII states no spreads."""
    figures: Scores = {}
    if validation.answers is not None:
        assert isinstance(validation.answers, HeadTruth)
        # The .mat counts pixels from 1.
        figures = {name: v for name, v in pckh_figures(points + 1.0, validation.answers).items() if name != "joints"}
    return {**figures, "pck": pck(validation.truth, points)}


def matched(truth: People, found: People, points: NDArray[Any]) -> NDArray[Any]:
    """(N, K, 2): labelled people's keypoints, each by the detection that overlaps the box most; FAR if none does."""
    chosen = np.full((len(truth), *points.shape[1:]), FAR)
    for row, (image, box) in enumerate(zip(truth.image_ids, truth.boxes, strict=True)):
        here = np.flatnonzero(found.image_ids == image)
        overlaps = _overlaps(box, found.boxes[here])
        if len(here) and overlaps.max() > 0:
            chosen[row] = points[here[overlaps.argmax()]]
    return chosen


def _overlaps(box: NDArray[Any], boxes: NDArray[Any]) -> NDArray[Any]:
    """Intersection over union of one x, y, w, h with N of them."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[:2] + box[2:], boxes[:, :2] + boxes[:, 2:])
    common = np.clip(high - low, 0, None).prod(axis=1)
    return np.asarray(common / (box[2:].prod() + boxes[:, 2:].prod(axis=1) - common))


def predict(
    network: nn.Module,
    people: People,
    recipe: Recipe,
    device: torch.device,
    *,
    world: World = ALONE,
    kept: Kept | None = None,
) -> Keypoints:
    """The keypoints of people, found in the crops of their boxes; the network is left in evaluation mode.

    Several processes share the people out, each one of them once, and all have the keypoints of all in the end.
    On CUDA the network runs in the recipe's precision, in bf16 under the autocast that it is trained under, and
    nothing waits for the device before the last batch; elsewhere in float32. With `pipeline: batched` crops are made at
    once as in training, and with `kept` they stay decoded for the next call, up to `keep_gigabytes` beside training's.
    """
    mine = _share(people, world)
    count = people.layout.count
    found = Keypoints(np.zeros((0, count, 2), np.float32), np.zeros((0, count), np.float32))
    if len(mine):  # else fewer than there are processes
        found = _predict(network, _crops(people, recipe, device, world, kept), recipe, device, world)
    parts = world.gather((mine, *found))
    order = np.argsort(np.concatenate([rows for rows, _, _ in parts]))
    points, heights = (np.concatenate([part[column] for part in parts])[order] for column in (1, 2))
    return Keypoints(points, heights)


def _share(people: People, world: World) -> NDArray[np.int64]:
    return np.arange(world.rank, len(people), world.size)


def _crops(
    people: People, recipe: Recipe, device: torch.device, world: World, kept: Kept | None
) -> PoseDataset | BatchedPipeline:
    """What crops this process' share of the people; a pipeline stays in `kept`, and its people in the pipeline."""
    mine = people.subset(_share(people, world))
    samples = PoseDataset(mine, recipe.input, sigma=recipe.sigma, crops=recipe.crops)
    if recipe.pipeline == "samples":
        return samples
    make = partial(BatchedPipeline, samples, device=device, workers=recipe.workers)
    if kept is None:
        return make()
    key = (people, recipe.input, recipe.crops, device, world)
    if key not in kept:
        kept.clear()  # one budget for all
        kept[key] = make(budget_bytes=int(recipe.keep_gigabytes * 1e9))
    return kept[key]


def _predict(
    network: nn.Module, crops: PoseDataset | BatchedPipeline, recipe: Recipe, device: torch.device, world: World
) -> Keypoints:
    people = crops.people
    centers, scales, order = (
        torch.as_tensor(values, device=device) for values in (people.centers, people.scales, people.layout.flip_order)
    )
    bf16 = recipe.precision == "bf16" and device.type == "cuda"
    points, heights = [], []
    network.eval()
    with world.progress("scoring", len(people)) as advance, torch.inference_mode():
        for batch in _batches(crops, recipe, device):
            images, here = (batch[name].to(device, non_blocking=True) for name in ("image", "index"))
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
                shift = recipe.crops == "released"
                heatmaps = flip_averaged(network, images, order, shift=shift) if recipe.flip_test else network(images)
            found, peaks = _decoded(heatmaps, centers[here], scales[here], recipe)
            points.append(found)
            heights.append(peaks)
            advance(len(here))
    return Keypoints(torch.cat(points).cpu().numpy(), torch.cat(heights).cpu().numpy())


def _batches(crops: PoseDataset | BatchedPipeline, recipe: Recipe, device: torch.device) -> Iterator[Batch]:
    size = recipe.eval_batch or recipe.batch
    rows = [range(start, min(start + size, len(crops))) for start in range(0, len(crops), size)]
    if isinstance(crops, BatchedPipeline):
        return crops.stream(rows)
    return load_batches(crops, rows, workers=recipe.workers, pin=device.type == "cuda")


def _decoded(heatmaps: Tensor, centers: Tensor, scales: Tensor, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Keypoints and heights of a batch: on CUDA made there, without a wait, elsewhere on the host, which is faster."""
    forms: dict[str, Any] = {
        "form": recipe.decoding,
        "crops": recipe.crops,
        "sigma": recipe.sigma,
        "post_gaussian": recipe.post_gaussian,
    }
    if heatmaps.device.type == "cuda":
        return decode_batch(heatmaps, centers, scales, **forms)
    points, heights = decode(as_array(heatmaps), as_array(centers), as_array(scales), **forms)
    return torch.from_numpy(points), torch.from_numpy(heights)


def flip_averaged(
    network: nn.Module, images: Tensor, flip_order: Sequence[int] | Tensor, *, shift: bool = True
) -> Tensor:
    """The mean, in float32, of the heat-maps (N, K, h, w) of images and of their mirror images."""
    straight, mirrored = network(images).float(), network(images.flip(-1)).float()
    maps: Tensor = (straight + flip_back(mirrored, flip_order, shift=shift)) / 2
    return maps
