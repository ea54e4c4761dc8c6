"""Scoring: a network's keypoints for the people of a validation set, and their figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import archlab
from archlab.checkpoint import load_weights
from archlab.data.coco import People, annotation_file, load_people
from archlab.data.dataset import PoseDataset
from archlab.data.keypoints import COCO
from archlab.data.loading import load_batches
from archlab.errors import InputError, Problem
from archlab.files import write_text
from archlab.metrics.coco import mean_oks, mean_pose, pck, predict_mean_pose, results_from, score_coco
from archlab.metrics.decode import as_array, decode, flip_back
from archlab.progress import progress
from archlab.recipe import Boxes, BoxesChoice, Recipe, ensure_data, load_recipe
from archlab.runs import Scores, read_record

TRAIN, VAL = "train2017", "val2017"
FAR = -1e6
"""Pixels: where the keypoints of a person that no detection touches are put, so that they are all missed."""


class Keypoints(NamedTuple):
    """What a network says of N people: keypoints (N, K, 2) in image pixels and the heights (N, K) of their peaks."""

    points: NDArray[Any]
    heights: NDArray[Any]


@dataclass(frozen=True)
class Validation:
    """The people to score, read once: the labelled ones, and by kind the boxes in which to look for them."""

    annotations: dict[str, Any]
    truth: People
    boxes: dict[Boxes, People]


def pick_device(name: str | None = None) -> torch.device:
    """The device of that name; without one CUDA, else Apple's MPS, else the CPU."""
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"the device {name!r} cannot be used: {str(error).splitlines()[0]}") from None
    return device


def placed(network: nn.Module, device: torch.device) -> nn.Module:
    """The network on the device; on a CPU channels last, which takes 0.8 of the time of a step of Lite-HRNet-18."""
    network = network.to(device)
    if device.type == "cpu":
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def load_validation(root: Path, recipe: Recipe) -> Validation:
    """The validation people of a data folder. Raises InputError if the annotations or detections are not there."""
    aspect = recipe.input[1] / recipe.input[0]
    people = {kind: load_people(root, VAL, aspect=aspect, boxes=kind) for kind in recipe.all_boxes}
    truth = people.get("ground_truth") or load_people(root, VAL, aspect=aspect)
    return Validation(json.loads(annotation_file(root, VAL).read_bytes()), truth, people)


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

    The COCO results are written to `results`, or, for both kinds of boxes, to two files with the kind in their names.
    """
    return score_network(network, recipe, load_validation(data_root, recipe), device, results=results)


def score_network(
    network: nn.Module, recipe: Recipe, validation: Validation, device: torch.device, *, results: Path | None = None
) -> dict[str, Scores]:
    """As `evaluate`, of people that are read already."""
    scores = {}
    for kind, people in validation.boxes.items():
        keypoints = predict(network, people, recipe, device)
        found = results_from(people, keypoints.points, keypoints.heights)
        if results is not None:
            alone = len(validation.boxes) == 1
            write_text(results if alone else results.with_stem(f"{results.stem}_{kind}"), json.dumps(found))
        points = keypoints.points if kind == "ground_truth" else matched(validation.truth, people, keypoints.points)
        scores[f"{kind}_boxes"] = _figures(validation, found, points)
    return scores


def score_mean_pose(train: People, validation: Validation) -> Scores:
    """The score of the training people's mean pose, put into each ground-truth box: what a network must beat."""
    points = predict_mean_pose(validation.truth, mean_pose(train))
    found = results_from(validation.truth, points, np.ones(points.shape[:2]))
    return _figures(validation, found, points)


def _figures(validation: Validation, results: list[dict[str, Any]], points: NDArray[Any]) -> Scores:
    truth = validation.truth
    sigmas = None if truth.layout == COCO else truth.layout.sigmas
    scores = score_coco(validation.annotations, results, sigmas=sigmas)
    return {**scores, "mean_oks": mean_oks(truth, points), "pck": pck(truth, points)}


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


def predict(network: nn.Module, people: People, recipe: Recipe, device: torch.device) -> Keypoints:
    """The keypoints of people, found in the crops of their boxes; the network is left in evaluation mode."""
    dataset = PoseDataset(people, recipe.input, sigma=recipe.sigma)
    size = recipe.eval_batch or recipe.batch
    rows = [range(start, min(start + size, len(people))) for start in range(0, len(people), size)]
    points, heights = [], []
    network.eval()
    with progress("scoring", len(people)) as advance, torch.inference_mode():
        for batch in load_batches(dataset, rows, workers=recipe.workers, pin=device.type == "cuda"):
            images = batch["image"].to(device, non_blocking=True)
            order = people.layout.flip_order
            heatmaps = flip_averaged(network, images, order) if recipe.flip_test else network(images)
            here = batch["index"].numpy()
            found, peaks = decode(as_array(heatmaps), people.centers[here], people.scales[here])
            points.append(found)
            heights.append(peaks)
            advance(len(here))
    return Keypoints(np.concatenate(points), np.concatenate(heights))


def flip_averaged(network: nn.Module, images: Tensor, flip_order: Sequence[int]) -> Tensor:
    """The mean of the heat-maps (N, K, h, w) of images and of their mirror images."""
    maps: Tensor = (network(images) + flip_back(network(images.flip(-1)), flip_order)) / 2
    return maps
