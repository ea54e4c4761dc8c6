"""The classes of every pixel of unlabelled pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from archlab.core.errors import InputError, Problem
from archlab.tasks.finite import check_finite
from archlab.tasks.pixels import Image, normalise
from archlab.tasks.prediction import Floats, Looks, Maps, Picture
from archlab.tasks.segmentation.classes import Classes
from archlab.tasks.segmentation.options import SegmentationOptions

if TYPE_CHECKING:
    from torch import nn

    from archlab.tasks.base import Context

_OPACITY = 0.6
"""Of the classes' colours over the picture."""
_SIZES = 4
"""The number of sizes for which a network is kept."""


@dataclass(frozen=True, eq=False)
class LabelMap:
    """The train ids (H, W) that a network finds in one picture, at the picture's size."""

    picture: Picture
    classes: Classes
    found: NDArray[np.uint8]

    def as_json(self) -> dict[str, Any]:
        """Return each class's share of the pixels, the largest first."""
        counts = np.bincount(self.found.reshape(-1), minlength=len(self.classes)) / self.found.size
        order = [int(i) for i in np.argsort(-counts, kind="stable") if counts[i] > 0]
        return {
            "image": self.picture.name,
            "width": self.picture.size[0],
            "height": self.picture.size[1],
            "classes": {self.classes.names[i]: round(float(counts[i]), 4) for i in order},
        }

    def entries(self) -> list[dict[str, Any]]:
        """Raise TypeError: a label map is no list of objects."""
        raise TypeError("a label map has no entries in COCO's format")

    def labels(self) -> Image:
        """Return the first label id of each pixel's class, (H, W) uint8: Cityscapes' ids for its classes."""
        ids = np.array([values[0] for values in self.classes.values], np.uint8)
        return ids[self.found]

    def resized(self, size: tuple[int, int]) -> LabelMap:
        """Return the same classes in the picture at another size (W, H)."""
        found = cv2.resize(self.found, size, interpolation=cv2.INTER_NEAREST).astype(np.uint8, copy=False)
        return replace(self, picture=self.picture.resized(size), found=found)

    def draw(self) -> Image:
        """Return the picture under the classes' colours, with a legend of the classes found below it."""
        colours = self.classes.palette[self.found]
        mixed = cv2.addWeighted(colours, _OPACITY, self.picture.image, 1 - _OPACITY, 0.0)
        return np.concatenate([mixed, _legend(self.classes, np.unique(self.found), mixed.shape[1])])


def predict_pictures(
    network: nn.Module, pictures: Iterable[Picture], context: Context[SegmentationOptions], classes: Classes
) -> Iterator[LabelMap]:
    """Yield the classes of each picture, in order, one picture at a time since sizes differ."""
    import torch

    from archlab.network.resized import at_size
    from archlab.tasks.segmentation.loss import resized
    from archlab.tasks.segmentation.predict import classes_of

    options = context.options
    network.eval()
    sized = lru_cache(maxsize=_SIZES)(partial(at_size, network))
    for picture in pictures:
        image = torch.from_numpy(normalise(picture.image))[None].to(context.device)
        if options.size == "input":
            image = resized(image, context.input)
        with torch.inference_mode():
            found = classes_of(sized, image, (picture.size[1], picture.size[0]), options)
        yield LabelMap(picture, classes, found[0].cpu().numpy().astype(np.uint8))


def predict_by(
    maps: Maps, pictures: Iterable[Picture], looks: Looks[SegmentationOptions], classes: Classes
) -> Iterator[LabelMap]:
    """Yield the classes of each picture, in order, from logits of the picture at the network's input size.

    Raises InputError if the options ask for other scales.
    """
    if looks.options.scales != (1.0,):
        raise InputError(Problem("has one input size; the recipe averages several scales", "--recipe"))
    for picture in pictures:
        image = _sized(normalise(picture.image), looks.input)
        whole = _sized(_sized(maps(image[None])[0], looks.input), picture.image.shape[:2])
        if looks.options.flip_test:
            mirrored = _sized(maps(image[None, ..., ::-1].copy())[0], looks.input)[..., ::-1]
            whole = _softmax(whole) + _softmax(_sized(mirrored, picture.image.shape[:2]))
        check_finite(whole[None])
        yield LabelMap(picture, classes, whole.argmax(0).astype(np.uint8))


def _sized(maps: Floats, size: Sequence[int]) -> Floats:
    """Return maps (C, h, w) at another size, bilinear, with pixels as areas (corners not aligned)."""
    if maps.shape[1:] == tuple(size):
        return maps
    channels_last = np.ascontiguousarray(maps.transpose(1, 2, 0))
    made: Floats = cv2.resize(channels_last, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)  # type: ignore[assignment]
    return made.reshape(*size, -1).transpose(2, 0, 1)


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=0))
    made: Floats = powers / powers.sum(axis=0)
    return made


def _legend(classes: Classes, shown: NDArray[np.uint8], width: int) -> Image:
    """Return a white strip of the width that names the colours of some classes."""
    scale = max(0.4, width / 2400)
    line, font = round(34 * scale), cv2.FONT_HERSHEY_SIMPLEX
    places, x, y = [], line // 2, 0
    for number in shown:
        (across, _), _ = cv2.getTextSize(classes.names[number], font, scale, 1)
        if x + line + across > width and x > line // 2:
            x, y = line // 2, y + line
        places.append((number, x, y))
        x += across + 2 * line
    strip = np.full((y + 2 * line, width, 3), 255, np.uint8)
    for number, x, y in places:
        top = y + line // 2
        cv2.rectangle(strip, (x, top), (x + line // 2, top + line // 2), classes.palette[number].tolist(), cv2.FILLED)
        at = (x + 3 * line // 4, top + line // 2)
        cv2.putText(strip, classes.names[number], at, font, scale, (30, 30, 30), 1, cv2.LINE_AA)
    return strip
