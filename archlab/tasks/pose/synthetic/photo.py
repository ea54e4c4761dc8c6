"""Camera effects: uneven light, a colour cast, gamma, blur and noise (JPEG is added on writing)."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from archlab.tasks.pose.synthetic.arrays import Image
from archlab.tasks.pose.synthetic.levels import Level

GRAIN_SIGMA = 32.0  # grey levels
_LEVELS = np.arange(256, dtype=np.float32) / 255


def expose(rng: np.random.Generator, level: Level, image: Image) -> Image:
    """Return a photograph of the painted picture, (H, W, 3) uint8."""
    height, width = image.shape[:2]
    sigma = rng.uniform(*level.blur_sigma)
    side = 3 if sigma < 0.8 else 5 if sigma < 1.3 else 7
    image = cv2.GaussianBlur(image, (side, side), sigma)
    field = 1 + rng.uniform(0.03, 0.28) * rng.standard_normal((3, 4, 1))
    cast = rng.normal(1, 0.05, 3) * rng.uniform(0.7, 1.15)
    lit = np.clip(field * cast * 128, 35, 255).astype(np.uint8)
    # Cubic to a small size, then linear: four times as fast, and as smooth.
    smooth = cv2.resize(lit, (32, 24), interpolation=cv2.INTER_CUBIC)
    image = cv2.multiply(image, cv2.resize(smooth, (width, height)), scale=1 / 128)
    curve = np.clip(255 * _LEVELS ** np.exp(rng.normal(0, 0.2)), 0, 255).astype(np.uint8)
    image = cv2.LUT(image, curve)
    grain, strength = _grain(), float(rng.uniform(*level.noise_sigma)) / GRAIN_SIGMA
    top, left = (int(rng.integers(n)) for n in (grain.shape[0] - height, grain.shape[1] - width))
    grain = grain[top : top + height, left : left + width]
    return np.asarray(cv2.addWeighted(image, 1, grain, strength, -128 * strength))


@lru_cache(maxsize=1)
def _grain() -> Image:
    """Return a sheet of noise, drawn once and larger than any picture; each picture uses a random part of it."""
    sheet = np.random.default_rng(0).normal(128, GRAIN_SIGMA, (720, 960, 3))
    return np.clip(np.rint(sheet), 0, 255).astype(np.uint8)
