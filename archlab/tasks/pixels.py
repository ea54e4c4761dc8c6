"""What every task does to the pixels of its samples: ImageNet's normalisation, and random numbers by sample."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


def normalise(image: Image) -> NDArray[np.float32]:
    """Return an RGB image (H, W, 3) as (3, H, W) float32: (value / 255 - mean) / std per channel."""
    out = np.empty((3, *image.shape[:2]), dtype=np.float32)
    for channel in range(3):
        np.take(_NORMALISED[channel], image[:, :, channel], out=out[channel], mode="clip")
    return out


def sample_generator(*key: int) -> np.random.Generator:
    """Return the generator of one sample by (seed, epoch, index): it does not depend on workers or restarts."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))


def _normalisation_table() -> NDArray[np.float32]:
    values = np.arange(256, dtype=np.float32) / np.float32(255)
    mean, std = np.array(MEAN, np.float32), np.array(STD, np.float32)
    return (values[None, :] - mean[:, None]) / std[:, None]


_NORMALISED = _normalisation_table()
