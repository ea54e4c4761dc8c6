"""The surroundings of people: backgrounds, objects in the same textures and skin tones, and loose limbs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import cos, pi, sin

import cv2
import numpy as np

from archlab.tasks.pose.synthetic import look
from archlab.tasks.pose.synthetic.arrays import Array, Image
from archlab.tasks.pose.synthetic.levels import Level
from archlab.tasks.pose.synthetic.paint import Piece, shapes
from archlab.tasks.pose.synthetic.person import Person

_OCTAVES = ((6, 5, 0.55), (18, 14, 0.3), (64, 48, 0.15))  # width, height, weight of the blotches

_CORNERS = np.array(((-1, -1), (1, -1), (1, 1), (-1, 1)))
_TAPER = np.array(((1.0, 0.8), (0.8, 0.6), (0.6, 0.75)))  # radii of a loose limb


def background(rng: np.random.Generator, level: Level) -> Image:
    """Draw a wall and a floor, each a blotchy or patterned surface, (H, W, 3) uint8."""
    size = (level.width, level.height)
    image = _surface(rng, size)
    if rng.random() < 0.75:
        top = int(level.height * rng.uniform(0.3, 0.85))
        image[top:] = _surface(rng, (level.width, level.height - top))
    return image


def _surface(rng: np.random.Generator, size: tuple[int, int]) -> Image:
    """Draw one colour that changes into another, computed at half the size."""
    half = (size[0] // 2 + 1, size[1] // 2 + 1)
    one, two = look.cloth(rng), look.cloth(rng)
    contrast = rng.uniform(0.1, 1.0) ** 1.5
    figured = look.pattern(rng) if rng.random() < 0.6 else None
    if figured is not None:
        share = 0.8 * cv2.resize(figured, half, interpolation=cv2.INTER_LINEAR)
        share += 0.2 * cv2.resize(rng.random((24, 32), np.float32), half)
    else:
        share = np.zeros(half[::-1], np.float32)
        for width, height, weight in _OCTAVES:
            share += weight * cv2.resize(rng.random((height, width), np.float32), half)
    table = np.clip(one + np.linspace(0, contrast, 256)[:, None] * (two - one), 0, 255).astype(np.uint8)
    index = cv2.convertScaleAbs(share, alpha=255)
    return np.asarray(cv2.resize(cv2.LUT(cv2.merge((index, index, index)), table[:, None]), size))


@dataclass(frozen=True)
class Cloths:
    """The tiles of the clutter: those that the people of the picture wear, and some others."""

    skins: tuple[Image, ...]
    cloths: tuple[Image, ...]


def draw_cloths(rng: np.random.Generator, wardrobes: Sequence[Mapping[str, Image]]) -> Cloths:
    more = 6
    skins = [look.tile(rng, look.skin(rng), plain=True, roundness=0.35) for _ in range(2)]
    cloths = [look.tile(rng, look.cloth(rng), roundness=(0.05, 0.2, 0.45)[i % 3]) for i in range(more)]
    for tiles in wardrobes:
        skins.append(tiles["skin"])
        cloths += [tiles["top"], tiles["bottom"]]
    return Cloths(tuple(skins), tuple(cloths))


@dataclass(frozen=True)
class _Thing:
    """The convex hull of circles, in pixels; its texture runs from the first circle to the last."""

    centres: Array
    radii: Array
    tile: Image
    size: float
    depth: float


def things(rng: np.random.Generator, level: Level, people: Sequence[Person], cloths: Cloths) -> list[Piece]:
    """Draw clutter behind, among and in front of the people."""
    near, far = min(someone.depth for someone in people), max(someone.depth for someone in people)
    found = [_table(rng, someone, cloths) for someone in people if rng.random() < level.tables]
    for mean, low, high in (
        (level.clutter_behind, far + 1, far + 6),
        (level.clutter_among, near - 0.5, far + 0.5),
        (level.clutter_over, 0.5 * near, 0.85 * near),
    ):
        for depth in rng.uniform(low, high, rng.poisson(mean)).tolist():
            found += _thing(rng, level, depth, cloths)
    return _pieces(found)


def _pieces(found: Sequence[_Thing]) -> list[Piece]:
    if not found:
        return []
    centres, radii = (
        np.concatenate([thing.centres for thing in found]),
        np.concatenate([thing.radii for thing in found]),
    )
    ends = (np.array([thing.centres[i] for thing in found]) for i in (0, -1))
    placed = shapes(centres, radii, [len(thing.radii) for thing in found], *ends)
    return [Piece(shape, thing.tile, 1.2 * thing.size, thing.depth) for shape, thing in zip(placed, found, strict=True)]


def _thing(rng: np.random.Generator, level: Level, depth: float, cloths: Cloths) -> list[_Thing]:
    """Draw a box, a bar, a blob or a loose limb."""
    kind, bare, x, y, bigness = rng.random(5).tolist()
    at = np.array((x * level.width, y * level.height))
    size = level.height * 0.06 * 7.5**bigness
    if kind < 0.3:
        return _loose_limb(rng, at, size, depth, cloths)
    centres, radii = (_box if kind < 0.55 else _bar if kind < 0.75 else _blob)(rng, at, size)
    return [_Thing(centres, radii, _pick(rng, cloths.skins if bare < 0.2 else cloths.cloths), size, depth)]


def _table(rng: np.random.Generator, someone: Person, cloths: Cloths) -> _Thing:
    """Draw a table, a wall or a car in front of a person, its top between the person's waist and shins."""
    hips, ankles = someone.joints[11:13].mean(0), someone.joints[15:17].mean(0)
    metre = someone.pixels_per_metre
    top = float(hips[1] + rng.uniform(-0.25, 0.8) * abs(ankles[1] - hips[1]))
    middle, half = float(hips[0]) + rng.normal(0, 0.4) * metre, rng.uniform(0.4, 1.3) * metre
    corners = np.array(((-half, 0), (half, 0), (half, 1.3 * metre), (-half, 1.3 * metre)))
    tile = _pick(rng, cloths.cloths)
    return _Thing(
        _turned(rng, corners, 0.03) + np.array((middle, top)),
        np.full(4, 0.03 * metre),
        tile,
        metre,
        someone.depth - 0.45,
    )


def _pick(rng: np.random.Generator, tiles: Sequence[Image]) -> Image:
    return tiles[int(rng.integers(len(tiles)))]


def _turned(rng: np.random.Generator, points: Array, sigma: float) -> Array:
    angle = float(rng.normal(0, sigma))
    c, s = cos(angle), sin(angle)
    return np.asarray(points @ np.array(((c, s), (-s, c))))


def _box(rng: np.random.Generator, at: Array, size: float) -> tuple[Array, Array]:
    half = size * rng.uniform(0.15, 0.6, 2)
    return at + _turned(rng, half * _CORNERS, 0.15), np.full(4, rng.uniform(0.5, 0.08 * size + 0.6))


def _bar(rng: np.random.Generator, at: Array, size: float) -> tuple[Array, Array]:
    reach = _turned(rng, np.array(((0.0, -size), (0.0, size))), 1.2)
    return at + reach, size * rng.uniform(0.03, 0.14, 2)


def _blob(rng: np.random.Generator, at: Array, size: float) -> tuple[Array, Array]:
    count = int(rng.integers(1, 5))
    return at + rng.normal(0, 0.2 * size, (count, 2)), size * rng.uniform(0.08, 0.3, count)


def _loose_limb(rng: np.random.Generator, at: Array, size: float, depth: float, cloths: Cloths) -> list[_Thing]:
    """Draw two bones and a hand, in skin and cloth, without a body."""
    skin, cloth = _pick(rng, cloths.skins), _pick(rng, cloths.cloths)
    first, bend, length, thick, covered = rng.uniform((-pi, -2, 0.3, 0.05, 0), (pi, 2, 0.5, 0.11, 1)).tolist()
    length, thick = length * size, thick * size
    steps = [(length * cos(angle), length * sin(angle)) for angle in (first, first + bend)]
    bones = np.array((*steps, (0.3 * steps[1][0], 0.3 * steps[1][1])))
    points = at + np.concatenate((np.zeros((1, 2)), np.cumsum(bones, 0)))
    tiles = (cloth if covered < 0.75 else skin, cloth if covered < 0.4 else skin, skin)
    return [
        _Thing(points[i : i + 2], thick * _TAPER[i], tile, 2 * size, depth - 0.01 * i) for i, tile in enumerate(tiles)
    ]
