"""What stands along a street: trees, bushes and hedges, fences and walls, lamp posts, signs and traffic lights."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from archlab.tasks.segmentation.streets.camera import Camera, raised
from archlab.tasks.segmentation.streets.canvas import Canvas
from archlab.tasks.segmentation.streets.houses import upright
from archlab.tasks.segmentation.streets.materials import crowns, near, piece, rough

Array = np.ndarray[Any, Any]
_STEEL = np.array((118.0, 118.0, 114.0))
_BARK = np.array((48.0, 60.0, 74.0))
_SIGNS = ("circle", "triangle", "square", "board")


def draw_tree(rng: np.random.Generator, canvas: Canvas, camera: Camera, spot: Array) -> None:
    """Paint a tree: a trunk and one to three overlapping crowns; all of it is vegetation."""
    depth = float(spot[2])
    scale, tall, wide = camera.scale(depth), rng.uniform(4.5, 11), rng.uniform(3.0, 7.0)
    foot = camera.pixels(spot[None])[0]
    stem = tall * rng.uniform(0.22, 0.4)
    width, bark = rng.uniform(0.18, 0.42) * scale, near(rng, _BARK)
    trunk = np.array(((-0.6, 0), (-0.4, -stem * 1.6), (0.4, -stem * 1.6), (0.6, 0))) * (width, scale) + foot
    canvas.fill(trunk, bark, "vegetation", depth)
    tint = rng.normal(1, 0.08, 3) * rng.uniform(0.7, 1.25) * (1, 1, rng.uniform(0.8, 1.35))
    for _ in range(rng.integers(1, 4)):
        w, h = wide * scale * rng.uniform(0.75, 1.1), (tall - stem) * scale * rng.uniform(0.8, 1.1)
        x = foot[0] - w / 2 + rng.normal(0, 0.12) * wide * scale
        box = np.array((x, foot[1] - tall * scale + rng.uniform(-0.05, 0.1) * h, w, h))
        canvas.sprite(crowns()[rng.integers(20)], box, "vegetation", tint, depth)


def draw_bush(rng: np.random.Generator, canvas: Canvas, camera: Camera, spot: Array) -> None:
    depth = float(spot[2])
    scale, foot = camera.scale(depth), camera.pixels(spot[None])[0]
    w, h = rng.uniform(1.2, 3.5) * scale, rng.uniform(0.9, 2.2) * scale
    tint = rng.normal(1, 0.1, 3) * rng.uniform(0.7, 1.2)
    box = np.array((foot[0] - w / 2, foot[1] - h, w, h))
    canvas.sprite(crowns()[20 + rng.integers(10)], box, "vegetation", tint, depth)


def draw_barrier(
    rng: np.random.Generator, canvas: Canvas, camera: Camera, ends: tuple[Array, Array], kind: str
) -> None:
    """Paint a fence, a wall or a hedge (vegetation) between two points on the ground."""
    left, right = ends if ends[0][0] / ends[0][2] <= ends[1][0] / ends[1][2] else ends[::-1]
    length = float(np.hypot(*(right - left)[[0, 2]]))
    tall = {"fence": rng.uniform(0.9, 1.7), "wall": rng.uniform(0.8, 2.6), "vegetation": rng.uniform(0.8, 2.2)}[kind]
    make = {"fence": _fence, "wall": _masonry, "vegetation": _hedge}[kind]
    quad = camera.pixels(upright(left, right, tall))
    canvas.tile(quad, make(rng, max(16, round(length * 12))), kind, float((left[2] + right[2]) / 2))


def _fence(rng: np.random.Generator, width: int) -> Array:
    colour = near(rng, np.array((70.0, 84.0, 92.0)) * rng.uniform(0.4, 2.2))
    tile = np.full((24, width, 3), np.clip(colour * 0.45, 0, 255), np.uint8)
    step = int(rng.integers(3, 7))
    for x in range(0, width, step):
        tile[:, x : x + max(1, step // 2)] = np.clip(colour, 0, 255)
    tile[2:5] = tile[18:21] = np.clip(colour * 1.15, 0, 255)
    return tile


def _masonry(rng: np.random.Generator, width: int) -> Array:
    colour = near(rng, np.array((110.0, 126.0, 140.0)) * rng.uniform(0.6, 1.3))
    tile = rough(cv2.resize(piece(rng, 40, 160), (width, 28)), colour, 0.75, 1.25)
    tile[6::7] = (tile[6::7] * 0.8).astype(np.uint8)
    tile[:3] = np.clip(colour * 1.15, 0, 255)
    return tile


def _hedge(rng: np.random.Generator, width: int) -> Array:
    noise = cv2.resize(piece(rng, 80, 320), (width, 32)) * np.linspace(1, 0.5, 32, dtype=np.float32)[:, None]
    return rough(noise, near(rng, np.array((44.0, 92.0, 66.0))), 0.35, 1.7)


def draw_lamp_post(rng: np.random.Generator, canvas: Canvas, camera: Camera, spot: Array, side: int) -> None:
    """Paint a post of 5 to 9 m with an arm toward the street."""
    depth, tall, colour = float(spot[2]), rng.uniform(5, 9), near(rng, _STEEL * rng.uniform(0.5, 1.2))
    _post(canvas, camera, spot, tall, rng.uniform(0.12, 0.2), colour)
    arm = np.array((raised(spot, tall), raised(spot, tall + 0.25, -side * rng.uniform(0.8, 2.0))))
    canvas.stroke(camera.pixels(arm), 0.1 * camera.scale(depth), colour, "pole", depth)


def _post(canvas: Canvas, camera: Camera, spot: Array, tall: float, width: float, colour: Array) -> None:
    line = camera.pixels(np.array((spot, raised(spot, tall))))
    canvas.stroke(line, width * camera.scale(float(spot[2])), colour, "pole", float(spot[2]))


def draw_sign(rng: np.random.Generator, canvas: Canvas, camera: Camera, spot: Array) -> None:
    """Paint one or two traffic signs on a post."""
    depth, tall = float(spot[2]), rng.uniform(2.3, 3.0)
    scale = camera.scale(depth)
    _post(canvas, camera, spot, tall + 0.3, 0.08, near(rng, _STEEL))
    for number in range(1 if rng.random() < 0.75 else 2):
        centre = camera.pixels(raised(spot, tall - 0.75 * number)[None])[0]
        _sign(rng, canvas, centre, 0.36 * scale, str(_SIGNS[rng.integers(4)]), depth)


def _sign(rng: np.random.Generator, canvas: Canvas, centre: Array, radius: float, form: str, depth: float) -> None:
    red, blue, white = np.array((44.0, 36.0, 196.0)), np.array((166.0, 86.0, 30.0)), np.array((226.0, 228.0, 230.0))
    corners = {"circle": 18, "triangle": 3, "square": 4, "board": 4}[form]
    point = np.pi / 2 if rng.random() < 0.2 else -np.pi / 2  # a triangle gives way or warns
    turn = {"circle": 0.0, "triangle": point, "square": 0.0, "board": np.pi / 4}[form]
    angles = turn + np.linspace(0, 2 * np.pi, corners, endpoint=False)
    outline = np.stack((np.cos(angles), np.sin(angles)), axis=1) * radius * (1.15 if corners < 18 else 1.0)
    if form == "board":
        outline = outline * (1.3, 0.7)
    rim, face = (red, white) if form in ("circle", "triangle") else (white, blue)
    if form == "square":
        rim, face = white, np.array((40.0, 190.0, 226.0))
    if form == "circle" and rng.random() < 0.35:
        rim, face = blue, blue
    canvas.fill(centre + outline, rim, "traffic sign", depth)
    canvas.fill(centre + outline * 0.74, face, "traffic sign", depth)
    if radius > 5:
        mark = np.array(((-0.3, -0.12), (0.3, -0.12), (0.3, 0.12), (-0.3, 0.12))) * radius
        canvas.fill(centre + mark, white if face is blue else np.array((30.0, 30.0, 30.0)), "traffic sign", depth)


def draw_traffic_light(rng: np.random.Generator, canvas: Canvas, camera: Camera, spot: Array) -> None:
    """Paint a signal head with one lamp lit, on a post."""
    depth, tall = float(spot[2]), rng.uniform(2.6, 3.6)
    scale = camera.scale(depth)
    _post(canvas, camera, spot, tall + 0.8, 0.12, near(rng, _STEEL * 0.7))
    middle = camera.pixels(raised(spot, tall + 0.45)[None])[0]
    box = np.array(((-0.17, -0.48), (0.17, -0.48), (0.17, 0.48), (-0.17, 0.48))) * scale
    canvas.fill(middle + box, np.array((32.0, 34.0, 32.0)), "traffic light", depth)
    lit = int(rng.integers(3))
    for number, colour in enumerate(((40, 40, 230), (40, 180, 240), (120, 220, 60))):
        shown = np.array(colour, float) * (1.0 if number == lit else 0.22)
        centre = middle + np.array((0, (number - 1) * 0.31 * scale))
        canvas.disc(centre, (0.11 * scale, 0.11 * scale), shown, "traffic light", depth)
