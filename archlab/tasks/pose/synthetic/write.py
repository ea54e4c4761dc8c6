"""Writing a synthetic data set in COCO's layout by parallel processes; the result does not depend on their number."""

from __future__ import annotations

import glob
import json
import multiprocessing
import os
import shutil
import socket
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from archlab.core import files
from archlab.core.errors import InputError, Problem
from archlab.core.files import read_json
from archlab.core.progress import progress
from archlab.tasks.pose.keypoints import COCO
from archlab.tasks.pose.synthetic.detector import detect
from archlab.tasks.pose.synthetic.labels import Label
from archlab.tasks.pose.synthetic.levels import LEVELS, LevelName
from archlab.tasks.pose.synthetic.scene import draw_scene

VERSION = 1  # of the generator: incremented when the same request gives different pictures
REQUEST = "synthetic.json"
DETECTIONS = "person_detection_results/COCO_val2017_detections_AP_H_56_person.json"
_FIRST_ID = {"val2017": 1, "train2017": 10_000_001}  # disjoint ranges; an annotation's id fits 32 bits
_CHUNK = 16
_ALONE = 48  # pictures below which starting processes costs more than it saves


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
    returned unchanged. The set is written to a temporary folder and renamed, so a kill leaves no partial set; temporary
    folders of killed processes are removed first.

    processes: None for one per core. They are spawned, not forked, so a script that uses several needs
    `if __name__ == "__main__":`.
    Raises InputError for an unknown level, counts out of range, a folder with other content, and a place where no
    folder can be made.
    """
    _check(level, train, val, seed)
    request = {"level": level, "train": train, "val": val, "seed": seed, "version": VERSION}
    if _holds(out, request):
        return out
    _remove_abandoned(out)
    temporary = _beside(out)
    try:
        _fill(temporary, request, processes)
        temporary.chmod(0o755)
        try:
            temporary.rename(out)
        except OSError:  # another process has put the same set there meanwhile
            if not _holds(out, request):
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return out


def _beside(out: Path) -> Path:
    """Make a hidden folder next to `out`, named by machine and process."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=out.parent, prefix=f"{_own(out)}{os.getpid()}."))
    except OSError as error:
        raise InputError(Problem(f"cannot make a folder here: {error.strerror}", file=str(out.parent))) from None


def _own(out: Path) -> str:
    """Return the prefix of the names of this machine's hidden folders for `out`."""
    return f".{out.name}.{socket.gethostname()}."


def _remove_abandoned(out: Path) -> None:
    """Remove this machine's hidden folders of `out` whose process has ended."""
    if os.name != "posix":  # elsewhere os.kill(process, 0) may end the process
        return
    prefix = _own(out)
    for folder in out.parent.glob(f"{glob.escape(prefix)}*"):
        process, _, _ = folder.name.removeprefix(prefix).partition(".")
        if process.isdecimal() and not _lives(int(process)):
            shutil.rmtree(folder, ignore_errors=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's process
        return True
    return True


def _check(level: str, train: int, val: int, seed: int) -> None:
    problems = []
    if level not in LEVELS:
        problems.append(Problem(f"unknown level {level!r} (known: {', '.join(LEVELS)})", field="level"))
    for field, count in (("train", train), ("val", val)):
        if not 0 <= count < 10_000_000:
            problems.append(Problem(f"must be a number of images from 0 to 9999999, not {count}", field=field))
    if seed < 0:
        problems.append(Problem(f"must be at least 0, not {seed}", field="seed"))
    if problems:
        raise InputError(problems)


def _holds(out: Path, request: dict[str, Any]) -> bool:
    """Return whether `out` holds this request's data set. Raises InputError if it holds anything else."""
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return False
    try:
        found = read_json(out / REQUEST)
    except InputError:
        raise InputError(Problem(f"exists and is not a synthetic data set ({REQUEST} is missing or broken); "
                                 "choose another folder; nothing was changed", file=str(out))) from None  # fmt: skip
    if found != request:
        if isinstance(found, dict) and found | {"version": VERSION} == request:
            older = f"was generated by version {found.get('version')}; the generator now has version {VERSION}"
            raise InputError(Problem(f"{older}; delete it or choose another folder", file=str(out)))
        raise InputError(Problem(f"holds another synthetic data set, {found}, not {request}; "
                                 "choose another folder; nothing was changed", file=str(out)))  # fmt: skip
    return True


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
        _mapped(jobs, processes) as results,
    ):
        for job, result in zip(jobs, results, strict=True):
            for gathered, new in zip(content[job.split], result, strict=True):
                gathered.extend(new)
            advance(job.count)
    for split, (images, people, _) in content.items():
        _write_compact(folder / "annotations" / f"person_keypoints_{split}.json", _coco(request, images, people))
    _write_compact(folder / DETECTIONS, content["val2017"][2])
    files.write_json(folder / REQUEST, request)


def _write_compact(path: Path, value: Any) -> None:
    files.write_text(path, json.dumps(value, separators=(",", ":"), allow_nan=False) + "\n")


@contextmanager
def _mapped(jobs: list[_Job], processes: int | None) -> Iterator[Iterator[tuple[list[Any], ...]]]:
    """Yield the jobs' results in order, computed here or by spawned processes (not forked: torch may have threads)."""
    wanted = processes if processes is not None else _cores()
    pictures = sum(job.count for job in jobs)
    if wanted <= 1 or (processes is None and pictures < _ALONE):
        yield map(_draw, jobs)
        return
    context = multiprocessing.get_context("spawn")
    workers = min(wanted, max(len(jobs), 1))
    with ProcessPoolExecutor(workers, context, initializer=_begin_worker) as pool:
        yield pool.map(_draw, jobs)


def _begin_worker() -> None:
    """Use one OpenCV thread, and exit when the parent is killed: a pool's processes would wait forever."""
    cv2.setNumThreads(1)
    parent = multiprocessing.parent_process()
    assert parent

    def end() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end, daemon=True).start()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
