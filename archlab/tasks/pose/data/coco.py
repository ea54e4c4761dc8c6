"""The reader for folders in COCO's layout: COCO, its subsets and synthetic people.

ROOT/annotations/person_keypoints_{split}.json, ROOT/{split}/*.jpg and, for detector boxes,
ROOT/person_detection_results/COCO_val2017_detections_AP_H_56_person.json. The category names the keypoints;
ROOT/annotations/keypoints.yaml may add their sigmas, pairs and upper body.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from archlab.core.errors import InputError, Problem, missing_file
from archlab.core.files import read_json
from archlab.tasks.pose.data.annotations import (
    Row,
    checked_document,
    detections,
    labelled_people,
)
from archlab.tasks.pose.data.categories import PERSON, category_of
from archlab.tasks.pose.data.crops import PIXELS, Floats, fit_boxes
from archlab.tasks.pose.data.image_files import find_images, has_folders, nested_sizes, sizes
from archlab.tasks.pose.data.keypoints_file import FILE as KEYPOINTS
from archlab.tasks.pose.data.keypoints_file import completed
from archlab.tasks.pose.keypoints import KeypointLayout

DETECTIONS = Path("person_detection_results") / "COCO_val2017_detections_AP_H_56_person.json"

Boxes = Literal["ground_truth", "detector"]


@dataclass(frozen=True, eq=False)
class People:
    """N people in images, one array per property; a detected person has no labelled joints.

    notes: what was ignored in the files, as detections in images that are not in the set.
    """

    image_files: tuple[Path, ...]
    image_index: NDArray[np.int64]
    """(N,), indices of `image_files`."""
    image_ids: NDArray[np.int64]
    annotation_ids: NDArray[np.int64]
    """(N,); -1 for a detection."""
    boxes: Floats
    """(N, 4) x, y, w, h in pixels: ground truth clipped to the image and one pixel smaller; detections unchanged."""
    centers: Floats
    """(N, 2) float32, pixels."""
    scales: Floats
    """(N, 2) float32: the box at the input's aspect ratio, padded by 1.25, in units of 200 pixels."""
    joints: Floats
    """(N, K, 2) float32, pixels."""
    visible: NDArray[np.int64]
    """(N, K): 0 not labelled, 1 labelled and hidden, 2 labelled and visible."""
    areas: Floats
    """(N,) square pixels: of the annotation's mask, or of the detected box."""
    scores: Floats
    """(N,); 1 for ground truth."""
    layout: KeypointLayout
    category: int = PERSON
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.image_index)

    @property
    def padded_areas(self) -> Floats:
        """The areas (N,) of the crops in square pixels, which OKS-NMS uses."""
        return np.asarray(np.prod(self.scales.astype(np.float64) * PIXELS, axis=1))

    def subset(self, indices: Sequence[int] | NDArray[Any]) -> People:
        """Return these people, in this order, with only their images."""
        rows = np.asarray(indices, dtype=np.int64)
        used, inverse = np.unique(self.image_index[rows], return_inverse=True)
        columns = {name: getattr(self, name)[rows] for name in _COLUMNS}
        files = tuple(self.image_files[i] for i in used)
        index = inverse.astype(np.int64)
        return People(files, index, **columns, layout=self.layout, category=self.category, notes=self.notes)


_COLUMNS = ("image_ids", "annotation_ids", "boxes", "centers", "scales", "joints", "visible", "areas", "scores")


def annotation_file(root: Path, split: str) -> Path:
    return root / "annotations" / f"person_keypoints_{split}.json"


def load_people(root: Path, split: str, *, aspect: float, boxes: Boxes = "ground_truth") -> People:
    """Return the people of one split, in the order of the file's images.

    aspect: the network input's W / H.
    boxes: ground_truth, clipped boxes of positive area, without crowds and people without labelled joints; detector,
      all detected boxes of the category.
    Raises InputError with the missing file or with all problems of a malformed file.
    """
    root = Path(root)
    path = _expect(root, annotation_file(root, split), split)
    document = checked_document(read_json(path), path)
    category, named = category_of(document, path)
    layout = completed(named, root / KEYPOINTS)
    images = {image["id"]: (row, image) for row, image in enumerate(document["images"])}
    if boxes == "ground_truth":
        rows, notes = labelled_people(document["annotations"], images, category, layout, path)
    else:
        found = _detector_file(root)
        rows, notes = detections(read_json(found), images, category, layout, found)
    rows.sort(key=lambda row: images[row.image_id][0])
    files = find_images(root / split, {row.image_id: images[row.image_id][1] for row in rows}, path)
    return _table(rows, files, layout, category, notes, aspect)


def fingerprint(root: Path) -> str:
    """Return a hex digest of annotations, keypoints.yaml, detections and image names and sizes; no pixel is read.

    Images are all files of a split's folder, and those in folders below it that its annotations name.
    """
    root = Path(root)
    annotations = sorted((root / "annotations").glob("person_keypoints_*.json"))
    if not annotations:
        raise _layout_error(root, root / "annotations" / "person_keypoints_*.json", "SPLIT")
    digest = hashlib.sha256()
    for path in [*annotations, root / KEYPOINTS, root / DETECTIONS]:
        if path.is_file():
            digest.update(f"{path.relative_to(root).as_posix()} {_file_digest(path)}\n".encode())
    for path in annotations:
        folder = root / path.stem.removeprefix("person_keypoints_")
        named = nested_sizes(folder, read_json(path)) if has_folders(folder) else ()
        for name, size in sorted([*sizes(folder), *named]):
            digest.update(f"{folder.name}/{name} {size}\n".encode())
    return digest.hexdigest()


def _table(
    rows: list[Row],
    files: dict[int, Path],
    layout: KeypointLayout,
    category: int,
    notes: tuple[str, ...],
    aspect: float,
) -> People:
    place = {image_id: i for i, image_id in enumerate(files)}
    boxes = np.array([row.box for row in rows], dtype=np.float64).reshape(-1, 4)
    points = np.array([row.keypoints for row in rows], dtype=np.float64).reshape(-1, layout.count, 3)
    centers, scales = fit_boxes(boxes, aspect)
    return People(
        image_files=tuple(files.values()),
        image_index=np.array([place[row.image_id] for row in rows], dtype=np.int64),
        image_ids=np.array([row.image_id for row in rows], dtype=np.int64),
        annotation_ids=np.array([row.annotation_id for row in rows], dtype=np.int64),
        boxes=boxes,
        centers=centers,
        scales=scales,
        joints=points[:, :, :2].astype(np.float32),
        visible=points[:, :, 2].astype(np.int64),
        areas=np.array([row.area for row in rows], dtype=np.float64),
        scores=np.array([row.score for row in rows], dtype=np.float64),
        layout=layout,
        category=category,
        notes=notes,
    )


def _expect(root: Path, path: Path, split: str) -> Path:
    if not path.is_file():
        raise _layout_error(root, path, split)
    return path


def _detector_file(root: Path) -> Path:
    path = root / DETECTIONS
    if not path.is_file():
        rule = (
            f"no detector boxes: {DETECTIONS.as_posix()} is missing; add it, or score in labelled boxes with "
            "--recipe-set boxes=ground_truth"
        )
        raise InputError(Problem(rule, "boxes", str(root)))
    return path


def _layout_error(root: Path, path: Path, split: str) -> InputError:
    if not root.is_dir():
        return missing_file(root, "data folder")
    wanted = path.relative_to(root).as_posix()
    there = ", ".join(sorted(p.name for p in root.iterdir())[:12]) or "nothing"
    layout = f"annotations/person_keypoints_{split}.json and {split}/*.jpg"
    return InputError(
        Problem(f"{wanted} is missing here (COCO's layout: {layout}); the folder holds {there}", file=str(root))
    )


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
