"""COCO's JSON files as checked rows; an error lists every broken rule of a file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archlab.core.errors import InputError, Problem
from archlab.tasks.pose.data.image_files import wrong_name
from archlab.tasks.pose.data.rules import flag, integer, keypoint_of, number, numbers, refuse, short, wrong_number
from archlab.tasks.pose.keypoints import KeypointLayout

Images = dict[int, tuple[int, dict[str, Any]]]
"""Image id -> its index in the file and its entry."""


def checked_document(document: Any, path: Path) -> dict[str, Any]:
    """Return the document. Raises InputError unless it has well-formed `images` and `annotations`."""
    problems: list[str] = []
    if not isinstance(document, dict):
        raise InputError(Problem("an annotation file is an object with `images` and `annotations`", file=str(path)))
    for key in ("images", "annotations"):
        if not isinstance(document.get(key), list):
            problems.append(f"`{key}` must be a list")
        else:
            problems += [
                f"{key}[{i}] must be an object" for i, e in enumerate(document[key]) if not isinstance(e, dict)
            ]
    refuse(problems, path)
    if not document["images"]:
        raise InputError(Problem("`images` is empty", file=str(path)))
    seen: set[int] = set()
    for at, image in enumerate(document["images"]):
        sides = (image.get("width"), image.get("height"))
        if not integer(image.get("id")) or not isinstance(image.get("file_name"), str):
            problems.append(f"images[{at}]: needs a whole number `id` and a text `file_name`")
        elif not numbers(sides, 2) or min(sides) <= 0:
            problems.append(f"images[{at}] (id {image['id']}): width and height must be positive, not {sides}")
        elif wrong := wrong_name(image["file_name"]):
            problems.append(f"images[{at}] (id {image['id']}): {wrong}")
        elif image["id"] in seen:
            problems.append(f"images[{at}]: the id {image['id']} is already used by another image")
        else:
            seen.add(image["id"])
    refuse(problems, path)
    return document


@dataclass(frozen=True)
class Row:
    """One person: an annotation, or a detection with the annotation id -1."""

    image_id: int
    annotation_id: int
    box: tuple[float, float, float, float]
    keypoints: Sequence[float]
    area: float
    score: float


UNLABELLED, FLAT, EMPTY = "without a labelled keypoint", "with an area of 0 or less", "with an empty box"
CROWD = "in crowds"


def labelled_people(
    annotations: list[dict[str, Any]],
    images: Images,
    category: int,
    layout: KeypointLayout,
    path: Path,
) -> tuple[list[Row], tuple[str, ...]]:
    """Return the category's people with a positive area and a labelled keypoint, and notes about those left out.

    Crowds are left out without a note. Raises InputError with all malformed annotations, or if nobody is left.
    """
    rows: list[Row] = []
    problems: list[str] = []
    seen: set[int] = set()
    left_out: Counter[str] = Counter()
    for at, entry in enumerate(annotations):
        wrong = _wrong_kind(entry, category)
        if not wrong and entry.get("category_id", category) != category:
            left_out["of other categories"] += 1
        elif not wrong and entry.get("iscrowd", 0):
            left_out[CROWD] += 1
        elif wrong := wrong or _wrong_annotation(entry, images, layout, seen):
            problems.append(f"annotations[{at}] (id {short(entry.get('id', 'missing'))}): {wrong}")
        else:
            seen.add(entry["id"])
            row = _row(entry, images[entry["image_id"]][1])
            if reason := _unusable(row):
                left_out[reason] += 1
            else:
                rows.append(row)
    refuse(problems, path)
    if not rows:
        said = ", ".join(f"{count} {reason}" for reason, count in left_out.items()) or "there are no annotations"
        raise InputError(Problem(f"no person with a labelled keypoint and an area is left: {said}", file=str(path)))
    noted = [(left_out[reason], reason) for reason in (UNLABELLED, FLAT, EMPTY) if left_out[reason]]
    return rows, tuple(f"{path.name}: ignored {count} people {reason}" for count, reason in noted)


def _row(entry: dict[str, Any], image: dict[str, Any]) -> Row:
    box = _clipped(entry["bbox"], image["width"], image["height"])
    area = float(entry.get("area", entry["bbox"][2] * entry["bbox"][3]))
    return Row(entry["image_id"], entry["id"], box, entry["keypoints"], area, 1.0)


def _unusable(row: Row) -> str:
    """Return why a person can be neither trained nor scored, or ""."""
    if not any(visible > 0 for visible in row.keypoints[2::3]):
        return UNLABELLED
    if row.area <= 0:
        return FLAT
    return EMPTY if row.box[2] <= 0 or row.box[3] <= 0 else ""


def _wrong_kind(entry: dict[str, Any], category: int) -> str:
    """Return what is wrong with the fields that decide whether an annotation is one of the people, or ""."""
    if not integer(entry.get("category_id", category)):
        return f"category_id must be a whole number, not {short(entry['category_id'])}"
    if entry.get("category_id", category) == category and not flag(entry.get("iscrowd", 0)):
        return f"iscrowd must be 0 or 1, not {short(entry['iscrowd'])}"
    return ""


def _wrong_annotation(entry: dict[str, Any], images: Images, layout: KeypointLayout, seen: set[int]) -> str:
    if not integer(entry.get("id")):
        return "needs a whole number as id"
    if entry["id"] in seen:
        return "the id is already used by another annotation"
    if not integer(entry.get("image_id")) or entry["image_id"] not in images:
        return f"image_id {short(entry.get('image_id'))} is not in `images`"
    if not numbers(entry.get("bbox"), 4):
        return f"bbox must be four finite numbers [x, y, width, height], not {entry.get('bbox')!r}"
    if wrong := _wrong_points(entry.get("keypoints"), 3 * layout.count):
        return wrong
    return "" if number(entry.get("area", 0)) else f"area must be a finite number, not {short(entry['area'])}"


def _wrong_points(points: Any, width: int) -> str:
    if not isinstance(points, list) or len(points) != width:
        held = f"{len(points)} values" if isinstance(points, list) else short(points)
        return f"keypoints must be 3 x {width // 3} = {width} numbers, not {held}"
    if wrong := wrong_number(points, "keypoints", points=True):
        return wrong
    at = next((at for at in range(2, width, 3) if points[at] not in (0, 1, 2)), None)
    return "" if at is None else f"keypoints[{at}]{keypoint_of(at)} must be 0, 1 or 2, not {short(points[at])}"


def _clipped(bbox: Sequence[float], width: float, height: float) -> tuple[float, float, float, float]:
    """Return the reference's box, one pixel smaller than COCO's: x2 = min(W - 1, x1 + max(0, w - 1)); likewise y."""
    x, y, w, h = bbox
    x1, y1 = max(0.0, x), max(0.0, y)
    x2 = min(width - 1.0, x1 + max(0.0, w - 1.0))
    y2 = min(height - 1.0, y1 + max(0.0, h - 1.0))
    return x1, y1, x2 - x1, y2 - y1


def detections(
    document: Any, images: Images, category: int, layout: KeypointLayout, path: Path
) -> tuple[list[Row], tuple[str, ...]]:
    """Return the category's detections, and notes about those that are left out.

    Raises InputError with all malformed detections.
    """
    if not isinstance(document, list):
        raise InputError(Problem("a detection file is a list of {image_id, category_id, bbox, score}", file=str(path)))
    rows: list[Row] = []
    problems: list[str] = []
    foreign = flat = 0
    unlabelled = (0.0,) * (3 * layout.count)
    for at, entry in enumerate(document):
        if wrong := _wrong_detection(entry):
            problems.append(f"[{at}]: {wrong}")
        elif entry["category_id"] != category:
            continue
        elif entry["image_id"] not in images:
            foreign += 1
        elif entry["bbox"][2] <= 0 or entry["bbox"][3] <= 0:
            flat += 1
        else:
            x, y, w, h = map(float, entry["bbox"])
            rows.append(Row(entry["image_id"], -1, (x, y, w, h), unlabelled, w * h, float(entry["score"])))
    refuse(problems, path)
    notes = ((foreign, "in images that are not in the set"), (flat, "without area"))
    return rows, tuple(f"{path.name}: ignored {n} detections {why}" for n, why in notes if n)


def _wrong_detection(entry: Any) -> str:
    if not isinstance(entry, dict):
        return f"must be an object, not {entry!r}"
    missing = [key for key in ("image_id", "category_id", "bbox", "score") if key not in entry]
    if missing:
        return f"lacks {', '.join(missing)}"
    if not integer(entry["image_id"]):
        return f"image_id must be a whole number, not {entry['image_id']!r}"
    if not numbers(entry["bbox"], 4):
        return f"bbox must be four finite numbers [x, y, width, height], not {entry['bbox']!r}"
    return "" if number(entry["score"]) else f"score must be a finite number, not {entry['score']!r}"
