"""Houses along the street: facades with windows and shops, their end walls, and what fills the gaps between them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from archlab.tasks.segmentation.streets.camera import NEAR, Camera
from archlab.tasks.segmentation.streets.canvas import Canvas
from archlab.tasks.segmentation.streets.materials import PER_METRE, near, piece, plaster, rough

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class House:
    """A house. side: -1 left, 1 right. front: u of its facade. start, end: z. tall: metres. wall: its colour."""

    side: int
    front: float
    start: float
    end: float
    tall: float
    wall: Array


def draw_row(rng: np.random.Generator, side: int, front: float) -> list[House]:
    """Draw the houses of one side, from the camera to the distance, with gaps."""
    houses = []
    z, dense, storeys = NEAR + 0.1, rng.uniform(0.5, 1.0), rng.integers(2, 6)
    while z < 110:
        length = rng.uniform(7, 24)
        if rng.random() < dense:
            tall = 3.1 * max(1, int(storeys + rng.integers(-1, 2))) + rng.uniform(0.5, 2.5)
            houses.append(House(side, front + side * rng.uniform(0, 0.8), z, z + length, tall, plaster(rng)))
            z += length + (0.0 if rng.random() < 0.6 else rng.uniform(1.5, 9.0))
        else:
            z += length * rng.uniform(0.5, 1.3)
    return houses


def draw_house(rng: np.random.Generator, canvas: Canvas, camera: Camera, house: House, lit: float) -> None:
    """Paint a house: its end wall toward the camera, its roof's edge and its facade. lit: brightness of the facade."""
    near_corner, far_corner = camera.spot(house.front, house.start), camera.spot(house.front, house.end)
    if house.start > NEAR + 1:
        back = camera.spot(house.front + house.side * 14, house.start)
        _wall(
            rng,
            canvas,
            camera,
            (back, near_corner) if house.side < 0 else (near_corner, back),
            house,
            1.15 - 0.25 * lit,
        )
    ends = (near_corner, far_corner) if house.side < 0 else (far_corner, near_corner)
    length = float(np.hypot(*(far_corner - near_corner)[[0, 2]]))
    quad = camera.pixels(upright(*ends, house.tall))
    canvas.tile(quad, _facade(rng, length, house.tall, house.wall * lit), "building", (house.start + house.end) / 2)


def upright(left: Array, right: Array, tall: float) -> Array:
    """Return the corners (4, 3) of a wall, clockwise from its upper left, between two points on the ground."""
    up = np.array((0.0, tall, 0.0))
    return np.array((left + up, right + up, right, left))


def _wall(
    rng: np.random.Generator, canvas: Canvas, camera: Camera, ends: tuple[Array, Array], house: House, lit: float
) -> None:
    """Paint an end wall with a gable; it has few windows or none."""
    corners = upright(*ends, house.tall)
    tile = _rough(rng, house.wall * lit, 48, 48)
    if rng.random() < 0.4:
        _windows(rng, tile, rows=max(2, round(house.tall / 3.1)), columns=3)
    canvas.tile(camera.pixels(corners), tile, "building", house.start)
    if rng.random() < 0.5:
        ridge = (corners[0] + corners[1]) / 2 + np.array((0, rng.uniform(1.5, 3.5), 0))
        canvas.fill(camera.pixels(np.array((corners[0], ridge, corners[1]))), house.wall * lit, "building", house.start)


def _rough(rng: np.random.Generator, colour: Array, height: int, width: int) -> Array:
    """Return a tile of one colour with blotches."""
    return rough(cv2.resize(piece(rng, 64, 64), (width, height)), colour, 0.8, 1.18)


def _facade(rng: np.random.Generator, length: float, tall: float, wall: Array) -> Array:
    """Draw a facade's tile: rows of windows, a cornice, and a ground floor of doors or shops."""
    height, width = max(24, round(tall * PER_METRE)), max(24, round(length * PER_METRE))
    tile = _rough(rng, wall, height, width)
    if rng.random() < 0.3:  # bricks
        for y in range(0, height, 4):
            tile[y] = (tile[y] * 0.86).astype(np.uint8)
    storeys = max(1, round(tall / 3.1))
    shop = rng.random() < 0.45
    ground = round(3.4 * PER_METRE)
    upper = tile[: max(height - ground, 1)]
    if storeys > 1 and upper.shape[0] > 20:
        _windows(rng, upper, rows=storeys - 1, columns=max(1, round(length / rng.uniform(2.2, 3.6))))
    _ground_floor(rng, tile[max(height - ground, 0) :], shop=shop)
    cornice = near(rng, wall * rng.choice((0.65, 1.2)))
    tile[: max(2, PER_METRE // 4)] = cornice
    if shop:
        tile[height - ground - 3 : height - ground] = cornice
    return tile


def _windows(rng: np.random.Generator, tile: Array, *, rows: int, columns: int) -> None:
    """Draw a grid of windows, with frames, reflections, and some blinds or lights."""
    height, width = tile.shape[:2]
    frame, glass = near(rng, np.full(3, rng.choice((225.0, 80.0, 180.0)))), near(rng, np.array((84.0, 70.0, 58.0)))
    wide, high = rng.uniform(0.35, 0.65) * width / columns, rng.uniform(0.45, 0.68) * height / rows
    for row in range(rows):
        for column in range(columns):
            x, y = (column + 0.5) * width / columns - wide / 2, (row + 0.52) * height / rows - high / 2
            a, b = (round(x), round(y)), (round(x + wide), round(y + high))
            pane = glass * rng.uniform(0.6, 1.7) if rng.random() < 0.9 else np.array((170.0, 205.0, 225.0))
            cv2.rectangle(tile, a, b, np.clip(pane, 0, 255).tolist(), -1)
            if rng.random() < 0.35:
                cv2.rectangle(tile, a, (b[0], round(y + high * rng.uniform(0.2, 0.6))), (frame * 0.9).tolist(), -1)
            cv2.rectangle(tile, a, b, frame.tolist(), 1)
            if wide > 9:
                middle = round(x + wide / 2)
                cv2.line(tile, (middle, a[1]), (middle, b[1]), frame.tolist(), 1)
            cv2.line(tile, (a[0] - 1, b[1] + 1), (b[0] + 1, b[1] + 1), (frame * 0.8).tolist(), 1)


def _ground_floor(rng: np.random.Generator, tile: Array, *, shop: bool) -> None:
    """Draw shop windows with a sign above, or doors and windows."""
    height, width = tile.shape[:2]
    if shop:
        tile[:] = near(rng, np.array((60.0, 60.0, 62.0)) * rng.uniform(0.6, 2.2))
        sign = near(rng, rng.uniform(30, 220, 3), 4)
        cv2.rectangle(tile, (0, round(height * 0.08)), (width, round(height * 0.24)), sign.tolist(), -1)
        for x in range(3, width - 8, max(14, round(rng.uniform(2.0, 4.0) * PER_METRE))):
            end = min(x + round(2.4 * PER_METRE), width - 3)
            pane = near(rng, np.array((92.0, 84.0, 72.0)) * rng.uniform(0.6, 1.8), 14)
            cv2.rectangle(tile, (x, round(height * 0.3)), (end, round(height * 0.88)), pane.tolist(), -1)
            if rng.random() < 0.6:
                box = (round(x + (end - x) * 0.2), round(height * rng.uniform(0.5, 0.7)))
                other = (round(end - (end - x) * 0.3), round(height * 0.86))
                cv2.rectangle(tile, box, other, rng.uniform(40, 220, 3).tolist(), -1)
        return
    _windows(rng, tile[: round(height * 0.85)], rows=1, columns=max(1, width // (3 * PER_METRE)))
    for x in rng.uniform(0, 1, max(1, width // (9 * PER_METRE))):
        left = round(x * (width - 1.2 * PER_METRE))
        door = near(rng, np.array((50.0, 58.0, 72.0)) * rng.uniform(0.5, 2.0), 16)
        cv2.rectangle(tile, (left, round(height * 0.28)), (left + round(1.1 * PER_METRE), height), door.tolist(), -1)
