"""Scoring the result files of any tool: COCO's keypoint figures, and MPII's PCKh."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from archlab.core.errors import InputError, Problem
from archlab.core.files import read_json
from archlab.tasks.pose.data.keypoints_file import FILE, completed
from archlab.tasks.pose.keypoints import COCO, layout_from_names
from archlab.tasks.pose.metrics.coco_ap import SIGMAS, keypoint_figures
from archlab.tasks.pose.metrics.coco_files import read_found, read_truth
from archlab.tasks.pose.metrics.pckh import pckh_figures, read_predictions
from archlab.tasks.pose.metrics.pckh import read_truth as read_mat


def score_coco(truth: Path, results: Path, *, sigmas: Sequence[float] | None = None) -> dict[str, float | None]:
    """Return AP, AP50, AP75, APM, APL, AR, AR50, AR75, ARM, ARL in 0-100 of a result file for an annotation file.

    The figures equal pycocotools' to the last digit; None if there is nothing to find. The keypoints are those of the
    annotation file's category.

    sigmas: their spreads; by default those of keypoints.yaml in the same folder, else of `layout_from_names`.
    Raises InputError with the file, the entry and the rule that it breaks.
    """
    document = _with_keypoints(read_json(truth))
    spreads = _spreads(document, truth) if sigmas is None else sigmas
    people = read_truth(document, joints=len(spreads), file=str(truth))
    if not len(people.images):
        raise InputError(Problem("`images` is empty", file=str(truth)))
    found = read_found(read_json(results), people, joints=len(spreads), file=str(results))
    return keypoint_figures(people, found, sigmas=spreads)


def score_mpii(truth: Path, predictions: Path) -> dict[str, Any]:
    """Return PCKh in 0-100 of the predictions in a .mat (`preds`, pixels from 1) for the ground truth's .mat.

    At threshold 0.5: `head`, `shoulder`, `elbow`, `wrist`, `hip`, `knee`, `ankle`, `mean_weighted`, `mean_plain` and
    `joints`, a dict by joint; also the weighted means at 0.10 and 0.11. None for joints that are visible in nobody.
    Raises InputError with the file and the rule that it breaks.
    """
    people = read_mat(truth)
    return pckh_figures(read_predictions(predictions, len(people)), people)


def _with_keypoints(document: Any) -> Any:
    """Return the document without the categories that name no keypoints, if others do, and their annotations."""
    categories = document.get("categories") if isinstance(document, dict) else None
    if not isinstance(categories, list) or not isinstance(document.get("annotations"), list):
        return document
    named = [c for c in categories if isinstance(c, dict) and c.get("keypoints")]
    if not named or len(named) == len(categories):
        return document
    ids = [c.get("id") for c in named]
    kept = [a for a in document["annotations"] if not isinstance(a, dict) or a.get("category_id", ids[0]) in ids]
    return document | {"categories": named, "annotations": kept}


def _spreads(document: Any, path: Path) -> Sequence[float]:
    """Return the spreads of the categories' keypoints; COCO's, as pycocotools computes them, if they name no others."""
    categories = document.get("categories") if isinstance(document, dict) else None
    named = [c["keypoints"] for c in categories or [] if isinstance(c, dict) and c.get("keypoints")]
    if not named:
        return tuple(SIGMAS.tolist())
    if any(names != named[0] for names in named):
        message = "categories with different keypoints cannot be scored together; keep one in the file"
        raise InputError(Problem(message, file=str(path)))
    if not isinstance(named[0], list) or not all(isinstance(name, str) for name in named[0]):
        raise InputError(Problem("`keypoints` of the category must be a list of names", file=str(path)))
    layout = completed(layout_from_names(named[0], ()), path.with_name(FILE.name))
    return tuple(SIGMAS.tolist()) if layout is COCO else layout.sigmas
