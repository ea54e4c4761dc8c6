"""Target heat-maps, one Gaussian per joint, and the loss that compares heat-maps with them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from archlab.tasks.pose.options import Crops, Targets

STRIDE = 4
"""Input pixels per heat-map pixel."""


def sigma_for(input_height: int) -> float:
    """Return the released configurations' sigma in heat-map pixels: 2, or 3 for inputs of 384 rows and more."""
    return 3.0 if input_height >= 384 else 2.0


def stride_of(size_wh: tuple[int, int], crops: Crops = "released") -> tuple[float, float]:
    """Return input pixels per heat-map pixel in x and y, for an input of `size_wh`.

    4, or with UDP (size - 1) / (size / 4 - 1).
    """
    if crops == "released":
        return float(STRIDE), float(STRIDE)
    return (size_wh[0] - 1) / (size_wh[0] // STRIDE - 1), (size_wh[1] - 1) / (size_wh[1] // STRIDE - 1)


def gaussian_targets(
    joints: NDArray[np.floating[Any]],
    visible: NDArray[Any],
    size_wh: tuple[int, int],
    *,
    sigma: float = 2.0,
    form: Targets = "released",
    stride: tuple[float, float] = (STRIDE, STRIDE),
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return heat-maps (K, h, w) and weights (K, 1) for joints (K, 2) in input pixels.

    released: exp(-d^2 / (2 sigma^2)), d from the pixel int(x / stride + 0.5), cut to a square of radius 3 sigma.
    udp: the same square, d from x / stride. dark: d from x / stride, over the whole map (Zhang et al. 2020,
    section 3.3). The weight is 0 for a joint that is unlabelled or whose square lies outside the map, else 1.

    size_wh, sigma: of the heat-map, in its pixels.
    """
    width, height = size_wh
    radius = int(3 * sigma)
    maps = np.zeros((len(joints), height, width), dtype=np.float32)
    weights = (np.asarray(visible) > 0).astype(np.float32)[:, None]
    for k in np.flatnonzero(weights[:, 0]):
        x, y = joints[k, 0] / stride[0], joints[k, 1] / stride[1]
        # DARK does not round before the test whether the square touches the map.
        left, top = (v - 3 * sigma if form == "dark" else int(v + 0.5) - radius for v in (x, y))
        side = 2 * radius + 1
        # `< 0`, not `<= 0`: in the released code a square that ends one pixel before the map keeps its weight.
        if left >= width or top >= height or left + side < 0 or top + side < 0:
            weights[k] = 0.0
        elif form == "dark":
            maps[k] = _bump(sigma, width, height, float(x), float(y))
        else:
            x0, x1, y0, y1 = max(left, 0), min(left + side, width), max(top, 0), min(top + side, height)
            middle = (radius, radius) if form == "released" else (float(x - left), float(y - top))
            maps[k, y0:y1, x0:x1] = _bump(sigma, side, side, *middle)[y0 - top : y1 - top, x0 - left : x1 - left]
    return maps, weights


@lru_cache(maxsize=8)
def _bump(sigma: float, width: int, height: int, x: float, y: float) -> NDArray[np.float32]:
    """Return exp(-d^2 / (2 sigma^2)) as (height, width), d from (x, y)."""
    across = np.arange(width, dtype=np.float32) - np.float32(x)
    down = np.arange(height, dtype=np.float32) - np.float32(y)
    squares = across[None, :] ** 2 + down[:, None] ** 2
    bump: NDArray[np.float32] = np.exp(-squares / (2 * sigma**2)).astype(np.float32)
    bump.flags.writeable = False
    return bump


def joints_mse(predicted: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return the mean of (w * (predicted - target))^2 over all elements; (N, K, h, w), (N, K, h, w), (N, K, 1).

    Joints of weight 0 count in the mean. This is Lite-HRNet's loss; HRNet's has an additional factor 0.5.
    """
    return ((predicted - target) * weight.unsqueeze(-1)).square().mean()
