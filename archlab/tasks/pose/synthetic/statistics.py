"""Statistics of a COCO keypoint data set, for real and synthetic people alike."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

Box = tuple[float, float, float, float]


def statistics(annotations: Mapping[str, Any]) -> dict[str, float]:
    """Return shares over the labelled people (those with a keypoint) of a COCO annotation file's content.

    visibility_0, _1, _2: over all joints. small, medium, large: by area, at 32^2 and 96^2.
    covered: more than 30 % of the box lies in one other box. border: the box is within 2 pixels of the image's edge.
    upright: the line from hips to shoulders is steeper than 45 degrees. left_right: the left shoulder has the larger x.
    The last two are over the people whose four, or two, joints are labelled.
    """
    sizes = {image["id"]: (image["width"], image["height"]) for image in annotations["images"]}
    by_image = defaultdict(list)
    for annotation in annotations["annotations"]:
        by_image[annotation["image_id"]].append(annotation)
    rows = [row for image, group in by_image.items() for row in _rows(group, sizes[image])]
    if not rows:
        return {"people": 0.0, "images": float(len(sizes))}
    columns = {name: np.array([row[name] for row in rows], float) for name in rows[0]}
    shares = {name: float(np.nanmean(column)) for name, column in columns.items() if not np.isnan(column).all()}
    return {"people": float(len(rows)), "images": float(len(sizes))} | shares


def _rows(group: list[dict[str, Any]], size: tuple[int, int]) -> list[dict[str, float]]:
    labelled = [a for a in group if a["num_keypoints"] > 0 and not a["iscrowd"]]
    return [
        _row(a, max((_cover(a["bbox"], b["bbox"]) for b in group if b is not a), default=0.0), size) for a in labelled
    ]


def _row(annotation: dict[str, Any], covered: float, size: tuple[int, int]) -> dict[str, float]:
    points = np.asarray(annotation["keypoints"], float).reshape(-1, 3)
    seen = points[:, 2]
    x, y, w, h = annotation["bbox"]
    row = {f"visibility_{v}": float((seen == v).mean()) for v in range(3)}
    row["small"] = float(annotation["area"] < 32**2)
    row["medium"] = float(32**2 <= annotation["area"] < 96**2)
    row["large"] = float(annotation["area"] >= 96**2)
    row["covered"] = float(covered > 0.3)
    row["border"] = float(min(x, y, size[0] - x - w, size[1] - y - h) <= 2)
    trunk = points[[5, 6], :2].mean(0) - points[[11, 12], :2].mean(0)
    row["upright"] = float(abs(trunk[1]) > abs(trunk[0])) if seen[[5, 6, 11, 12]].all() else float("nan")
    row["left_right"] = float(points[5, 0] > points[6, 0]) if seen[[5, 6]].all() else float("nan")
    return row


def _cover(box: Box, other: Box) -> float:
    """Return the share of `box` inside `other`."""
    x, y, w, h = box
    u, v, s, t = other
    wide, high = min(x + w, u + s) - max(x, u), min(y + h, v + t) - max(y, v)
    return max(wide, 0.0) * max(high, 0.0) / (w * h) if w * h > 0 else 0.0
