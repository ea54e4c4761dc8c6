"""A file of boxes: COCO's detections, or annotations with boxes, matched to pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from archlab.core.errors import InputError, Problem
from archlab.core.files import read_json
from archlab.tasks.pose.data.rules import integer, number, numbers
from archlab.tasks.prediction import Boxes

PERSON = 1
_SHOWN = 12


@dataclass(frozen=True, eq=False)
class BoxFile:
    """Boxes by picture. names: image ids by file name, if the file lists its images. least: the lowest score kept."""

    path: Path
    boxes: Mapping[int, Boxes]
    names: Mapping[str, int]

    def number_of(self, picture: Path) -> int | None:
        """Return a picture's image id: as listed by its file's name, else the number that its name is."""
        if picture.name in self.names:
            return self.names[picture.name]
        return int(picture.stem) if not self.names and picture.stem.isdecimal() else None

    def of(self, picture: Path) -> Boxes:
        """Return a picture's boxes, none if the file has none for it."""
        number = self.number_of(picture)
        return self.boxes.get(-1 if number is None else number, Boxes(np.zeros((0, 4)), np.zeros(0)))

    def check(self, pictures: Iterable[Path]) -> None:
        """Raise InputError if the file has no box for any of the pictures."""
        pictures = list(pictures)
        if not any(self.number_of(path) in self.boxes for path in pictures):
            shown = ", ".join(str(number) for number in list(self.boxes)[:3]) or "none"
            rule = f"has no box for {pictures[0].name}{' or any other picture' if len(pictures) > 1 else ''}"
            raise InputError(Problem(f"{rule}: its image ids are {shown}, ...", "--boxes", str(self.path)))


def read_boxes(path: Path, *, least: float = 0.0) -> BoxFile:
    """Return the boxes of persons, from a list {image_id, bbox, score, ...} or from an annotation document.

    least: boxes of a lower score are left out; a box without a score has 1. An entry of another category than person
    is ignored. Raises InputError with all malformed entries.
    """
    document = read_json(path, "box file")
    entries = document.get("annotations") if isinstance(document, dict) else document
    if not isinstance(entries, list):
        rule = "a box file is a list of {image_id, bbox, score}, or an object with `images` and `annotations`"
        raise InputError(Problem(rule, file=str(path)))
    problems: list[Problem] = []
    rows: dict[int, list[tuple[float, ...]]] = defaultdict(list)
    for i, entry in enumerate(entries):
        if rule := _wrong(entry):
            problems.append(Problem(rule, f"[{i}]", str(path)))
        elif entry.get("category_id", PERSON) == PERSON and float(entry.get("score", 1.0)) >= least:
            rows[entry["image_id"]].append((*entry["bbox"], float(entry.get("score", 1.0))))
    if problems:
        rest = [Problem(f"and {len(problems) - _SHOWN} more", file=str(path))] if len(problems) > _SHOWN else []
        raise InputError(problems[:_SHOWN] + rest)
    tables = {number: np.array(values, np.float64) for number, values in rows.items()}
    boxes = {number: Boxes(table[:, :4], table[:, 4]) for number, table in tables.items()}
    return BoxFile(path, boxes, _names(document))


def _wrong(entry: Any) -> str:
    """Return what is wrong with an entry, empty if nothing is."""
    if not isinstance(entry, dict) or not integer(entry.get("image_id")):
        return "an entry needs a whole number `image_id`"
    box = entry.get("bbox")
    if not isinstance(box, list) or not numbers(box, 4):
        return "an entry needs a `bbox` of four numbers: x, y, width, height"
    if min(box[2:]) <= 0:
        return f"the box has no area: {box}"
    return "" if number(entry.get("score", 1.0)) else "the `score` is not a number"


def _names(document: Any) -> dict[str, int]:
    images = document.get("images", []) if isinstance(document, dict) else []
    return {
        Path(str(image["file_name"])).name: image["id"]
        for image in images
        if isinstance(image, dict) and "file_name" in image and isinstance(image.get("id"), int)
    }
