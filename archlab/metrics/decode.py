"""From heat-maps to keypoints in image pixels, and the averaging with the mirrored input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from archlab.data.crops import PIXELS, Floats


def decode(heatmaps: Floats, centers: Floats, scales: Floats) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Keypoints (N, K, 2) in image pixels and their heights (N, K), from heat-maps (N, K, h, w).

    Arg-max; a quarter pixel towards the larger neighbour (see `quarter_offset`); then back through the crop,
    x * 200 * scale_x / w + center_x - 100 * scale_x, alike in y. A map without a positive value gives pixel -1.
    """
    peaks, maxvals = peak(heatmaps)
    return to_image(quarter_offset(heatmaps, peaks), centers, scales, heatmaps.shape[:-3:-1]), maxvals


def peak(heatmaps: Floats) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The highest pixel (N, K, 2) as x, y and its value (N, K); -1, -1 where no value is positive."""
    count, joints, _, width = heatmaps.shape
    flat = heatmaps.reshape(count, joints, -1)
    best = flat.argmax(axis=2)
    maxvals = np.take_along_axis(flat, best[:, :, None], axis=2)[:, :, 0]
    peaks = np.stack((best % width, best // width), axis=2)
    return np.where(maxvals[:, :, None] > 0, peaks, -1).astype(np.float32), maxvals.astype(np.float32, copy=False)


def quarter_offset(heatmaps: Floats, peaks: Floats) -> NDArray[np.float32]:
    """Peaks (N, K, 2) moved by a quarter of the sign of the slope, where 1 < x < w - 1 and 1 < y < h - 1.

    Both axes at once or neither, as in HRNet and Lite-HRNet: a peak near one border is not moved along the other.
    """
    height, width = heatmaps.shape[2:]
    x, y = peaks[:, :, 0].astype(np.int64), peaks[:, :, 1].astype(np.int64)
    inside = (x > 1) & (x < width - 1) & (y > 1) & (y < height - 1)
    n, k = np.nonzero(inside)
    x, y = x[inside], y[inside]
    slope = np.stack(
        (heatmaps[n, k, y, x + 1] - heatmaps[n, k, y, x - 1], heatmaps[n, k, y + 1, x] - heatmaps[n, k, y - 1, x]),
        axis=1,
    )
    moved = np.array(peaks, dtype=np.float32)
    moved[n, k] += np.float32(0.25) * np.sign(slope).astype(np.float32)
    return moved


def to_image(points: Floats, centers: Floats, scales: Floats, size_wh: Sequence[int]) -> NDArray[np.float32]:
    """Points (N, K, 2) of a map of `size_wh`, in image pixels, for crops without rotation at `centers`, `scales`."""
    sides = (np.asarray(scales) * PIXELS)[:, None, :]
    moved = points * (sides / np.asarray(size_wh, dtype=np.float64)) + np.asarray(centers)[:, None, :] - sides * 0.5
    return moved.astype(np.float32)


def flip_back(heatmaps: torch.Tensor, flip_order: Sequence[int], *, shift: bool = True) -> torch.Tensor:
    """Heat-maps (N, K, h, w) of the mirrored input, as of the input itself: mirrored, pairs swapped, one pixel right.

    The shift ([..., 1:] = [..., :-1], the first column kept) makes up for the mirror of a map at a quarter of the
    input's size; average the result with the maps of the input.
    """
    back = heatmaps.flip(-1)[:, list(flip_order)]
    return torch.cat((back[..., :1], back[..., :-1]), dim=-1) if shift else back


def as_array(heatmaps: torch.Tensor) -> NDArray[Any]:
    """Heat-maps on the host as float32, as `decode` takes them."""
    return heatmaps.detach().to("cpu", torch.float32).numpy()
