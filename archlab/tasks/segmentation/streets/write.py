"""Writing synthetic streets in Cityscapes' layout by parallel processes; the result does not depend on their number."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from archlab.core.errors import InputError
from archlab.core.progress import progress
from archlab.tasks import generated
from archlab.tasks.segmentation.data.layout import IMAGE, IMAGES, LABEL_IDS, LABELS
from archlab.tasks.segmentation.streets.scene import draw_street

VERSION = 1  # of the generator: incremented when the same request gives different pictures
CITY = "synthetic"
_SPLITS = {"train": 1, "val": 2}
_QUALITY = 92
_CHUNK = 16


@dataclass(frozen=True)
class _Job:
    """Consecutive pictures of one split."""

    folder: Path
    split: str
    height: int
    seed: int
    numbers: range


def generate(out: Path, *, train: int, val: int, height: int, seed: int, processes: int | None = None) -> Path:
    """Write `train` + `val` synthetic pictures of height x 2 height with their label ids to `out`, and return `out`.

    A picture depends only on its height and (seed, split, number in the split). A folder that already holds the same
    request is returned unchanged; see `generated.ensure`.

    processes: None for one per core. They are spawned, not forked, so a script that uses several needs
    `if __name__ == "__main__":`.
    Raises InputError for counts out of range, a folder with other content, and a place where no folder can be made.
    """
    request = {"streets": height, "train": train, "val": val, "seed": seed, "version": VERSION}
    if problems := generated.check_request(request):
        raise InputError(problems)
    return generated.ensure(out, request, partial(_fill, request=request, processes=processes))


def _fill(folder: Path, request: dict[str, Any], processes: int | None) -> None:
    jobs = []
    for split in _SPLITS:
        for kind in (IMAGES, LABELS):
            (folder / kind / split / CITY).mkdir(parents=True)
        numbers = range(request[split])
        jobs += [_Job(folder, split, request["streets"], request["seed"], numbers[first : first + _CHUNK])
                 for first in range(0, len(numbers), _CHUNK)]  # fmt: skip
    total = sum(len(job.numbers) for job in jobs)
    with (
        progress("synthetic streets", total) as advance,
        generated.mapped(_draw, jobs, pictures=total, processes=processes) as results,
    ):
        for count in results:
            advance(count)


def _draw(job: _Job) -> int:
    """Draw and write a job's pictures; return their number."""
    for number in job.numbers:
        image, label = draw_street(np.random.default_rng((job.seed, _SPLITS[job.split], number)), job.height)
        name = f"{CITY}_{number:06d}"
        _write(
            job.folder / IMAGES / job.split / CITY / f"{name}{IMAGE}.jpg", image, (cv2.IMWRITE_JPEG_QUALITY, _QUALITY)
        )
        _write(job.folder / LABELS / job.split / CITY / f"{name}{LABEL_IDS}", label, ())
    return len(job.numbers)


def _write(path: Path, values: np.ndarray[Any, Any], how: tuple[int, ...]) -> None:
    coded, data = cv2.imencode(path.suffix, values, how)
    assert coded
    path.write_bytes(data.tobytes())
