"""COCO's JSON files as checked rows; an error lists every broken rule of a file."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archlab.core.errors import InputError, Problem, missing_file
from archlab.tasks.pose.keypoints import COCO, KeypointLayout, layout_from_names

PERSON = 1
"""COCO's category of people; a file without it may have a single category of any number."""
_SHOWN = 20

Images = dict[int, tuple[int, dict[str, Any]]]
"""Image id -> its index in the file and its entry."""


def read_json(path: Path) -> Any:
    """Return the content of a JSON file. Raises InputError, with line and column, if it is malformed."""
    if not path.is_file():
        raise missing_file(path, "file")
    try:
        return json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        raise InputError(Problem(f"not JSON: {error.msg}", "", str(path), error.lineno, error.colno)) from error
    except UnicodeDecodeError as error:
        raise InputError(Problem(f"not UTF-8 text at byte {error.start}", file=str(path))) from error


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
    _refuse(problems, path)
    if not document["images"]:
        raise InputError(Problem("`images` is empty", file=str(path)))
    seen: set[int] = set()
    for at, image in enumerate(document["images"]):
        sides = (image.get("width"), image.get("height"))
        if not _integer(image.get("id")) or not isinstance(image.get("file_name"), str):
            problems.append(f"images[{at}]: needs a whole number `id` and a text `file_name`")
        elif not _numbers(sides, 2) or min(sides) <= 0:
            problems.append(f"images[{at}] (id {image['id']}): width and height must be positive, not {sides}")
        elif image["id"] in seen:
            problems.append(f"images[{at}]: the id {image['id']} is already used by another image")
        else:
            seen.add(image["id"])
    _refuse(problems, path)
    return document


def category_of(document: dict[str, Any], path: Path) -> tuple[int, KeypointLayout]:
    """Return the scored category (COCO's person, else the only one) and its keypoints; COCO's if it names none.

    Raises InputError if the categories are malformed.
    """
    categories = document.get("categories") or [{"id": PERSON}]
    if not isinstance(categories, list) or not all(isinstance(c, dict) and _integer(c.get("id")) for c in categories):
        raise InputError(Problem("`categories` must be a list of objects with a whole number `id`", file=str(path)))
    chosen = [c for c in categories if c["id"] == PERSON] or categories
    if len(chosen) != 1:
        rule = f"needs category {PERSON} (person) or a single category, but has {len(chosen)} others"
        raise InputError(Problem(rule, file=str(path)))
    names = chosen[0].get("keypoints")
    if names is None:
        return chosen[0]["id"], COCO
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise InputError(Problem("`keypoints` of the category must be a list of names", file=str(path)))
    bones = chosen[0].get("skeleton") or []
    if not all(_numbers(bone, 2) and all(1 <= end <= len(names) for end in bone) for bone in bones):
        problem = f"`skeleton` of the category must be pairs of keypoint numbers, 1 to {len(names)}"
        raise InputError(Problem(problem, file=str(path)))
    return chosen[0]["id"], layout_from_names(names, [(int(a) - 1, int(b) - 1) for a, b in bones])


@dataclass(frozen=True)
class Row:
    """One person: an annotation, or a detection with the annotation id -1."""

    image_id: int
    annotation_id: int
    box: tuple[float, float, float, float]
    keypoints: Sequence[float]
    area: float
    score: float


def labelled_people(
    annotations: list[dict[str, Any]],
    images: Images,
    category: int,
    layout: KeypointLayout,
    path: Path,
) -> list[Row]:
    """Return the category's people with a positive area and a labelled keypoint, without crowds.

    Raises InputError with all malformed annotations.
    """
    rows: list[Row] = []
    problems: list[str] = []
    seen: set[int] = set()
    for at, entry in enumerate(annotations):
        if entry.get("category_id", category) != category or entry.get("iscrowd", 0):
            continue
        if wrong := _wrong_annotation(entry, images, layout, seen):
            problems.append(f"annotations[{at}] (id {entry.get('id', 'missing')}): {wrong}")
            continue
        seen.add(entry["id"])
        image = images[entry["image_id"]][1]
        box = _clipped(entry["bbox"], image["width"], image["height"])
        area = float(entry.get("area", entry["bbox"][2] * entry["bbox"][3]))
        if area > 0 and box[2] > 0 and box[3] > 0 and any(v > 0 for v in entry["keypoints"][2::3]):
            rows.append(Row(entry["image_id"], entry["id"], box, entry["keypoints"], area, 1.0))
    _refuse(problems, path)
    return rows


def _wrong_annotation(entry: dict[str, Any], images: Images, layout: KeypointLayout, seen: set[int]) -> str:
    points, width = entry.get("keypoints"), 3 * layout.count
    if not _integer(entry.get("id")):
        return "needs a whole number as id"
    if entry["id"] in seen:
        return "the id is already used by another annotation"
    if not _integer(entry.get("image_id")) or entry["image_id"] not in images:
        return f"image_id {entry.get('image_id')!r} is not in `images`"
    if not _numbers(entry.get("bbox"), 4):
        return f"bbox must be four finite numbers [x, y, width, height], not {entry.get('bbox')!r}"
    if not isinstance(points, list) or len(points) != width:
        held = f"{len(points)} values" if isinstance(points, list) else f"{points!r}"
        return f"keypoints must be 3 x {layout.count} = {width} numbers, not {held}"
    if not _numbers(points, width) or any(v not in (0, 1, 2) for v in points[2::3]):
        return "keypoints must be finite x, y and visibility 0, 1 or 2"
    return "" if _numbers([entry.get("area", 0)], 1) else f"area must be a finite number, not {entry['area']!r}"


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
    _refuse(problems, path)
    notes = ((foreign, "in images that are not in the set"), (flat, "without area"))
    return rows, tuple(f"{path.name}: ignored {n} detections {why}" for n, why in notes if n)


def _wrong_detection(entry: Any) -> str:
    if not isinstance(entry, dict):
        return f"must be an object, not {entry!r}"
    missing = [key for key in ("image_id", "category_id", "bbox", "score") if key not in entry]
    if missing:
        return f"lacks {', '.join(missing)}"
    if not _integer(entry["image_id"]):
        return f"image_id must be a whole number, not {entry['image_id']!r}"
    if not _numbers(entry["bbox"], 4):
        return f"bbox must be four finite numbers [x, y, width, height], not {entry['bbox']!r}"
    return "" if _numbers([entry["score"]], 1) else f"score must be a finite number, not {entry['score']!r}"


def _refuse(problems: list[str], path: Path) -> None:
    """Raise InputError with the problems, if any: the first twenty in full and the number of the others."""
    if problems:
        rest = [f"and {len(problems) - _SHOWN} more of this kind"] if len(problems) > _SHOWN else []
        raise InputError([Problem(text, file=str(path)) for text in problems[:_SHOWN] + rest])


def _numbers(values: Any, count: int) -> bool:
    return (
        isinstance(values, list | tuple)
        and len(values) == count
        and all(isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) for v in values)
    )


def _integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
