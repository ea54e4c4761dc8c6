"""Simulated annotations: visibility of joints, box, area and mask, derived from the owner buffer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from pycocotools import mask as masks

from archlab.tasks.pose.keypoints import COCO
from archlab.tasks.pose.synthetic.arrays import Array, Box
from archlab.tasks.pose.synthetic.levels import Level
from archlab.tasks.pose.synthetic.paint import Owners, Piece
from archlab.tasks.pose.synthetic.person import Person

SMALL_AREA = 32.0**2  # COCO labels no joints on people below this
TINY_AREA = 120.0  # people below this are not annotated at all
# The largest distance, in metres, of a joint behind the centre of the part that shows it: a profile hides the far eye
# and shoulder.
_DEEP_IN_TRUNK = 0.13
_DEEP_IN_HEAD = 0.05
_HEAD_JOINTS = 5  # the first five: nose, eyes, ears
_TRUNK_JOINTS = frozenset((5, 6, 11, 12))
_TRUNK = frozenset(("chest", "neck", "hair", "pelvis", "skirt"))


@dataclass(frozen=True)
class Label:
    """One person's annotation. seen: the visible share of the joints."""

    keypoints: Array  # (17, 3): x, y, visibility 0/1/2
    box: Box
    area: float
    segmentation: dict[str, Any]
    seen: float


def _shown_by(name: str) -> frozenset[str]:
    """Return the names of the parts on which a joint counts as visible."""
    side, _, joint = name.partition("_")
    if name == "nose" or joint == "eye":
        return frozenset(("head", "face", "ear"))
    if joint == "ear":
        return frozenset(("head", "face", "ear", "hair"))
    trunk = {"shoulder": ("chest", "neck", "hair"), "hip": ("pelvis", "chest", "skirt"), "knee": ("skirt",)}
    limbs = {
        "shoulder": ("upper_arm",),
        "elbow": ("upper_arm", "lower_arm"),
        "wrist": ("lower_arm", "hand"),
        "hip": ("upper_leg",),
        "knee": ("upper_leg", "lower_leg"),
        "ankle": ("lower_leg", "foot"),
    }
    return frozenset((*trunk.get(joint, ()), *(f"{side}_{limb}" for limb in limbs[joint])))


_SHOWN_BY = tuple(_shown_by(name) for name in COCO.names)


def labels(
    rng: np.random.Generator, level: Level, people: Sequence[Person], pieces: Sequence[Piece], owners: Owners
) -> list[Label]:
    """Return the labels of all people that are visible at all."""
    found = []
    for index, person in enumerate(people):
        chance = rng.random((2, len(_SHOWN_BY)))
        mask = cv2.inRange(owners.people, index + 1, index + 1)
        area = cv2.countNonZero(mask)
        if area < TINY_AREA:
            continue
        box = _box(mask)
        keypoints = np.zeros((len(_SHOWN_BY), 3))
        if area >= SMALL_AREA:
            keypoints = _keypoints(chance, level, person, index, pieces, owners.pieces, box)
        found.append(Label(keypoints, box, float(area), _segmentation(mask, box), _seen(person, mask)))
    return found


def _box(mask: Array) -> Box:
    x, y, w, h = cv2.boundingRect(mask)
    return x, y, w, h


def _seen(person: Person, mask: Array) -> float:
    """Return the share of a person's joints on the visible mask."""
    columns, rows = np.rint(person.joints).astype(int).T
    inside = (columns >= 0) & (columns < mask.shape[1]) & (rows >= 0) & (rows < mask.shape[0])
    return float((mask[rows[inside], columns[inside]] > 0).sum() / len(person.joints))


def _segmentation(mask: Array, box: Box) -> dict[str, Any]:
    """Return the mask as COCO's compressed run lengths, in column order."""
    x, y, w, h = box
    columns = np.zeros(mask.shape, np.uint8, order="F")
    columns[y : y + h, x : x + w] = mask[y : y + h, x : x + w] & 1
    rle = masks.encode(columns)
    return {"size": [int(n) for n in rle["size"]], "counts": rle["counts"].decode()}


def _keypoints(
    chance: Array, level: Level, person: Person, index: int, pieces: Sequence[Piece], owner: Array, box: Box
) -> Array:
    """Return x, y, visibility of each joint; zeros if it is outside the picture or not labelled.

    chance: (2, 17), uniform in [0, 1).
    """
    height, width = owner.shape
    keypoints = np.zeros((len(_SHOWN_BY), 3))
    for k, (x, y) in enumerate(person.joints.tolist()):
        if not (0 <= x <= width - 1 and 0 <= y <= height - 1):
            continue
        at = int(owner[round(y), round(x)])
        visible = at > 0 and _shows(pieces[at - 1], person, index, k)
        if visible:
            kept = chance[0, k] >= level.unlabelled
        else:
            inside = box[0] <= x <= box[0] + box[2] and box[1] <= y <= box[1] + box[3]
            kept = inside and chance[1, k] < level.hidden_labelled * (2 if k in _TRUNK_JOINTS else 1)
        if kept:
            keypoints[k] = round(x, 2), round(y, 2), 2 if visible else 1
    return keypoints


def _shows(piece: Piece, person: Person, index: int, k: int) -> bool:
    """Return whether joint `k` counts as visible if this piece is on top."""
    if piece.person != index or piece.part not in _SHOWN_BY[k]:
        return False
    deep = _DEEP_IN_HEAD if k < _HEAD_JOINTS else _DEEP_IN_TRUNK if piece.part in _TRUNK else np.inf
    return bool(person.depths[k] - piece.depth < deep)
