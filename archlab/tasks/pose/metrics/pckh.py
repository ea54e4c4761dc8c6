"""PCKh: the share of MPII's joints found within a part of the head size, by the ground truth's .mat file.

Pixels count from 1, as in MPII, except in `write_predictions`, whose keypoints count from 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archlab.core.errors import InputError, Problem, nearest
from archlab.core.files import replacing
from archlab.tasks.pose.data.crops import Floats
from archlab.tasks.pose.data.mat import read_mat
from archlab.tasks.pose.data.mpii import MPII

HEAD = 0.6
"""Head size as a share of its box's diagonal (HRNet's and Lite-HRNet's SC_BIAS)."""
THRESHOLD = 0.5
MAT_JOINTS = (
    "rank", "rkne", "rhip", "lhip", "lkne", "lank", "pelv", "thor", "neck", "head", "rwri", "relb", "rsho", "lsho",
    "lelb", "lwri",
)  # fmt: skip
"""The .mat's names of the joints, in the order of `MPII`."""
GROUPS = {
    "head": (9,), "shoulder": (12, 13), "elbow": (11, 14), "wrist": (10, 15), "hip": (2, 3), "knee": (1, 4),
    "ankle": (0, 5),
}  # fmt: skip
"""The columns of the published tables, each the plain mean of its left and right joint."""
_COUNTED = [k for k in range(16) if k not in (6, 7)]
"""The joints of the means: all but pelvis and thorax."""


@dataclass(frozen=True, eq=False)
class HeadTruth:
    """The labelled joints of N people, as in the .mat."""

    joints: Floats
    """(N, 16, 2), pixels from 1."""
    visible: NDArray[np.bool_]
    """(N, 16)."""
    head_sizes: Floats
    """(N,), pixels."""

    def __len__(self) -> int:
        return len(self.joints)


def pckh(points: Floats, truth: HeadTruth, *, threshold: float = THRESHOLD) -> Floats:
    """Return (16,): the share in 0-100 of visible joints with |point - joint| / head size <= threshold, or NaN.

    points: (N, 16, 2), pixels from 1, in the order of the truth's people.
    """
    errors = np.linalg.norm(np.asarray(points, np.float64) - truth.joints, axis=2) / truth.head_sizes[:, None]
    hits = ((errors <= threshold) & truth.visible).sum(axis=0)
    counts = truth.visible.sum(axis=0)
    return np.where(counts > 0, 100.0 * hits / np.maximum(counts, 1), np.nan)


def pckh_figures(points: Floats, truth: HeadTruth) -> dict[str, Any]:
    """Return PCKh@0.5 in 0-100 by column of the published tables and by joint, and its means.

    None for joints that are visible in nobody. `mean_weighted` weights 14 joints by how often each is labelled (HRNet,
    Lite-HRNet); `mean_plain` weights them equally (other papers; about half a point lower).
    `mean_weighted_threshold_0.11` is the Mean@0.1 printed by HRNet's and Lite-HRNet's code.
    """
    shares = pckh(points, truth)
    by_group = {name: _mean(shares[list(joints)]) for name, joints in GROUPS.items()}
    return by_group | {
        "mean_weighted": _weighted(shares, truth),
        "mean_plain": _mean(shares[_COUNTED]),
        "mean_weighted_threshold_0.10": _weighted(pckh(points, truth, threshold=0.10), truth),
        "mean_weighted_threshold_0.11": _weighted(pckh(points, truth, threshold=0.11), truth),
        "joints": {name: _mean(shares[[k]]) for k, name in enumerate(MPII.names)},
    }


def _weighted(shares: Floats, truth: HeadTruth) -> float | None:
    counts = truth.visible.sum(axis=0)[_COUNTED]
    total = int(counts.sum())
    return float(np.nansum(shares[_COUNTED] * (counts / total))) if total else None


def _mean(shares: Floats) -> float | None:
    defined = shares[~np.isnan(shares)]
    return float(defined.mean()) if len(defined) else None


def read_truth(path: Path) -> HeadTruth:
    """Read the ground truth of a split (HRNet's gt_valid.mat): dataset_joints, jnt_missing, pos_gt_src, headboxes_src.

    Raises InputError with every variable that is missing or has a wrong shape.
    """
    names = ("dataset_joints", "jnt_missing", "pos_gt_src", "headboxes_src")
    held = _variables(path, names)
    found = tuple(str(np.asarray(cell).flat[0]) for cell in held["dataset_joints"].flat)
    problems = (
        [] if found == MAT_JOINTS else [f"dataset_joints must be {', '.join(MAT_JOINTS)}, not {', '.join(found)}"]
    )
    people = held["pos_gt_src"].shape[-1]
    shapes = {"jnt_missing": (16, people), "pos_gt_src": (16, 2, people), "headboxes_src": (2, 2, people)}
    problems += [text for name, shape in shapes.items() if (text := _wrong(name, held[name], shape))]
    _refuse(problems, path)
    boxes = held["headboxes_src"].astype(np.float64)
    sizes = np.linalg.norm(boxes[1] - boxes[0], axis=0) * HEAD
    if not (sizes > 0).all():
        _refuse(
            [f"headboxes_src: the head boxes of people {np.flatnonzero(~(sizes > 0))[:5].tolist()} have no size"], path
        )
    joints = np.ascontiguousarray(np.transpose(held["pos_gt_src"].astype(np.float64), (2, 0, 1)))
    return HeadTruth(joints, held["jnt_missing"].T == 0, sizes)


def read_predictions(path: Path, people: int) -> Floats:
    """Return `preds` of a .mat, (N, 16, 2) in pixels from 1, as HRNet, mmpose and `write_predictions` write it.

    Raises InputError if it is missing or has a wrong shape.
    """
    points = _variables(path, ("preds",))["preds"]
    if points.ndim == 3 and points.shape[1:] == (16, 2) and len(points) != people:
        _refuse([f"preds has {len(points)} people, but the ground truth has {people}"], path)
    _refuse([text for text in [_wrong("preds", points, (people, 16, 2))] if text], path)
    return points.astype(np.float64)


def write_predictions(path: Path, keypoints: Floats) -> None:
    """Write keypoints (N, 16, 2) in pixels from 0 as `preds` in pixels from 1."""
    from scipy.io import savemat

    with replacing(path) as temporary:
        savemat(temporary, {"preds": np.asarray(keypoints) + 1.0}, do_compression=True)


def _variables(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """Return these variables of a MATLAB file (versions 5 to 7.2). Raises InputError for any other file."""
    held = read_mat(path)
    _refuse([f"no variable `{name}`{nearest(name, held)}" for name in names if name not in held], path)
    return {name: np.asarray(held[name]) for name in names}


def _wrong(name: str, array: NDArray[Any], shape: tuple[int, ...]) -> str:
    if array.shape != shape:
        return f"{name} must be {' x '.join(map(str, shape))}, not {' x '.join(map(str, array.shape))}"
    return "" if array.dtype.kind in "biuf" else f"{name} must hold numbers, not {array.dtype}"


def _refuse(problems: list[str], path: Path) -> None:
    if problems:
        raise InputError([Problem(text, file=str(path)) for text in problems])
