"""Crops, normalisation and Gaussian targets of a whole batch, in torch on any device.

Constants are Python numbers: creating a small tensor on a GPU would wait for all earlier work.
"""

from __future__ import annotations

import torch
from torch import Tensor

from archlab.tasks.pixels import MEAN, STD
from archlab.tasks.pose.options import Targets
from archlab.tasks.pose.targets import STRIDE


def sample_crops(pixels: Tensor, starts: Tensor, sizes_wh: Tensor, inverse: Tensor, size_wh: tuple[int, int]) -> Tensor:
    """Return crops (N, 3, H, W), channels last, of images stored row by row in `pixels` (P, 3) uint8.

    Bilinear, black outside each image, rounded to whole grey levels: grid_sample with align_corners=False on images in
    place. Padding them to one size for grid_sample took twice the time and, for a batch of 512, gigabytes. Coordinates
    are not computed as a matrix product, which may run in TF32 and be off by a tenth of a pixel.

    starts: (N,), each image's first row in `pixels`. sizes_wh: (N, 2). inverse: (N, 2, 3) float32, from crop pixels to
    image pixels.
    """
    x = torch.arange(size_wh[0], dtype=torch.float32, device=pixels.device)[None, None, :]
    y = torch.arange(size_wh[1], dtype=torch.float32, device=pixels.device)[None, :, None]
    m = inverse[:, :, :, None, None]
    across = m[:, 0, 0] * x + m[:, 0, 1] * y + m[:, 0, 2]
    down = m[:, 1, 0] * x + m[:, 1, 1] * y + m[:, 1, 2]
    left, top = across.floor(), down.floor()
    grey = torch.zeros((*across.shape, 3), device=pixels.device)
    for step in (0, 1):
        rows, row_weights = _neighbours(down, top, step, sizes_wh[:, 1])
        for side in (0, 1):
            columns, column_weights = _neighbours(across, left, side, sizes_wh[:, 0])
            at = starts[:, None, None] + rows * sizes_wh[:, 0, None, None] + columns
            taken = pixels.index_select(0, at.flatten()).view_as(grey)
            grey.addcmul_(taken.float(), (row_weights * column_weights)[..., None])
    return grey.round_().permute(0, 3, 1, 2)


def _neighbours(position: Tensor, first: Tensor, step: int, size: Tensor) -> tuple[Tensor, Tensor]:
    """Return the pixel index along one axis and its weight; both are 0 outside the image."""
    pixel = first + step
    inside = (pixel >= 0) & (pixel < size[:, None, None])
    weight = 1 - (position - pixel).abs()
    return torch.where(inside, pixel, 0.0).long(), torch.where(inside, weight, 0.0)


def normalise_batch(grey: Tensor) -> Tensor:
    """Normalise (N, 3, H, W) grey levels in place: (value / 255 - mean) / std per channel."""
    grey.div_(255)
    for channel, (mean, std) in enumerate(zip(MEAN, STD, strict=True)):
        grey[:, channel].sub_(mean).div_(std)
    return grey


def gaussian_targets_batch(
    joints: Tensor,
    visible: Tensor,
    size_wh: tuple[int, int],
    *,
    sigma: float,
    form: Targets = "released",
    stride: tuple[float, float] = (STRIDE, STRIDE),
) -> tuple[Tensor, Tensor]:
    """Return what `targets.gaussian_targets` does, for a batch: heat-maps (N, K, h, w) and weights (N, K, 1).

    exp(-dx^2 / (2 sigma^2)) exp(-dy^2 / (2 sigma^2)), with d from trunc(x / stride + 0.5) in the released form and
    from x / stride in the others; except for DARK, cut to the square of radius int(3 sigma) around that pixel.
    """
    radius = int(3 * sigma)
    weight = (visible > 0).float()
    bumps = []
    for axis, side in enumerate(size_wh):
        point = joints[..., axis] / stride[axis]
        pixel = (point + 0.5).trunc()
        first = point - 3 * sigma if form == "dark" else pixel - radius
        # `>= 0`, as in the loop: a square that ends one pixel before the map keeps its weight.
        weight *= (first < side) & (first + (2 * radius + 1) >= 0)
        across = torch.arange(side, dtype=torch.float32, device=joints.device)
        distance = across - (pixel if form == "released" else point)[..., None]
        bump = torch.exp(-distance.square() / (2 * sigma**2))
        near = (across - pixel[..., None]).abs() <= radius
        bumps.append(bump if form == "dark" else torch.where(near, bump, 0.0))
    weight = weight[..., None]
    return (bumps[1] * weight)[..., :, None] * bumps[0][..., None, :], weight
