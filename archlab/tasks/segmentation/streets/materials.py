"""Colours and tiles of a street's surfaces, in BGR; sheets of noise and sprites of leaves are drawn once."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from archlab.tasks.pose.synthetic.arrays import clipped

Array = np.ndarray[Any, Any]
PER_METRE = 14
"""Pixels of a facade's tile for one metre."""
_PLASTER = np.array(
    ((150, 178, 196), (168, 188, 198), (120, 140, 168), (196, 204, 208), (128, 150, 150), (100, 120, 158),
     (80, 96, 142), (176, 170, 160), (140, 160, 190), (70, 84, 110), (150, 150, 150), (186, 196, 216)), float
)  # fmt: skip
_PAINT = np.array(
    ((30, 30, 32), (62, 60, 60), (120, 122, 124), (196, 198, 200), (226, 228, 230), (40, 36, 128), (110, 58, 30),
     (80, 50, 26), (44, 84, 40), (36, 120, 190), (96, 110, 130), (40, 32, 66)), float
)  # fmt: skip


def near(rng: np.random.Generator, colour: Array, sigma: float = 6.0) -> Array:
    """Draw a colour close to another one."""
    return clipped(colour + rng.normal(0, sigma, 3), 4, 250)


def rough(noise: Array, colour: Array, low: float, high: float) -> Array:
    """Return a surface (h, w, 3) uint8 of one colour, its brightness from `low` to `high` by noise (h, w) in 0-1."""
    table = clipped(np.linspace(low, high, 256)[:, None] * colour, 0, 255).astype(np.uint8)
    index = cv2.convertScaleAbs(noise, alpha=255)
    return np.asarray(cv2.LUT(cv2.merge((index, index, index)), table[:, None]))


def plaster(rng: np.random.Generator) -> Array:
    return near(rng, _PLASTER[rng.integers(len(_PLASTER))] * rng.uniform(0.7, 1.1), 8)


def paint(rng: np.random.Generator) -> Array:
    """Draw the colour of a vehicle."""
    return near(rng, _PAINT[rng.integers(len(_PAINT))], 8)


@lru_cache(maxsize=1)
def grain() -> Array:
    """Return a sheet of noise, (1024, 1024) in 0-1, with coarse and fine parts."""
    rng = np.random.default_rng(0)
    sheet = np.zeros((1024, 1024), np.float32)
    for cells, weight in ((12, 0.3), (48, 0.25), (200, 0.25), (1024, 0.2)):
        sheet += weight * cv2.resize(
            rng.random((cells, cells), np.float32), (1024, 1024), interpolation=cv2.INTER_CUBIC
        )
    return np.asarray(np.clip(sheet, 0, 1))


def piece(rng: np.random.Generator, height: int, width: int) -> Array:
    """Return a random part of the sheet of noise, (height, width)."""
    top, left = (int(rng.integers(0, 1024 - side + 1)) for side in (height, width))
    return grain()[top : top + height, left : left + width]


@lru_cache(maxsize=1)
def crowns() -> tuple[Array, ...]:
    """Return 20 crowns of trees and 10 bushes, (96, 96, 4) uint8: leaves lit from above, ragged edges, some holes."""
    rng = np.random.default_rng(1)
    return tuple(_leaves(rng, bush=number >= 20) for number in range(30))


def _leaves(rng: np.random.Generator, *, bush: bool) -> Array:
    side = 96
    y, x = np.mgrid[:side, :side].astype(np.float32) / side
    body, light = np.full((side, side), -1.0, np.float32), np.zeros((side, side), np.float32)
    for _ in range(12 if bush else 16):
        angle, far = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.27)
        cx, cy, r = 0.5 + 1.05 * far * np.cos(angle), 0.5 + far * np.sin(angle), rng.uniform(0.1, 0.22)
        if bush:
            cx, cy = rng.uniform(0.14, 0.86), rng.uniform(0.45, 0.85)
        blob = 1 - ((x - cx) ** 2 + (y - cy) ** 2) / r**2
        higher = blob > body
        light[higher] = (0.75 - 1.5 * (y - cy) / (2 * r) - 0.5 * (y - 0.5))[higher]
        body = np.maximum(body, blob)
    ragged = cv2.resize(rng.random((34, 34), np.float32), (side, side), interpolation=cv2.INTER_CUBIC)
    fine = cv2.resize(rng.random((64, 64), np.float32), (side, side), interpolation=cv2.INTER_LINEAR)
    alpha = body + 0.9 * (ragged - 0.5) > 0.12
    bright = np.clip(0.55 + 0.4 * light, 0.25, 1.2) * (0.55 + 0.9 * fine * ragged + 0.2 * fine)
    colour = np.array((44, 108, 92), np.float32) * bright[..., None]
    return np.dstack((np.clip(colour, 0, 255), 255.0 * alpha)).astype(np.uint8)
