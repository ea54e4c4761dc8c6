"""A training's checkpoints as files: checked before a training resumes from one, with the one before as a fallback."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from archlab.core import notes
from archlab.core.errors import InputError, Problem
from archlab.network.checkpoint import load_file, note_nan

FORMAT = 1
_TYPES: dict[str, type | tuple[type, ...]] = {
    "iteration": int, "seconds": (int, float), "losses": list, "rates": list, "state_dict": dict, "optimiser": dict,
    "random": Tensor, "random_cuda": list,
}  # fmt: skip
"""The values of every checkpoint."""


def previous(path: Path) -> Path:
    """Return the path of the checkpoint before the one at `path`."""
    return path.with_suffix(f".previous{path.suffix}")


def newest_sound(path: Path) -> dict[str, Any] | None:
    """Return the values of the newest readable checkpoint and move it to `path`; None if there is no checkpoint.

    Raises InputError with the newer one's error if both are damaged.
    """
    errors = []
    for each in (path, previous(path)):
        if not each.is_file():
            continue
        try:
            values = read_checkpoint(each)
        except InputError as error:
            errors.append(error)
            continue
        if each != path:
            why = f"{errors[0]}; " if errors else ""
            notes.note(f"{why}resuming from the previous checkpoint, {each}")
            each.replace(path)  # else the next `save` would replace the sound checkpoint by the damaged one
        note_nan(values["state_dict"], path)
        return values
    if errors:
        raise errors[0]
    return None


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Return a checkpoint's values on the CPU. Raises InputError if it is damaged or not a training checkpoint."""
    values = load_file(path)
    if values.get("format") != FORMAT or "optimiser" not in values:
        raise InputError(Problem("not a training checkpoint: the file holds only weights", file=str(path)))
    for name, kind in _TYPES.items():
        if not isinstance(values.get(name), kind):
            found = type(values.get(name)).__name__
            raise InputError(Problem(f"damaged: {name} is of the type {found}", file=str(path)))
    numbers = [values["seconds"], *values["losses"], *values["rates"]]
    if not all(isinstance(each, int | float) and math.isfinite(each) for each in numbers) or values["iteration"] < 0:
        raise InputError(Problem("damaged: an iteration, a time, a loss or a rate cannot be", file=str(path)))
    return values


@contextmanager
def of_another_training(path: Path) -> Iterator[None]:
    """Raise InputError if the values of a checkpoint do not fit the network and the optimiser of the block."""
    try:
        yield
    except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
        reason = (str(error).strip().splitlines() or ["no message"])[-1].strip()
        rule = f"not a checkpoint of this training: {type(error).__name__}: {reason}"
        raise InputError(Problem(rule, file=str(path))) from error
