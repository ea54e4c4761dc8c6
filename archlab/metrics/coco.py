"""Scores of predicted keypoints: pycocotools' ten figures, mean OKS, PCK of the box, and the mean-pose baseline."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from archlab.data.annotations import read_json
from archlab.data.coco import People
from archlab.data.crops import Floats
from archlab.errors import InputError, Problem
from archlab.metrics.oks import oks, oks_nms, rescore

FIGURES = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")

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
    """COCO results for keypoints (N, K, 2) in image pixels and their heights (N, K): rescored, then OKS-NMS by image.

    A result carries no `bbox`: pycocotools then takes its area from its keypoints, as the published figures do;
    with one, AP(M) and AP(L) differ (as in the released protocol).
    """
    scores = rescore(people.scores, maxvals, threshold=keypoint_threshold)
    triples = np.concatenate((keypoints, maxvals[:, :, None]), axis=2).astype(np.float64)
    areas = people.padded_areas
    results: list[Result] = []
    for rows in _by_image(people):
        keep = oks_nms(
            keypoints[rows], scores[rows], areas[rows], people.layout.sigmas, threshold=nms_threshold, soft=soft_nms
        )
        results += [_result(people, row, triples[row], scores[row]) for row in rows[keep]]
    return results


def _by_image(people: People) -> list[np.ndarray[Any, Any]]:
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
    """The annotation document with only these people's annotations and images, to score a part of a set."""
    document = _document(annotations)
    ids, images = set(people.annotation_ids.tolist()), set(people.image_ids.tolist())
    return document | {
        "annotations": [a for a in document["annotations"] if a["id"] in ids],
        "images": [image for image in document["images"] if image["id"] in images],
    }


def score_coco(
    annotations: Path | dict[str, Any], results: list[Result], *, sigmas: Sequence[float] | None = None
) -> dict[str, float | None]:
    """AP, AP50, AP75, APM, APL, AR, AR50, AR75, ARM, ARL of pycocotools in 0-100, over all images of the annotations.

    None where pycocotools says -1: there is nothing to find (no large person, say). `sigmas` are the layout's where it
    is not COCO's. InputError if results name images that the annotations lack.
    """
    from pycocotools.cocoeval import COCOeval

    document = _document(annotations)
    _check_results(document, results, annotations)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = _indexed(document | {"annotations": [_completed(a) for a in document["annotations"]]})
        # Copies, because pycocotools writes ids, areas and boxes into the results; and it cannot load an empty list.
        found = truth.loadRes([dict(r) for r in results]) if results else _indexed(document | {"annotations": []})
        evaluation = COCOeval(truth, found, "keypoints")
        if sigmas is not None:
            evaluation.params.kpt_oks_sigmas = np.asarray(sigmas, dtype=np.float64)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    values = [float(value) for value in evaluation.stats]
    return {name: None if value < 0 else 100.0 * value for name, value in zip(FIGURES, values, strict=True)}


def _document(annotations: Path | dict[str, Any]) -> dict[str, Any]:
    return annotations if isinstance(annotations, dict) else read_json(Path(annotations))


def _indexed(document: dict[str, Any]) -> Any:
    from pycocotools.coco import COCO

    coco = COCO()
    coco.dataset = document
    coco.createIndex()
    return coco


def _completed(annotation: dict[str, Any]) -> dict[str, Any]:
    """A copy with the fields that pycocotools reads and files of others leave out; it also writes into its input."""
    defaults: dict[str, Any] = {"iscrowd": 0, "num_keypoints": sum(v > 0 for v in annotation["keypoints"][2::3])}
    return defaults | annotation


def _check_results(document: dict[str, Any], results: list[Result], annotations: Path | dict[str, Any]) -> None:
    known = {image["id"] for image in document["images"]}
    unknown = sorted({result["image_id"] for result in results} - known)
    if unknown:
        file = "" if isinstance(annotations, dict) else str(annotations)
        message = f"the results name {len(unknown)} images that the annotations lack: {unknown[:5]}"
        raise InputError(Problem(message, file=file))


def mean_oks(people: People, keypoints: Floats) -> float:
    """Mean over ground-truth people of the OKS of keypoints (N, K, 2) on their labelled joints, 0-100."""
    assert (people.visible > 0).any(axis=1).all(), "mean OKS is over people with labelled joints"
    return 100.0 * float(oks(keypoints, people.joints, people.areas, people.layout.sigmas, people.visible).mean())


def pck(people: People, keypoints: Floats, *, threshold: float = 0.1) -> float:
    """Share of all labelled joints found within `threshold` of the longer side of their person's box, 0-100.

    The box is the ground truth's (clipped, not padded).
    """
    errors = np.linalg.norm(np.asarray(keypoints, np.float64) - people.joints, axis=2)
    hits = errors <= threshold * people.boxes[:, 2:].max(axis=1, keepdims=True)
    return 100.0 * float(hits[people.visible > 0].mean())


def mean_pose(people: People) -> Floats:
    """(K, 2): where each joint lies on the average in its box (0-1); the middle for a joint that is never labelled."""
    inside = (people.joints - people.boxes[:, None, :2]) / people.boxes[:, None, 2:]
    labelled = (people.visible > 0)[:, :, None]
    count = labelled.sum(axis=0)
    return np.where(count > 0, np.where(labelled, inside, 0.0).sum(axis=0) / np.maximum(count, 1), 0.5)


def predict_mean_pose(people: People, pose: Floats) -> Floats:
    """Keypoints (N, K, 2) in image pixels of a network that has only learnt the mean pose: what any must beat."""
    return np.asarray(people.boxes[:, None, :2] + pose * people.boxes[:, None, 2:])
