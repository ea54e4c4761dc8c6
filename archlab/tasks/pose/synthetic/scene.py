"""One picture: background, clutter and people, painted by depth, labelled and photographed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from archlab.tasks.pose.synthetic import clutter, person, photo
from archlab.tasks.pose.synthetic.arrays import Image
from archlab.tasks.pose.synthetic.labels import Label, labels
from archlab.tasks.pose.synthetic.levels import Level
from archlab.tasks.pose.synthetic.paint import paint

MOST_PEOPLE = 12
FOCAL = 560.0  # pixels; converts a scale in pixels per metre into a distance


@dataclass(frozen=True)
class Scene:
    image: Image
    labels: tuple[Label, ...]
    quality: int  # of the JPEG


def draw_scene(rng: np.random.Generator, level: Level) -> Scene:
    people = _people(rng, level)
    image = clutter.background(rng, level)
    pieces = [piece for someone in people for piece in someone.pieces]
    cloths = clutter.draw_cloths(rng, [someone.tiles for someone in people])
    pieces += clutter.things(rng, level, people, cloths)
    pieces.sort(key=lambda piece: -piece.depth)
    angle = rng.uniform(-np.pi, 0)
    owners = paint(image, pieces, (float(np.cos(angle)), float(np.sin(angle))))
    found = labels(rng, level, people, pieces, owners)
    quality = int(rng.integers(level.jpeg_quality[0], level.jpeg_quality[1] + 1))
    return Scene(photo.expose(rng, level, image), tuple(found), quality)


def _people(rng: np.random.Generator, level: Level) -> list[person.Person]:
    """Draw one person, or a Poisson number of people on a ground plane, seen by a level camera."""
    if level.centred:
        return [_centred(rng, level)]
    horizon, camera = level.height * rng.uniform(0.15, 0.5), rng.uniform(1.2, 2.0)  # pixels, metres above the ground
    people: list[person.Person] = []
    spots: list[tuple[float, float]] = []
    for index in range(1 + min(int(rng.poisson(level.more_people)), MOST_PEOPLE - 1)):
        figure = person.draw_figure(rng, level)
        scale, x = spot = _spot(rng, level, figure, spots)
        ground = horizon + scale * (camera + rng.normal(0, 0.12))
        people.append(person.place(rng, figure, index, (x, ground - scale * figure.bottom), scale, FOCAL / scale))
        spots.append(spot)
    return people


def _spot(
    rng: np.random.Generator, level: Level, figure: person.Figure, taken: list[tuple[float, float]]
) -> tuple[float, float]:
    """Draw pixels per metre and x: anywhere, at any of the level's heights, or close to somebody and slightly nearer.

    The height is that of the figure in its pose, without what it reaches above its head.
    """
    extent = float(np.clip(figure.bottom - figure.top, 0.5 * figure.stature, 0.95 * figure.stature))
    if taken and rng.random() < level.clustered:
        scale, x = taken[int(rng.integers(len(taken)))]
        x = float(np.clip(x + rng.normal(0, 0.6) * scale, 0.03 * level.width, 0.97 * level.width))
        height = scale * extent * float(np.exp(rng.normal(0.1, 0.1)))
    else:
        low, high = np.log(level.heights)
        height, x = float(np.exp(rng.uniform(low, high))), float(rng.uniform(0.07, 0.93) * level.width)
    return float(np.clip(height, *level.heights)) / extent, x


def _centred(rng: np.random.Generator, level: Level) -> person.Person:
    """Draw one person who fills the picture: the centre of the joints near the centre of the picture."""
    figure = person.draw_figure(rng, level)
    spread = figure.joints[:, :2].max(0) - figure.joints[:, :2].min(0) + (0.2, 0.28)
    room = np.array((level.width, level.height)) * 0.97
    scale = float(min(rng.uniform(*level.heights) / figure.stature, *(room / spread)))
    middle = (figure.joints[:, :2].max(0) + figure.joints[:, :2].min(0)) / 2 * scale
    slack = np.maximum(room - spread * scale, 0) / 2
    at = np.array((level.width, level.height)) / 2 - middle + rng.uniform(-1, 1, 2) * slack
    return person.place(rng, figure, 0, (float(at[0]), float(at[1])), scale, FOCAL / scale)
