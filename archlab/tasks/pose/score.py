"""Scoring: the people of a validation set, and a network's figures on them."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from archlab.core import notes
from archlab.core.errors import InputError, Problem
from archlab.core.files import write_text
from archlab.tasks.base import Context
from archlab.tasks.metrics import Scores
from archlab.tasks.pose.data import lsp, mpii, sets
from archlab.tasks.pose.data.coco import People, annotation_file
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
from archlab.tasks.pose.metrics.torso import ENDS, torso_lengths, torso_pck
from archlab.tasks.pose.options import Boxes, PoseOptions
from archlab.tasks.pose.predict import Kept, Keypoints, predict
from archlab.tasks.terms import Ratio, Scored, Terms, digest_of

VAL = "val2017"
COMPARED = frozenset({"mean_oks", "pck_torso", "pck"})
"""The figures whose terms a record keeps."""
Figures = tuple[Scores, dict[str, Ratio]]
"""Figures by metric key, and the terms of those that are ratios of sums over people."""
FAR = -1e6
"""The coordinate, in pixels, of the keypoints of people without an overlapping detection: they all count as missed."""


@dataclass(frozen=True)
class Validation:
    """The people to score, read once.

    answers: the ground truth of the figures: COCO's annotations or MPII's .mat; None if the .mat is missing.
    truth: the labelled people. boxes: by kind, the boxes in which to predict keypoints.
    kept: the decoded people that scorings with `pipeline: batched` share.
    """

    answers: Truth | HeadTruth | None
    truth: People
    boxes: dict[Boxes, People]
    kept: Kept = field(default_factory=dict, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.truth)


def load_validation(root: Path, options: PoseOptions, input: tuple[int, int]) -> Validation:
    """Read the validation people of a data folder. Raises InputError if annotations or detections are missing."""
    if options.dataset == "mpii" and options.all_boxes != ("ground_truth",):
        raise InputError(Problem("MPII has no detector boxes; use `boxes: ground_truth`", "boxes"))
    aspect = input[1] / input[0]
    people: dict[Boxes, People] = {
        kind: sets.validation_people(root, options.dataset, aspect=aspect, boxes=kind) for kind in options.all_boxes
    }
    truth = people.get("ground_truth") or sets.validation_people(root, options.dataset, aspect=aspect)
    if options.dataset == "mpii":
        return Validation(_heads(root, truth), truth, people)
    if truth.layout.names == lsp.JOINTS:
        _count_torsos(truth)
    answers = truth_of(annotation_file(root, VAL), sigmas=truth.layout.sigmas, category=truth.category)
    return Validation(answers, truth, people)


def _count_torsos(people: People) -> None:
    """Note how many people PCK of the torso leaves out."""
    if left_out := int(np.isnan(torso_lengths(people)).sum()):
        lacking = f"{left_out} of {len(people)} people lack {' or '.join(ENDS)}"
        notes.note(f"{lacking}: PCK@0.2 of the torso leaves them out")


def _heads(root: Path, people: People) -> HeadTruth | None:
    """Return MPII's ground truth in the order of the people; None if the .mat, which has the head sizes, is missing.

    Raises InputError if it holds another number of people.
    """
    try:
        path = mpii.truth_file(root)
    except InputError as error:
        notes.note(f"PCKh is not computed: {error}")
        return None
    truth = read_truth(path)
    if len(truth) != len(people):
        rule = f"the file has {len(truth)} people, but the annotations of valid have {len(people)}"
        raise InputError(Problem(rule, file=str(path)))
    return truth


def score_network(
    network: nn.Module,
    validation: Validation,
    context: Context[PoseOptions],
    *,
    results: Path | None = None,
    first_view: bool = False,
) -> Scored:
    """Return the network's figures by view, as `ground_truth_boxes`, and each person's part in PCK and mean OKS.

    results: a file for the predictions; with two kinds of boxes, each gets a file with its name added.
    first_view: score only in the first kind of boxes.
    """
    figures, terms = {}, {}
    people_digest = digest_of(validation.truth.annotation_ids)
    first = next(iter(validation.boxes))  # training scores this kind repeatedly, the others once at the end
    for kind, people in validation.boxes.items():
        if first_view and kind != first:
            break
        kept = validation.kept if kind == first else None
        keypoints = predict(network, people, context, kept=kept)
        alone = len(validation.boxes) == 1
        file = results if alone or results is None else results.with_stem(f"{results.stem}_{kind}")
        view = f"{kind}_boxes"
        figures[view], ratios = _score(validation, context.options, kind, keypoints, file)
        terms[view] = Terms(people_digest, {key: ratio for key, ratio in ratios.items() if key in COMPARED})
    return Scored(figures, terms)


def _score(
    validation: Validation, options: PoseOptions, kind: Boxes, keypoints: Keypoints, file: Path | None
) -> Figures:
    if options.dataset == "mpii":
        if file is not None:
            write_predictions(file, keypoints.points)
            notes.note(f"wrote {file}")
        return _mpii_figures(validation, keypoints.points)
    people = validation.boxes[kind]
    found = results_from(people, keypoints.points, keypoints.heights, soft_nms=options.nms == "soft")
    if file is not None:
        write_text(file, json.dumps(found))
        notes.note(f"wrote {file}")
    points = keypoints.points if kind == "ground_truth" else matched(validation.truth, people, keypoints.points)
    return _coco_figures(validation, found, points)


def score_mean_pose(train: People, validation: Validation) -> Scores:
    """Return the figures of the training people's mean pose, placed into each ground-truth box: the baseline."""
    points = predict_mean_pose(validation.truth, mean_pose(train))
    if validation.truth.layout == mpii.MPII:
        return _mpii_figures(validation, points)[0]
    found = results_from(validation.truth, points, np.ones(points.shape[:2]))
    return _coco_figures(validation, found, points)[0]


def _coco_figures(validation: Validation, results: list[dict[str, Any]], points: NDArray[Any]) -> Figures:
    truth = validation.truth
    assert isinstance(validation.answers, Truth)
    sigmas = None if truth.layout == COCO else truth.layout.sigmas
    scores = score_coco(validation.answers, results, sigmas=sigmas)
    torso = torso_pck(truth, points) if truth.layout.names == lsp.JOINTS else {}
    ratios = {"mean_oks": mean_oks(truth, points), **torso, "pck": pck(truth, points)}
    return {**scores, **{key: ratio.figure for key, ratio in ratios.items()}}, ratios


def _mpii_figures(validation: Validation, points: NDArray[Any]) -> Figures:
    """Return PCKh if there is a .mat, and PCK of the square that MPII's scale spans. MPII has no spreads for OKS."""
    figures: Scores = {}
    if validation.answers is not None:
        assert isinstance(validation.answers, HeadTruth)
        # The .mat's pixels count from 1.
        figures = {name: v for name, v in pckh_figures(points + 1.0, validation.answers).items() if name != "joints"}
    ratio = pck(validation.truth, points)
    return {**figures, "pck": ratio.figure}, {"pck": ratio}


def matched(truth: People, found: People, points: NDArray[Any]) -> NDArray[Any]:
    """Return (N, K, 2): for each labelled person, the keypoints of the detection with the largest overlap, else FAR."""
    chosen = np.full((len(truth), *points.shape[1:]), FAR)
    for row, (image, box) in enumerate(zip(truth.image_ids, truth.boxes, strict=True)):
        here = np.flatnonzero(found.image_ids == image)
        overlaps = _overlaps(box, found.boxes[here])
        if len(here) and overlaps.max() > 0:
            chosen[row] = points[here[overlaps.argmax()]]
    return chosen


def _overlaps(box: NDArray[Any], boxes: NDArray[Any]) -> NDArray[Any]:
    """Return the intersection over union of one box x, y, w, h with N boxes."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[:2] + box[2:], boxes[:, :2] + boxes[:, 2:])
    common = np.clip(high - low, 0, None).prod(axis=1)
    return np.asarray(common / (box[2:].prod() + boxes[:, 2:].prod(axis=1) - common))
