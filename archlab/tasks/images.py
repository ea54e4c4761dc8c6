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
from archlab.tasks import image_format
from archlab.tasks.image_format import JPEG, PNG, FormatError, Picture, Size

MOST_PIXELS = 2**28
"""The largest picture that is decoded, 800 MB; a damaged header may claim any size."""
_HEAD = 1 << 14
_GREY, _CORNER = 128, 8
_MORE = bytes(range(1, 255)) * 4
"""Coded data for a decoder that has not reached the end of its picture; without 0xff, so that it holds no marker."""
_SHOWN = 20


def read_image(path: Path) -> NDArray[np.uint8]:
    """Return an image as (H, W, 3) RGB uint8, rotated by its EXIF orientation.

    Raises InputError if the file is missing, truncated, unreadable or larger than MOST_PIXELS.
    """
    data = bytes_of(path)
    try:
        found = checked(data)
        image = decoded(data)
        if _cut_off(data, found, image):
            raise FormatError("the image is truncated: its coded data end before its last pixels")
    except FormatError as error:
        raise InputError(Problem(str(error), file=str(path))) from error
    rgb: NDArray[Any] = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return rgb.astype(np.uint8, copy=False)


def image_size(path: Path) -> Size | None:
    """Return the width and height that `read_image` gives, or None if it cannot read the file.

    The size of a JPEG or PNG is read from the file's first bytes; other formats are decoded.
    """
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
            if head.startswith((JPEG, PNG)):
                return image_format.size(head) or image_format.size(head + file.read())
        image = read_image(path)
    except (OSError, InputError):
        return None
    return image.shape[1], image.shape[0]


def check_images(paths: Sequence[Path]) -> None:
    """Walk the format of all files, without decoding. Raises InputError with all missing and damaged files."""
    with progress("checking images", len(paths)) as advance, ThreadPoolExecutor() as pool:
        problems = []
        for path, problem in zip(paths, pool.map(_problem_of, paths), strict=True):
            advance()
            if problem:
                problems.append(Problem(problem, file=str(path)))
    if problems:
        rest = [Problem(f"and {len(problems) - _SHOWN} more such images")] if len(problems) > _SHOWN else []
        raise InputError(problems[:_SHOWN] + rest)


def _problem_of(path: Path) -> str:
    try:
        checked(bytes_of(path))
    except InputError as error:
        return error.problems[0].message
    except FormatError as error:
        return str(error)
    return ""


def bytes_of(path: Path, what: str = "image") -> bytes:
    """Return a file's bytes. Raises InputError if it is missing or unreadable; `what`: its name in the error."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputError(Problem(f"the {what} is missing", file=str(path))) from error
    except OSError as error:
        raise InputError(Problem(f"the {what} cannot be read: {error.strerror}", file=str(path))) from error


def checked(data: bytes) -> Picture:
    """Return what the bytes say.

    Raises FormatError for more pixels than MOST_PIXELS, and for a truncated picture, which decoders fill with grey.
    """
    found = image_format.whole(data)
    width, height = found.size or (0, 0)
    if width * height > MOST_PIXELS:
        raise FormatError(f"the header claims {width} x {height} pixels; the limit is {MOST_PIXELS}")
    return found


def decoded(data: bytes, flag: int = cv2.IMREAD_COLOR) -> NDArray[Any]:
    """Return the pixels as OpenCV decodes them. Raises FormatError if it cannot."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    except (cv2.error, MemoryError):  # more pixels than OpenCV takes
        image = None
    if image is None:
        raise FormatError("OpenCV cannot decode the image")
    return image


def _cut_off(data: bytes, found: Picture, image: NDArray[Any]) -> bool:
    """Return whether a JPEG with an end marker lacks the coded data of its last pixels.

    The decoder leaves such pixels grey. A picture with a grey corner is decoded again with more coded data, which
    change it only if it lacks some. The scans of a progressive picture tell by themselves.
    """
    if not found.coded_end or found.progressive or not _grey_corner(image):
        return False
    try:
        longer = decoded(data[: found.coded_end].rstrip(b"\xff") + _MORE)
    except FormatError:
        return True
    return not np.array_equal(longer, image)


def _grey_corner(image: NDArray[Any]) -> bool:
    """Return whether a corner is plain grey; the orientation decides in which one the last pixels are."""
    if not any((image[row, column] == _GREY).all() for row in (0, -1) for column in (0, -1)):
        return False
    ends = (slice(None, _CORNER), slice(-_CORNER, None))
    return any(bool((image[rows, columns] == _GREY).all()) for rows in ends for columns in ends)
