"""Writes small folders in COCO's layout for the tests."""

import copy
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from archlab.tasks.pose.data.coco import DETECTIONS, annotation_file
from archlab.tasks.pose.keypoints import COCO

SIDES = (64, 48)  # width, height of every image


def keypoints(**placed: tuple[float, float, int]) -> list[float]:
    """A COCO keypoint list with these joints, the others unlabelled."""
    flat = [0.0] * (3 * COCO.count)
    for name, values in placed.items():
        at = 3 * COCO.names.index(name)
        flat[at : at + 3] = values
    return flat


def document(images: int = 3) -> dict[str, Any]:
    """One person an image, with five labelled joints that differ from image to image."""
    names = ("nose", "left_shoulder", "right_shoulder", "left_hip", "right_knee")
    annotations = [
        {
            "id": 100 + i,
            "image_id": i,
            "category_id": 1,
            "iscrowd": 0,
            "bbox": [10.0, 5.0, 30.0, 40.0],
            "area": 900.0,
            "num_keypoints": 5,
            "keypoints": keypoints(**{name: (12 + 5 * k + i, 8 + 7 * k, 2 - k % 2) for k, name in enumerate(names)}),
        }
        for i in range(images)
    ]
    entries = [{"id": i, "file_name": f"{i}.jpg", "width": SIDES[0], "height": SIDES[1]} for i in range(images)]
    category = {"id": 1, "name": "person", "keypoints": list(COCO.names), "skeleton": [[16, 14], [14, 12]]}
    return {"images": entries, "annotations": annotations, "categories": [category]}


def write(root: Path, content: Any, *, split: str = "val2017", detections: Any = None) -> Path:
    """Write annotations, noise images for all of them, and detections if given."""
    path = annotation_file(root, split)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    (root / split).mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    for image in content["images"] if isinstance(content, dict) else []:
        noise = cv2.blur(random.integers(0, 256, (SIDES[1], SIDES[0], 3), dtype=np.uint8), (5, 5))
        assert cv2.imwrite(str(root / split / image["file_name"]), noise)
    if detections is not None:
        (root / DETECTIONS).parent.mkdir(exist_ok=True)
        (root / DETECTIONS).write_text(json.dumps(detections))
    return root


def changed(content: dict[str, Any], *path: Any, to: Any) -> dict[str, Any]:
    """A copy of the document with the entry at `path` replaced."""
    content = copy.deepcopy(content)
    place: Any = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return content
