"""Decoding of heat-maps on the device: the figures of `metrics.decode`, to the bit, without a wait."""

from __future__ import annotations

import torch
from torch import Tensor

from archlab.data.crops import PIXELS


def decode_batch(heatmaps: Tensor, centers: Tensor, scales: Tensor) -> tuple[Tensor, Tensor]:
    """Keypoints (N, K, 2) in image pixels and their heights (N, K), float32; see `metrics.decode.decode`.

    `centers` and `scales` (N, 2) are float32 on the heat-maps' device. The way back to the image is computed in
    float64 and rounded once, as there.
    """
    heatmaps = heatmaps.float()
    peaks, maxvals = _peaks(heatmaps)
    moved = _moved(heatmaps, peaks).double()
    points = []
    for axis, side in enumerate(heatmaps.shape[:-3:-1]):
        length = (scales[:, axis, None] * PIXELS).double()  # rounded to float32 first
        points.append(moved[..., axis] * (length / side) + centers[:, axis, None] - length * 0.5)
    return torch.stack(points, dim=-1).float(), maxvals


def _peaks(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    width = heatmaps.shape[3]
    flat = heatmaps.flatten(2)
    best = flat.argmax(dim=2, keepdim=True)
    maxvals = flat.gather(2, best)
    peaks = torch.cat((best % width, best // width), dim=2)
    return torch.where(maxvals > 0, peaks, -1), maxvals[:, :, 0]


def _moved(heatmaps: Tensor, peaks: Tensor) -> Tensor:
    """Whole peaks (N, K, 2) moved by a quarter towards the larger neighbours, both axes or neither, as float32."""
    height, width = heatmaps.shape[2:]
    x, y = peaks[..., 0], peaks[..., 1]
    inside = (x > 1) & (x < width - 1) & (y > 1) & (y < height - 1)
    flat = heatmaps.flatten(2)
    at = torch.where(inside, y * width + x, width + 1)  # anywhere with four neighbours: it is not used
    right, left, below, above = (flat.gather(2, at[..., None] + step)[..., 0] for step in (1, -1, width, -width))
    slope = torch.stack((right - left, below - above), dim=-1)
    return peaks.float() + torch.where(inside[..., None], 0.25 * slope.sign(), 0.0)
