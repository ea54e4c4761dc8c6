"""One street: what stands where, painted from far to near and photographed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import cv2
import numpy as np

from archlab.tasks.pose.synthetic import photo
from archlab.tasks.pose.synthetic.levels import LEVELS
from archlab.tasks.segmentation.streets import furniture, houses, people, vehicles
from archlab.tasks.segmentation.streets.camera import NEAR, Camera
from archlab.tasks.segmentation.streets.canvas import Canvas
from archlab.tasks.segmentation.streets.ground import FAR, Plan, draw_ground, draw_plan, draw_sky
from archlab.tasks.segmentation.streets.materials import near
from archlab.tasks.segmentation.streets.vehicles import Place

Array = np.ndarray[Any, Any]
Draw = Callable[[np.random.Generator, Canvas, Camera], None]
FINER = 2
"""Pixels painted for each pixel of the picture, along each side."""
_EGO, _UNLABELLED = 1, 0
_FILM = replace(LEVELS["full"], blur_sigma=(0.35, 0.9), noise_sigma=(0.5, 5.0))


@dataclass(frozen=True)
class Thing:
    """Something to paint, at its depth in metres."""

    depth: float
    draw: Draw


def draw_street(rng: np.random.Generator, height: int) -> tuple[Array, Array]:
    """Draw a picture (H, 2 H, 3) uint8, BGR, and its label (H, 2 H) uint8, Cityscapes' label ids."""
    size = (height * FINER, 2 * height * FINER)
    plan = draw_plan(rng)
    camera, canvas = _camera(rng, size, plan), _canvas(rng, size)
    draw_sky(rng, canvas, camera)
    _draw_skyline(rng, canvas, camera)
    draw_ground(rng, canvas, camera, plan)
    sun = int(rng.choice((-1, 0, 1)))
    for layer in (_houses(rng, plan, sun), _plots(rng, camera, plan)):
        _paint(rng, canvas, camera, layer)
    _cast(rng, canvas, camera, plan, sun)
    _paint(rng, canvas, camera, _street(rng, camera, plan))
    _draw_bonnet(rng, canvas)
    small = cv2.resize(canvas.image, (2 * height, height), interpolation=cv2.INTER_AREA)
    return photo.expose(rng, _FILM, small), np.ascontiguousarray(canvas.label[FINER // 2 :: FINER, FINER // 2 :: FINER])


def _camera(rng: np.random.Generator, size: tuple[int, int], plan: Plan) -> Camera:
    height, width = size
    lane = plan.kerbs[1] - (2.2 if plan.parking[1] else 0.0) - rng.uniform(1.3, 2.0)
    return Camera(
        size,
        focal=width * rng.uniform(0.8, 1.1),
        horizon=height * rng.uniform(0.36, 0.5),
        middle=width * rng.uniform(0.45, 0.55),
        height=rng.uniform(1.15, 1.6),
        roll=rng.normal(0, 0.012),
        heading=rng.normal(0, 0.05),
        bend=rng.normal(0, 0.0012),
        lane=lane,
    )


def _canvas(rng: np.random.Generator, size: tuple[int, int]) -> Canvas:
    haze = near(rng, np.array((226.0, 220.0, 212.0)) * rng.uniform(0.8, 1.05))
    image, label = np.zeros((*size, 3), np.uint8), np.full(size, _UNLABELLED, np.uint8)
    return Canvas(image, label, haze, visibility=float(rng.uniform(120, 500)))


def _paint(rng: np.random.Generator, canvas: Canvas, camera: Camera, things: list[Thing]) -> None:
    for thing in sorted(things, key=lambda thing: -thing.depth):
        thing.draw(rng, canvas, camera)


def _draw_skyline(rng: np.random.Generator, canvas: Canvas, camera: Camera) -> None:
    """Paint far trees and houses along the horizon."""
    width = canvas.label.shape[1]
    x = 0.0
    while x < width:
        w, tall = width * rng.uniform(0.03, 0.14), canvas.label.shape[0] * rng.uniform(0.01, 0.09)
        kind, colour = ("vegetation", (52, 84, 74)) if rng.random() < 0.6 else ("building", (130, 136, 146))
        top = camera.horizon - tall * rng.uniform(0.6, 1.0, 6)
        edge = np.stack((np.linspace(x, x + w, 6), top if kind == "vegetation" else np.full(6, top[0])), axis=1)
        base = np.array(((x + w, camera.horizon + 4), (x, camera.horizon + 4)))
        canvas.fill(np.concatenate((edge, base)), near(rng, np.array(colour, float)), kind, rng.uniform(90, 200))
        x += w * rng.uniform(0.7, 1.0)


def _houses(rng: np.random.Generator, plan: Plan, sun: int) -> list[Thing]:
    things = []
    for side, front in zip((-1, 1), plan.fronts, strict=True):
        lit = rng.uniform(0.95, 1.15) if sun == -side or not sun else rng.uniform(0.55, 0.75)
        row = houses.draw_row(rng, side, front)
        things += [Thing(house.start, partial(houses.draw_house, house=house, lit=lit)) for house in row]
    return things


def _plots(rng: np.random.Generator, camera: Camera, plan: Plan) -> list[Thing]:
    """Return what stands between the pavements and the houses: barriers at the pavement's edge, bushes and trees."""
    things = []
    for side, walk, front in zip((-1, 1), plan.walks, plan.fronts, strict=True):
        garden = abs(front - walk)
        if garden < 0.5:
            continue
        z = rng.uniform(NEAR, 6)
        while z < 70:
            length = rng.uniform(5, 16)
            at = rng.random()
            kind = "fence" if at < 0.35 else "wall" if at < 0.55 else "vegetation" if at < 0.85 else ""
            if kind:
                ends = camera.spot(walk, max(z, NEAR)), camera.spot(walk, z + length)
                things.append(Thing(z, partial(furniture.draw_barrier, ends=ends, kind=kind)))
            for _ in range(rng.poisson(garden * 0.18)):
                spot = camera.spot(walk + side * rng.uniform(0.4, 1) * garden, rng.uniform(max(z, 4), z + length + 4))
                draw = furniture.draw_tree if rng.random() < 0.35 else furniture.draw_bush
                things.append(Thing(float(spot[2]) + 0.5, partial(draw, spot=spot)))
            z += length + (0 if rng.random() < 0.6 else rng.uniform(1, 4))
    return things


def _cast(rng: np.random.Generator, canvas: Canvas, camera: Camera, plan: Plan, sun: int) -> None:
    """Darken the ground on the side of the sun, where the houses' shadow falls."""
    if not sun:
        return
    edge, reach = plan.fronts[0 if sun < 0 else 1], rng.uniform(2.0, 9.0)
    left, right = sorted((edge, edge - sun * reach))
    canvas.shade(camera.strip(left, right, NEAR, FAR), rng.uniform(0.5, 0.72))


def _street(rng: np.random.Generator, camera: Camera, plan: Plan) -> list[Thing]:
    """Return what stands on the pavements and the street."""
    return [*_along_kerbs(rng, camera, plan), *_traffic(rng, camera, plan), *_walkers(rng, camera, plan)]


def _along_kerbs(rng: np.random.Generator, camera: Camera, plan: Plan) -> list[Thing]:
    """Return trees, lamp posts, signs, lights, parked cars and cycles."""
    things: list[Thing] = []
    for side, kerb, parking in zip((-1, 1), plan.kerbs, plan.parking, strict=True):
        u = kerb + side * 0.7
        trees, posts = rng.random() < 0.5, rng.uniform(18, 35)
        for z in np.arange(rng.uniform(4, 14), 90, rng.uniform(7, 14)) if trees else ():
            spot = camera.spot(u, float(z))
            things.append(Thing(float(z), partial(furniture.draw_tree, spot=spot)))
        for z in np.arange(rng.uniform(5, 20), 90, posts):
            spot = camera.spot(u, float(z))
            things.append(Thing(float(z), partial(furniture.draw_lamp_post, spot=spot, side=side)))
        signs = rng.uniform(5, 50, rng.poisson(0.9)).tolist()
        things += [Thing(z, partial(furniture.draw_sign, spot=camera.spot(u, z))) for z in signs]
        if rng.random() < 0.18:
            z = rng.uniform(8, 35)
            things.append(Thing(z, partial(furniture.draw_traffic_light, spot=camera.spot(u, z))))
        if rng.random() < 0.2:
            z = rng.uniform(5, 30)
            for n in range(int(rng.integers(1, 5))):
                heading = rng.uniform(0, np.pi)
                place = Place(camera.spot(kerb + side * 1.1, z + 0.6 * n), heading)
                motor = bool(rng.random() < 0.15)
                things.append(Thing(z + 0.6 * n, partial(vehicles.draw_cycle, place=place, motor=motor)))
        if parking:
            things += _parked(rng, camera, kerb - side * 1.1, side)
    return things


def _parked(rng: np.random.Generator, camera: Camera, u: float, side: int) -> list[Thing]:
    things = []
    z, full = rng.uniform(4, 14), rng.uniform(0.4, 0.95)
    while z < 80:
        if rng.random() < full:
            model = vehicles.CARS[rng.integers(len(vehicles.CARS))] if rng.random() < 0.97 else vehicles.TRUCK
            heading = camera.direction(z) + (0.0 if side > 0 else np.pi) + rng.normal(0, 0.03)
            place = Place(camera.spot(u, z), heading)
            things.append(Thing(z, partial(vehicles.draw_vehicle, model=model, place=place)))
            z += 0.5 if model is not vehicles.TRUCK else 4.0
        z += rng.uniform(5.0, 6.5)
    return things


def _traffic(rng: np.random.Generator, camera: Camera, plan: Plan) -> list[Thing]:
    """Return moving vehicles and riders: ahead in the camera's direction on the right, oncoming on the left."""
    things = []
    for side, kerb, parking in zip((-1, 1), plan.kerbs, plan.parking, strict=True):
        inner = kerb - side * (2.2 if parking else 0.0)
        z = rng.uniform(7, 30)
        while z < 90 and rng.random() < 0.75:
            at = rng.random()
            model = (
                vehicles.TRUCK if at < 0.05 else vehicles.BUS if at < 0.09 else vehicles.TRAM if at < 0.105
                else vehicles.CARS[rng.integers(len(vehicles.CARS))]
            )  # fmt: skip
            z += 6 if model in (vehicles.BUS, vehicles.TRUCK) else 14 if model is vehicles.TRAM else 0
            u = inner * (0.5 if plan.lanes == 1 else rng.choice((0.27, 0.75)))
            heading = camera.direction(z) + (0.0 if side > 0 else np.pi) + rng.normal(0, 0.02)
            things.append(
                Thing(z, partial(vehicles.draw_vehicle, model=model, place=Place(camera.spot(u, z), heading)))
            )
            z += rng.uniform(8, 40)
        for z in rng.uniform(5, 30, rng.poisson(0.15)):
            heading = camera.direction(z) + (0.0 if side > 0 else np.pi) + rng.normal(0, 0.15)
            place = Place(camera.spot(inner - side * rng.uniform(0.4, 1.0), float(z)), heading)
            things.append(Thing(float(z), partial(people.draw_rider, place=place)))
    return things


def _walkers(rng: np.random.Generator, camera: Camera, plan: Plan) -> list[Thing]:
    """Return people, most of them on the pavements, some in groups, a few on the street."""
    things = []
    for _ in range(min(int(rng.poisson(2.2)), 7)):
        side = int(rng.integers(2))
        kerb, walk = plan.kerbs[side], plan.walks[side]
        u = kerb + (walk - kerb) * rng.uniform(0.2, 0.95) if rng.random() < 0.88 else rng.uniform(*plan.kerbs)
        z = float(np.exp(rng.uniform(np.log(5), np.log(40))))
        for n in range(1 if rng.random() < 0.75 else 2):
            spot = camera.spot(u + 0.6 * n, z + 0.2 * n)
            things.append(Thing(z + 0.2 * n, partial(people.draw_person, spot=spot)))
    return things


def _draw_bonnet(rng: np.random.Generator, canvas: Canvas) -> None:
    """Paint, in a third of the pictures, the car's own bonnet at the lower edge; its label is ignored."""
    if rng.random() > 0.33:
        return
    height, width = canvas.label.shape
    x = np.linspace(0, width, 24)
    top = height * (1 - rng.uniform(0.03, 0.1) * np.sin(np.pi * (0.08 + 0.84 * x / width)))
    outline = np.concatenate((np.stack((x, top), axis=1), [(width, height + 2), (0, height + 2)]))
    canvas.fill(outline, near(rng, np.array((60.0, 58.0, 56.0)) * rng.uniform(0.4, 2.2)), "")
    cv2.fillPoly(canvas.label, [np.rint(outline).astype(np.int32)], _EGO)
