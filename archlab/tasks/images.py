"""Reading image files; the error for a damaged image names its file."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from archlab.core.errors import InputError, Problem
from archlab.core.progress import progress

_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
_PNG_START, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
_TAIL = 1024
_SHOWN = 20


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return an image as (H, W, 3) RGB uint8, rotated by its EXIF orientation.

    Raises InputError if the file is missing, truncated or unreadable.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(Problem(f"the image cannot be read: {error.strerror}", file=str(path))) from error
    if problem := _damage(data):
        raise InputError(Problem(problem, file=str(path)))
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(Problem("OpenCV cannot decode the image", file=str(path)))
    rgb: NDArray[Any] = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return rgb.astype(np.uint8, copy=False)


def check_images(paths: Sequence[Path]) -> None:
    """Check the first and last bytes of all files, without decoding. Raises InputError with all damaged files.

    A run thus fails before it starts, not when it first reads a damaged file.
    """
    with progress("checking images", len(paths)) as advance, ThreadPoolExecutor() as pool:
        problems = []
        for path, problem in zip(paths, pool.map(_damage_of, paths), strict=True):
            advance()
            if problem:
                problems.append(Problem(problem, file=str(path)))
    if problems:
        rest = [Problem(f"and {len(problems) - _SHOWN} more damaged images")] if len(problems) > _SHOWN else []
        raise InputError(problems[:_SHOWN] + rest)


def _damage_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(_TAIL)
            file.seek(max(len(head), path.stat().st_size - _TAIL))
            return _damage(head + file.read())
    except OSError as error:
        return f"the image cannot be read: {error.strerror}"


def _damage(data: bytes) -> str:
    """Return what is wrong with a file's bytes, or "". Decoders silently fill a truncated picture with grey."""
    if not data:
        return "the file is empty"
    for start, end in ((_JPEG_START, _JPEG_END), (_PNG_START, _PNG_END)):
        if data.startswith(start) and end not in data.rstrip(b"\0")[-_TAIL:]:
            return "the image is truncated: its end marker is missing"
    return ""
