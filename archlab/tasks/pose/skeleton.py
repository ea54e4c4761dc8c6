"""Skeletons drawn on a picture."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from archlab.tasks.pixels import Image
from archlab.tasks.pose.keypoints import KeypointLayout

COLOURS = {"left": "#ff9f1c", "right": "#2ec4ff", "middle": "#f5f5f5"}
"""By the person's own left and right; distinct with any colour vision, on dark and on light pictures."""
SURE = 0.2
"""The peak height above which a keypoint is drawn, or full, and counts in an instance's score."""
_RGB = {side: tuple(bytes.fromhex(colour[1:])) for side, colour in COLOURS.items()}
_SHADE = (20, 20, 20)
_BITS = 4
"""Coordinates are drawn at a sixteenth of a pixel."""


def draw_skeleton(
    image: Image, points: NDArray[np.floating], confidences: NDArray[np.floating], layout: KeypointLayout
) -> None:
    """Draw one person's bones and joints on an RGB picture, in place; the more confident, the more opaque.

    points: (K, 2), pixels. confidences: (K,), peak heights; a joint below SURE and its bones are left out.
    """
    sure = np.flatnonzero(confidences > SURE)
    if not len(sure):
        return
    width = _line_width(points[sure])
    tones = [_RGB[side_of(name)] for name in layout.names]
    bones = [(a, b) for a, b in layout.skeleton if confidences[a] > SURE and confidences[b] > SURE]
    for shade in (True, False):
        for a, b in bones:
            tone = tones[a] if tones[a] == tones[b] else _RGB["middle"]
            _line(image, points[a], points[b], _SHADE if shade else tone, width + 2 if shade else width)
    for k in sure:
        opacity = 0.45 + 0.55 * float(min(confidences[k], 1.0))
        _dot(image, points[k], width + 1.5, _SHADE)
        _dot(image, points[k], width + 0.5, tuple(round(opacity * part) for part in tones[k]))


def side_of(name: str) -> str:
    """Return `left`, `right` or `middle`, by a keypoint's name."""
    return next((side for side in ("left", "right") if name.startswith(side)), "middle")


def _line_width(points: NDArray[np.floating]) -> int:
    """Return the width of a person's bones, pixels: a hundredth of the person's longer side."""
    extent = float(np.ptp(points, axis=0).max()) if len(points) > 1 else 0.0
    return max(1, min(8, round(extent / 90)))


def _fixed(point: NDArray[np.floating]) -> tuple[int, int]:
    """Return a point in sixteenths of a pixel, within what OpenCV can draw."""
    x, y = np.clip(np.round(np.asarray(point, np.float64) * 2**_BITS), -(2**24), 2**24).astype(int)
    return int(x), int(y)


def _line(image: Image, a: NDArray[np.floating], b: NDArray[np.floating], colour: tuple[int, ...], width: int) -> None:
    cv2.line(image, _fixed(a), _fixed(b), colour, width, cv2.LINE_AA, _BITS)


def _dot(image: Image, at: NDArray[np.floating], radius: float, colour: tuple[int, ...]) -> None:
    cv2.circle(image, _fixed(at), round(radius * 2**_BITS), colour, cv2.FILLED, cv2.LINE_AA, _BITS)
