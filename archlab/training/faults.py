"""What goes wrong in a training: a request to stop, a loss that is no number, too little memory, damaged images."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from archlab.core.errors import InputError, Problem
from archlab.core.files import write_json
from archlab.tasks.images import check_images
from archlab.tasks.pose.data.coco import People
from archlab.tasks.pose.data.dataset import PoseDataset, Sample

MOST_SKIPPED = 0.01
"""Of the training images; with more of them damaged it is another data set that is trained on."""
SKIPPED = "skipped_images.json"
NAN_BATCH = "nan_batch.json"

Result = TypeVar("Result")


class TrainingError(InputError):
    """Training cannot go on: the loss is no longer a number. `index`: that step's people, as numbers in the data."""

    exit_code = 1  # a failed run, not a mistake in a file

    def __init__(self, message: str, *, iteration: int = 0, loss: float = 0.0, lr: float = 0.0) -> None:
        super().__init__(message)
        self.iteration, self.loss, self.lr = iteration, loss, lr


def save_nan_batch(error: TrainingError, index: Sequence[int], people: People, folder: Path) -> TrainingError:
    """Write who was in the step whose loss is no number; the error that names the file."""
    rows = list(index)
    images = [str(people.image_files[int(people.image_index[row])]) for row in rows]
    write_json(
        folder / NAN_BATCH,
        {
            "iteration": error.iteration,
            "loss": str(error.loss),
            "lr": error.lr,
            "annotation_ids": [int(people.annotation_ids[row]) for row in rows],
            "image_ids": [int(people.image_ids[row]) for row in rows],
            "image_files": images,
        },
    )
    message = f"{error}; the people of that step are in {folder / NAN_BATCH}"
    return TrainingError(message, iteration=error.iteration, loss=error.loss, lr=error.lr)


def within_memory(work: Callable[..., Tensor], parts: Sequence[dict[str, Tensor]], *, trial: bool = True) -> Tensor:
    """work(*parts); where memory does not suffice, InputError with the batch that fits, found by halving.

    Without `trial` it is not looked for: a process of several cannot take steps alone.
    """
    try:
        return work(*parts)
    except (RuntimeError, MemoryError) as error:
        if not _is_shortage(error):
            raise
        reason = (str(error).splitlines() or ["out of memory"])[0][:200]
    # Only here, where the error and with it the tensors of the failed step are gone.
    size = len(parts[0]["index"])
    fits = _that_fits(work, parts[0], size) if trial else 0
    raise InputError(Problem(_advice(size, len(parts), fits, trial) + f" ({reason})", "batch"))


def _that_fits(work: Callable[..., Tensor], part: dict[str, Tensor], size: int) -> int:
    """The largest of size / 2, size / 4, ... whose step fits into memory, 0 if not even 1 does."""
    while size > 1:
        size //= 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        try:
            work({name: values[:size] for name, values in part.items()})
            return size
        except (RuntimeError, MemoryError) as error:
            if not _is_shortage(error):
                raise
    return 0


def _advice(size: int, parts: int, fits: int, trial: bool) -> str:
    said = f"out of memory with {size} people at a time"
    if not trial:
        return f"{said} in a process: a smaller `batch` or a larger `accumulate` is needed"
    if not fits:
        return f"{said}, and one alone does not fit either: a smaller network or input is needed"
    several = -(-size // fits) * parts
    return f"{said}; {fits} fit: `batch: {fits}`, or `accumulate: {several}` to keep steps of {size * parts}"


def _is_shortage(error: Exception) -> bool:
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or "can't allocate memory" in str(error)


class DamagedImages:
    """The damaged images of a run, whose people give their places to the next person's with a sound one.

    What is skipped is said on stderr and kept in skipped_images.json of `folder`, so that a run that goes on skips
    the same. Above MOST_SKIPPED of the images InputError, with the list. Batches keep their size, and who stands for
    whom does not depend on workers or restarts.
    """

    def __init__(self, people: People, folder: Path, *, writes: bool = True) -> None:
        self._people, self._path, self._writes, self._lock = people, folder / SKIPPED, writes, threading.Lock()
        self._known: dict[str, str] = _read(self._path)

    def without(self, work: Callable[[list[int]], Result], rows: Sequence[int]) -> Result:
        """work(rows), where rows whose images are damaged are replaced as often as `work` meets another such image."""
        while True:
            sound = [self._sound(row) for row in rows]
            try:
                return work(sound)
            except InputError as error:
                self._skip(error)

    def _sound(self, row: int) -> int:
        """The row itself or the next, round and round, whose image is not known to be damaged."""
        files, index, count = self._people.image_files, self._people.image_index, len(self._people)
        for place in range(row, row + count):
            if str(files[int(index[place % count])]) not in self._known:
                return place % count
        raise InputError("no training image can be read")

    def _skip(self, error: InputError) -> None:
        with self._lock:
            for problem in error.problems:
                if Path(problem.file) not in self._people.image_files:  # it is about something else
                    raise error
                if problem.file not in self._known:
                    self._add(problem.file, problem.message)

    def _add(self, path: str, message: str) -> None:
        self._known[path] = message
        if len(self._known) > MOST_SKIPPED * len(self._people.image_files):
            self._refuse()
        if self._writes:
            print(f"skipped {path}: {message}", file=sys.stderr, flush=True)
            write_json(self._path, self._known)

    def _refuse(self) -> None:
        """Stop with the whole list, of which training so far has shown a part."""
        files, known = self._people.image_files, self._known
        rule = f"more than {MOST_SKIPPED:.0%} of the {len(files)} training images are damaged"
        problems = [Problem(rule), *(Problem(message, file=path) for path, message in known.items())]
        try:
            check_images([path for path in files if str(path) not in known])
        except InputError as others:
            problems += others.problems
        raise InputError(problems)


class SoundSamples:
    """The samples of a data set; one whose image is damaged gives its place to another, as `DamagedImages` says."""

    def __init__(self, dataset: PoseDataset, folder: Path, *, writes: bool = True) -> None:
        self.dataset, self.people = dataset, dataset.people
        self._damaged = DamagedImages(dataset.people, folder, writes=writes)

    def __len__(self) -> int:
        return len(self.dataset)

    def set_epoch(self, epoch: int) -> None:
        self.dataset.set_epoch(epoch)

    def __getitem__(self, index: int) -> Sample:
        return self._damaged.without(lambda rows: self.dataset[rows[0]], [index])


def skipped_images(folder: Path) -> int:
    """How many damaged images a run has passed over."""
    return len(_read(folder / SKIPPED))


def _read(path: Path) -> dict[str, str]:
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return dict(found)
