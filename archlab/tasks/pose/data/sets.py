"""The choice of the reader for a data folder: COCO's, also for other data in its layout, or MPII's."""

from __future__ import annotations

from pathlib import Path

from archlab.core.errors import InputError, Problem
from archlab.core.files import read_json
from archlab.tasks.output_names import different_names
from archlab.tasks.pose.data import coco, lsp, mpii
from archlab.tasks.pose.data.annotations import checked_document
from archlab.tasks.pose.data.categories import category_of
from archlab.tasks.pose.data.coco import Boxes, People, annotation_file
from archlab.tasks.pose.keypoints import COCO
from archlab.tasks.pose.options import Dataset


def training_people(root: Path, dataset: Dataset, *, aspect: float) -> People:
    """Return the training people: COCO's train2017, MPII's train.

    Raises InputError if data is missing or wrong, or if the validation data names its keypoints differently.
    """
    if dataset == "mpii":
        return mpii.load_people(root, "train", aspect=aspect)
    people = coco.load_people(root, "train2017", aspect=aspect)
    names, scored = people.layout.names, keypoint_names(dataset, root)
    if scored is not None and (rule := different_names(names, scored, "train2017", "val2017", what="keypoints")):
        raise InputError(Problem(rule, "keypoints", str(annotation_file(root, "train2017"))))
    return people


def validation_people(root: Path, dataset: Dataset, *, aspect: float, boxes: Boxes = "ground_truth") -> People:
    """Return the validation people: COCO's val2017 in either kind of boxes, MPII's valid.

    Raises InputError if data is missing or wrong.
    """
    if dataset == "mpii":
        assert boxes == "ground_truth", "MPII has no detector boxes"
        return mpii.load_people(root, "valid", aspect=aspect)
    return coco.load_people(root, "val2017", aspect=aspect, boxes=boxes)


def fingerprint(root: Path, dataset: Dataset = "coco") -> str:
    """Return a hex digest of a data set's annotations and of its images' names and sizes; no pixel is read."""
    return mpii.fingerprint(root) if dataset == "mpii" else coco.fingerprint(root)


def kind(root: Path, dataset: Dataset = "coco") -> str:
    """Return `synthetic LEVEL` for generated data, else the data set's name: `coco` for any data in COCO's layout."""
    request = root / "synthetic.json"
    if not request.is_file():
        return dataset
    found = read_json(request)
    if not isinstance(found, dict) or not isinstance(found.get("level"), str):
        raise InputError(Problem("not the request of a synthetic data set: it lacks a level", file=str(request)))
    return f"synthetic {found['level']}"


_NAMES = {"coco": COCO.names, "mpii": mpii.MPII.names, "lsp": lsp.JOINTS}


def labelled_keypoints(dataset: Dataset, data: Path | None) -> int | None:
    """Return the number of keypoints that the validation data labels; without a folder, that of the data set.

    None if the annotation file is missing: the error is raised when the data is read.
    """
    names = _NAMES[dataset] if data is None else keypoint_names(dataset, data)
    return None if names is None else len(names)


def keypoint_names(dataset: Dataset, root: Path) -> tuple[str, ...] | None:
    """Return the names of the keypoints that the validation data labels, or None if the annotation file is missing."""
    if dataset == "mpii":
        return mpii.MPII.names
    path = annotation_file(root, "val2017")
    return category_of(checked_document(read_json(path), path), path)[1].names if path.is_file() else None
