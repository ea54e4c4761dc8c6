"""The window of a picture that becomes a sample: its scale, place and mirroring, and the colours of its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from archlab.tasks.pixels import Image, normalise
from archlab.tasks.segmentation.classes import IGNORE
from archlab.tasks.segmentation.options import WindowAugmentation

Size = tuple[int, int]
"""Height and width."""
GREY = (0.299, 0.587, 0.114)
"""The shares of red, green and blue in a grey level."""


@dataclass(frozen=True)
class Window:
    """Where the pixels of a sample lie in a picture.

    picture: the picture's size. scaled: its size after scaling. top, left: of the window in the scaled (and mirrored)
    picture. tones: factors of brightness, contrast and saturation.
    """

    picture: Size
    scaled: Size
    top: int = 0
    left: int = 0
    flipped: bool = False
    tones: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @property
    def inverse(self) -> NDArray[np.float64]:
        """(2, 3), from the window's pixels to the picture's; the corners of both pictures coincide, as in cv2.resize.

        x_p = (x + left + 1/2) W_p / W_s - 1/2, and W_p - 1 minus that if mirrored.
        """
        down, across = (p / s for p, s in zip(self.picture, self.scaled, strict=True))
        y, x = (self.top + 0.5) * down - 0.5, (self.left + 0.5) * across - 0.5
        if self.flipped:
            across, x = -across, self.picture[1] - 1 - x
        return np.array(((across, 0.0, x), (0.0, down, y)))

    def places(self, size: Size) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the picture's rows (H,) and columns (W,), between pixels, that a window of `size` reads."""
        (across, _, x), (_, down, y) = self.inverse.tolist()
        rows, columns = (
            start + step * np.arange(side) for start, step, side in ((y, down, size[0]), (x, across, size[1]))
        )
        return rows.astype(np.float32), columns.astype(np.float32)


def draw_window(
    random: np.random.Generator | None, augmentation: WindowAugmentation | None, picture: Size, base: Size, size: Size
) -> Window:
    """Draw a window of `size` in a picture that is first resized to `base`; without augmentation it is the middle."""
    if augmentation is None or random is None:
        top, left = ((b - s) // 2 if b > s else 0 for b, s in zip(base, size, strict=True))
        return Window(picture, base, top, left)
    factor = random.uniform(*augmentation.scale)
    flipped = bool(random.random() < augmentation.flip_probability)
    scaled = (max(1, round(base[0] * factor)), max(1, round(base[1] * factor)))
    top, left = (int(random.integers(max(sc - s, 0) + 1)) for sc, s in zip(scaled, size, strict=True))
    bright, contrast, saturation = (1 + augmentation.colour * random.uniform(-1, 1, 3)).tolist()
    return Window(picture, scaled, top, left, flipped, (bright, contrast, saturation))


def cut(image: Image, window: Window, size: Size) -> NDArray[np.float32]:
    """Return a window of `size` as (3, H, W) normalised float32, bilinear; 0, the mean colour, outside the picture."""
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    pixels = cv2.warpAffine(image, window.inverse, size[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
    values = normalise(toned(np.asarray(pixels), window.tones))
    height, width = inside(window, size)
    values[:, height:] = 0
    values[:, :, width:] = 0
    return values


def cut_label(label: NDArray[np.uint8], window: Window, size: Size) -> NDArray[np.uint8]:
    """Return the labels of a window of `size`, from the nearest pixels; IGNORE outside the picture."""
    nearest = (np.floor(places + 0.5).astype(np.int64) for places in window.places(size))
    rows, columns = (np.clip(at, 0, side - 1) for at, side in zip(nearest, window.picture, strict=True))
    found = np.full(size, IGNORE, np.uint8)
    height, width = inside(window, size)
    found[:height, :width] = label[np.ix_(rows[:height], columns[:width])]
    return found


def inside(window: Window, size: Size) -> Size:
    """Return the height and width of the part of a window of `size` that the picture covers."""
    return min(size[0], window.scaled[0] - window.top), min(size[1], window.scaled[1] - window.left)


def toned(image: Image, tones: tuple[float, float, float]) -> Image:
    """Return an RGB image with changed brightness, then contrast about its mean grey, then saturation."""
    if tones == (1.0, 1.0, 1.0):
        return image
    bright, contrast, saturation = tones
    values: NDArray[Any] = image.astype(np.float32) * bright
    weights = np.array(GREY, np.float32)
    values = (values - (mean := float((values @ weights).mean()))) * contrast + mean
    grey = (values @ weights)[..., None]
    values = (values - grey) * saturation + grey
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
