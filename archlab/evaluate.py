"""Scoring: a network's keypoints for the people of a validation set, and their figures."""

from __future__ import annotations

import json
import sys
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
from archlab.data import mpii, sets
from archlab.data.coco import People, annotation_file
from archlab.data.dataset import PoseDataset
from archlab.data.keypoints import COCO
from archlab.data.loading import load_batches
from archlab.distributed import ALONE, World
from archlab.errors import InputError, Problem
from archlab.files import write_text
from archlab.metrics.coco import mean_oks, mean_pose, pck, predict_mean_pose, results_from, score_coco, truth_of
from archlab.metrics.cocosets import Truth
from archlab.metrics.decode import as_array, decode, flip_back
from archlab.metrics.pckh import HeadTruth, pckh_figures, read_truth, write_predictions
from archlab.recipe import Boxes, BoxesChoice, Recipe, ensure_data, load_recipe
from archlab.runs import Scores, read_record

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
    """

    answers: Truth | HeadTruth | None
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
    """The network on the device; on a CPU channels last: 0.83 of a step of Small HRNet, 0.98 of one of Lite-HRNet."""
    network = network.to(device)
    if device.type == "cpu":
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


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
    for kind, people in validation.boxes.items():
        keypoints = predict(network, people, recipe, device, world=world)
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
    network: nn.Module, people: People, recipe: Recipe, device: torch.device, *, world: World = ALONE
) -> Keypoints:
    """The keypoints of people, found in the crops of their boxes; the network is left in evaluation mode.

    Several processes share the people out, each one of them once, and all have the keypoints of all in the end.
    """
    mine = np.arange(world.rank, len(people), world.size)
    parts = world.gather((mine, *_predict(network, people.subset(mine), recipe, device, world)))
    order = np.argsort(np.concatenate([rows for rows, _, _ in parts]))
    points, heights = (np.concatenate([part[column] for part in parts])[order] for column in (1, 2))
    return Keypoints(points, heights)


def _predict(network: nn.Module, people: People, recipe: Recipe, device: torch.device, world: World) -> Keypoints:
    if not len(people):  # fewer than there are processes
        return Keypoints(np.zeros((0, people.layout.count, 2), np.float32), np.zeros((0, people.layout.count)))
    dataset = PoseDataset(people, recipe.input, sigma=recipe.sigma, crops=recipe.crops)
    size = recipe.eval_batch or recipe.batch
    rows = [range(start, min(start + size, len(people))) for start in range(0, len(people), size)]
    points, heights = [], []
    network.eval()
    with world.progress("scoring", len(people)) as advance, torch.inference_mode():
        for batch in load_batches(dataset, rows, workers=recipe.workers, pin=device.type == "cuda"):
            images = batch["image"].to(device, non_blocking=True)
            order = people.layout.flip_order
            shift = recipe.crops == "released"
            heatmaps = flip_averaged(network, images, order, shift=shift) if recipe.flip_test else network(images)
            here = batch["index"].numpy()
            found, peaks = decode(
                as_array(heatmaps),
                people.centers[here],
                people.scales[here],
                form=recipe.decoding,
                crops=recipe.crops,
                sigma=recipe.sigma,
                post_gaussian=recipe.post_gaussian,
            )
            points.append(found)
            heights.append(peaks)
            advance(len(here))
    return Keypoints(np.concatenate(points), np.concatenate(heights))


def flip_averaged(network: nn.Module, images: Tensor, flip_order: Sequence[int], *, shift: bool = True) -> Tensor:
    """The mean of the heat-maps (N, K, h, w) of images and of their mirror images."""
    maps: Tensor = (network(images) + flip_back(network(images.flip(-1)), flip_order, shift=shift)) / 2
    return maps
