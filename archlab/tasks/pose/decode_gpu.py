"""Decoding of heat-maps on the device: the figures of `metrics.decode`, without a wait."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import pad

from archlab.tasks.pose.data.crops import PIXELS
from archlab.tasks.pose.decode import blur_kernel
from archlab.tasks.pose.options import Crops, Decoding


def decode_batch(
    heatmaps: Tensor,
    centers: Tensor,
    scales: Tensor,
    *,
    form: Decoding = "released",
    crops: Crops = "released",
    sigma: float = 2.0,
    post_gaussian: int = 0,
) -> tuple[Tensor, Tensor]:
    """Keypoints (N, K, 2) in image pixels and their heights (N, K), float32; see `metrics.decode.decode`.

    `centers` and `scales` (N, 2) are float32 on the heat-maps' device. The way back to the image is computed in
    float64 and rounded once, as there. Equal to it to the bit by released and axes. What is blurred (dark, udp,
    `post_gaussian`) is summed in another order than OpenCV's: heights agree to 1e-6 of themselves, dark and udp to
    1e-4 heat-map pixels where a map has a peak and not only noise; of two pixels that are equal but for rounding
    either may be the peak. For a GPU: on one CPU thread it takes 5 times as long as `decode` (released and axes) or
    twice (dark and udp), measured on 64 x 17 maps of 64 x 48.
    """
    heatmaps = heatmaps.float()
    if post_gaussian:
        heatmaps = _blurred(heatmaps, post_gaussian)
    peaks, maxvals = _peaks(heatmaps)
    if form == "dark":
        moved = _dark(heatmaps, peaks, blur_kernel(sigma))
    elif form == "udp":
        moved = _udp(heatmaps, peaks, blur_kernel(sigma))
    else:
        moved = _quarter(heatmaps, peaks, each=form == "axes")
    points = []
    for axis, side in enumerate(heatmaps.shape[:-3:-1]):
        length = (scales[:, axis, None] * PIXELS).double()  # rounded to float32 first
        size = side - (crops == "udp")
        points.append(moved[..., axis].double() * (length / size) + centers[:, axis, None] - length * 0.5)
    return torch.stack(points, dim=-1).float(), maxvals


def _peaks(heatmaps: Tensor) -> tuple[Tensor, Tensor]:
    width = heatmaps.shape[3]
    flat = heatmaps.flatten(2)
    best = flat.argmax(dim=2, keepdim=True)
    maxvals = flat.gather(2, best)
    peaks = torch.cat((best % width, best // width), dim=2)
    return torch.where(maxvals > 0, peaks, -1), maxvals[:, :, 0]


def _around(maps: Tensor, peaks: Tensor) -> Callable[[int, int], Tensor]:
    """Reads maps (N, K, h, w) at so many pixels to the right of and below the peaks (N, K, 2), or at the border."""
    height, width = maps.shape[2:]
    flat = maps.flatten(2)

    def at(right: int, down: int) -> Tensor:
        x, y = (peaks[..., 0] + right).clamp(0, width - 1), (peaks[..., 1] + down).clamp(0, height - 1)
        return flat.gather(2, (y * width + x)[..., None])[..., 0]

    return at


def _quarter(heatmaps: Tensor, peaks: Tensor, *, each: bool) -> Tensor:
    """Peaks moved by a quarter towards the larger neighbours, both axes or neither or `each` by itself, as float32."""
    at = _around(heatmaps, peaks)
    slope = torch.stack((at(1, 0) - at(-1, 0), at(0, 1) - at(0, -1)), dim=-1)
    inside = _inside(heatmaps, peaks, 1)
    inside = inside & (peaks.flip(-1) > 0) if each else inside.all(dim=-1, keepdim=True)
    return peaks.float() + torch.where(inside, 0.25 * slope.sign(), 0.0)


def _inside(heatmaps: Tensor, peaks: Tensor, border: int) -> Tensor:
    """(N, K, 2): whether 1 < x < w - border, and alike in y."""
    height, width = heatmaps.shape[2:]
    below = torch.stack((peaks[..., 0] < width - border, peaks[..., 1] < height - border), dim=-1)
    return (peaks > 1) & below


def _dark(heatmaps: Tensor, peaks: Tensor, kernel: int) -> Tensor:
    """See `metrics.decode.dark_offset`."""
    near = _around(_blurred(heatmaps, kernel), peaks)

    def at(right: int, down: int) -> Tensor:
        return near(right, down).double().clamp(min=1e-10).log()

    here = at(0, 0)
    xx, yy = (0.25 * (at(*far) - 2 * here + at(*back)) for far, back in (((2, 0), (-2, 0)), ((0, 2), (0, -2))))
    xy = 0.25 * (at(1, 1) - at(1, -1) - at(-1, 1) + at(-1, -1))
    step = _solved(xx, xy, yy, 0.5 * (at(1, 0) - at(-1, 0)), 0.5 * (at(0, 1) - at(0, -1)))
    inside = _inside(heatmaps, peaks, 2).all(dim=-1, keepdim=True)
    return peaks.float() - torch.where(inside, step, 0.0).float()


def _udp(heatmaps: Tensor, peaks: Tensor, kernel: int) -> Tensor:
    """See `metrics.decode.udp_offset`."""
    near = _around(_filtered(heatmaps, kernel, mirrored=True), peaks)

    def at(right: int, down: int) -> Tensor:
        return near(right, down).double().clamp(0.001, 50.0).log()

    here, right, left, below, above = at(0, 0), at(1, 0), at(-1, 0), at(0, 1), at(0, -1)
    xx, yy = right - 2 * here + left, below - 2 * here + above
    xy = 0.5 * (at(1, 1) - right - below + 2 * here - left - above + at(-1, -1))
    eps = torch.finfo(torch.float32).eps
    step = _solved(xx + eps, xy, yy + eps, 0.5 * (right - left), 0.5 * (below - above))
    return peaks.float() - torch.where(peaks >= 0, step, 0.0).float()


def _solved(xx: Tensor, xy: Tensor, yy: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """(N, K, 2): H^-1 (x, y) for Hessians [[xx, xy], [xy, yy]]; 0 where H is singular."""
    determinant = (xx * yy - xy.square())[..., None]
    steps = torch.stack((yy * x - xy * y, xx * y - xy * x), dim=-1)
    return torch.where(determinant != 0, steps / determinant, 0.0)


def _blurred(heatmaps: Tensor, kernel: int) -> Tensor:
    """See `metrics.decode.blur`."""
    blurred = _filtered(heatmaps, kernel, mirrored=False)
    before, after = heatmaps.amax(dim=(2, 3), keepdim=True), blurred.amax(dim=(2, 3), keepdim=True)
    return blurred * torch.where(after != 0, before / after, 1.0)


def _filtered(heatmaps: Tensor, kernel: int, *, mirrored: bool) -> Tensor:
    """OpenCV's Gaussian filter, rows first; beyond the border zeros, or the map mirrored at its last pixel.

    Shifted sums and no convolution, which on a GPU may run in TF32 with a thousandth of error.
    """
    import cv2

    weights = cv2.getGaussianKernel(kernel, 0, cv2.CV_32F)[:, 0].tolist()
    half = kernel // 2
    for axis in (3, 2):
        side = heatmaps.shape[axis]
        if mirrored:
            wide = heatmaps.index_select(axis, _mirrored(side, half, heatmaps.device))
        else:
            wide = pad(heatmaps, (half, half) if axis == 3 else (0, 0, half, half))
        heatmaps = wide.narrow(axis, half, side) * weights[half]
        for step in range(1, half + 1):
            both = wide.narrow(axis, half - step, side) + wide.narrow(axis, half + step, side)
            heatmaps.add_(both, alpha=weights[half + step])
    return heatmaps


def _mirrored(side: int, half: int, device: torch.device) -> Tensor:
    """Which pixel of `side` stands at -half, ..., side + half - 1: ... 2 1 0 1 2 ..., as often as it takes."""
    period = max(2 * side - 2, 1)
    places = torch.arange(-half, side + half, device=device).remainder(period)
    return torch.minimum(places, period - places)
