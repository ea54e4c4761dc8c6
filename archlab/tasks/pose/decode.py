"""Decoding heat-maps into keypoints in image pixels, and mirroring heat-maps for the flip test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from archlab.tasks.pose.data.crops import PIXELS, Floats
from archlab.tasks.pose.options import Crops, Decoding

if TYPE_CHECKING:
    import torch


def decode(
    heatmaps: Floats,
    centers: Floats,
    scales: Floats,
    *,
    form: Decoding = "released",
    crops: Crops = "released",
    sigma: float = 2.0,
    post_gaussian: int = 0,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return keypoints (N, K, 2) in image pixels and their peak heights (N, K), from heat-maps (N, K, h, w).

    Take the arg-max, refine it by a sub-pixel offset, and map it to image pixels by
    x * 200 * scale_x / w + center_x - 100 * scale_x, and likewise y; with UDP's crops over w - 1. A map without a
    positive value gives pixel -1.

    centers, scales: (N, 2), of the crops.
    form: the sub-pixel offset:
      released   0.25 px toward the larger neighbour, on both axes or neither (`quarter_offset`)
      axes       the same, per axis (`axes_offset`)
      dark, udp  one Newton step on the logarithm of the blurred map, for Gaussians of `sigma` heat-map pixels
                 (`dark_offset`, `udp_offset`)
    post_gaussian: the kernel of a Gaussian filter applied first, 0 for none (in Lite-HRNet's paper, not in its code).
    """
    if post_gaussian:
        heatmaps = blur(heatmaps, post_gaussian)
    peaks, maxvals = peak(heatmaps)
    if form == "dark":
        moved = dark_offset(heatmaps, peaks, blur_kernel(sigma))
    elif form == "udp":
        moved = udp_offset(heatmaps, peaks, blur_kernel(sigma))
    else:
        moved = (axes_offset if form == "axes" else quarter_offset)(heatmaps, peaks)
    return to_image(moved, centers, scales, heatmaps.shape[:-3:-1], crops=crops), maxvals


def peak(heatmaps: Floats) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the highest pixel (N, K, 2) as x, y and its value (N, K); -1, -1 if no value is positive."""
    count, joints, _, width = heatmaps.shape
    flat = heatmaps.reshape(count, joints, -1)
    best = flat.argmax(axis=2)
    maxvals = np.take_along_axis(flat, best[:, :, None], axis=2)[:, :, 0]
    peaks = np.stack((best % width, best // width), axis=2)
    return np.where(maxvals[:, :, None] > 0, peaks, -1).astype(np.float32), maxvals.astype(np.float32, copy=False)


def quarter_offset(heatmaps: Floats, peaks: Floats) -> NDArray[np.float32]:
    """Return peaks (N, K, 2) moved by 0.25 * sign(slope) where 1 < x < w - 1 and 1 < y < h - 1.

    Both axes move or neither, as in HRNet and Lite-HRNet: a peak near one border is not moved along the other axis.
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


def axes_offset(heatmaps: Floats, peaks: Floats) -> NDArray[np.float32]:
    """Return peaks moved as by `quarter_offset`, per axis: x where 1 < x < w - 1 and y > 0; likewise y (mmpose 1)."""
    height, width = heatmaps.shape[2:]
    x, y = peaks[:, :, 0].astype(np.int64), peaks[:, :, 1].astype(np.int64)
    moved = np.array(peaks, dtype=np.float32)
    for axis, inside, step in (
        (0, (x > 1) & (x < width - 1) & (y > 0), (0, 1)),
        (1, (y > 1) & (y < height - 1) & (x > 0), (1, 0)),
    ):
        n, k = np.nonzero(inside)
        row, column = y[inside], x[inside]
        slope = heatmaps[n, k, row + step[0], column + step[1]] - heatmaps[n, k, row - step[0], column - step[1]]
        moved[n, k, axis] += np.float32(0.25) * np.sign(slope).astype(np.float32)
    return moved


def blur_kernel(sigma: float) -> int:
    """Return the odd kernel size k whose Gaussian has the standard deviation `sigma` by OpenCV's rule.

    std = 0.3 ((k - 1) / 2 - 1) + 0.8; this gives DARK's 11 for sigma 2 and 17 for sigma 3.
    """
    return 2 * max(round((sigma - 0.8) / 0.3 + 1), 1) + 1


def blur(heatmaps: Floats, kernel: int) -> NDArray[np.float32]:
    """Return heat-maps after a Gaussian filter with a zero border, each rescaled to its original maximum."""
    import cv2

    blurred = _filtered(heatmaps, kernel, cv2.BORDER_CONSTANT)
    before, after = heatmaps.max(axis=(2, 3), keepdims=True), blurred.max(axis=(2, 3), keepdims=True)
    blurred *= np.divide(before, after, out=np.ones_like(after), where=after != 0)
    return blurred


def _filtered(heatmaps: Floats, kernel: int, border: int) -> NDArray[np.float32]:
    import cv2

    blurred = np.empty(heatmaps.shape, dtype=np.float32)
    for n, k in np.ndindex(*heatmaps.shape[:2]):
        one = np.asarray(heatmaps[n, k], dtype=np.float32)
        blurred[n, k] = cv2.GaussianBlur(one, (kernel, kernel), 0, borderType=border)
    return blurred


def dark_offset(heatmaps: Floats, peaks: Floats, kernel: int) -> NDArray[np.float32]:
    """Return peaks moved by -H^-1 g of log(max(blurred, 1e-10)) where 1 < x < w - 2 and 1 < y < h - 2.

    Slopes span two pixels and curvatures four, so the centre of a Gaussian is found exactly (Zhang et al. 2020,
    section 3.2). A peak with a singular H is not moved.
    """
    height, width = heatmaps.shape[2:]
    x, y = peaks[:, :, 0].astype(np.int64), peaks[:, :, 1].astype(np.int64)
    inside = (x > 1) & (x < width - 2) & (y > 1) & (y < height - 2)
    n, k = np.nonzero(inside)
    x, y = x[inside], y[inside]
    log = np.log(np.maximum(blur(heatmaps, kernel).astype(np.float64), 1e-10))

    def at(right: int, down: int) -> Floats:
        return np.asarray(log[n, k, y + down, x + right])

    slope = np.stack((0.5 * (at(1, 0) - at(-1, 0)), 0.5 * (at(0, 1) - at(0, -1))), axis=1)
    xx, yy = (0.25 * (at(*far) - 2 * at(0, 0) + at(*back)) for far, back in (((2, 0), (-2, 0)), ((0, 2), (0, -2))))
    xy = 0.25 * (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1))
    moved = np.array(peaks, dtype=np.float32)
    moved[n, k] -= _solved(xx, xy, yy, slope).astype(np.float32)
    return moved


def udp_offset(heatmaps: Floats, peaks: Floats, kernel: int) -> NDArray[np.float32]:
    """Return peaks moved by -(H + eps I)^-1 g of log(clip(blurred, 0.001, 50)), with border pixels repeated.

    DARK's step as in UDP's code: differences over one pixel, a mirrored border in the blur, maxima not restored.
    """
    import cv2

    n, k = np.nonzero(peaks[:, :, 0] >= 0)
    x, y = (peaks[n, k, axis].astype(np.int64) + 1 for axis in (0, 1))
    clipped = np.clip(_filtered(heatmaps, kernel, cv2.BORDER_REFLECT_101).astype(np.float64), 0.001, 50.0)
    log = np.pad(np.log(clipped), ((0, 0), (0, 0), (1, 1), (1, 1)), mode="edge")

    def at(right: int, down: int) -> Floats:
        return np.asarray(log[n, k, y + down, x + right])

    here = at(0, 0)
    slope = np.stack((0.5 * (at(1, 0) - at(-1, 0)), 0.5 * (at(0, 1) - at(0, -1))), axis=1)
    xx, yy = at(1, 0) - 2 * here + at(-1, 0), at(0, 1) - 2 * here + at(0, -1)
    xy = 0.5 * (at(1, 1) - at(1, 0) - at(0, 1) + 2 * here - at(-1, 0) - at(0, -1) + at(-1, -1))
    eps = float(np.finfo(np.float32).eps)
    moved = np.array(peaks, dtype=np.float32)
    moved[n, k] -= _solved(xx + eps, xy, yy + eps, slope).astype(np.float32)
    return moved


def _solved(xx: Floats, xy: Floats, yy: Floats, slope: Floats) -> Floats:
    """Return H^-1 g (P, 2) for Hessians [[xx, xy], [xy, yy]]; 0 where H is singular."""
    determinant = xx * yy - xy**2
    steps = np.stack((yy * slope[:, 0] - xy * slope[:, 1], xx * slope[:, 1] - xy * slope[:, 0]), axis=1)
    return np.divide(steps, determinant[:, None], out=np.zeros_like(steps), where=determinant[:, None] != 0)


def to_image(
    points: Floats, centers: Floats, scales: Floats, size_wh: Sequence[int], *, crops: Crops = "released"
) -> NDArray[np.float32]:
    """Return image pixels (N, K, 2) for points of a map of `size_wh`, in crops without rotation at `centers`, `scales`.

    float32, computed in float64.
    """
    sides = (np.asarray(scales) * PIXELS)[:, None, :]
    size = np.asarray(size_wh, dtype=np.float64) - (crops == "udp")
    moved = points * (sides / size) + np.asarray(centers)[:, None, :] - sides * 0.5
    return moved.astype(np.float32)


def flip_back(heatmaps: Floats, flip_order: Sequence[int], *, shift: bool = True) -> Floats:
    """Return heat-maps (N, K, h, w) of the mirrored input in the input's frame, to average with the input's own.

    Mirror the maps, swap left and right keypoints by `flip_order`, and shift them one pixel right
    ([..., 1:] = [..., :-1], the first column kept). The shift compensates the mirroring at a quarter of the input size.
    """
    back = heatmaps[:, np.asarray(flip_order), :, ::-1]
    return np.concatenate((back[..., :1], back[..., :-1]), axis=-1) if shift else back


def as_array(heatmaps: torch.Tensor) -> NDArray[Any]:
    """Return heat-maps as a float32 array on the host, as `decode` needs them."""
    return heatmaps.detach().float().cpu().numpy()
