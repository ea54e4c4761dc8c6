"""A loss that is NaN or infinite: the error, and a file that names the samples of that step."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from archlab.core.errors import InputError
from archlab.core.files import write_json
from archlab.tasks.base import Samples

NAN_BATCH = "nan_batch.json"


class TrainingError(InputError):
    """The loss is no longer finite, at this iteration and learning rate."""

    exit_code = 1  # a failed run, not a mistake in a file

    def __init__(self, message: str, *, iteration: int = 0, loss: float = 0.0, lr: float = 0.0) -> None:
        super().__init__(message)
        self.iteration, self.loss, self.lr = iteration, loss, lr


def save_nan_batch(error: TrainingError, index: Sequence[int], samples: Samples, folder: Path) -> TrainingError:
    """Write the samples of the step whose loss is not finite; return the error that names the file."""
    found = {"iteration": error.iteration, "loss": str(error.loss), "lr": error.lr, **samples.describe(list(index))}
    write_json(folder / NAN_BATCH, found)
    message = f"{error}; the samples of that step are in {folder / NAN_BATCH}"
    return TrainingError(message, iteration=error.iteration, loss=error.loss, lr=error.lr)
