"""The image files of a data set in COCO's layout: where they are, which are missing, and whether their sizes fit."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any

from archlab.core.errors import InputError, Problem
from archlab.core.progress import progress
from archlab.tasks.images import image_size
from archlab.tasks.pose.data.rules import SHOWN

_LISTED = 5
_SWAPPED = ": the sides are swapped (images are turned by their EXIF orientation)"


def wrong_name(name: str) -> str:
    """Return the rule that a `file_name` breaks, or ""."""
    path = PurePosixPath(name)
    if not path.parts or path.is_absolute() or ".." in path.parts:
        return f"file_name must be a path below the split's folder, without `..`, not {name!r}"
    return ""


def find_images(folder: Path, entries: Mapping[int, Mapping[str, Any]], path: Path) -> dict[int, Path]:
    """Return image id -> file.

    folder: the split's. entries: the entries of these images in the annotation file `path`, by id.
    Raises InputError if files are missing, or if their sizes are not those of their entries.
    """
    if entries and not folder.is_dir():
        raise InputError(Problem(f"the image folder is missing; {path.name} names its images", file=str(folder)))
    there = {name for name, _ in sizes(folder)}
    files = {number: folder / entry["file_name"] for number, entry in entries.items()}
    absent = [entry["file_name"] for entry in entries.values() if not _exists(folder, entry["file_name"], there)]
    if absent:
        first = ", ".join(absent[:_LISTED])
        more = f" and {len(absent) - _LISTED} more" if len(absent) > _LISTED else ""
        hint = next(filter(None, (_hint(folder, name) for name in absent[:SHOWN])), "")
        message = f"{len(absent)} of {len(files)} images of {path.name} are missing: {first}{more}{hint}"
        raise InputError(Problem(message, file=str(folder)))
    _check_sizes(files, entries, path)
    return files


def nested_sizes(folder: Path, document: Any) -> Iterator[tuple[str, int]]:
    """Yield name and size of the existing files in folders below the split's that an annotation document names."""
    images = document.get("images") if isinstance(document, dict) else None
    names = (image.get("file_name") for image in images or () if isinstance(image, dict))
    inside = {PurePosixPath(name) for name in names if isinstance(name, str) and not wrong_name(name)}
    for name in inside:
        if len(name.parts) > 1 and _is_file(folder / name):
            yield name.as_posix(), (folder / name).stat().st_size


def has_folders(folder: Path) -> bool:
    """Return whether a folder has folders in it."""
    if not folder.is_dir():
        return False
    with os.scandir(folder) as entries:
        return any(entry.is_dir() for entry in entries)


def sizes(folder: Path) -> Iterable[tuple[str, int]]:
    """Return name and size in bytes of each file in a folder, or nothing if there is no such folder."""
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return [(entry.name, entry.stat().st_size) for entry in entries if entry.is_file()]


def _exists(folder: Path, name: str, there: set[str]) -> bool:
    return name in there or _is_file(folder / name)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def _hint(folder: Path, name: str) -> str:
    """Return what to change in a `file_name` so that the file is found, or ""."""
    straight = name.replace("\\", "/")
    turned = "write / for \\ in file_name" if straight != name else ""
    for found, rule in (
        (straight, turned),
        (straight.removeprefix(f"{folder.name}/"), f"file_name is below {folder.name}/ and must not repeat it"),
        (PurePosixPath(straight).name, "file_name must not name a folder that the file is not in"),
    ):
        if rule and found != name and _is_file(folder / found):
            return f"; {name!r} is there as {found!r}: {rule}"
    return f"; {turned}" if turned else ""


def _check_sizes(files: Mapping[int, Path], entries: Mapping[int, Mapping[str, Any]], path: Path) -> None:
    """Raise InputError with all images whose size is not that of their entry; unreadable ones are found in training."""
    wrong: list[Problem] = []
    with progress("checking image sizes", len(files)) as advance, ThreadPoolExecutor() as pool:
        for (number, file), size in zip(files.items(), pool.map(image_size, files.values()), strict=True):
            said = (entries[number]["width"], entries[number]["height"])
            if size is not None and size != said:
                swapped = (
                    ": the sides are swapped (images are turned by their EXIF orientation)"
                    if size == said[::-1]
                    else ""
                )
                rule = f"is {size[0]} x {size[1]} pixels, but {path.name} says {said[0]} x {said[1]}{swapped}"
                wrong.append(Problem(rule, file=str(file)))
            advance()
    if wrong:
        rule = f"{len(wrong)} of {len(files)} images have another width or height than their entry in `images`"
        rest = [Problem(f"and {len(wrong) - SHOWN} more of this kind")] if len(wrong) > SHOWN else []
        raise InputError([Problem(rule, "images", str(path)), *wrong[:SHOWN], *rest])
