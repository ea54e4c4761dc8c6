"""Sky, street, pavements and what lies behind them: the parts that everything else stands on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from archlab.tasks.segmentation.streets.camera import Camera
from archlab.tasks.segmentation.streets.canvas import ID, Canvas
from archlab.tasks.segmentation.streets.materials import near, piece

Array = np.ndarray[Any, Any]
FAR = 140.0
"""Metres ahead at which the street ends."""


@dataclass(frozen=True)
class Plan:
    """The widths of a street, metres from its middle.

    kerbs: left (negative) and right edge of the street. walks: outer edge of the pavements. fronts: of the plots, where
    houses begin; between pavement and house lies a front garden, if the two differ.
    lanes: in each direction. parking: whether cars stand along the left and the right kerb.
    """

    kerbs: tuple[float, float]
    walks: tuple[float, float]
    fronts: tuple[float, float]
    lanes: int
    parking: tuple[bool, bool]


def draw_plan(rng: np.random.Generator) -> Plan:
    lanes = 1 if rng.random() < 0.7 else 2
    parking = (bool(rng.random() < 0.6), bool(rng.random() < 0.6))
    half = lanes * rng.uniform(3.0, 3.6)
    kerbs = (-half - 2.2 * parking[0], half + 2.2 * parking[1])
    walks, fronts = [], []
    for sign, kerb in zip((-1, 1), kerbs, strict=True):
        walks.append(kerb + sign * rng.uniform(1.6, 4.5))
        garden = rng.uniform(2.0, 7.0) if rng.random() < 0.45 else 0.0
        fronts.append(walks[-1] + sign * garden)
    return Plan(kerbs, (walks[0], walks[1]), (fronts[0], fronts[1]), lanes, parking)


def draw_sky(rng: np.random.Generator, canvas: Canvas, camera: Camera) -> None:
    """Fill the whole picture with a sky, from a deep or grey zenith to the haze at the horizon, with clouds."""
    height, width = (side // 4 for side in canvas.label.shape)
    blue = np.array((206, 162, 118)) if rng.random() < 0.6 else np.array((196, 188, 180))
    zenith = near(rng, blue * rng.uniform(0.8, 1.15))
    rise = np.clip(4 * np.arange(height) / max(camera.horizon, 1.0), 0, 1)[:, None] ** 1.3
    sky = (zenith + rise * (canvas.haze - zenith))[:, None].astype(np.float32)
    cover = cv2.resize(piece(rng, 60, 100), (width, height), interpolation=cv2.INTER_LINEAR)
    clouds = np.clip((cover - rng.uniform(0.4, 0.75)) * 4, 0, 0.85) * (rng.random() < 0.7)
    white = near(rng, np.array((238.0, 236.0, 234.0)))
    sky = sky + clouds[..., None] * (white - sky)
    canvas.image[:] = cv2.resize(np.clip(sky, 0, 255).astype(np.uint8), canvas.label.shape[::-1])
    canvas.label[:] = ID["sky"]


def draw_ground(rng: np.random.Generator, canvas: Canvas, camera: Camera, plan: Plan) -> None:
    """Paint the ground from the horizon down: plots, pavements with kerbs, street, markings, and a texture over all."""
    for kind, left, right in _bands(rng, plan):
        colour = _colour(rng, kind)
        canvas.fill(camera.strip(left, right, 0, FAR), colour, kind, 8)
    _pavers(rng, canvas, camera, plan)
    canvas.fill(camera.strip(*plan.kerbs, 0, FAR), near(rng, _ASPHALT * rng.uniform(0.75, 1.3)), "road", 8)
    for sign, kerb in zip((-1, 1), plan.kerbs, strict=True):
        stone = sorted((kerb, kerb + sign * 0.22))
        canvas.fill(camera.strip(stone[0], stone[1], 0, FAR), near(rng, np.array((150.0, 154.0, 156.0))), "sidewalk", 6)
    _stains(rng, canvas, camera, plan)
    _markings(rng, canvas, camera, plan)
    _roughen(rng, canvas, camera)


_ASPHALT = np.array((92.0, 90.0, 88.0))
_COLOURS = {"sidewalk": np.array((136.0, 140.0, 142.0)), "terrain": np.array((62.0, 112.0, 96.0))}


def _colour(rng: np.random.Generator, kind: str) -> Array:
    return near(rng, _COLOURS[kind] * rng.uniform(0.8, 1.15))


def _bands(rng: np.random.Generator, plan: Plan) -> list[tuple[str, float, float]]:
    """Return the strips at either side, from the outermost inward: (class, left, right)."""
    bands = []
    for sign, kerb, walk, front in zip((-1, 1), plan.kerbs, plan.walks, plan.fronts, strict=True):
        garden = "terrain" if rng.random() < 0.8 else "sidewalk"
        verge = rng.random() < 0.2
        for kind, a, b in ((garden, walk, front + sign * 60), ("sidewalk", kerb, walk)):
            bands.append((kind, min(a, b), max(a, b)))
        if verge:
            edge = kerb + sign * rng.uniform(0.8, 1.4)
            bands.append(("terrain", min(kerb, edge), max(kerb, edge)))
    return bands


def _pavers(rng: np.random.Generator, canvas: Canvas, camera: Camera, plan: Plan) -> None:
    """Draw the joints of slabs on the near pavement, by darkened lines across it."""
    if rng.random() < 0.5:
        return
    gap = rng.uniform(0.6, 1.5)
    for sign, kerb, walk in zip((-1, 1), plan.kerbs, plan.walks, strict=True):
        for z in np.arange(3, 22, gap):
            ends = np.array([camera.spot(u, z) for u in (kerb + sign * 0.22, walk)])
            line = camera.pixels(ends)
            width = max(1.0, 0.03 * camera.scale(z) * 0.3)
            outline = np.concatenate((line, line[::-1] + np.array((0, width))))
            canvas.shade(outline, 0.88)


def _stains(rng: np.random.Generator, canvas: Canvas, camera: Camera, plan: Plan) -> None:
    """Darken or lighten patches of the street: repairs, manholes, and worn wheel tracks."""
    for _ in range(rng.poisson(3)):
        z, u = rng.uniform(4, 40), rng.uniform(*plan.kerbs)
        w, length = rng.uniform(0.6, 3), rng.uniform(0.8, 8)
        canvas.shade(
            camera.strip(max(u, plan.kerbs[0]), min(u + w, plan.kerbs[1]), z, z + length), rng.uniform(0.8, 1.12)
        )
    for _ in range(rng.poisson(1.2)):
        z, u = rng.uniform(5, 25), rng.uniform(*plan.kerbs)
        scale = camera.scale(z)
        centre = camera.pixels(camera.spot(u, z)[None])[0]
        radius = 0.33 * scale
        angles = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        ring = centre + np.stack((radius * np.cos(angles), radius * camera.height / z * np.sin(angles)), axis=1)
        canvas.shade(ring, 0.7)


def _markings(rng: np.random.Generator, canvas: Canvas, camera: Camera, plan: Plan) -> None:
    """Paint lane lines, perhaps edge lines and a crossing; they are part of the street."""
    white = near(rng, np.array((205.0, 206.0, 206.0)) * rng.uniform(0.75, 1.05))
    width, marked = 0.12, rng.random() < 0.85
    lines = [0.0] if marked else []
    if plan.lanes == 2:
        lines += [plan.kerbs[0] / 2, plan.kerbs[1] / 2]
    dash, gap = (3.0, 6.0) if rng.random() < 0.7 else (40.0, 0.0)
    for u in lines:
        for z in np.arange(rng.uniform(0, 6), 80, dash + gap):
            canvas.fill(camera.strip(u - width / 2, u + width / 2, z, z + dash), white, "road", float(z))
    for sign, kerb, parking in zip((-1, 1), plan.kerbs, plan.parking, strict=True):
        if rng.random() < 0.4:
            u = kerb - sign * (2.1 if parking else 0.35)
            canvas.fill(camera.strip(u - width / 2, u + width / 2, 0, 90), white, "road", 12)
    if rng.random() < 0.2:
        start = rng.uniform(6, 30)
        for u in np.arange(plan.kerbs[0] + 0.3, plan.kerbs[1] - 0.5, 1.0):
            canvas.fill(camera.strip(u, u + 0.5, start, start + 3), white, "road", start)


def _roughen(rng: np.random.Generator, canvas: Canvas, camera: Camera) -> None:
    """Multiply the ground by noise in perspective."""
    height, width = canvas.label.shape
    corners = np.array(((-20.0, 0, 60), (20, 0, 60), (20, 0, 3), (-20, 0, 3)))
    quad = camera.pixels(corners).astype(np.float32)
    tile = piece(rng, 900, 600)
    from_tile = np.array(((0, 0), (600, 0), (600, 900), (0, 900)), np.float32)
    matrix = cv2.getPerspectiveTransform(from_tile, quad)
    noise = cv2.warpPerspective(tile, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    top = int(np.clip(camera.horizon, 0, height - 1))
    strength = rng.uniform(0.15, 0.45)
    factor = cv2.convertScaleAbs(noise[top:], alpha=128 * strength, beta=128 * (1 - strength / 2))
    canvas.image[top:] = cv2.multiply(canvas.image[top:], cv2.merge((factor, factor, factor)), scale=1 / 128)
