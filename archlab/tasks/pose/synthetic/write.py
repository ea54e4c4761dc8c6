"""Writing a synthetic data set in COCO's layout by parallel processes; the result does not depend on their number."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from archlab.core import files
from archlab.core.errors import InputError, Problem
from archlab.core.progress import progress
from archlab.tasks import generated
from archlab.tasks.pose.keypoints import COCO
from archlab.tasks.pose.synthetic.detector import detect
from archlab.tasks.pose.synthetic.labels import Label
from archlab.tasks.pose.synthetic.levels import LEVELS, LevelName
from archlab.tasks.pose.synthetic.scene import draw_scene

VERSION = 1  # of the generator: incremented when the same request gives different pictures
DETECTIONS = "person_detection_results/COCO_val2017_detections_AP_H_56_person.json"
_FIRST_ID = {"val2017": 1, "train2017": 10_000_001}  # disjoint ranges; an annotation's id fits 32 bits
_CHUNK = 16


@dataclass(frozen=True)
class _Job:
    """Consecutive pictures of one split."""

    folder: Path
    level: LevelName
    split: str
    seed: int
    first: int
    count: int


def generate(out: Path, *, level: LevelName, train: int, val: int, seed: int, processes: int | None = None) -> Path:
    """Write `train` + `val` synthetic pictures and their annotations to `out`, and return `out`.

    A picture depends only on (seed, split, index in the split). A folder that already holds the same request is
    returned unchanged; see `generated.ensure`.

    processes: None for one per core. They are spawned, not forked, so a script that uses several needs
    `if __name__ == "__main__":`.
    Raises InputError for an unknown level, counts out of range, a folder with other content, and a place where no
    folder can be made.
    """
    request = {"level": level, "train": train, "val": val, "seed": seed, "version": VERSION}
    unknown = [Problem(f"unknown level {level!r} (known: {', '.join(LEVELS)})", field="level")]
    if problems := [*(unknown if level not in LEVELS else []), *generated.check_request(request)]:
        raise InputError(problems)
    return generated.ensure(out, request, partial(_fill, request=request, processes=processes))


def _fill(folder: Path, request: dict[str, Any], processes: int | None) -> None:
    counts = {"train2017": int(request["train"]), "val2017": int(request["val"])}
    jobs = []
    for split, count in counts.items():
        (folder / split).mkdir()
        jobs += [_Job(folder, request["level"], split, request["seed"], first, min(_CHUNK, count - first))
                 for first in range(0, count, _CHUNK)]  # fmt: skip
    content: dict[str, tuple[list[Any], ...]] = {split: ([], [], []) for split in counts}
    with (
        progress(f"synthetic {request['level']}", sum(counts.values())) as advance,
        generated.mapped(_draw, jobs, pictures=sum(counts.values()), processes=processes) as results,
    ):
        for job, result in zip(jobs, results, strict=True):
            for gathered, new in zip(content[job.split], result, strict=True):
                gathered.extend(new)
            advance(job.count)
    for split, (images, people, _) in content.items():
        _write_compact(folder / "annotations" / f"person_keypoints_{split}.json", _coco(request, images, people))
    _write_compact(folder / DETECTIONS, content["val2017"][2])


def _write_compact(path: Path, value: Any) -> None:
    files.write_text(path, json.dumps(value, separators=(",", ":"), allow_nan=False) + "\n")


def _draw(job: _Job) -> tuple[list[Any], ...]:
    """Draw and write a job's pictures; return its images, annotations and detections."""
    level = LEVELS[job.level]
    images, annotations, detections = [], [], []
    for index in range(job.first, job.first + job.count):
        rng = np.random.default_rng((job.seed, _FIRST_ID[job.split], index))
        scene = draw_scene(rng, level)
        image_id = _FIRST_ID[job.split] + index
        name = f"{image_id:012d}.jpg"
        coded, data = cv2.imencode(".jpg", scene.image, (cv2.IMWRITE_JPEG_QUALITY, scene.quality))
        assert coded
        (job.folder / job.split / name).write_bytes(data.tobytes())
        images.append({"id": image_id, "file_name": name, "width": level.width, "height": level.height})
        annotations += [_annotation(label, image_id, n) for n, label in enumerate(scene.labels)]
        if job.split == "val2017":
            detections += detect(rng, scene.labels, (level.width, level.height), image_id)
    return images, annotations, detections


def _annotation(label: Label, image_id: int, n: int) -> dict[str, Any]:
    return {
        "id": image_id * 64 + n,
        "image_id": image_id,
        "category_id": 1,
        "iscrowd": 0,
        "num_keypoints": int((label.keypoints[:, 2] > 0).sum()),
        "keypoints": [int(v) if i % 3 == 2 else v for i, v in enumerate(label.keypoints.ravel().tolist())],
        "bbox": list(label.box),
        "area": label.area,
        "segmentation": label.segmentation,
    }


def _coco(request: dict[str, Any], images: list[Any], annotations: list[Any]) -> dict[str, Any]:
    category = {"id": 1, "name": "person", "supercategory": "person", "keypoints": list(COCO.names),
                "skeleton": [[a + 1, b + 1] for a, b in COCO.skeleton]}  # fmt: skip
    info = {"description": f"archlab synthetic people, level {request['level']}", "version": str(VERSION),
            "seed": request["seed"]}  # fmt: skip
    return {"info": info, "licenses": [], "images": images, "annotations": annotations, "categories": [category]}
