"""Reading image files, with an error that names the file when one is damaged."""

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
    """(H, W, 3) RGB, turned as the file's orientation says; InputError for a missing, cut or unreadable file."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(Problem(f"the image cannot be read: {error.strerror}", file=str(path))) from error
    if problem := _damage(data):
        raise InputError(Problem(problem, file=str(path)))
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise InputError(Problem("not an image that OpenCV can decode", file=str(path)))
    rgb: NDArray[Any] = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return rgb.astype(np.uint8, copy=False)


def check_images(paths: Sequence[Path]) -> None:
    """Look at the ends of all the files, without decoding; InputError names every one that is missing or cut off.

    A run then stops before it begins, and not when it first meets the damaged file.
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
    """What is wrong with a file's bytes, if that shows; decoders fill a cut picture with grey and say nothing."""
    if not data:
        return "the image file is empty"
    for start, end in ((_JPEG_START, _JPEG_END), (_PNG_START, _PNG_END)):
        if data.startswith(start) and end not in data.rstrip(b"\0")[-_TAIL:]:
            return "the image is cut off: its end marker is missing"
    return ""
