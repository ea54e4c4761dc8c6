"""A sheet of labelled and predicted pictures in the classes' colours, with a legend."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from archlab.core.figures import new_figure
from archlab.tasks.images import read_image
from archlab.tasks.prediction import Picture, spread_over
from archlab.tasks.segmentation.classes import IGNORE, Classes
from archlab.tasks.segmentation.data.layout import Pictures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PAGE = 10.5
"""The width of the sheet, inches."""


def spread(pictures: Pictures, count: int = 6) -> Pictures:
    """Return `count` pictures, evenly spaced through the set and not chosen by their scores."""
    return pictures.subset(spread_over(np.arange(len(pictures)), count))


def pictures_of(pictures: Pictures, count: int) -> list[Picture]:
    """Return `count` pictures, spread as `spread` does, as they are predicted."""
    return [Picture(str(path), read_image(path)) for path in spread(pictures, count).images]


def predictions(pictures: Pictures, found: Sequence[NDArray[np.uint8]], title: str) -> Figure:
    """Draw a sheet of pictures, their labels and the predicted classes, side by side; ignored pixels are black.

    found: the predicted train ids of each picture, (H, W).
    """
    height, width = pictures.sizes.max(axis=0)
    row = _PAGE / 3 * height / width
    figure = new_figure(_PAGE, len(pictures) * (row + 0.06) + 1.3)
    grid = figure.subplots(len(pictures), 3, squeeze=False)
    shown = np.zeros(IGNORE + 1, bool)
    for i, line in enumerate(grid):
        label = pictures.label(i)
        guess = np.where(label == IGNORE, IGNORE, found[i])
        _draw(line[0], read_image(pictures.images[i]))
        _draw(line[1], pictures.classes.palette[label])
        _draw(line[2], pictures.classes.palette[found[i]])
        line[2].set_title(f"{100 * _accuracy(label, guess):.0f} % of pixels", fontsize=6, pad=1.5, loc="right")
        shown[label] = shown[found[i]] = True
    for axes, text in zip(grid[0], ("picture", "label", "predicted"), strict=True):
        axes.set_title(text, fontsize=8, pad=2)
    figure.suptitle(title + f"\n{len(pictures)} pictures evenly spaced through the validation set", fontsize=9)
    _legend(figure, pictures.classes, shown)
    return figure


def _draw(axes: Axes, image: NDArray[np.uint8]) -> None:
    axes.imshow(image, interpolation="nearest" if image.shape[0] < 256 else "antialiased")
    axes.axis("off")


def _accuracy(label: NDArray[np.uint8], found: NDArray[np.uint8]) -> float:
    scored = label != IGNORE
    return float((label == found)[scored].mean()) if scored.any() else 0.0


def _legend(figure: Figure, classes: Classes, shown: NDArray[np.bool_]) -> None:
    """Name the colours of the classes on the sheet."""
    from matplotlib.patches import Patch

    here = [number for number in range(len(classes)) if shown[number]]
    patches = [Patch(facecolor=classes.palette[i] / 255, edgecolor="#666666", label=classes.names[i]) for i in here]
    if shown[IGNORE]:
        patches.append(Patch(facecolor="black", label="ignored"))
    figure.legend(handles=patches, loc="outside lower center", ncols=8, fontsize=7, frameon=False)
