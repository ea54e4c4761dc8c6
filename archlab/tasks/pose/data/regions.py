"""The region of an image that is kept for one person: the part that any augmentation can reach."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from archlab.tasks.pixels import Image
from archlab.tasks.pose.data.crops import (
    PIXELS,
    Floats,
    Placement,
    crop,
    crop_matrix,
    flip,
    half_body,
)
from archlab.tasks.pose.keypoints import KeypointLayout
from archlab.tasks.pose.options import Augmentation, Crops

_MARGIN = 3.0
"""The margin around the reachable part, in kept pixels: for bilinear neighbours and the affine's float32 corners."""

Size = tuple[int, int]
"""Width, height"""


@dataclass(frozen=True, eq=False)
class Region:
    """A kept image and its place in the whole image.

    matrix: (2, 3), from pixels of the whole image to pixels of the kept one. size_wh: of the kept image.
    box: x0, y0, x1, y1 of the kept part, which may be shrunk; None if the kept image is the network's input, cropped
    by `matrix`.
    """

    image_width: int
    matrix: NDArray[np.float64]
    size_wh: Size
    box: tuple[int, int, int, int] | None = None

    def cut(self, image: Image) -> Image:
        """Return the kept pixels (h, w, 3) of the whole image."""
        if self.box is None:
            return crop(image, self.matrix, self.size_wh)
        x0, y0, x1, y1 = self.box
        part = image[y0:y1, x0:x1]
        if self.size_wh == (x1 - x0, y1 - y0):
            return part.copy()
        return np.asarray(cv2.resize(part, self.size_wh, interpolation=cv2.INTER_AREA), np.uint8)


def whole_crop(place: Placement, image_width: int, size_wh: Size, crops: Crops = "released") -> Region:
    """Return the crop itself as the region: exact at any size, for evaluation, where the crop never changes."""
    matrix = crop_matrix(place.center, place.scale, place.rotation_degrees, size_wh, crops)
    return Region(image_width, matrix, size_wh)


def reachable(
    place: Placement, augmentation: Augmentation, layout: KeypointLayout, image_wh: Size, size_wh: Size, *, limit: int
) -> Region:
    """Return the part of the image that any draw of `augment` can show, shrunk to at most `limit` pixels.

    A box of half sides (a, b), a = (1 + s) * 100 * scale_x and b = a H / W, rotated by up to t, extends sideways to
    a cos u + b sin u with u = min(t, atan(b / a)), and likewise upwards. The region covers whole body and both halves.
    """
    aspect = size_wh[0] / size_wh[1]
    turn = math.radians(min(2.0 * augmentation.rotation_degrees, 90.0)) if augmentation.rotation_probability else 0.0
    lows, highs = [], []
    for center, scale in _places(place, augmentation, layout, image_wh[0], aspect):
        a = float(scale[0]) * PIXELS * 0.5 * (1.0 + augmentation.scale)
        reach = np.array([_widest(a, a / aspect, turn), _widest(a / aspect, a, turn)])
        lows.append(center - reach)
        highs.append(center + reach)
    return _shrunk(np.min(lows, axis=0), np.max(highs, axis=0), image_wh, limit)


def _places(
    place: Placement, augmentation: Augmentation, layout: KeypointLayout, image_width: int, aspect: float
) -> list[tuple[Floats, Floats]]:
    """Return the centres, in the unmirrored image, and scales that flip and half body can produce."""
    found = [(place.center, place.scale)]
    labelled = int(np.count_nonzero(place.visible > 0))
    if not augmentation.half_body_probability or labelled <= augmentation.half_body_more_than:
        return found
    mirrored = flip(place, layout, image_width)
    for draw in (_Always(-1.0), _Always(1.0)):
        random, padding = cast(np.random.Generator, draw), augmentation.half_body_padding
        half = half_body(place, layout, random, aspect=aspect, padding=padding)
        found.append((half.center, half.scale))
        half = half_body(mirrored, layout, random, aspect=aspect, padding=padding)
        found.append((np.array([image_width - 1 - half.center[0], half.center[1]]), half.scale))
    return found


@dataclass(frozen=True)
class _Always:
    """A stand-in for a generator that always chooses the upper half, or the lower."""

    value: float

    def standard_normal(self) -> float:
        return self.value


def _widest(along: float, across: float, turn: float) -> float:
    angle = min(turn, math.atan2(across, along))
    return along * math.cos(angle) + across * math.sin(angle)


def _shrunk(low: Floats, high: Floats, image_wh: Size, limit: int) -> Region:
    sides = np.array(image_wh)
    area = float(np.prod(np.clip(high, 1, sides) - np.clip(low, 0, sides - 1)))
    margin = _MARGIN * max(1.0, math.sqrt(max(area, 1.0) / limit))
    x0, y0 = (int(v) for v in np.clip(np.floor(low - margin), 0, sides - 1))
    x1, y1 = (int(v) for v in np.clip(np.ceil(high + margin) + 1, (x0 + 1, y0 + 1), sides))
    factor = min(1.0, math.sqrt(limit / ((x1 - x0) * (y1 - y0))))
    size = max(1, int((x1 - x0) * factor)), max(1, int((y1 - y0) * factor))
    fx, fy = size[0] / (x1 - x0), size[1] / (y1 - y0)
    # Pixel centres: the centre of the first kept pixel is the centre of the area that it covers.
    matrix = np.array([[fx, 0.0, (0.5 - x0) * fx - 0.5], [0.0, fy, (0.5 - y0) * fy - 0.5]])
    return Region(image_wh[0], matrix, size, (x0, y0, x1, y1))
