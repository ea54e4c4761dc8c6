"""Colours and textures: small tiles, one per garment, for people, loose limbs and clutter."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import cv2
import numpy as np

from archlab.tasks.pose.synthetic.arrays import Array, Image, clipped

ALONG, ACROSS = 64, 32  # a tile's rows run along a limb, its columns across
_FOLDS = 64  # different folds of cloth
TILE_METRES = 0.6  # length on the body that a tile's rows cover

# BGR. Skin runs from light to dark; hair may also be dyed.
_SKIN = np.array(
    ((188, 208, 238), (150, 182, 226), (116, 152, 208), (84, 118, 176), (58, 84, 132), (38, 52, 84)), np.float32
)
_HAIR = np.array(
    ((18, 18, 22), (26, 34, 50), (34, 52, 84), (60, 96, 140), (110, 160, 196), (150, 152, 156)), np.float32
)
_DENIM = np.array((96, 66, 44), np.float32)


def skin(rng: np.random.Generator) -> Array:
    at = rng.uniform(0, len(_SKIN) - 1.001)
    low = int(at)
    return _near(rng, _SKIN[low] + (at - low) * (_SKIN[low + 1] - _SKIN[low]))


def hair(rng: np.random.Generator) -> Array:
    if rng.random() < 0.08:
        return cloth(rng)
    return _near(rng, _HAIR[rng.integers(len(_HAIR))] * rng.uniform(0.7, 1.2))


def cloth(rng: np.random.Generator) -> Array:
    """Draw a BGR colour: grey, black, white, denim, or any hue with widely varying saturation."""
    kind = rng.random()
    if kind < 0.3:
        return _near(rng, np.full(3, rng.uniform(18, 245)))
    if kind < 0.42:
        return _near(rng, _DENIM * rng.uniform(0.5, 2.0))
    hue, value = rng.random(), rng.uniform(50, 245)
    wheel = clipped(np.abs((hue * 6 + np.array((4.0, 2.0, 0.0))) % 6 - 3) - 1, 0, 1)
    return _near(rng, value * (1 - rng.beta(1.5, 2.0) * (1 - wheel)))


def _near(rng: np.random.Generator, colour: Array) -> Array:
    return np.asarray(clipped(colour + rng.normal(0, 5, 3), 6, 250), np.float32)


_U = (np.arange(ACROSS, dtype=np.float32) + 0.5) / ACROSS * 2 - 1
_V = (np.arange(ALONG, dtype=np.float32) + 0.5) / ALONG


def _plain(rng: np.random.Generator) -> None:
    return None


def _hoops(rng: np.random.Generator) -> Image:
    stripe = ((_V * rng.integers(3, 11)) % 1 < rng.uniform(0.25, 0.65)).astype(np.float32)
    return np.repeat(stripe[:, None], ACROSS, 1)


def _pinstripes(rng: np.random.Generator) -> Image:
    stripe = ((_U * rng.integers(2, 5) + 0.5) % 1 < rng.uniform(0.2, 0.6)).astype(np.float32)
    return np.repeat(stripe[None], ALONG, 0)


def _checks(rng: np.random.Generator) -> Image:
    n = int(rng.integers(3, 8))
    across, along = (_U * n / 2) % 1 < 0.5, (_V * n * 1.3) % 1 < 0.5
    board = across[None] ^ along[:, None] if rng.random() < 0.5 else across[None] * 0.5 + along[:, None] * 0.5
    return board.astype(np.float32)


def _blotches(rng: np.random.Generator) -> Image:
    n = int(rng.integers(3, 10))
    coarse = rng.random((2 * n, n), np.float32)
    field = cv2.resize(coarse, (ACROSS, ALONG), interpolation=cv2.INTER_CUBIC)
    return (field > 0.55).astype(np.float32) if rng.random() < 0.6 else clipped(field, 0, 1)


_PATTERNS: tuple[tuple[float, Callable[[np.random.Generator], Image | None]], ...] = (
    (0.45, _plain), (0.62, _hoops), (0.7, _pinstripes), (0.84, _checks), (1.0, _blotches),
)  # fmt: skip


def pattern(rng: np.random.Generator) -> Image | None:
    """Draw the share of the second colour over a tile, (ALONG, ACROSS) in [0, 1]; None for a plain one."""
    at = rng.random()
    return next(draw for limit, draw in _PATTERNS if at < limit)(rng)


def tile(rng: np.random.Generator, colour: Array, *, plain: bool = False, roundness: float = 0.45) -> Image:
    """Draw a shaded tile (ALONG, ACROSS, 3) uint8: a pattern, folds, and a cylinder's shading, lit from the right."""
    second = None if plain else pattern(rng)
    base = colour[:, None, None]  # one plane per colour: numpy is slow if the last axis is short
    if second is not None:
        base = base + second * (cloth(rng) - colour)[:, None, None]
    shaded = base * (_folds()[rng.integers(_FOLDS)] * _shade(roundness))
    return np.asarray(cv2.merge([*np.minimum(shaded, 255).astype(np.uint8)]))


@lru_cache(maxsize=1)
def _folds() -> Array:
    """Return the brightness of folded cloth, (_FOLDS, ALONG, ACROSS), drawn once."""
    coarse = np.random.default_rng(0).normal(1, 0.07, (_FOLDS, 9, 4)).astype(np.float32)
    return np.stack([cv2.resize(each, (ACROSS, ALONG), interpolation=cv2.INTER_CUBIC) for each in coarse])


@lru_cache(maxsize=64)
def _shade(roundness: float) -> Array:
    """Return the brightness across a cylinder lit from the right, (ACROSS,)."""
    return (1 - roundness * 1.6 * (1 - np.sqrt(1 - ((_U - 0.3) / 1.45) ** 2))).astype(np.float32)


def wardrobe(rng: np.random.Generator) -> dict[str, Image]:
    """Draw the tiles of one person by the names that body parts use; left and right share them."""
    skin_colour, hair_colour = skin(rng), hair(rng)
    top = cloth(rng)
    bottom = top if rng.random() < 0.08 else cloth(rng)
    tiles = {
        "skin": tile(rng, skin_colour, plain=True, roundness=0.35),
        "hair": tile(rng, hair_colour, plain=True),
        "top": tile(rng, top),
        "bottom": tile(rng, bottom, plain=rng.random() < 0.6),
        "shoe": tile(rng, cloth(rng), plain=True),
    }
    tiles["lip"] = flat(skin_colour * (0.55, 0.5, 0.8))
    tiles["eye"] = flat(np.array((28.0, 24.0, 22.0)))
    tiles["white"] = flat(np.array((225.0, 228.0, 230.0)))
    tiles["brow"] = flat(hair_colour * 0.55)
    tiles["nose"] = flat(skin_colour * 0.82)
    return tiles


def enlarged(image: Image) -> Image:
    """Return a tile for close views, (2 * ALONG, 2 * ACROSS, 3), smoothed so that no pixels show."""
    return image if image.shape[0] == 1 else np.asarray(cv2.resize(image, (2 * ACROSS, 2 * ALONG)))


def flat(colour: Array) -> Image:
    """Return a tile of one colour, (1, 1, 3)."""
    return clipped(colour, 0, 255).astype(np.uint8)[None, None]
