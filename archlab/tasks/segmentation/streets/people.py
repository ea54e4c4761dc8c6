"""People of the pose generator on the pavements and the street, and riders on their cycles."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from archlab.tasks.pose.synthetic import body, person
from archlab.tasks.pose.synthetic.body import Limb, Pose
from archlab.tasks.pose.synthetic.levels import LEVELS
from archlab.tasks.pose.synthetic.paint import paint
from archlab.tasks.segmentation.streets.camera import Camera
from archlab.tasks.segmentation.streets.canvas import ID, Canvas
from archlab.tasks.segmentation.streets.vehicles import Place, draw_cycle

Array = np.ndarray[Any, Any]
WALKERS = replace(LEVELS["full"], families=(("standing", 0.35), ("walking", 0.65)), any_yaw=1.0, any_roll=0.0)
_SADDLE = 0.93


def draw_person(rng: np.random.Generator, canvas: Canvas, camera: Camera, spot: Array) -> None:
    """Paint a person who stands at a point (3,) on the ground."""
    figure = person.draw_figure(rng, WALKERS)
    scale = camera.scale(float(spot[2]))
    foot = camera.pixels(spot[None])[0]
    angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    canvas.shade(foot + np.stack((0.4 * scale * np.cos(angles), 0.07 * scale * np.sin(angles)), axis=1), 0.6)
    _paint(rng, canvas, figure, foot - np.array((0, scale * figure.bottom)), scale, float(spot[2]), "person")


def draw_rider(rng: np.random.Generator, canvas: Canvas, camera: Camera, place: Place) -> None:
    """Paint a rider on a bicycle, or with probability 1/5 on a motorcycle."""
    motor = bool(rng.random() < 0.2)
    draw_cycle(rng, canvas, camera, place, motor=motor)
    build = body.draw_build(rng)
    yaw = 180.0 - np.degrees(place.heading)
    figure = person.draw_shape(rng, build, _riding(rng, motor), person.view(yaw, pitch=4.0))
    seat = place.points(np.array((-0.2,)), np.zeros(1), np.array((0.8 if motor else _SADDLE,)))
    scale = camera.scale(float(place.at[2]))
    _paint(rng, canvas, figure, camera.pixels(seat)[0], scale, float(place.at[2]), "rider")


def _riding(rng: np.random.Generator, motor: bool) -> Pose:
    """Draw a pose on a saddle: hands forward, one pedal down."""
    arms = [Limb(rng.uniform(45, 62), 8, rng.uniform(5, 30), 20) for _ in range(2)]
    low = Limb(rng.uniform(18, 30), 4, rng.uniform(20, 40))
    high = Limb(rng.uniform(60, 80), 4, rng.uniform(80, 105))
    legs = [Limb(70, 14, 85)] * 2 if motor else [low, high] if rng.random() < 0.5 else [high, low]
    return Pose(arms[0], arms[1], legs[0], legs[1], rng.uniform(12, 35), 0.0, 0.0, rng.normal(0, 12), 0.0)


def _paint(
    rng: np.random.Generator, canvas: Canvas, figure: person.Figure, hips: Array, scale: float, depth: float, kind: str
) -> None:
    """Paint a figure into the part of the picture that it may cover; `hips`: its middle, pixels."""
    height, width = canvas.label.shape
    reach = 1.25 * figure.stature * scale
    low, high = np.floor(hips - reach).astype(int), np.ceil(hips + reach).astype(int) + 1
    left, top = np.maximum(low, 0)
    right, bottom = np.minimum(high, (width, height))
    if right - left < 2 or bottom - top < 2:
        return
    someone = person.place(rng, figure, 0, (float(hips[0] - left), float(hips[1] - top)), scale, depth)
    view = canvas.image[top:bottom, left:right]
    before = view.copy()
    owners = paint(view, sorted(someone.pieces, key=lambda piece: -piece.depth), (0.4, -0.9))
    seen = owners.people > 0
    share = float(np.exp(-depth / canvas.visibility))
    view[seen] = np.clip(share * view[seen] + (1 - share) * canvas.haze, 0, 255).astype(np.uint8)
    other = (owners.pieces > 0) & ~seen  # the seat of somebody who sits
    view[other] = before[other]
    canvas.label[top:bottom, left:right][seen] = ID[kind]
