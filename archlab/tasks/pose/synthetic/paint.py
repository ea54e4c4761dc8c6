"""Painting convex pieces, far to near, into a picture and a buffer of each pixel's owner."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from archlab.tasks.pose.synthetic.arrays import Array, Image
from archlab.tasks.pose.synthetic.look import TILE_METRES

NOBODY = -1
_ANGLES = np.arange(16) * (2 * np.pi / 16)
_CIRCLE = np.stack((np.cos(_ANGLES), np.sin(_ANGLES)), 1).astype(np.float32)
_SHIFT = 4  # fractional bits of the corners given to OpenCV


@dataclass(frozen=True)
class Shape:
    """A piece's outline in the picture, and the line of its texture."""

    outline: Array  # (M, 1, 2) int32, in sixteenths of a pixel
    start: tuple[float, float]  # of the texture's line
    along: tuple[float, float]  # its direction, a unit vector
    reach: tuple[float, float]  # smallest and largest distance of the outline from the line


@dataclass(frozen=True)
class Piece:
    """A convex piece of the picture with its texture. person, part: its owner (NOBODY for clutter)."""

    shape: Shape
    tile: Image
    pixels_per_metre: float
    depth: float  # metres from the camera
    person: int = NOBODY
    part: str = ""


@dataclass(frozen=True)
class Owners:
    """The owner of each pixel: the piece's index + 1 in `pieces` (H, W) int16, the person's in `people`; 0 for none."""

    pieces: Array
    people: Array


def shapes(centres: Array, radii: Array, counts: Sequence[int], starts: Array, ends: Array) -> list[Shape]:
    """Return the shapes of P pieces, each the convex hull of circles, in pixels.

    centres, radii: (S, 2) and (S,), of all circles, piece by piece. counts: (P,), circles per piece.
    starts, ends: (P, 2), of each piece's texture.
    """
    rims = np.rint((centres[:, None] + radii[:, None, None] * _CIRCLE) * (1 << _SHIFT)).astype(np.int32)
    stops: Array = np.cumsum(counts)
    firsts: Array = stops - counts
    along = ends - starts
    length = np.hypot(along[:, 0], along[:, 1])
    along = np.where(length[:, None] > 1e-3, along / np.maximum(length, 1e-3)[:, None], (0.0, 1.0))
    offset, line = centres - np.repeat(starts, counts, 0), np.repeat(along, counts, 0)
    side = offset[:, 1] * line[:, 0] - offset[:, 0] * line[:, 1]
    low, high = np.minimum.reduceat(side - radii, firsts), np.maximum.reduceat(side + radii, firsts)
    hulls = [cv2.convexHull(rims[first:stop].reshape(-1, 1, 2)) for first, stop in zip(firsts, stops, strict=True)]
    lines = zip(starts.tolist(), along.tolist(), low.tolist(), high.tolist(), strict=True)
    return [Shape(hull, (x, y), (dx, dy), (lowest, highest))
            for hull, ((x, y), (dx, dy), lowest, highest) in zip(hulls, lines, strict=True)]  # fmt: skip


def paint(image: Image, pieces: Sequence[Piece], light: tuple[float, float]) -> Owners:
    """Paint `pieces`, sorted far to near, over `image`; return the owner of each pixel.

    Outlines are painted first, so a texture is computed only where its piece stays visible.

    light: the direction of the light source in the picture.
    """
    owners = Owners(np.zeros(image.shape[:2], np.int16), np.zeros(image.shape[:2], np.uint8))
    for i, piece in enumerate(pieces, 1):
        cv2.fillConvexPoly(owners.pieces, piece.shape.outline, i, cv2.LINE_8, _SHIFT)
        cv2.fillConvexPoly(owners.people, piece.shape.outline, piece.person + 1, cv2.LINE_8, _SHIFT)
        if piece.tile.shape[0] == 1:
            cv2.fillConvexPoly(image, piece.shape.outline, piece.tile[0, 0].tolist(), cv2.LINE_8, _SHIFT)
    for i, piece in enumerate(pieces, 1):
        if piece.tile.shape[0] > 1:
            _texture(image, owners.pieces, i, piece, light)
    return owners


def _texture(image: Image, owner: Array, i: int, piece: Piece, light: tuple[float, float]) -> None:
    height, width = owner.shape
    x, y, w, h = cv2.boundingRect(piece.shape.outline)
    left, top = max((x >> _SHIFT) - 1, 0), max((y >> _SHIFT) - 1, 0)
    right, bottom = min(((x + w) >> _SHIFT) + 2, width), min(((y + h) >> _SHIFT) + 2, height)
    if right <= left or bottom <= top:
        return
    seen = cv2.inRange(owner[top:bottom, left:right], i, i)
    if not cv2.hasNonZero(seen):
        return
    matrix, magnified = _tile_matrix(piece, light, left, top)
    how = cv2.WARP_INVERSE_MAP | (cv2.INTER_LINEAR if magnified else cv2.INTER_NEAREST)
    texture = cv2.warpAffine(piece.tile, matrix, (right - left, bottom - top), flags=how, borderMode=cv2.BORDER_REFLECT)
    cv2.copyTo(texture, seen, image[top:bottom, left:right])


def _tile_matrix(piece: Piece, light: tuple[float, float], left: int, top: int) -> tuple[Array, bool]:
    """Return the matrix from picture to tile, and whether a tile's pixel covers several of the picture's.

    The tile spans the outline's whole width, its bright side toward the light; its length is in metres.
    """
    (dx, dy), (low, high) = piece.shape.along, piece.shape.reach
    nx, ny = -dy, dx
    if nx * light[0] + ny * light[1] < 0:
        nx, ny, low, high = -nx, -ny, -high, -low
    across = piece.tile.shape[1] / max(high - low, 1e-3)
    run = piece.tile.shape[0] / (TILE_METRES * piece.pixels_per_metre)
    x, y = left - piece.shape.start[0], top - piece.shape.start[1]
    matrix = np.array((
        (nx * across, ny * across, (nx * x + ny * y - low) * across - 0.5),
        (dx * run, dy * run, (x * dx + y * dy) * run),
    ))  # fmt: skip
    return matrix, across < 0.35
