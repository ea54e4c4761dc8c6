"""From heat-maps to keypoints in image pixels, and the averaging with the mirrored input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from archlab.tasks.pose.data.crops import PIXELS, Floats
from archlab.tasks.pose.options import Crops, Decoding


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
    """Keypoints (N, K, 2) in image pixels and their heights (N, K), from heat-maps (N, K, h, w).

    Arg-max; moved by a part of a pixel, as `form` says: released, a quarter towards the larger neighbours of both axes
    (`quarter_offset`), axes, of each axis by itself, dark and udp, a Newton step on the blurred logarithm for bumps of
    `sigma` pixels (`dark_offset`, `udp_offset`). Then back through the crop: x * 200 * scale_x / w + center_x - 100 *
    scale_x, alike in y; with UDP's crops over w - 1. A map without a positive value gives pixel -1.
    `post_gaussian`: the kernel of a Gaussian filter before all this, 0 for none (Lite-HRNet's paper; not its code).
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


def axes_offset(heatmaps: Floats, peaks: Floats) -> NDArray[np.float32]:
    """As `quarter_offset`, each axis by itself: in x where 1 < x < w - 1 and y > 0, and alike in y (mmpose 1)."""
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
    """The side of the blur for bumps of `sigma`: the odd one whose Gaussian, by OpenCV's rule, is as wide.

    std = 0.3 ((k - 1) / 2 - 1) + 0.8. Gives DARK's 11 for sigma 2 and 17 for sigma 3.
    """
    return 2 * max(round((sigma - 0.8) / 0.3 + 1), 1) + 1


def blur(heatmaps: Floats, kernel: int) -> NDArray[np.float32]:
    """Heat-maps through a Gaussian filter with zeros beyond the border, each scaled to keep its maximum."""
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
    """Peaks moved by -H^-1 g of log(max(blurred, 1e-10)), where 1 < x < w - 2 and 1 < y < h - 2.

    Slopes over two pixels, curvatures over four, so that a Gaussian's middle is met exactly (Zhang et al. 2020,
    section 3.2); left where H is singular.
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
    """Peaks moved by -(H + eps I)^-1 g of log(clip(blurred, 0.001, 50)), with neighbours beyond the border repeated.

    DARK's step as UDP's code takes it: one pixel each way, the border mirrored in the blur, maxima not kept.
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
    """(P, 2): H^-1 g for Hessians [[xx, xy], [xy, yy]]; 0 where H is singular."""
    determinant = xx * yy - xy**2
    steps = np.stack((yy * slope[:, 0] - xy * slope[:, 1], xx * slope[:, 1] - xy * slope[:, 0]), axis=1)
    return np.divide(steps, determinant[:, None], out=np.zeros_like(steps), where=determinant[:, None] != 0)


def to_image(
    points: Floats, centers: Floats, scales: Floats, size_wh: Sequence[int], *, crops: Crops = "released"
) -> NDArray[np.float32]:
    """Points (N, K, 2) of a map of `size_wh`, in image pixels, for crops without rotation at `centers`, `scales`."""
    sides = (np.asarray(scales) * PIXELS)[:, None, :]
    size = np.asarray(size_wh, dtype=np.float64) - (crops == "udp")
    moved = points * (sides / size) + np.asarray(centers)[:, None, :] - sides * 0.5
    return moved.astype(np.float32)


def flip_back(heatmaps: torch.Tensor, flip_order: Sequence[int] | torch.Tensor, *, shift: bool = True) -> torch.Tensor:
    """Heat-maps (N, K, h, w) of the mirrored input, as of the input itself: mirrored, pairs swapped, one pixel right.

    The shift ([..., 1:] = [..., :-1], the first column kept) makes up for the mirror of a map at a quarter of the
    input's size; average the result with the maps of the input. An order that is a tensor on the maps' device is not
    copied there, for which a GPU would wait.
    """
    back = heatmaps.flip(-1).index_select(1, torch.as_tensor(flip_order, device=heatmaps.device))
    return torch.cat((back[..., :1], back[..., :-1]), dim=-1) if shift else back


def as_array(heatmaps: torch.Tensor) -> NDArray[Any]:
    """Heat-maps on the host as float32, as `decode` takes them."""
    return heatmaps.detach().to("cpu", torch.float32).numpy()
