"""The pictures that a command names: files, folders, patterns and videos, read one at a time."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2

from archlab.core import notes
from archlab.core.errors import InputError, Problem, missing_file
from archlab.tasks.images import read_image
from archlab.tasks.pixels import Image

PICTURES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg")


@dataclass(frozen=True)
class Frame:
    """A picture, or one frame of a video. frame: its number in the video, from 0; None for a picture."""

    path: Path
    image: Image
    frame: int | None = None

    @property
    def name(self) -> str:
        """The file, with `#` and the number of a video's frame."""
        return str(self.path) if self.frame is None else f"{self.path}#{self.frame}"


@dataclass
class Sources:
    """Picture and video files in order. skipped: the files that could not be read, filled by `frames`."""

    files: tuple[Path, ...]
    skipped: list[Path] = field(default_factory=list)

    def __len__(self) -> int:
        """Return the number of pictures and frames; of a video, what its header states."""
        return sum(_frames_stated(path) if is_video(path) else 1 for path in self.files)

    def frames(self) -> Iterator[Frame]:
        """Yield the pictures and frames; a file that cannot be read is noted and skipped."""
        for path in self.files:
            try:
                yield from _frames(path) if is_video(path) else [Frame(path, read_image(path))]
            except InputError as error:
                self.skipped.append(path)
                notes.note(f"skipped {error}")


def find_sources(inputs: Sequence[str | Path]) -> Sources:
    """Return the files that names, folders and patterns stand for, each once; of a folder those with known endings.

    Raises InputError with everything that names no file.
    """
    found: dict[Path, None] = {}
    problems: list[Problem] = []
    for text in inputs:
        try:
            found |= dict.fromkeys(_files(text))
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(problems)
    return Sources(tuple(found))


def is_video(path: Path) -> bool:
    """Return whether a file's ending is a video's."""
    return path.suffix.lower() in VIDEOS


def frame_rate(path: Path) -> float:
    """Return a video's frames per second, 25 if it states none."""
    return _property(path, cv2.CAP_PROP_FPS) or 25.0


def _files(text: str | Path) -> list[Path]:
    path = Path(text)
    if path.is_dir():
        files = sorted(each for each in path.iterdir() if each.suffix.lower() in PICTURES + VIDEOS)
        rule = "the folder holds no picture and no video"
    elif path.is_file():
        return [path]
    elif glob.has_magic(str(text)):
        files = [Path(name) for name in sorted(glob.glob(str(text), recursive=True)) if Path(name).is_file()]  # noqa: PTH207
        rule = "no file matches"
    else:
        raise missing_file(path, "picture, video or folder")
    if not files:
        raise InputError(Problem(rule, file=str(text)))
    return files


def _frames(path: Path) -> Iterator[Frame]:
    video = cv2.VideoCapture(str(path))
    try:
        there, image = video.read()
        if not there:
            raise InputError(Problem("OpenCV cannot read the video", file=str(path)))
        number = 0
        while there:
            yield Frame(path, cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype("uint8", copy=False), number)
            there, image = video.read()
            number += 1
    finally:
        video.release()


def _frames_stated(path: Path) -> int:
    return max(1, int(_property(path, cv2.CAP_PROP_FRAME_COUNT)))


def _property(path: Path, which: int) -> float:
    video = cv2.VideoCapture(str(path))
    try:
        return float(video.get(which))
    finally:
        video.release()
