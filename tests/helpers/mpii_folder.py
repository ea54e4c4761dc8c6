"""Lays people in COCO's layout out in MPII's, since MPII's own pictures may not be passed on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import savemat

from archlab.tasks.pose.data.coco import People
from archlab.tasks.pose.data.mpii import MPII
from archlab.tasks.pose.keypoints import COCO
from archlab.tasks.pose.metrics.pckh import MAT_JOINTS


def joints_of(people: People) -> tuple[np.ndarray, np.ndarray]:
    """MPII's joints (N, 16, 2) in pixels from 0 and whether they are labelled (N, 16).

    Those that COCO lacks: pelvis and thorax are the middles of hips and shoulders, the neck lies a quarter of the way
    from the thorax to the nose, the head's top as far beyond the nose as the neck before it.
    """
    points, labelled = people.joints.astype(np.float64), people.visible > 0
    made = {name: (points[:, k], labelled[:, k]) for k, name in enumerate(COCO.names)}
    for name, part in (("pelvis", "hip"), ("thorax", "shoulder")):
        (a, seen_a), (b, seen_b) = made[f"left_{part}"], made[f"right_{part}"]
        made[name] = ((a + b) / 2, seen_a & seen_b)
    (thorax, seen_thorax), (nose, seen_nose) = made["thorax"], made["nose"]
    both = seen_thorax & seen_nose
    made["upper_neck"] = (thorax + 0.25 * (nose - thorax), both)
    made["head_top"] = (thorax + 1.75 * (nose - thorax), both)
    chosen = [made[name] for name in MPII.names]
    return np.stack([p for p, _ in chosen], axis=1), np.stack([seen for _, seen in chosen], axis=1)


def write_split(root: Path, split: str, people: People) -> Path:
    """Write images, JSON and, for `valid`, the .mat under HRNet's names; all pixels count from 1 there."""
    (root / "annot").mkdir(parents=True, exist_ok=True)
    (root / "images").mkdir(exist_ok=True)
    for image in people.image_files:
        (root / "images" / image.name).write_bytes(image.read_bytes())
    points, labelled = joints_of(people)
    scales = people.boxes[:, 3] / 200
    centers = people.boxes[:, :2] + people.boxes[:, 2:] / 2
    entries = [
        entry(
            people.image_files[people.image_index[i]].name,
            (centers[i] - (0, 15 * scales[i]) + 1).tolist(),
            float(scales[i]),
            np.where(labelled[i, :, None], points[i] + 1, -1.0).tolist(),
            labelled[i].astype(int).tolist(),
        )
        for i in range(len(people))
    ]
    (root / "annot" / f"{split}.json").write_text(json.dumps(entries))
    if split == "valid":
        write_truth(root / "annot" / "gt_valid.mat", points, labelled, people.boxes[:, 3] / 8)
    return root


def entry(
    image: str, center: list[float], scale: float, joints: list[list[float]], visible: list[int]
) -> dict[str, Any]:
    return {"image": image, "center": center, "scale": scale, "joints": joints, "joints_vis": visible}


def write_truth(path: Path, points: np.ndarray, labelled: np.ndarray, heads: np.ndarray) -> None:
    """The .mat of joints in pixels from 0 and square heads of these sides (N,)."""
    boxes = np.zeros((2, 2, len(points)))
    boxes[1] = heads
    content = {
        "dataset_joints": np.array([MAT_JOINTS], dtype=object),
        "jnt_missing": (~labelled).T.astype(np.uint8),
        "pos_gt_src": np.where(labelled[:, :, None], points + 1, 0.0).transpose(1, 2, 0),
        "headboxes_src": boxes,
    }
    savemat(path, content, do_compression=True)
