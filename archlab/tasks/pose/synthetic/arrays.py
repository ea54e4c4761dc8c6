"""The types that the rooms of the generator pass on."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Box = tuple[int, int, int, int]  # x, y, width, height in pixels
Image = Array  # (H, W, 3) uint8, BGR


def clipped(values: Array, low: float, high: float) -> Array:
    """np.clip(values, low, high), for arrays of a few values, at which np.clip takes several times as long."""
    return np.asarray(np.minimum(np.maximum(values, low), high))
