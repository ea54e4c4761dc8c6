"""What the network is asked for: one Gaussian bump a joint, and the loss that compares heat-maps with it."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

STRIDE = 4
"""Input pixels a heat-map pixel."""


def sigma_for(input_height: int) -> float:
    """Heat-map pixels: 2, and 3 for inputs of 384 rows and more (the released configurations)."""
    return 3.0 if input_height >= 384 else 2.0


def gaussian_targets(
    joints: NDArray[np.floating[Any]], visible: NDArray[Any], size_wh: tuple[int, int], *, sigma: float = 2.0
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Heat-maps (K, h, w) and weights (K, 1) for joints (K, 2) in input pixels; `size_wh` is the heat-map's.

    exp(-d^2 / (2 sigma^2)) around the pixel int(x / 4 + 0.5), peak 1, cut to a square of radius 3 sigma. The weight is
    1 for a labelled joint, and 0 if it is unlabelled or its square lies wholly outside.
    """
    width, height = size_wh
    radius = int(3 * sigma)
    bump = _bump(sigma, radius)
    maps = np.zeros((len(joints), height, width), dtype=np.float32)
    weights = (np.asarray(visible) > 0).astype(np.float32)[:, None]
    for k in np.flatnonzero(weights[:, 0]):
        left, top = (int(joints[k, axis] / STRIDE + 0.5) - radius for axis in (0, 1))
        right, bottom = left + 2 * radius + 1, top + 2 * radius + 1
        # `< 0` and not `<= 0`: a square that ends one pixel before the map keeps its weight in the released code.
        if left >= width or top >= height or right < 0 or bottom < 0:
            weights[k] = 0.0
            continue
        x0, x1, y0, y1 = max(left, 0), min(right, width), max(top, 0), min(bottom, height)
        maps[k, y0:y1, x0:x1] = bump[y0 - top : y1 - top, x0 - left : x1 - left]
    return maps, weights


@lru_cache(maxsize=8)
def _bump(sigma: float, radius: int) -> NDArray[np.float32]:
    steps = np.arange(-radius, radius + 1, dtype=np.float32)
    squares = steps[None, :] ** 2 + steps[:, None] ** 2
    bump: NDArray[np.float32] = np.exp(-squares / (2 * sigma**2)).astype(np.float32)
    bump.flags.writeable = False
    return bump


def joints_mse(predicted: torch.Tensor, target: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Mean over everything of (w * (predicted - target))^2; (N, K, h, w), (N, K, h, w), (N, K, 1).

    Joints of weight 0 count in the mean. Lite-HRNet's; HRNet's own has a further factor 0.5.
    """
    return ((predicted - target) * weight.unsqueeze(-1)).square().mean()
