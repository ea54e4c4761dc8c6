"""Reading people from a folder in MPII's usual layout, with HRNet's file names or mmpose's.

ROOT/images/*.jpg, and ROOT/annot/{train,valid}.json with gt_valid.mat, or ROOT/annotations/mpii_{train,val}.json with
mpii_gt_val.mat.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any, Literal

import numpy as np

from archlab.core.errors import InputError, Problem, missing_file
from archlab.core.files import read_json
from archlab.tasks.pose.data.coco import People
from archlab.tasks.pose.data.crops import PADDING, PIXELS
from archlab.tasks.pose.keypoints import KeypointLayout

MPII = KeypointLayout(
    names=(
        "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax",
        "upper_neck", "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow",
        "left_wrist",
    ),
    # MPII is scored by PCKh and states no spreads. These are COCO's for shared joints; the pelvis has the hips',
    # thorax and neck the shoulders', and the head top the ears'.
    sigmas=(.089, .087, .107, .107, .087, .089, .107, .079, .079, .035, .062, .072, .079, .079, .072, .062),
    flip_pairs=((0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13)),
    upper_body=tuple(range(7, 16)),
    skeleton=(
        (0, 1), (1, 2), (2, 6), (6, 3), (3, 4), (4, 5), (6, 7), (7, 8), (8, 9), (10, 11), (11, 12), (12, 7), (7, 13),
        (13, 14), (14, 15),
    ),
)  # fmt: skip
RAISED = 15.0
"""The downward shift of MPII's centre, which is on the trunk, in pixels times scale (HRNet, Lite-HRNet)."""

Split = Literal["train", "valid"]
_FILES = {
    "train": ("annot/train.json", "annotations/mpii_train.json"),
    "valid": ("annot/valid.json", "annotations/mpii_val.json"),
    "truth": ("annot/gt_valid.mat", "annotations/mpii_gt_val.mat"),
}
_SHOWN = 20


def annotation_file(root: Path, split: Split) -> Path:
    """Return the split's JSON file. Raises InputError if it exists under neither name."""
    return _expect(Path(root), split)


def truth_file(root: Path) -> Path:
    """Return the .mat with the ground truth of `valid` for PCKh. Raises InputError if it exists under neither name."""
    return _expect(Path(root), "truth")


def load_people(root: Path, split: Split, *, aspect: float = 1.0) -> People:
    """Return all people of one split, in the order of the file, which is that of the .mat.

    center = (x, y + 15 scale) - 1 and scale * 1.25, unless the centre is (-1, ...); joints - 1: MPII counts pixels
    from 1. The crop's shorter side is scale * 250. A joint is labelled (2) or not (0): the JSON does not mark hidden
    ones. MPII has no boxes, areas or ids: `boxes` are squares of side scale * 200, `areas` theirs, and
    `annotation_ids` the indices in the file.

    aspect: the network input's W / H. Raises InputError with the missing file or images, or all malformed entries.
    """
    root = Path(root)
    path = annotation_file(root, split)
    entries = _checked(read_json(path), path)
    files = _image_files(root / "images", list(dict.fromkeys(entry["image"] for entry in entries)), path)
    number = {name: i for i, name in enumerate(files)}
    index = np.array([number[entry["image"]] for entry in entries], dtype=np.int64)
    centers, sides = _placed(entries)
    unpadded = np.array([entry["scale"] for entry in entries], dtype=np.float64) * PIXELS
    corners = centers - unpadded[:, None] / 2
    return People(
        image_files=tuple(files.values()),
        image_index=index,
        image_ids=index.copy(),
        annotation_ids=np.arange(len(entries)),
        boxes=np.concatenate((corners, np.repeat(unpadded[:, None], 2, axis=1)), axis=1),
        centers=centers.astype(np.float32),
        scales=(sides[:, None] * (max(aspect, 1.0), max(1.0 / aspect, 1.0))).astype(np.float32),
        joints=(np.array([entry["joints"] for entry in entries], dtype=np.float64) - 1.0).astype(np.float32),
        visible=2 * np.array([entry["joints_vis"] for entry in entries]).astype(np.int64),
        areas=unpadded**2,
        scores=np.ones(len(entries)),
        layout=MPII,
    )


def fingerprint(root: Path) -> str:
    """Return a hex digest of the existing annotation files and of the images' names and sizes; no pixel is read."""
    root = Path(root)
    found = [root / name for names in _FILES.values() for name in names if (root / name).is_file()]
    if not found:
        raise _layout_error(root, "train")
    digest = hashlib.sha256()
    for path in found:
        digest.update(f"{path.relative_to(root).as_posix()} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    folder = root / "images"
    for image in sorted(folder.iterdir()) if folder.is_dir() else []:
        digest.update(f"{image.name} {image.stat().st_size}\n".encode())
    return digest.hexdigest()


def _placed(entries: list[dict[str, Any]]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return centres (N, 2), in pixels from 0, and sides (N,), in units of 200 pixels, of people's padded squares."""
    centers = np.array([entry["center"] for entry in entries], dtype=np.float64)
    sides = np.array([entry["scale"] for entry in entries], dtype=np.float64)
    marked = centers[:, 0] != -1
    centers[:, 1] += np.where(marked, RAISED * sides, 0.0)
    return centers - 1.0, np.where(marked, sides * PADDING, sides)


def _checked(document: Any, path: Path) -> list[dict[str, Any]]:
    if not isinstance(document, list) or not document:
        message = "MPII's annotations are a list of people {image, center, scale, joints, joints_vis}, at least one"
        raise InputError(Problem(message, file=str(path)))
    problems = [f"[{at}]: {wrong}" for at, entry in enumerate(document) if (wrong := _wrong(entry))]
    if problems:
        rest = [f"and {len(problems) - _SHOWN} more of this kind"] if len(problems) > _SHOWN else []
        raise InputError([Problem(text, file=str(path)) for text in problems[:_SHOWN] + rest])
    return document


def _wrong(entry: Any) -> str:
    if not isinstance(entry, dict):
        return f"must be an object, not {entry!r}"
    missing = [key for key in ("image", "center", "scale", "joints", "joints_vis") if key not in entry]
    if missing:
        return f"lacks {', '.join(missing)}"
    if not isinstance(entry["image"], str) or not entry["image"]:
        return f"image must be a file name, not {entry['image']!r}"
    for key, shape in (("center", (2,)), ("scale", ()), ("joints", (16, 2)), ("joints_vis", (16,))):
        if not _numbers(entry[key], shape):
            return f"{key} must be {' x '.join(map(str, shape)) or 'a'} finite number{'s' * bool(shape)}"
    if entry["scale"] <= 0:
        return f"scale must be positive, not {entry['scale']!r}"
    return "" if set(entry["joints_vis"]) <= {0, 1} else f"joints_vis must be 0 or 1, not {entry['joints_vis']!r}"


def _numbers(value: Any, shape: tuple[int, ...]) -> bool:
    try:
        array = np.asarray(value)
    except ValueError:  # lists of different lengths
        return False
    return array.dtype.kind in "iuf" and array.shape == shape and bool(np.isfinite(array).all())


def _image_files(folder: Path, names: list[str], path: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError(Problem(f"the image folder is missing; {path.name} names its images", file=str(folder)))
    there = {entry.name for entry in folder.iterdir()}
    if absent := [name for name in names if name not in there]:
        more = f" and {len(absent) - 5} more" if len(absent) > 5 else ""
        message = f"{len(absent)} of {len(names)} images of {path.name} are missing: {', '.join(absent[:5])}{more}"
        raise InputError(Problem(message, file=str(folder)))
    return {name: folder / name for name in names}


def _expect(root: Path, kind: str) -> Path:
    for name in _FILES[kind]:
        if (root / name).is_file():
            return root / name
    raise _layout_error(root, kind)


def _layout_error(root: Path, kind: str) -> InputError:
    if not root.is_dir():
        return missing_file(root, "data folder")
    wanted = " or ".join(_FILES[kind])
    there = ", ".join(sorted(p.name for p in root.iterdir())[:12]) or "nothing"
    return InputError(Problem(f"{wanted} is missing here (MPII's layout); the folder holds {there}", file=str(root)))
