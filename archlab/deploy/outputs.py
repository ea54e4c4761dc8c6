"""The folder that predictions are written to: drawn pictures and videos, label maps, and one results file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import cv2

from archlab.core.errors import InputError, Problem
from archlab.core.files import replacing, write_bytes, write_text
from archlab.deploy.sources import frame_rate, is_video
from archlab.tasks.pixels import Image
from archlab.tasks.prediction import Prediction

RESULTS = "predictions.json"
JPEG = (".jpg", ".jpeg")


class OutputFolder:
    """Writes the predictions of pictures to a folder, and of videos as videos. labels: write label maps too.

    A video is complete when the block ends; a file is never left half-written.
    """

    def __init__(self, folder: Path, *, labels: bool = False) -> None:
        self.folder, self.labels = folder, labels
        self._taken: set[str] = set()
        self._video: tuple[str, cv2.VideoWriter, ExitStack] | None = None

    def __enter__(self) -> OutputFolder:
        return self

    def __exit__(self, kind: Any, *error: Any) -> None:
        self._close(*((kind, *error) if kind else (None, None, None)))

    def add(self, prediction: Prediction) -> None:
        """Write one prediction's picture."""
        path, _, frame = prediction.picture.name.partition("#")
        if frame and is_video(Path(path)):
            self._add_frame(path, prediction.draw())
            return
        name = self._free(Path(path).name)
        write_bytes(self.folder / name, encoded(prediction.draw(), Path(name).suffix))
        if self.labels:
            stem = Path(name).stem.removesuffix("_leftImg8bit")
            write_bytes(self.folder / f"{stem}_labelIds.png", encoded(prediction.labels(), ".png"))

    def _free(self, name: str) -> str:
        """Return a file's name with a known ending, numbered if a picture of another folder has it."""
        stem, ending = Path(name).stem, Path(name).suffix.lower()
        ending = ending if ending in JPEG else ".png"
        found = next(n for n in _numbered(stem) if f"{n}{ending}" not in self._taken) + ending
        self._taken.add(found)
        return found

    def _add_frame(self, path: str, image: Image) -> None:
        if self._video is None or self._video[0] != path:
            self._close(None, None, None)
            self._video = self._opened(path, image)
        self._video[1].write(cv2.cvtColor(image, cv2.COLOR_RGB2BGR))

    def _opened(self, path: str, image: Image) -> tuple[str, cv2.VideoWriter, ExitStack]:
        stack = ExitStack()
        name = f"{Path(path).stem}.mp4"
        temporary = stack.enter_context(replacing(self.folder / name))
        size = image.shape[1], image.shape[0]
        writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter.fourcc(*"mp4v"), frame_rate(Path(path)), size)
        if not writer.isOpened():
            raise InputError(Problem("OpenCV cannot write a video here", file=str(self.folder / name)))
        return path, writer, stack

    def _close(self, *error: Any) -> None:
        if self._video is not None:
            _, writer, stack = self._video
            self._video = None
            writer.release()
            stack.__exit__(*error)


def encoded(image: Image, ending: str) -> bytes:
    """Return an RGB picture, or a map (H, W), in the format of a file's ending."""
    flat = image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(ending, flat, [cv2.IMWRITE_JPEG_QUALITY, 92] if ending in JPEG else [])
    assert done, "a picture of known kind"
    return data.tobytes()


def write_results(folder: Path, results: list[dict[str, Any]]) -> None:
    """Write the results file."""
    write_text(folder / RESULTS, json.dumps(results) + "\n")


def results_of(predictions: Iterable[Prediction], form: str | None) -> Iterator[dict[str, Any]]:
    """Yield the results of predictions: in COCO's format for the form `coco`, else archlab's own, one a picture."""
    for prediction in predictions:
        yield from prediction.entries() if form == "coco" else [prediction.as_json()]


def _numbered(stem: str) -> Iterator[str]:
    yield stem
    number = 2
    while True:
        yield f"{stem}_{number}"
        number += 1
