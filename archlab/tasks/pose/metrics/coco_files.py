"""Ground truth and detections, read from COCO's JSON into arrays for whole-array scoring."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archlab.core.errors import InputError, Problem
from archlab.tasks.pose.data.crops import Floats
from archlab.tasks.pose.data.rules import SHOWN, flag, number, numbers, short, wrong_number

DETECTIONS_PER_IMAGE = 20
"""COCO's maxDets for keypoints: only the best twenty detections of an image count."""

Bools = NDArray[np.bool_]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Truth:
    """The ground truth: G people, ordered by `cell` and within it as in the file.

    A cell is one category in one image: category number * len(images) + image number.
    """

    images: Ints
    """Image ids, ascending."""
    categories: Ints
    """Category ids, ascending."""
    cell: Ints
    points: Floats
    """(G, K, 2), pixels."""
    labelled: Bools
    """(G, K)."""
    boxes: Floats
    """(G, 4) x, y, w, h, pixels."""
    areas: Floats
    """(G,), square pixels: the annotation's area, that of its mask."""
    crowd: Bools
    ignored: Bools
    """Crowds and people without labelled keypoints: a match with them counts neither as correct nor as wrong."""
    countable: Bools
    """False for annotation id 0, which pycocotools reads as "no match": its detection counts as a false positive."""

    def __len__(self) -> int:
        return len(self.cell)


@dataclass(frozen=True, eq=False)
class Found:
    """The best twenty detections of every cell of a `Truth`, best first; equal scores in the given order."""

    cell: Ints
    rank: Ints
    """From 0 within the cell."""
    points: Floats
    """(D, K, 2), pixels."""
    areas: Floats
    scores: Floats

    def __len__(self) -> int:
        return len(self.cell)


def read_truth(document: Any, *, joints: int, file: str = "") -> Truth:
    """Return the people of an annotation document, with K = `joints` keypoints each.

    A missing `iscrowd` is 0, a missing `num_keypoints` is counted, and a missing `area` is the box's. As in
    pycocotools, annotations of images or categories that the document does not list are ignored.
    Raises InputError with all malformed entries.
    """
    if not isinstance(document, dict) or not all(
        isinstance(document.get(key, [] if key == "categories" else None), list)
        for key in ("images", "annotations", "categories")
    ):
        raise InputError(Problem("an annotation file is an object with lists `images` and `annotations`", file=file))
    entries = document["annotations"]
    table = _Table(entries, "annotations", file)
    ids = table.whole("id")
    _refuse_doubles(ids, file)
    image, category = table.whole("image_id"), table.whole("category_id")
    boxes = table.column("bbox", 4)
    triples = table.column("keypoints", 3 * joints).reshape(-1, joints, 3)
    labelled = triples[:, :, 2] > 0
    counted = table.column("num_keypoints", default=labelled.sum(axis=1).tolist())
    crowd = table.flags("iscrowd")
    columns = {
        "points": triples[:, :, :2],
        "labelled": labelled,
        "boxes": boxes,
        "areas": table.column("area", default=boxes[:, 2:].prod(axis=1).tolist()),
        "crowd": crowd,
        "ignored": crowd | (counted == 0),
        "countable": ids != 0,
    }
    images = np.unique(_Table(document["images"], "images", file).whole("id"))
    listed = document.get("categories")
    categories = np.unique(category if listed is None else _Table(listed, "categories", file).whole("id"))
    cell = _cells(images, categories, image, category)
    rows = np.argsort(cell, kind="stable")
    rows = rows[cell[rows] >= 0]
    return Truth(images, categories, cell[rows], **{name: values[rows] for name, values in columns.items()})


def read_found(results: Any, truth: Truth, *, joints: int, file: str = "") -> Found:
    """Return the counted detections of a result list {image_id, category_id, keypoints, score[, bbox]}.

    As in pycocotools, the first result decides for all: if it has a `bbox`, areas are those of the boxes, else those
    of the boxes around the keypoints; AP(M) and AP(L) depend on it. Raises InputError with all malformed entries.
    """
    if not isinstance(results, list):
        raise InputError(Problem("results are a list of {image_id, category_id, keypoints, score}", file=file))
    table = _Table(results, "results", file)
    triples = table.column("keypoints", 3 * joints).reshape(-1, joints, 3)
    boxed = bool(results) and results[0].get("bbox", []) != []
    if results and not boxed and "segmentation" in results[0]:
        # pycocotools would use the masks' areas; no keypoint tool writes such a file on purpose.
        raise InputError(Problem("results[0] has a `segmentation` but no `bbox`: not a keypoint result", file=file))
    return found_from(
        truth,
        table.whole("image_id"),
        table.whole("category_id"),
        triples[:, :, :2],
        table.column("score"),
        boxes=table.column("bbox", 4) if boxed else None,
        file=file,
    )


def found_from(
    truth: Truth,
    image_ids: NDArray[Any],
    category_ids: NDArray[Any] | int,
    points: Floats,
    scores: Floats,
    *,
    boxes: Floats | None = None,
    file: str = "",
) -> Found:
    """Return detections from arrays: ids (D,), keypoints (D, K, 2) in pixels, scores (D,).

    Detections of categories that the truth does not list are ignored.

    boxes: (D, 4), for the areas; None uses the boxes around the keypoints.
    Raises InputError if the truth lacks an image, or if a number is not finite.
    """
    points, scores = np.asarray(points, np.float64), np.asarray(scores, np.float64)
    if len(foreign := np.setdiff1d(image_ids, truth.images)):
        message = f"the annotations lack {len(foreign)} images of the results: {foreign[:5].tolist()}"
        raise InputError(Problem(message, file=file))
    if not (np.isfinite(scores).all() and np.isfinite(points).all()):
        raise InputError(Problem("keypoints and scores of results must be finite numbers", file=file))
    cell = _cells(truth.images, truth.categories, image_ids, np.broadcast_to(category_ids, scores.shape))
    order = np.lexsort((-scores, cell))
    cell = cell[order]
    rank = np.arange(len(cell)) - np.searchsorted(cell, cell, side="left")
    kept = (cell >= 0) & (rank < DETECTIONS_PER_IMAGE)
    rows = order[kept]
    sides = np.ptp(points[rows], axis=1) if boxes is None else np.asarray(boxes, np.float64)[rows, 2:]
    return Found(cell[kept], rank[kept], points[rows], sides.prod(axis=1), scores[rows])


def _cells(images: Ints, categories: Ints, image: NDArray[Any], category: NDArray[Any]) -> Ints:
    """Return each row's cell, or -1 if its image or category is not listed."""
    if not len(images) or not len(categories):
        return np.full(len(image), -1)
    i = np.minimum(np.searchsorted(images, image), len(images) - 1)
    c = np.minimum(np.searchsorted(categories, category), len(categories) - 1)
    return np.where((images[i] == image) & (categories[c] == category), c * len(images) + i, -1)


def _refuse_doubles(ids: Ints, file: str) -> None:
    unique, counts = np.unique(ids, return_counts=True)
    if len(twice := unique[counts > 1]):
        message = f"annotations: {len(twice)} ids are not unique: {twice[:5].tolist()}"
        raise InputError(Problem(message, file=file))


@dataclass(frozen=True)
class _Table:
    """A list of JSON objects, read by columns: fast for valid lists, with exact errors for others."""

    entries: list[Any]
    name: str
    file: str

    def column(self, key: str, width: int = 0, *, default: list[Any] | None = None) -> Floats:
        """Return the finite numbers under `key` as float64 (N,) or (N, width); `default` fills missing entries."""
        return self._finite(key, width, default).astype(np.float64)

    def whole(self, key: str) -> Ints:
        """Return the whole numbers under `key` as int64 (N,), not converted via floats, which would merge large ids."""
        values = self._finite(key, 0, None)
        if len(wrong := np.flatnonzero((values != np.rint(values)) | (np.abs(values.astype(np.float64)) >= 2.0**63))):
            raise self._error(key, wrong.tolist(), 0, kind="a whole number")
        return values.astype(np.int64)

    def flags(self, key: str) -> Bools:
        """Return (N,) the values of `key`, 0 or 1; 0 for entries that lack it."""
        values = self._values(key, [0] * len(self.entries))
        if wrong := [at for at, value in enumerate(values) if not flag(value)]:
            raise self._error(key, wrong, 0, kind="0 or 1")
        return np.array(values, dtype=bool)

    def _finite(self, key: str, width: int, default: list[Any] | None) -> NDArray[Any]:
        values = self._values(key, default)
        shape = (len(values), width) if width else (len(values),)
        if not values:
            return np.zeros(shape)
        try:
            array = np.asarray(values)
        except ValueError:  # lists of different lengths
            array = np.zeros(())
        if array.dtype.kind not in "iuf" or array.shape != shape or not np.isfinite(array).all():
            if wrong := [at for at, value in enumerate(values) if not _fits(value, width)]:
                raise self._error(key, wrong, width)
            array = np.asarray(values, np.float64)  # a whole number beyond 64 bits
        return array

    def _values(self, key: str, default: list[Any] | None) -> list[Any]:
        try:
            if default is None:
                return [entry[key] for entry in self.entries]
            return [entry.get(key, other) for entry, other in zip(self.entries, default, strict=True)]
        except (KeyError, TypeError, AttributeError):
            raise self._error(
                key, (at for at, e in enumerate(self.entries) if not isinstance(e, dict) or key not in e), -1
            ) from None

    def _error(self, key: str, wrong: Iterable[int], width: int, *, kind: str = "a finite number") -> InputError:
        """Return the error for the entries with these indices, the first twenty in full; width -1: `key` is missing."""
        rows = list(wrong)
        said = [f"{self.name}[{at}]: {self._rule(at, key, width, kind)}" for at in rows[:SHOWN]]
        said += [f"and {len(rows) - SHOWN} more of this kind"] if len(rows) > SHOWN else []
        return InputError([Problem(text, file=self.file) for text in said])

    def _rule(self, at: int, key: str, width: int, kind: str) -> str:
        if width < 0:
            return f"lacks `{key}`"
        value = self.entries[at][key]
        if isinstance(value, list) and len(value) == width and width:
            return wrong_number(value, key, points=key == "keypoints")
        return f"`{key}` must be {f'{width} finite numbers' if width else kind}, not {short(value)}"


def _fits(value: Any, width: int) -> bool:
    return numbers(value, width) if width else number(value)
