"""Scoring the result files of any tool: COCO's keypoint figures, and PCKh of MPII."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from archlab.core.errors import InputError, Problem
from archlab.tasks.pose.data.annotations import read_json
from archlab.tasks.pose.data.keypoints_file import FILE, completed
from archlab.tasks.pose.keypoints import COCO, layout_from_names
from archlab.tasks.pose.metrics.coco_ap import SIGMAS, keypoint_figures
from archlab.tasks.pose.metrics.coco_files import read_found, read_truth
from archlab.tasks.pose.metrics.pckh import pckh_figures, read_predictions
from archlab.tasks.pose.metrics.pckh import read_truth as read_mat


def score_coco(truth: Path, results: Path, *, sigmas: Sequence[float] | None = None) -> dict[str, float | None]:
    """AP, AP50, AP75, APM, APL, AR, AR50, AR75, ARM, ARL in 0-100, of a result file for an annotation file.

    pycocotools' figures to the last digit; None where there is nothing to find. Keypoints that are not COCO's are
    taken from the annotation file's category; without `sigmas` their spreads are those of the keypoints.yaml beside it,
    else of `layout_from_names`.
    InputError says which file is wrong, at which entry and why.
    """
    document = read_json(truth)
    spreads = _spreads(document, truth) if sigmas is None else sigmas
    people = read_truth(document, joints=len(spreads), file=str(truth))
    if not len(people.images):
        raise InputError(Problem("`images` is empty", file=str(truth)))
    found = read_found(read_json(results), people, joints=len(spreads), file=str(results))
    return keypoint_figures(people, found, sigmas=spreads)


def score_mpii(truth: Path, predictions: Path) -> dict[str, Any]:
    """PCKh in 0-100 of the predictions in a .mat (`preds`, counting pixels from 1) by the ground truth's .mat.

    At threshold 0.5: `head`, `shoulder`, `elbow`, `wrist`, `hip`, `knee`, `ankle`, `mean_weighted`, `mean_plain` and,
    by joint, `joints`; then the weighted means at 0.10 and at 0.11. None for what nobody in the ground truth shows.
    InputError says which file is wrong and why.
    """
    people = read_mat(truth)
    return pckh_figures(read_predictions(predictions, len(people)), people)


def _spreads(document: Any, path: Path) -> Sequence[float]:
    """Of the keypoints that the categories name; COCO's, in pycocotools' own digits, if they name COCO's or none."""
    categories = document.get("categories") if isinstance(document, dict) else None
    named = [c["keypoints"] for c in categories or [] if isinstance(c, dict) and c.get("keypoints")]
    if not named:
        return tuple(SIGMAS.tolist())
    if any(names != named[0] for names in named):
        message = "categories with different keypoints cannot be scored together; leave one in the file"
        raise InputError(Problem(message, file=str(path)))
    if not isinstance(named[0], list) or not all(isinstance(name, str) for name in named[0]):
        raise InputError(Problem("`keypoints` of the category must be a list of names", file=str(path)))
    layout = completed(layout_from_names(named[0], ()), path.with_name(FILE.name))
    return tuple(SIGMAS.tolist()) if layout is COCO else layout.sigmas
