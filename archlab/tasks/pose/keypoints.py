"""The keypoints that a data set labels: names, spreads, left-right pairs and bones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class KeypointLayout:
    """K keypoints; all indices count from 0.

    sigmas: the spreads of OKS, as a share of the square root of the area. flip_pairs: left and right keypoints.
    upper_body: one of the two halves of the half-body augmentation. skeleton: the bones to draw.
    """

    names: tuple[str, ...]
    sigmas: tuple[float, ...]
    flip_pairs: tuple[tuple[int, int], ...]
    upper_body: tuple[int, ...]
    skeleton: tuple[tuple[int, int], ...]

    @property
    def count(self) -> int:
        return len(self.names)

    @property
    def flip_order(self) -> tuple[int, ...]:
        """The permutation of mirroring: keypoint k of the mirrored person is keypoint `flip_order[k]`."""
        partner = dict(self.flip_pairs) | {b: a for a, b in self.flip_pairs}
        return tuple(partner.get(k, k) for k in range(self.count))


COCO = KeypointLayout(
    names=(
        "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
        "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
        "right_ankle",
    ),
    sigmas=(.026, .025, .025, .035, .035, .079, .079, .072, .072, .062, .062, .107, .107, .087, .087, .089, .089),
    flip_pairs=((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)),
    upper_body=tuple(range(11)),
    skeleton=(
        (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10),
        (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
    ),
)  # fmt: skip

_LOWER_WORDS = ("hip", "pelvis", "knee", "ankle", "foot", "heel", "toe")


def layout_from_names(names: Sequence[str], skeleton: Sequence[tuple[int, int]]) -> KeypointLayout:
    """Return the layout of an annotation file's keypoints; COCO if the names are COCO's.

    Pairs follow from the names `left_x` and `right_x`. A name of COCO has COCO's spread, any other name COCO's mean
    spread: annotation files state no spreads, so such an OKS only compares networks on the same file.
    """
    names = tuple(names)
    if names == COCO.names:
        return COCO
    known = dict(zip(COCO.names, COCO.sigmas, strict=True))
    mean = sum(COCO.sigmas) / COCO.count
    at = {name: k for k, name in enumerate(names)}
    pairs = tuple((k, at[m]) for name, k in at.items() if (m := name.replace("left", "right", 1)) != name and m in at)
    return KeypointLayout(
        names=names,
        sigmas=tuple(known.get(name, mean) for name in names),
        flip_pairs=pairs,
        upper_body=tuple(k for k, name in enumerate(names) if not any(word in name for word in _LOWER_WORDS)),
        skeleton=tuple(skeleton),
    )
