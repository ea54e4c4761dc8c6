"""Leeds Sports Pose in COCO's layout: LSP (2,000 people) and its extended training set (10,000 people).

Each image shows one annotated person with 14 joints, `joints.mat` their places. Johnson and Everingham, "Clustered
Pose and Nonlinear Appearance Models", BMVC 2010; "Learning Effective Human Pose Estimation from Inaccurate
Annotation", CVPR 2011.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archlab.core.errors import InputError, Problem
from archlab.core.files import write_json, write_text
from archlab.core.progress import progress
from archlab.tasks.images import read_image
from archlab.tasks.pose.data.mat import read_mat
from archlab.tasks.pose.keypoints import COCO
from archlab.yamlio import dump

JOINTS = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist", "right_elbow",
    "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head_top",
)  # fmt: skip
"""In the order of joints.mat; left and right are the person's own."""
SKELETON = (
    ("right_ankle", "right_knee"), ("right_knee", "right_hip"), ("left_ankle", "left_knee"), ("left_knee", "left_hip"),
    ("right_hip", "left_hip"), ("right_hip", "right_shoulder"), ("left_hip", "left_shoulder"),
    ("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist"), ("left_shoulder", "left_elbow"),
    ("left_elbow", "left_wrist"), ("right_shoulder", "neck"), ("left_shoulder", "neck"), ("neck", "head_top"),
)  # fmt: skip
UPPER_BODY = ("right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck",
              "head_top")  # fmt: skip
SIGMA_OF_THE_HEAD = 0.079
"""OKS spread of neck and head top, which COCO does not have: CrowdPose's, which took COCO's shoulder for both."""
MARGIN = 0.1
"""The box is the joints' extent, widened on each side by this share of its longer side: joints lie inside the body."""
FILLED = 0.53
"""The area for OKS as a share of the box, in place of a mask: the usual stand-in where a data set has no masks."""


@dataclass(frozen=True)
class Edition:
    """One release of the data.

    validation: the share of its images, the last ones, that are scored.
    held_back: the share at the very end that is in neither split.
    occlusion: whether the third number of a joint says that it is hidden (LSP, in which every joint is annotated) or
    that it is annotated (the extended set).
    """

    name: str
    validation: float
    occlusion: bool
    pattern: str
    held_back: float = 0.0


EDITIONS = {
    "lsp": Edition("Leeds Sports Pose", validation=0.5, occlusion=True, pattern="im{:04d}.jpg"),
    "lspet": Edition("Leeds Sports Pose, extended", validation=0.1, occlusion=False, pattern="im{:05d}.jpg"),
    "lspet_selection": Edition(
        "Leeds Sports Pose, extended", validation=0.1, occlusion=False, pattern="im{:05d}.jpg", held_back=0.1
    ),
}


def write_lsp(source: Path, out: Path) -> None:
    """Write LSP in COCO's layout: the first 1,000 people for training, the last 1,000 for validation."""
    write_edition(EDITIONS["lsp"], source, out)


def write_lspet(source: Path, out: Path) -> None:
    """Write the extended set in COCO's layout: the first nine tenths for training, the last tenth for validation."""
    write_edition(EDITIONS["lspet"], source, out)


def write_lspet_selection(source: Path, out: Path) -> None:
    """Write the extended set's training people alone: eight ninths of them for training, the rest for validation.

    A search that selects by this validation part never sees the people by whom its networks are judged afterwards.
    """
    write_edition(EDITIONS["lspet_selection"], source, out)


def write_edition(edition: Edition, source: Path, out: Path) -> None:
    """Copy images, and write annotations and keypoints.yaml.

    Raises InputError for a joints.mat that is missing or of another shape, and with every image that is missing or
    damaged.
    """
    joints = read_joints(source / "joints.mat")
    last = len(joints) - round(edition.held_back * len(joints))
    first = last - round(edition.validation * len(joints))
    with progress("converting", last) as advance:
        for split, rows in (("train2017", range(first)), ("val2017", range(first, last))):
            document = _document(edition, joints, rows, source / "images", out / split, advance)
            path = out / "annotations" / f"person_keypoints_{split}.json"
            write_json(path, document)
    write_text(out / "annotations" / "keypoints.yaml", dump(_keypoints()))


def read_joints(path: Path) -> NDArray[np.float64]:
    """Return (N, 14, 3): x and y in pixels of the image and the joint's flag, from either layout of joints.mat.

    Raises InputError if the file is missing, is not MATLAB's, or holds no joints of shape (14, 3, N) or (3, 14, N).
    """
    found = read_mat(path, "joints file").get("joints")
    shape = None if found is None else found.shape
    if found is None or len(found.shape) != 3 or {14, 3} != set(found.shape[:2]):
        raise InputError(Problem(f"`joints` must be 14 x 3 x N or 3 x 14 x N, found {shape}", "joints", str(path)))
    order = (2, 0, 1) if found.shape[0] == 14 else (2, 1, 0)
    values = np.asarray(found, np.float64).transpose(order)
    if not np.isfinite(values).all():
        person, joint, _ = np.argwhere(~np.isfinite(values))[0]
        rule = f"joint {joint + 1} of person {person + 1} has no finite place"
        raise InputError(Problem(rule, "joints", str(path)))
    return values


def _document(
    edition: Edition, joints: NDArray[np.float64], rows: range, images: Path, folder: Path, advance: Any
) -> dict[str, Any]:
    """Return a split's annotations, its images copied to `folder`. An image without an annotated joint is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    entries, people = list[dict[str, Any]](), list[dict[str, Any]]()
    problems: list[Problem] = []
    for row in rows:
        name = edition.pattern.format(row + 1)
        labelled = np.ones(14, bool) if edition.occlusion else joints[row, :, 2] > 0
        try:
            height, width = read_image(images / name).shape[:2]
        except InputError as error:
            problems += error.problems
            continue
        finally:
            advance()
        if labelled.any():
            shutil.copyfile(images / name, folder / name)
            entries.append({"id": row + 1, "file_name": name, "height": height, "width": width})
            people.append(_person(edition, joints[row], labelled, row + 1, (width, height)))
    if problems:
        raise InputError(problems)
    category = {"id": 1, "name": "person", "keypoints": list(JOINTS), "skeleton": _bones()}
    return {"images": entries, "annotations": people, "categories": [category]}


def _person(
    edition: Edition, joints: NDArray[np.float64], labelled: NDArray[Any], number: int, size_wh: tuple[int, int]
) -> dict[str, Any]:
    """Return the annotation of one person. Places count as the file has them."""
    hidden = joints[:, 2] > 0 if edition.occlusion else np.zeros(14, bool)
    flags = np.where(labelled, np.where(hidden, 1, 2), 0)
    triples = np.where(labelled[:, None], np.column_stack([joints[:, :2], flags]), 0.0)
    x, y, width, height = box_of(joints[labelled, :2], size_wh)
    return {
        "id": number, "image_id": number, "category_id": 1, "iscrowd": 0, "num_keypoints": int(labelled.sum()),
        "bbox": [x, y, width, height], "area": FILLED * width * height, "keypoints": triples.ravel().tolist(),
    }  # fmt: skip


def box_of(points: NDArray[np.float64], size_wh: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return x, y, w, h around joints (K, 2) with the margin, clipped to the image; no side is under a pixel."""
    low, high = points.min(axis=0), points.max(axis=0)
    margin = MARGIN * float((high - low).max())
    limit = np.asarray(size_wh, np.float64)
    low = np.clip(low - margin, 0, limit - 2)
    high = np.clip(high + margin, low + 1, limit)
    x, y = (float(value) for value in low)
    width, height = (float(value) for value in high - low)
    return x, y, width, height


def _keypoints() -> Mapping[str, Any]:
    """Return the contents of keypoints.yaml: sigmas, mirror pairs, upper body and bones."""
    known = dict(zip(COCO.names, COCO.sigmas, strict=True))
    pairs = [(name, name.replace("left", "right")) for name in JOINTS if name.startswith("left")]
    return {
        "sigmas": {name: known.get(name, SIGMA_OF_THE_HEAD) for name in JOINTS},
        "flip_pairs": [list(pair) for pair in pairs],
        "upper_body": list(UPPER_BODY),
        "skeleton": [list(bone) for bone in SKELETON],
    }


def _bones() -> list[list[int]]:
    """Return the bones by the numbers of their joints, from 1, as COCO's categories do."""
    return [[JOINTS.index(a) + 1, JOINTS.index(b) + 1] for a, b in SKELETON]
