"""The camera of a street scene: metres (right, up, ahead) to pixels, and the line of the street."""

from __future__ import annotations

from dataclasses import dataclass
from math import cos, sin
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
NEAR = 1.6
"""Metres ahead of the camera; nothing nearer is drawn."""


@dataclass(frozen=True)
class Camera:
    """A pinhole camera above the street.

    size: (H, W) of the picture, pixels. focal, horizon, middle: pixels. height: metres above the street.
    roll: radians. heading, bend: the street's middle is heading * z + bend * z^2 - lane metres to the right, z ahead.
    lane: metres from the street's middle to the camera.
    """

    size: tuple[int, int]
    focal: float
    horizon: float
    middle: float
    height: float
    roll: float
    heading: float
    bend: float
    lane: float

    def street(self, z: Array | float) -> Array:
        """Return the x of the street's middle, metres, at z metres ahead."""
        z = np.asarray(z, float)
        return np.asarray(self.heading * z + self.bend * z * z - self.lane)

    def direction(self, z: float) -> float:
        """Return the street's angle to the camera's axis at z metres ahead, radians."""
        return float(np.arctan(self.heading + 2 * self.bend * z))

    def pixels(self, points: Array) -> Array:
        """Return (N, 2) of points (N, 3) in front of the camera."""
        per_metre = self.focal / np.maximum(points[:, 2], 1e-3)
        across, down = points[:, 0] * per_metre, (self.height - points[:, 1]) * per_metre
        c, s = cos(self.roll), sin(self.roll)
        found = np.empty((len(points), 2))
        found[:, 0] = self.middle + c * across - s * down
        found[:, 1] = self.horizon + s * across + c * down
        return found

    def scale(self, z: float) -> float:
        """Return the pixels of a metre at z metres ahead."""
        return self.focal / z

    def spot(self, u: float, z: float, y: float = 0.0) -> Array:
        """Return the point (3,) u metres to the right of the street's middle, z ahead and y up."""
        return np.array((u + float(self.street(z)), y, z))

    def strip(self, left: float, right: float, start: float, end: float, y: float = 0.0) -> Array:
        """Return the outline (N, 2) of a strip along the street, from u `left` to `right` and z `start` to `end`."""
        z = np.geomspace(max(start, NEAR), max(end, NEAR + 0.1), 14)
        middle = self.street(z)
        sides = [np.stack((middle + u, np.full_like(z, y), z), axis=1) for u in (left, right)]
        return self.pixels(np.concatenate((sides[0], sides[1][::-1])))


def raised(spot: Array, tall: float, across: float = 0.0) -> Array:
    """Return the point (3,) `tall` metres above another one, and `across` to its right."""
    return np.array((spot[0] + across, spot[1] + tall, spot[2]))


def clipped(points: Array) -> Array:
    """Return a polygon (M, 3) without what is nearer than NEAR; empty if all of it is."""
    if (points[:, 2] >= NEAR).all():
        return points
    kept: list[Array] = []
    for here, after in zip(points, np.roll(points, -1, axis=0), strict=True):
        if here[2] >= NEAR:
            kept.append(here)
        if (here[2] >= NEAR) != (after[2] >= NEAR):
            share = (NEAR - here[2]) / (after[2] - here[2])
            kept.append(here + share * (after - here))
    return np.array(kept).reshape(-1, 3)
