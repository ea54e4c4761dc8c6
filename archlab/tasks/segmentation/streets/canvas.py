"""A picture and its label, painted together from far to near."""

from __future__ import annotations

from dataclasses import dataclass
from math import exp
from typing import Any

import cv2
import numpy as np

from archlab.tasks.pose.synthetic.arrays import clipped
from archlab.tasks.segmentation.classes import CITYSCAPES

Array = np.ndarray[Any, Any]
Colour = Array  # (3,), blue, green, red in 0-255
ID = {name: values[0] for name, values in zip(CITYSCAPES.names, CITYSCAPES.values, strict=True)}
"""Label ids by class."""
_SHIFT = 3
_FAR = 1 << 13
"""Corners farther outside the picture are moved to this distance, pixels: OpenCV's coordinates are of 16 bits."""


@dataclass(frozen=True)
class Canvas:
    """image: (H, W, 3) uint8, BGR. label: (H, W) uint8, label ids. haze: the colour of the distance.

    visibility: metres at which 63 % of a colour is the haze's.
    """

    image: Array
    label: Array
    haze: Colour
    visibility: float

    def veiled(self, colour: Colour, depth: float) -> Colour:
        """Return a colour as seen from `depth` metres."""
        share = exp(-depth / self.visibility)
        return np.asarray(share * colour + (1 - share) * self.haze)

    def fill(self, outline: Array, colour: Colour, kind: str, depth: float = 0.0) -> None:
        """Fill a polygon (N, 2) with a colour, and with a class in the label; `kind` empty: only the picture."""
        if len(outline) < 3:
            return
        corners = [_corners(outline)]
        cv2.fillPoly(self.image, corners, _tuple(self.veiled(colour, depth)), cv2.LINE_8, _SHIFT)
        if kind:
            cv2.fillPoly(self.label, corners, ID[kind], cv2.LINE_8, _SHIFT)

    def stroke(self, points: Array, width: float, colour: Colour, kind: str, depth: float = 0.0) -> None:
        """Draw a polyline (N, 2), `width` pixels wide, at least one."""
        corners = [_corners(points)]
        thickness = max(1, round(width))
        cv2.polylines(self.image, corners, False, _tuple(self.veiled(colour, depth)), thickness, cv2.LINE_8, _SHIFT)
        if kind:
            cv2.polylines(self.label, corners, False, ID[kind], thickness, cv2.LINE_8, _SHIFT)

    def disc(self, centre: Array, radii: tuple[float, float], colour: Colour, kind: str, depth: float = 0.0) -> None:
        """Fill an ellipse with its axes along the picture's."""
        angles = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        self.fill(
            centre + np.stack((radii[0] * np.cos(angles), radii[1] * np.sin(angles)), axis=1), colour, kind, depth
        )

    def tile(self, quad: Array, tile: Array, kind: str, depth: float = 0.0) -> None:
        """Paint a tile (h, w, 3) into a quadrilateral (4, 2): its corners clockwise from the tile's first pixel."""
        box = self._box(quad)
        if box is None:
            return
        left, top, right, bottom = box
        h, w = tile.shape[:2]
        from_tile = np.array(((0, 0), (w, 0), (w, h), (0, h)), np.float32)
        matrix = cv2.getPerspectiveTransform(from_tile, (quad - (left, top)).astype(np.float32))
        veiled = self._veiled_tile(tile, depth)
        size = (right - left, bottom - top)
        painted = cv2.warpPerspective(veiled, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        mask = np.zeros(size[::-1], np.uint8)
        cv2.fillPoly(mask, [_corners(quad - (left, top))], 1, cv2.LINE_8, _SHIFT)
        self._put(box, painted, mask, kind)

    def sprite(self, sprite: Array, box: Array, kind: str, tint: Array, depth: float = 0.0) -> None:
        """Paint a sprite (h, w, 4), tinted by factors (3,), into a box x, y, w, h, where it is opaque."""
        x, y, w, h = box
        place = self._box(np.array(((x, y), (x + w, y + h))))
        if place is None or w < 2 or h < 2:
            return
        left, top, right, bottom = place
        matrix = np.array(((w / sprite.shape[1], 0, x - left), (0, h / sprite.shape[0], y - top)))
        grown = cv2.warpAffine(sprite, matrix, (right - left, bottom - top), flags=cv2.INTER_LINEAR)
        blue, green, red, alpha = cv2.split(grown)
        parts = zip((blue, green, red), tint.tolist(), strict=True)
        tinted = cv2.merge([cv2.convertScaleAbs(part, alpha=factor) for part, factor in parts])
        self._put(place, self._veiled_tile(tinted, depth), cv2.inRange(alpha, 128, 255), kind)

    def shade(self, outline: Array, share: float) -> None:
        """Darken the picture within a polygon (N, 2) to a share of its brightness."""
        box = self._box(outline)
        if box is None or len(outline) < 3:
            return
        left, top, right, bottom = box
        mask = np.zeros((bottom - top, right - left), np.uint8)
        cv2.fillPoly(mask, [_corners(outline - (left, top))], 1, cv2.LINE_8, _SHIFT)
        view = self.image[top:bottom, left:right]
        cv2.copyTo(cv2.convertScaleAbs(view, alpha=share), mask, view)

    def _veiled_tile(self, tile: Array, depth: float) -> Array:
        share = exp(-depth / self.visibility)
        veil: Any = _tuple((1 - share) * self.haze)  # a scalar of OpenCV's
        return np.asarray(cv2.add(cv2.convertScaleAbs(tile, alpha=share), veil))

    def _put(self, box: tuple[int, int, int, int], painted: Array, mask: Array, kind: str) -> None:
        left, top, right, bottom = box
        view = self.image[top:bottom, left:right]
        cv2.copyTo(painted, mask, view)
        if kind:
            cv2.copyTo(np.full_like(mask, ID[kind]), mask, self.label[top:bottom, left:right])

    def _box(self, points: Array) -> tuple[int, int, int, int] | None:
        """Return left, top, right and bottom of the part of the picture that the points span; None if there is none."""
        if not len(points):
            return None
        height, width = self.label.shape
        low, high = np.floor(points.min(axis=0)), np.ceil(points.max(axis=0)) + 1
        left, top = max(int(low[0]), 0), max(int(low[1]), 0)
        right, bottom = min(int(high[0]), width), min(int(high[1]), height)
        return (left, top, right, bottom) if right > left and bottom > top else None


def _corners(points: Array) -> Array:
    return np.asarray(np.rint(clipped(points, -_FAR, _FAR) * (1 << _SHIFT)), np.int32)[:, None]


def _tuple(colour: Colour) -> tuple[float, ...]:
    return (*[min(max(float(part), 0.0), 255.0) for part in colour], 0.0)
