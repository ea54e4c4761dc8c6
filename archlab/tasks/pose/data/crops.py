"""The steps from a person in an image to the network's input: box, augmentation, affine crop."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archlab.tasks.pixels import Image, sample_generator
from archlab.tasks.pose.keypoints import KeypointLayout
from archlab.tasks.pose.options import Augmentation, Crops

Floats = NDArray[np.floating[Any]]

PADDING = 1.25
"""The size of a person's crop, as a factor of the box (released code)."""
PIXELS = 200.0
"""The unit of scales in pixels: MPII's, which all HRNet code uses."""


@dataclass(frozen=True)
class Placement:
    """How one person is cropped: mirrored first, then by centre (2,), scale (2,) and rotation.

    joints, visible: (K, 2) and (K,), in pixels of the image after mirroring.
    """

    center: Floats
    scale: Floats
    joints: Floats
    visible: NDArray[Any]
    rotation_degrees: float = 0.0
    flipped: bool = False


def fit_boxes(boxes: Floats, aspect: float, *, padding: float = PADDING) -> tuple[Floats, Floats]:
    """Return float32 centres (N, 2) and scales (N, 2) of boxes (N, 4) x, y, w, h.

    center = [x + w / 2, y + h / 2]; the short side is extended to `aspect` = W / H; scale = padding * [w, h] / 200.
    """
    x, y, w, h = np.asarray(boxes, dtype=np.float64).reshape(-1, 4).T
    wide = w > aspect * h
    sides = np.stack((np.where(wide, w, h * aspect), np.where(wide, w / aspect, h)), axis=1)
    centers = np.stack((x + w * 0.5, y + h * 0.5), axis=1).astype(np.float32)
    return centers, (sides / PIXELS).astype(np.float32) * np.float32(padding)


def shift_centers(centers: Floats, boxes: Floats, augmentation: Augmentation, seed: int) -> Floats:
    """Return centres (N, 2), a share of them moved by `shift * (U - 0.5) * [w, h]` of their box (N, 4)."""
    random = sample_generator(seed)
    chosen = random.random(len(centers)) < augmentation.shift_probability
    moves = augmentation.shift * (random.random((len(centers), 2)) - 0.5) * boxes[:, 2:]
    return (centers + np.where(chosen[:, None], moves, 0.0)).astype(np.float32)


def augment(
    place: Placement,
    augmentation: Augmentation,
    random: np.random.Generator,
    layout: KeypointLayout,
    *,
    image_width: int,
    aspect: float,
) -> Placement:
    """Draw flip, half body, scale and rotation for one person, in this order (released code)."""
    if random.random() < augmentation.flip_probability:
        place = flip(place, layout, image_width)
    labelled = int(np.count_nonzero(place.visible > 0))
    if labelled > augmentation.half_body_more_than and random.random() < augmentation.half_body_probability:
        place = half_body(place, layout, random, aspect=aspect, padding=augmentation.half_body_padding)
    s = augmentation.scale
    factor = np.clip(1.0 + s * random.standard_normal(), 1.0 - s, 1.0 + s)
    r = augmentation.rotation_degrees
    degrees = float(np.clip(r * random.standard_normal(), -2.0 * r, 2.0 * r))
    turned = random.random() < augmentation.rotation_probability
    return replace(place, scale=place.scale * np.float32(factor), rotation_degrees=degrees if turned else 0.0)


def flip(place: Placement, layout: KeypointLayout, image_width: int) -> Placement:
    """Return the person in the mirrored image: x becomes `image_width - 1 - x`; left and right joints are swapped."""
    order = list(layout.flip_order)
    joints, visible = place.joints[order].copy(), place.visible[order]
    joints[:, 0] = image_width - 1 - joints[:, 0]
    center = np.array([image_width - 1 - place.center[0], place.center[1]], dtype=np.float32)
    return replace(place, center=center, joints=joints, visible=visible, flipped=not place.flipped)


def half_body(
    place: Placement, layout: KeypointLayout, random: np.random.Generator, *, aspect: float, padding: float = 1.5
) -> Placement:
    """Return a crop of the upper or the lower body: centred on its joints' mean, sized by their box times `padding`.

    Upper if `randn() < 0.5` (probability 0.69) and it has more than two labelled joints, else lower if it has more
    than two, else upper. Unchanged if the half has fewer than two joints or all of them coincide.
    """
    upper = np.isin(np.arange(layout.count), layout.upper_body)
    above = place.joints[(place.visible > 0) & upper]
    below = place.joints[(place.visible > 0) & ~upper]
    take_upper = (random.standard_normal() < 0.5 and len(above) > 2) or len(below) <= 2
    chosen = above if take_upper else below
    if len(chosen) < 2 or not np.ptp(chosen, axis=0).any():
        return place
    low, size = chosen.min(axis=0), np.ptp(chosen, axis=0)
    _, scales = fit_boxes(np.concatenate((low, size))[None], aspect, padding=padding)
    return replace(place, center=chosen.mean(axis=0).astype(np.float32), scale=scales[0])


def affine(center: Floats, scale: Floats, rotation_degrees: float, size_wh: tuple[int, int]) -> NDArray[np.float64]:
    """Return the (2, 3) matrix from image pixels to pixels of a crop of `size_wh`.

    It maps three points, as in HRNet and Lite-HRNet: the centre, the point half a width above it, rotated about it,
    and the corner of the right angle between them. Only the width of `scale` is used. The points are rounded to
    float32; the matrix is solved and used in float64.
    """
    angle = np.pi * rotation_degrees / 180.0
    half = np.float32(scale[0]) * np.float32(PIXELS) * -0.5
    source = _corner(np.asarray(center), np.array([-half * np.sin(angle), half * np.cos(angle)]))
    target = _corner(np.array(size_wh) * 0.5, np.array([0.0, size_wh[0] * -0.5]))
    import cv2

    return np.asarray(cv2.getAffineTransform(source, target), dtype=np.float64)


def udp_affine(center: Floats, scale: Floats, rotation_degrees: float, size_wh: tuple[int, int]) -> NDArray[np.float64]:
    """Return the matrix of `affine` with sizes between first and last pixel centres (UDP, Huang et al. 2020, 3.2).

    The centre maps to (size - 1) / 2, and lengths scale by (size - 1) / (200 scale) per axis. The rotation has the
    sign of `affine`; UDP's code has the opposite sign, which makes no difference for symmetric random angles.
    """
    angle = np.pi * rotation_degrees / 180.0
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    last = np.array(size_wh, dtype=np.float64) - 1.0
    linear = (last / (np.asarray(scale, dtype=np.float64) * PIXELS))[:, None] * turn
    return np.concatenate((linear, (last / 2 - linear @ np.asarray(center, np.float64))[:, None]), axis=1)


def crop_matrix(
    center: Floats, scale: Floats, rotation_degrees: float, size_wh: tuple[int, int], form: Crops = "released"
) -> NDArray[np.float64]:
    """Return the (2, 3) matrix from image pixels to pixels of a crop of `size_wh`, in the given form."""
    return (udp_affine if form == "udp" else affine)(center, scale, rotation_degrees, size_wh)


def _corner(origin: Floats, direction: Floats) -> NDArray[np.float32]:
    points = np.zeros((3, 2), dtype=np.float32)
    points[0] = origin
    points[1] = origin + direction
    dx, dy = points[0] - points[1]
    points[2] = points[1] + np.array([-dy, dx], dtype=np.float32)
    return points


def crop(image: Image, matrix: Floats, size_wh: tuple[int, int]) -> Image:
    """Return the (H, W, 3) crop of an image by `matrix`: bilinear, black outside."""
    import cv2

    return np.asarray(cv2.warpAffine(image, np.asarray(matrix, np.float64), size_wh, flags=cv2.INTER_LINEAR), np.uint8)


def mirror(image: Image) -> Image:
    import cv2

    return np.asarray(cv2.flip(image, 1), np.uint8)


def map_joints(joints: Floats, visible: NDArray[Any], matrix: Floats) -> Floats:
    """Return joints (K, 2) in crop pixels, float32; unlabelled ones are unchanged."""
    mapped = joints @ matrix[:, :2].T + matrix[:, 2]
    return np.where((visible > 0)[:, None], mapped, joints).astype(np.float32)
