"""PCK of the torso, the metric of Leeds Sports Pose."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from archlab.tasks.pose.data.coco import People
from archlab.tasks.pose.data.crops import Floats
from archlab.tasks.terms import Ratio

THRESHOLD = 0.2
ENDS = ("right_hip", "left_shoulder")
"""The torso's ends, whose distance is its length."""


def torso_lengths(people: People) -> Floats:
    """Return (N,) pixels from the right hip to the left shoulder; NaN if one of them is not labelled, or both agree."""
    hip, shoulder = (people.layout.names.index(name) for name in ENDS)
    lengths = np.linalg.norm(people.joints[:, hip].astype(np.float64) - people.joints[:, shoulder], axis=1)
    known = (people.visible[:, [hip, shoulder]] > 0).all(axis=1) & (lengths > 0)
    return np.where(known, lengths, np.nan)


def torso_pck(people: People, keypoints: NDArray[Any], *, threshold: float = THRESHOLD) -> dict[str, Ratio]:
    """Return each person's labelled joints, and those found within `threshold` of the torso's length.

    keypoints: (N, K, 2) in image pixels. `pck_torso` is over all labelled joints of all people with a torso,
    `pck_torso_JOINT` over those of one joint. People without a torso count nothing.
    """
    lengths = torso_lengths(people)
    errors = np.linalg.norm(np.asarray(keypoints, np.float64) - people.joints, axis=2)
    counted = (people.visible > 0) & np.isfinite(lengths)[:, None]
    hits = counted & (errors <= threshold * np.nan_to_num(lengths)[:, None])
    joints = {f"pck_torso_{name}": Ratio.of(hits[:, k], counted[:, k]) for k, name in enumerate(people.layout.names)}
    return {"pck_torso": Ratio.of(hits.sum(axis=1), counted.sum(axis=1)), **joints}
