"""Figures of predicted keypoints: pycocotools' ten, mean OKS, PCK of the box, and the mean-pose baseline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from archlab.core.files import read_json
from archlab.tasks.pose.data.coco import People
from archlab.tasks.pose.data.crops import Floats
from archlab.tasks.pose.metrics.coco_ap import FIGURES, SIGMAS, keypoint_figures
from archlab.tasks.pose.metrics.coco_files import Ints, Truth, read_found, read_truth
from archlab.tasks.pose.metrics.nms import suppress_doubles
from archlab.tasks.pose.metrics.oks import oks, oks_nms, rescore
from archlab.tasks.terms import Ratio

__all__ = [
    "FIGURES",
    "mean_oks",
    "mean_pose",
    "pck",
    "predict_mean_pose",
    "restricted",
    "results_from",
    "score_coco",
    "truth_of",
]

Result = dict[str, Any]


def results_from(
    people: People,
    keypoints: Floats,
    maxvals: Floats,
    *,
    keypoint_threshold: float = 0.2,
    nms_threshold: float = 0.9,
    soft_nms: bool = False,
) -> list[Result]:
    """Return COCO results for keypoints (N, K, 2) in image pixels and their heights (N, K).

    Instances are rescored by their heights and filtered by OKS-NMS per image. A result has no `bbox`: pycocotools then
    uses the area of the keypoints, as in the published figures (released protocol). With a `bbox`, AP(M) and AP(L)
    would differ.
    """
    scores = rescore(people.scores, maxvals, threshold=keypoint_threshold)
    triples = np.concatenate((keypoints, maxvals[:, :, None]), axis=2).astype(np.float64)
    images, areas, sigmas = people.image_index, people.padded_areas, people.layout.sigmas
    if soft_nms:
        groups = [
            rows[oks_nms(keypoints[rows], scores[rows], areas[rows], sigmas, threshold=nms_threshold, soft=True)]
            for rows in _by_image(people)
        ]
        keep = np.concatenate(groups) if groups else np.zeros(0, dtype=np.int64)
    else:
        keep = suppress_doubles(images, keypoints, scores, areas, sigmas, threshold=nms_threshold)
    return [_result(people, row, triples[row], scores[row]) for row in keep.tolist()]


def _by_image(people: People) -> list[Ints]:
    order = np.argsort(people.image_index, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(people.image_index[order])) + 1) if len(order) else []


def _result(people: People, row: int, triple: Floats, score: float) -> Result:
    return {
        "image_id": int(people.image_ids[row]),
        "category_id": people.category,
        "keypoints": triple.reshape(-1).tolist(),
        "score": float(score),
    }


def restricted(annotations: Path | dict[str, Any], people: People) -> dict[str, Any]:
    """Return the annotation document reduced to these people's annotations and images, to score part of a set."""
    document = _document(annotations)
    ids, images = set(people.annotation_ids.tolist()), set(people.image_ids.tolist())
    return document | {
        "annotations": [a for a in document["annotations"] if a["id"] in ids],
        "images": [image for image in document["images"] if image["id"] in images],
    }


def truth_of(
    annotations: Path | dict[str, Any], *, sigmas: Sequence[float] | None = None, category: int | None = None
) -> Truth:
    """Read the people of an annotation document, to score many results against them.

    sigmas: only their number is used; by default COCO's 17.
    category: ignore all others. An annotation without a category is of this one, and one without keypoints (a crowd)
      has no labelled keypoints.
    """
    joints = len(SIGMAS if sigmas is None else sigmas)
    document, file = (annotations, "") if isinstance(annotations, dict) else (_document(annotations), str(annotations))
    if category is not None:
        blank = {"category_id": category, "keypoints": [0] * (3 * joints)}
        entries = [blank | entry for entry in document["annotations"]]
        wanted = [entry for entry in entries if entry["category_id"] == category]
        document = document | {"annotations": wanted, "categories": [{"id": category}]}
    return read_truth(document, joints=joints, file=file)


def score_coco(
    annotations: Path | dict[str, Any] | Truth, results: list[Result], *, sigmas: Sequence[float] | None = None
) -> dict[str, float | None]:
    """Return AP, AP50, AP75, APM, APL, AR, AR50, AR75, ARM, ARL in 0-100, over all images of the annotations.

    The figures equal pycocotools' to the last digit; None, its -1, if there is nothing to find, as no large person.

    sigmas: of the layout, if it is not COCO's. Raises InputError if results name images that the annotations lack.
    """
    truth = annotations if isinstance(annotations, Truth) else truth_of(annotations, sigmas=sigmas)
    spreads = SIGMAS if sigmas is None else sigmas
    return keypoint_figures(truth, read_found(results, truth, joints=len(spreads)), sigmas=spreads)


def _document(annotations: Path | dict[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = annotations if isinstance(annotations, dict) else read_json(Path(annotations))
    return document


def mean_oks(people: People, keypoints: Floats) -> Ratio:
    """Return the mean over ground-truth people of the OKS of keypoints (N, K, 2), on labelled joints."""
    assert (people.visible > 0).any(axis=1).all(), "mean OKS is over people with labelled joints"
    return Ratio.of(oks(keypoints, people.joints, people.areas, people.layout.sigmas, people.visible))


def pck(people: People, keypoints: Floats, *, threshold: float = 0.1) -> Ratio:
    """Return each person's labelled joints, and those found within `threshold` times the longer side of the box.

    The box is the ground truth's, clipped and not padded.
    """
    errors = np.linalg.norm(np.asarray(keypoints, np.float64) - people.joints, axis=2)
    hits = errors <= threshold * people.boxes[:, 2:].max(axis=1, keepdims=True)
    labelled = people.visible > 0
    return Ratio.of((hits & labelled).sum(axis=1), labelled.sum(axis=1))


def mean_pose(people: People) -> Floats:
    """Return each joint's mean position in its box (K, 2), in 0-1; the centre for a joint that is never labelled."""
    inside = (people.joints - people.boxes[:, None, :2]) / people.boxes[:, None, 2:]
    labelled = (people.visible > 0)[:, :, None]
    count = labelled.sum(axis=0)
    return np.where(count > 0, np.where(labelled, inside, 0.0).sum(axis=0) / np.maximum(count, 1), 0.5)


def predict_mean_pose(people: People, pose: Floats) -> Floats:
    """Return keypoints (N, K, 2) in image pixels for the mean pose in each box: the baseline of every network."""
    return np.asarray(people.boxes[:, None, :2] + pose * people.boxes[:, None, 2:])
