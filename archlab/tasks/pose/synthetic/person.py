"""A person in the picture: body, clothes and tiles, projected by weak perspective into pieces and joints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from archlab.tasks.pose.keypoints import COCO
from archlab.tasks.pose.synthetic import body, look, parts
from archlab.tasks.pose.synthetic.arrays import Array, Image
from archlab.tasks.pose.synthetic.levels import Level
from archlab.tasks.pose.synthetic.paint import NOBODY, Piece, shapes


@dataclass(frozen=True)
class Figure:
    """A body before placement: metres in camera axes (x right, y down, z away), the hips' centre at 0."""

    joints: Array  # (17, 3)
    surface: tuple[parts.Part, ...]
    centres: Array  # (S, 3), of the spheres of all parts, part by part
    radii: Array  # (S,)
    ends: Array  # (P, 2, 3), start and end of each part's texture
    stature: float

    @property
    def top(self) -> float:
        return float((self.centres[:, 1] - self.radii).min())

    @property
    def bottom(self) -> float:
        """The y of the lowest point, which stands on the ground."""
        return float((self.centres[:, 1] + self.radii).max())


@dataclass(frozen=True)
class Person:
    """A placed figure: joints in pixels, their depth in metres, and the outline pieces."""

    joints: Array  # (17, 2)
    depths: Array  # (17,)
    pieces: tuple[Piece, ...]
    pixels_per_metre: float
    depth: float
    tiles: Mapping[str, Image]


LEAST_RADIUS = 0.5  # pixels; smaller parts (eyes of distant people) are not drawn
CLOSE = 120.0  # pixels per metre above which small tiles would show their pixels
_TO_CAMERA = np.diag((1.0, -1.0, -1.0))  # facing the camera: the person's left is right in the picture, forward is near


def draw_figure(rng: np.random.Generator, level: Level) -> Figure:
    build = body.draw_build(rng)
    pose = body.FAMILIES[_family(rng, level)](rng)
    return draw_shape(rng, build, pose, _view(rng, level))


def draw_shape(rng: np.random.Generator, build: body.Build, pose: body.Pose, turn: Array) -> Figure:
    """Draw the clothes of a body in a pose; `turn` (3, 3): from the body's frame to the camera's axes."""
    points, head_frame = body.joints(build, pose)
    surface = parts.surface(build, parts.draw_dress(rng), points, head_frame)
    if pose.seat:
        surface += parts.seat(rng, build)
    return Figure(
        joints=np.stack([points[name] for name in COCO.names]) @ turn.T,
        surface=tuple(surface),
        centres=np.array([centre for part in surface for centre, _ in part.spheres]) @ turn.T,
        radii=np.array([radius for part in surface for _, radius in part.spheres]),
        ends=np.array([part.axis for part in surface]) @ turn.T,
        stature=build.stature,
    )


def _family(rng: np.random.Generator, level: Level) -> str:
    at = rng.random()
    for name, share in level.families:
        at -= share
        if at < 0:
            return name
    return level.families[-1][0]


def _view(rng: np.random.Generator, level: Level) -> Array:
    """Draw a rotation (3, 3): yaw, then the camera's small pitch, then roll in the picture."""
    yaw = rng.uniform(-180, 180) if rng.random() < level.any_yaw else rng.uniform(-level.facing, level.facing)
    roll = rng.uniform(-180, 180) if rng.random() < level.any_roll else rng.normal(0, level.roll_sigma)
    return view(yaw, pitch=float(np.clip(rng.normal(6, 7), -10, 30)), roll=roll)


def view(yaw: float, *, pitch: float, roll: float = 0.0) -> Array:
    """Return the rotation (3, 3) from the body's frame to the camera's axes; degrees. yaw: 0 faces the camera."""
    return np.asarray(body.rotation(2, roll) @ body.rotation(0, -pitch) @ _TO_CAMERA @ body.rotation(1, yaw))


def place(
    rng: np.random.Generator, figure: Figure, index: int, at: tuple[float, float], pixels_per_metre: float, depth: float
) -> Person:
    """Place a figure by weak perspective, the hips' centre at `at` (pixels), and draw its colours."""
    tiles = look.wardrobe(rng)
    if not all(part.mine for part in figure.surface):
        tiles["seat"] = look.tile(rng, look.cloth(rng), roundness=0.1)
    if pixels_per_metre > CLOSE:
        tiles = {name: look.enlarged(tile) for name, tile in tiles.items()}
    counts = np.array([len(part.spheres) for part in figure.surface])
    flat, ends = (points[..., :2] * pixels_per_metre + at for points in (figure.centres, figure.ends))
    radii = figure.radii * pixels_per_metre
    firsts = np.cumsum(counts) - counts
    distances = np.add.reduceat(figure.centres[:, 2], firsts) / counts + depth
    largest = np.maximum.reduceat(radii, firsts)
    placed = shapes(flat, radii, counts.tolist(), ends[:, 0], ends[:, 1])
    pieces = []
    for shape, part, distance, radius in zip(placed, figure.surface, distances.tolist(), largest, strict=True):
        if radius > LEAST_RADIUS:
            whose, tile = index if part.mine else NOBODY, tiles[part.tile]
            pieces.append(Piece(shape, tile, pixels_per_metre, distance - part.nearer, whose, part.name))
    joints = figure.joints[:, :2] * pixels_per_metre + at
    return Person(joints, figure.joints[:, 2] + depth, tuple(pieces), pixels_per_metre, depth, tiles)
