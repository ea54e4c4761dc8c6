"""What a task that predicts unlabelled pictures offers to `archlab predict`: pictures in, predictions out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from archlab.tasks.pixels import Image

if TYPE_CHECKING:
    from torch import nn

    from archlab.tasks.base import Context

O = TypeVar("O")  # noqa: E741  the options of a task
Floats = NDArray[np.floating[Any]]
Maps = Callable[[Floats], Floats]
"""A network as a function of arrays: normalised images (N, 3, H, W) float32 to its output (N, outputs, h, w)."""


@dataclass(frozen=True)
class Looks(Generic[O]):
    """How pictures are looked at: a task's options, the network's input (H, W), and images at a time."""

    options: O
    input: tuple[int, int]
    batch: int


@dataclass(frozen=True, eq=False)
class Boxes:
    """The boxes of one picture. boxes: (N, 4) x, y, w, h, pixels. scores: (N,), the detector's confidence."""

    boxes: Floats
    scores: Floats

    @classmethod
    def whole(cls, width: int, height: int) -> Boxes:
        """Return one box, the whole picture."""
        return cls(np.array([[0.0, 0.0, width, height]]), np.ones(1))


@dataclass(frozen=True, eq=False)
class Picture:
    """An unlabelled picture: RGB pixels (H, W, 3), a name, a number for results, and boxes if they are known."""

    name: str
    image: Image
    number: int = 0
    boxes: Boxes | None = field(default=None)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, pixels."""
        return self.image.shape[1], self.image.shape[0]

    def resized(self, size: tuple[int, int]) -> Picture:
        """Return the picture at another size (W, H), with its boxes there."""
        scale = np.array(size) / self.size
        way = cv2.INTER_AREA if scale.max() < 1 else cv2.INTER_CUBIC
        boxes = self.boxes and Boxes(self.boxes.boxes * np.tile(scale, 2), self.boxes.scores)
        image = cv2.resize(self.image, size, interpolation=way).astype(np.uint8, copy=False)
        return replace(self, image=image, boxes=boxes)


def spread_over(rows: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return `count` of some row numbers, evenly spaced from the first to the last, or all if they are fewer."""
    places = np.linspace(0, len(rows) - 1, min(count, len(rows))).round().astype(int)
    chosen: NDArray[np.int64] = rows[np.unique(places)]
    return chosen


class Prediction(Protocol):
    """What a network finds in one picture."""

    @property
    def picture(self) -> Picture: ...

    def as_json(self) -> dict[str, Any]:
        """Return JSON-able values."""

    def draw(self) -> Image:
        """Return a copy of the picture with the prediction drawn on it, RGB (H, W, 3)."""

    def resized(self, size: tuple[int, int]) -> Prediction:
        """Return the same prediction for the picture at another size (W, H), to be drawn there."""

    def entries(self) -> list[dict[str, Any]]:
        """Return its results in COCO's format; only of a task with the format `coco`."""

    def labels(self) -> Image:
        """Return a label id per pixel, (H, W) uint8; only of a task with the format `cityscapes`."""


V_contra = TypeVar("V_contra", contravariant=True)  # the validation data of a task


class Predicts(Protocol[O, V_contra]):
    """The part of a task that `archlab predict` needs. formats: of results, besides archlab's own JSON.

    boxed: whether it looks at boxes of a picture rather than at the picture as a whole.
    """

    formats: Sequence[str]
    boxed: bool

    def predict(
        self,
        network: nn.Module,
        pictures: Iterable[Picture],
        context: Context[O],
        names: Sequence[str] | None,
        outputs: int,
    ) -> Iterator[Prediction]:
        """Yield a prediction for each picture, in order; pictures are read as they are needed.

        outputs: their number, of the network. names: of the outputs; None: those of the data set with as many.
        The network is left in evaluation mode.
        """

    def pictures(self, validation: V_contra, count: int) -> list[Picture]:
        """Return `count` pictures with their labelled boxes, evenly spaced through the validation data."""

    def predict_by(
        self,
        maps: Maps,
        pictures: Iterable[Picture],
        looks: Looks[O],
        names: Sequence[str] | None,
        outputs: int,
    ) -> Iterator[Prediction]:
        """Yield predictions as `predict` does, by a network of one input size as a function of arrays."""

    def predicted_names(self, names: Sequence[str] | None, outputs: int, options: O) -> tuple[str, ...]:
        """Return the names that predictions give to the outputs; `names` and `outputs` as in `predict`."""
