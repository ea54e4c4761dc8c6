"""Damaged training images: replaced and listed; an error if there are too many."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

from archlab.core import notes
from archlab.core.errors import InputError, Problem
from archlab.core.files import read_json, write_json
from archlab.tasks.images import check_images

MOST_SKIPPED = 0.01
"""The largest share of damaged training images; above it the run would train on a different data set."""
SKIPPED = "skipped_images.json"

Result = TypeVar("Result")


class DamagedImages:
    """The damaged images of a run: a sample in one of them is replaced by the next sample with a sound image.

    Batches keep their size, and the replacement does not depend on workers or restarts. Each skipped image is printed
    on stderr and listed in skipped_images.json of `folder`, so a resumed run skips the same images.

    image_index: (samples,), each sample's index in `files`. writes: whether this process prints and lists.
    """

    def __init__(
        self,
        files: Sequence[Path],
        image_index: Sequence[int] | NDArray[Any],
        folder: Path | None,
        *,
        writes: bool = True,
    ) -> None:
        self._files, self._index, self._path = list(files), image_index, folder / SKIPPED if folder else None
        self._writes, self._lock = writes, threading.Lock()
        self._known: dict[str, str] = _read(self._path) if self._path else {}

    def without(self, work: Callable[[list[int]], Result], rows: Sequence[int]) -> Result:
        """Return work(rows), with every row in a damaged image replaced.

        `work` reports a damaged image as an InputError with the image's file, and is then called again.
        Raises InputError with the list of damaged images if they are more than MOST_SKIPPED of all images.
        """
        while True:
            sound = [self._sound(row) for row in rows]
            try:
                return work(sound)
            except InputError as error:
                self._skip(error)

    def _sound(self, row: int) -> int:
        """Return the first row from this one on, cyclically, whose image is not known to be damaged."""
        files, index, count = self._files, self._index, len(self._index)
        for place in range(row, row + count):
            if str(files[int(index[place % count])]) not in self._known:
                return place % count
        raise InputError("no training image can be read")

    def _skip(self, error: InputError) -> None:
        with self._lock:
            for problem in error.problems:
                if Path(problem.file) not in self._files:  # not about an image
                    raise error
                if problem.file not in self._known:
                    self._add(problem.file, problem.message)

    def _add(self, path: str, message: str) -> None:
        self._known[path] = message
        if len(self._known) > MOST_SKIPPED * len(self._files):
            self._refuse()
        if self._writes and self._path:
            notes.note(f"skipped {path}: {message}")
            write_json(self._path, self._known)

    def _refuse(self) -> None:
        """Raise InputError with all damaged images, also those that training has not reached yet."""
        files, known = self._files, self._known
        missing = sum(not file.is_file() for file in files)
        kind = f"damaged or missing ({missing} are missing)" if missing else "damaged"
        rule = f"more than {MOST_SKIPPED:.0%} of the {len(files)} training images are {kind}"
        problems = [Problem(rule), *(Problem(message, file=path) for path, message in known.items())]
        try:
            check_images([path for path in files if str(path) not in known])
        except InputError as others:
            problems += others.problems
        raise InputError(problems)


def skipped_images(folder: Path) -> int:
    """Return the number of damaged images that a run has skipped."""
    return len(_read(folder / SKIPPED))


def _read(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    try:
        found = read_json(path)
    except InputError:
        found = None
    if isinstance(found, dict) and all(isinstance(message, str) for message in found.values()):
        return found
    notes.note(f"ignored {path}: it is not a JSON object of texts; damaged images are found again as they are read")
    return {}
