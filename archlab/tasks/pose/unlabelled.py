"""Keypoints of the people in unlabelled pictures, from their boxes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from archlab.tasks.finite import check_finite
from archlab.tasks.pixels import Image, normalise
from archlab.tasks.pose.data.crops import PIXELS, Floats, crop, crop_matrix, fit_boxes
from archlab.tasks.pose.decode import decode, flip_back
from archlab.tasks.pose.keypoints import KeypointLayout
from archlab.tasks.pose.metrics.nms import suppress_doubles
from archlab.tasks.pose.metrics.oks import rescore
from archlab.tasks.pose.options import PoseOptions
from archlab.tasks.pose.skeleton import draw_skeleton
from archlab.tasks.prediction import Boxes, Looks, Maps, Picture

PERSON = 1


@dataclass(frozen=True, eq=False)
class Poses:
    """The people found in one picture, best first.

    boxes: (N, 4) x, y, w, h, pixels. scores: (N,), the box's score times the mean confidence of sure keypoints.
    points: (N, K, 2), pixels. confidences: (N, K), the heights of the peaks.
    """

    picture: Picture
    layout: KeypointLayout
    boxes: Floats
    scores: Floats
    points: Floats
    confidences: Floats

    def __len__(self) -> int:
        return len(self.scores)

    def as_json(self) -> dict[str, Any]:
        """Return the people with their named keypoints as [x, y, confidence], pixels rounded to hundredths."""
        return {
            "image": self.picture.name,
            "width": self.picture.size[0],
            "height": self.picture.size[1],
            "people": [self._person(row) for row in range(len(self))],
        }

    def entries(self) -> list[dict[str, Any]]:
        """Return the people as COCO's results."""
        triples = np.concatenate((self.points, self.confidences[:, :, None]), axis=2).astype(np.float64)
        return [
            {
                "image_id": self.picture.number,
                "category_id": PERSON,
                "keypoints": triples[row].reshape(-1).tolist(),
                "score": float(self.scores[row]),
            }
            for row in range(len(self))
        ]

    def labels(self) -> Image:
        """Raise TypeError: a pose is no map of labels."""
        raise TypeError("poses have no label map")

    def draw(self) -> Image:
        """Return the picture with a skeleton for each person, the best on top."""
        image = self.picture.image.copy()
        for row in reversed(range(len(self))):
            draw_skeleton(image, self.points[row], self.confidences[row], self.layout)
        return image

    def resized(self, size: tuple[int, int]) -> Poses:
        """Return the same people in the picture at another size (W, H)."""
        scale = np.array(size) / self.picture.size
        boxes, points = self.boxes * np.tile(scale, 2), self.points * scale
        return replace(self, picture=self.picture.resized(size), boxes=boxes, points=points)

    def _person(self, row: int) -> dict[str, Any]:
        rounded = np.round(self.points[row].astype(np.float64), 2).tolist()
        sure = np.round(self.confidences[row].astype(np.float64), 4).tolist()
        names = self.layout.names
        return {
            "box": np.round(self.boxes[row].astype(np.float64), 2).tolist(),
            "score": round(float(self.scores[row]), 4),
            "keypoints": {name: [*xy, c] for name, xy, c in zip(names, rounded, sure, strict=True)},
        }


def predict_pictures(
    maps: Maps, pictures: Iterable[Picture], looks: Looks[PoseOptions], layout: KeypointLayout
) -> Iterator[Poses]:
    """Yield the poses of each picture, in order, from crops of its boxes; without boxes the whole picture is one.

    Crops of several pictures share a batch. Doubles are removed by OKS, as in scoring.
    """
    waiting: list[Picture] = []
    people = 0
    for picture in pictures:
        waiting.append(picture)
        people += len(_boxes(picture).scores)
        if people >= looks.batch:
            yield from _found(maps, waiting, looks, layout)
            waiting, people = [], 0
    yield from _found(maps, waiting, looks, layout)


def _boxes(picture: Picture) -> Boxes:
    return Boxes.whole(*picture.size) if picture.boxes is None else picture.boxes


class _Crops(NamedTuple):
    """The people of some pictures: whose they are (P,), their boxes, and centres and scales of their crops."""

    owner: NDArray[np.int64]
    boxes: Boxes
    centers: Floats
    scales: Floats


def _crops(pictures: Sequence[Picture], aspect: float) -> _Crops:
    each = [_boxes(picture) for picture in pictures]
    owner = np.repeat(np.arange(len(each)), [len(boxes.scores) for boxes in each])
    boxes = np.concatenate([np.asarray(one.boxes, np.float64).reshape(-1, 4) for one in each])
    scores = np.concatenate([np.asarray(one.scores, np.float64) for one in each])
    return _Crops(owner, Boxes(boxes, scores), *fit_boxes(boxes, aspect))


def _found(
    maps: Maps, pictures: Sequence[Picture], looks: Looks[PoseOptions], layout: KeypointLayout
) -> Iterator[Poses]:
    if not pictures:
        return
    crops = _crops(pictures, looks.input[1] / looks.input[0])
    points = np.zeros((len(crops.owner), layout.count, 2), np.float32)
    heights = np.zeros((len(crops.owner), layout.count), np.float32)
    for start in range(0, len(crops.owner), looks.batch):
        rows = np.arange(start, min(start + looks.batch, len(crops.owner)))
        points[rows], heights[rows] = _decoded(maps, pictures, crops, rows, looks, layout)
    check_finite(heights)
    scores = rescore(crops.boxes.scores, heights)
    areas = np.prod(crops.scales.astype(np.float64) * PIXELS, axis=1)
    kept = suppress_doubles(crops.owner, points, scores, areas, layout.sigmas)
    for i, picture in enumerate(pictures):
        rows = kept[crops.owner[kept] == i]
        yield Poses(picture, layout, crops.boxes.boxes[rows], scores[rows], points[rows], heights[rows])


def _decoded(
    maps: Maps,
    pictures: Sequence[Picture],
    crops: _Crops,
    rows: NDArray[np.int64],
    looks: Looks[PoseOptions],
    layout: KeypointLayout,
) -> tuple[Floats, Floats]:
    """Return the keypoints (n, K, 2) and peak heights (n, K) of some people."""
    options = looks.options
    size_wh = (looks.input[1], looks.input[0])
    inputs = np.stack([_input(pictures[crops.owner[row]].image, crops, row, size_wh, options) for row in rows])
    return decode(
        _heatmaps(maps, inputs, options, layout),
        crops.centers[rows],
        crops.scales[rows],
        form=options.decoding,
        crops=options.crops,
        sigma=options.sigma,
        post_gaussian=options.post_gaussian,
    )


def _input(image: Image, crops: _Crops, row: int, size_wh: tuple[int, int], options: PoseOptions) -> Floats:
    matrix = crop_matrix(crops.centers[row], crops.scales[row], 0.0, size_wh, options.crops)
    return normalise(crop(image, matrix, size_wh))


def _heatmaps(maps: Maps, images: Floats, options: PoseOptions, layout: KeypointLayout) -> Floats:
    """Return heat-maps, with a flip test the mean of those of the images and of their mirror images."""
    if not options.flip_test:
        return maps(images)
    back = flip_back(maps(images[..., ::-1].copy()), layout.flip_order, shift=options.crops == "released")
    return (maps(images) + back) / np.float32(2)
