"""Vehicles: side profiles extruded to a width, with windows, wheels and lights; bicycles and motorcycles of lines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from archlab.tasks.segmentation.streets.camera import Camera, clipped
from archlab.tasks.segmentation.streets.canvas import Canvas
from archlab.tasks.segmentation.streets.materials import near, paint

Array = np.ndarray[Any, Any]
Points = tuple[tuple[float, float], ...]  # (along, up) in metres, from the vehicle's rear to its front


@dataclass(frozen=True)
class Model:
    """A vehicle's form, metres.

    profile: its outline above the ground, from the rear's lower corner over the roof to the front's. glass: outlines of
    the windows in its sides. panes: the segments of the profile that are windows. axles: where along it wheels are.
    waist: the height above which the body narrows.
    """

    kind: str
    profile: Points
    width: float
    glass: tuple[Points, ...]
    panes: tuple[int, ...]
    axles: tuple[float, ...]
    radius: float = 0.33
    waist: float = 0.95


@dataclass(frozen=True)
class Place:
    """Where a vehicle stands: the point (3,) on the ground below its middle, and the direction of its front, radians.

    0 drives away from the camera, pi toward it.
    """

    at: Array
    heading: float

    def points(self, along: Array, across: Array, up: Array) -> Array:
        """Return world points (N, 3) of points in the vehicle's frame; across: to its right."""
        s, c = np.sin(self.heading), np.cos(self.heading)
        x = self.at[0] + along * s + across * c
        z = self.at[2] + along * c - across * s
        return np.stack((x, self.at[1] + up, z), axis=1)


def _box(kind: str, length: float, width: float, tall: float, floor: float, windows: Points) -> Model:
    """Return a bus or a tram: a box with a row of windows."""
    rear, front = -length / 2, length / 2
    low, high = windows[0][1], windows[1][1]
    step = 1.5
    panes = tuple(
        ((x, low), (x, high), (x + step * 0.86, high), (x + step * 0.86, low))
        for x in np.arange(rear + 0.4, front - step, step).tolist()
    )
    heights = (floor, low, high, tall)
    profile = (*((rear, y) for y in heights), *((front, y) for y in reversed(heights)))
    return Model(kind, profile, width, panes, (1, 5), (rear + 2.2, front - 2.4), 0.48, 99)


SALOON = Model(
    "car",
    ((-2.2, 0.32), (-2.22, 0.82), (-1.55, 0.95), (-1.0, 1.4), (0.35, 1.42), (1.05, 0.95), (2.05, 0.78), (2.15, 0.3)),
    1.76,
    (
        ((-1.4, 0.97), (-0.95, 1.34), (-0.35, 1.36), (-0.35, 0.97)),
        ((-0.28, 0.97), (-0.28, 1.36), (0.3, 1.36), (0.85, 0.97)),
    ),
    (2, 4),
    (-1.35, 1.35),
)
HATCH = Model(
    "car",
    ((-1.9, 0.32), (-1.95, 0.9), (-1.62, 1.45), (0.3, 1.5), (1.05, 1.0), (1.8, 0.82), (1.92, 0.3)),
    1.72,
    (
        ((-1.6, 0.98), (-1.42, 1.4), (-0.5, 1.43), (-0.5, 0.98)),
        ((-0.42, 0.98), (-0.42, 1.43), (0.25, 1.42), (0.85, 0.98)),
    ),
    (1, 3),
    (-1.2, 1.2),
)
ESTATE = Model(
    "car",
    ((-2.25, 0.36), (-2.3, 0.95), (-2.05, 1.6), (0.3, 1.66), (1.05, 1.08), (2.05, 0.92), (2.2, 0.34)),
    1.86,
    (
        ((-1.95, 1.08), (-1.85, 1.52), (-0.5, 1.58), (-0.5, 1.08)),
        ((-0.42, 1.08), (-0.42, 1.58), (0.25, 1.58), (0.85, 1.08)),
    ),
    (1, 3),
    (-1.4, 1.4),
    0.36,
    1.08,
)
VAN = Model(
    "car",
    ((-2.5, 0.4), (-2.52, 1.1), (-2.45, 2.0), (1.2, 2.05), (1.85, 1.2), (2.45, 1.0), (2.5, 0.4)),
    1.95,
    (((0.25, 1.2), (0.25, 1.85), (1.1, 1.85), (1.6, 1.2)),),
    (1, 3),
    (-1.5, 1.6),
    0.36,
    1.2,
)
TRUCK = Model(
    "truck",
    ((-4.0, 0.7), (-4.0, 3.4), (1.9, 3.4), (1.9, 2.75), (3.6, 2.75), (3.95, 1.5), (4.0, 0.5)),
    2.4,
    (((2.3, 1.55), (2.3, 2.5), (3.4, 2.5), (3.7, 1.55)),),
    (4,),
    (-2.6, 2.9),
    0.5,
    99,
)
BUS = _box("bus", 11.5, 2.5, 3.0, 0.35, ((0, 1.15), (0, 2.4)))
TRAM = _box("train", 22.0, 2.4, 3.3, 0.3, ((0, 1.2), (0, 2.6)))
CARS = (SALOON, HATCH, ESTATE, VAN)
_DETAILED = 38.0
"""Metres beyond which a vehicle is drawn without wheels, lamps and windows."""


def draw_vehicle(rng: np.random.Generator, canvas: Canvas, camera: Camera, model: Model, place: Place) -> None:
    """Paint a vehicle with its shadow, from its far faces to its near ones."""
    depth = float(place.at[2])
    length = model.profile[-1][0] - model.profile[0][0]
    along, across = np.array((-0.52, 0.52, 0.52, -0.52)) * length, np.array((-0.54, -0.54, 0.54, 0.54)) * model.width
    canvas.shade(camera.pixels(clipped(place.points(along, across, np.zeros(4)))), 0.42)
    colour, glass = paint(rng), near(rng, np.array((66.0, 58.0, 50.0)) * rng.uniform(0.6, 1.4))
    eye = np.array((0.0, camera.height, 0.0))
    faces: list[tuple[float, Callable[[], None]]] = []
    for side in (-1, 1):
        outline = _side(model, place, side, model.profile)
        outward = place.points(np.zeros(2), np.array((0.0, side)), np.zeros(2))
        if (outward[1] - outward[0]) @ (eye - outline.mean(axis=0)) > 0:
            faces.append(
                (float(outline[:, 2].mean()), _painted_side(canvas, camera, model, place, side, colour, glass))
            )
    for number, (a, b) in enumerate(zip(model.profile, model.profile[1:], strict=False)):
        quad = _panel(model, place, a, b)
        if _faces(quad, eye):
            pane = number in model.panes and depth < _DETAILED
            bright = 0.72 if abs(b[0] - a[0]) < 0.5 * abs(b[1] - a[1]) else 1.12
            draw = _painted(canvas, camera, quad, colour * bright, glass if pane else None, model.kind)
            faces.append((float(quad[:, 2].mean()), draw))
    for _, draw in sorted(faces, key=lambda face: -face[0]):
        draw()
    if depth < _DETAILED:
        _lamps(canvas, camera, model, place, depth)


def _faces(quad: Array, eye: Array) -> bool:
    """Return whether the outer side of a quadrilateral (4, 3) is turned to the eye: (ab x ad) . ae > 0."""
    (a, b, c), (d, e, f), (x, y, z) = (np.array((quad[1], quad[3], eye)) - quad[0]).tolist()
    return bool((b * f - c * e) * x + (c * d - a * f) * y + (a * e - b * d) * z > 0)


def _narrowed(model: Model, up: Array) -> Array:
    """Return half the width at heights: the body narrows above its waist."""
    return np.asarray(model.width / 2 * np.where(up > model.waist + 0.05, 0.84, 1.0))


def _side(model: Model, place: Place, side: int, points: Points) -> Array:
    along, up = np.array(points).T
    return place.points(along, side * _narrowed(model, up), up)


def _panel(model: Model, place: Place, a: tuple[float, float], b: tuple[float, float]) -> Array:
    """Return the quadrilateral (4, 3) between two points of the profile, its normal pointing outward."""
    along, up = np.array((a[0], a[0], b[0], b[0])), np.array((a[1], a[1], b[1], b[1]))
    return place.points(along, np.array((1, -1, -1, 1)) * _narrowed(model, up), up)


def _painted(
    canvas: Canvas, camera: Camera, quad: Array, colour: Array, glass: Array | None, kind: str
) -> Callable[[], None]:
    def draw() -> None:
        depth = float(quad[:, 2].mean())
        canvas.fill(camera.pixels(clipped(quad)), colour, kind, depth)
        if glass is not None:
            middle = quad.mean(axis=0)
            canvas.fill(camera.pixels(clipped(middle + (quad - middle) * 0.86)), glass, kind, depth)

    return draw


def _painted_side(
    canvas: Canvas, camera: Camera, model: Model, place: Place, side: int, colour: Array, glass: Array
) -> Callable[[], None]:
    def draw() -> None:
        depth = float(place.at[2])
        canvas.fill(camera.pixels(clipped(_side(model, place, side, model.profile))), colour * 0.92, model.kind, depth)
        if depth > _DETAILED:
            return
        (rear, floor), (front, _) = model.profile[0], model.profile[-1]
        sill = ((rear, floor), (rear, floor + 0.15), (front, floor + 0.15), (front, floor))
        canvas.fill(camera.pixels(clipped(_side(model, place, side, sill))), colour * 0.6, model.kind, depth)
        for window in model.glass:
            canvas.fill(camera.pixels(clipped(_side(model, place, side, window))), glass * 1.1, model.kind, depth)
        _wheels(canvas, camera, model, place, side)

    return draw


def _wheels(canvas: Canvas, camera: Camera, model: Model, place: Place, side: int) -> None:
    angles = np.linspace(0, 2 * np.pi, 18, endpoint=False)
    for axle in model.axles:
        for share, colour in ((1.0, np.array((26.0, 26.0, 26.0))), (0.58, np.array((140.0, 138.0, 136.0)))):
            along = axle + share * model.radius * np.cos(angles)
            up = model.radius + share * model.radius * np.sin(angles)
            across = np.full_like(along, side * model.width / 2)
            canvas.fill(camera.pixels(clipped(place.points(along, across, up))), colour, model.kind, float(place.at[2]))


def _lamps(canvas: Canvas, camera: Camera, model: Model, place: Place, depth: float) -> None:
    """Paint lamps, number plate and bumper on the end that faces the camera."""
    away = float(np.cos(place.heading) * place.at[2] + np.sin(place.heading) * place.at[0]) > 0
    end = model.profile[0] if away else model.profile[-1]
    along, up = end[0] * 1.005, max(end[1] + 0.3, 0.58)
    tone = np.array((36.0, 32.0, 190.0)) if away else np.array((226.0, 232.0, 234.0))
    half = model.width / 2
    for side in (-1, 1):
        across = side * half * np.array((0.95, 0.62, 0.62, 0.95))
        lamp = place.points(np.full(4, along), across, up + np.array((0.0, 0.0, 0.17, 0.17)))
        canvas.fill(camera.pixels(clipped(lamp)), tone, model.kind, depth)
    for share, low, high, grey in ((0.28, up - 0.12, up, 218.0), (1.0, end[1] - 0.08, end[1] + 0.08, 40.0)):
        across, heights = share * half * np.array((-1, 1, 1, -1)), np.array((low, low, high, high))
        part = place.points(np.full(4, along), across, heights)
        canvas.fill(camera.pixels(clipped(part)), np.full(3, grey), model.kind, depth)


def draw_cycle(rng: np.random.Generator, canvas: Canvas, camera: Camera, place: Place, *, motor: bool) -> None:
    """Paint a bicycle, or a motorcycle: two wheels, a frame and a handlebar, of lines; a motor's frame is filled."""
    depth, kind = float(place.at[2]), "motorcycle" if motor else "bicycle"
    scale, radius = camera.scale(depth), 0.31 if motor else 0.34
    colour, dark = paint(rng), np.array((34.0, 34.0, 36.0))
    canvas.shade(_flat(camera, place, 0.85, 0.22), 0.6)
    angles = np.linspace(0, 2 * np.pi, 21)
    half = 0.66 if motor else 0.53
    for axle in (-half, half):
        ring = place.points(axle + radius * np.cos(angles), np.zeros(21), radius + radius * np.sin(angles))
        canvas.stroke(camera.pixels(ring), (0.13 if motor else 0.05) * scale, dark, kind, depth)
    frame: Points = ((-half, radius), (-0.2, 0.78), (0.38, 0.82), (0.0, 0.32), (-half, radius))
    if motor:
        body: Points = ((-half - 0.1, 0.75), (-0.1, 0.8), (0.35, 0.95), (0.55, 0.7), (0.3, 0.3), (-0.35, 0.3))
        canvas.fill(_line(camera, place, body), colour, kind, depth)
        canvas.fill(_line(camera, place, body) + np.array((0, 0.1 * scale)), colour * 0.6, kind, depth)
    else:
        canvas.stroke(_line(camera, place, frame), 0.05 * scale, colour, kind, depth)
        canvas.stroke(_line(camera, place, ((0.0, 0.32), (-0.2, 0.92))), 0.05 * scale, colour, kind, depth)
        canvas.stroke(_line(camera, place, ((-0.32, 0.94), (-0.08, 0.93))), 0.09 * scale, dark, kind, depth)
    canvas.stroke(_line(camera, place, ((half, radius), (0.36, 1.0))), 0.05 * scale, colour, kind, depth)
    bar = place.points(np.full(2, 0.34), np.array((-0.3, 0.3)), np.full(2, 1.02))
    canvas.stroke(camera.pixels(bar), 0.05 * scale, dark, kind, depth)


def _line(camera: Camera, place: Place, points: Points) -> Array:
    along, up = np.array(points).T
    return camera.pixels(place.points(along, np.zeros(len(along)), up))


def _flat(camera: Camera, place: Place, along: float, across: float) -> Array:
    """Return the outline of a rectangle on the ground below a vehicle."""
    a, b = np.array((-1, 1, 1, -1)) * along, np.array((-1, -1, 1, 1)) * across
    return camera.pixels(clipped(place.points(a, b, np.zeros(4))))
