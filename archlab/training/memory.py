"""Out-of-memory errors, with the batch that fits."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from archlab.core.errors import InputError, Problem, is_of_one_value, is_shortage


def within_memory(work: Callable[..., Tensor], parts: Sequence[dict[str, Tensor]], *, trial: bool = True) -> Tensor:
    """Return work(*parts). Raises InputError if memory is exhausted, with the largest batch that fits.

    trial: find that batch by halving; False if several processes train together, which cannot take steps alone.
    """
    try:
        return work(*parts)
    except (RuntimeError, MemoryError) as error:
        if not is_shortage(error):
            raise
        reason = (str(error).splitlines() or ["out of memory"])[0][:200]
    # Outside the handler: the error holds the tensors of the failed step.
    size = len(parts[0]["index"])
    fits = _that_fits(work, parts[0], size) if trial else 0
    raise InputError(Problem(_advice(size, len(parts), fits, trial) + f" ({reason})", "batch"))


def _that_fits(work: Callable[..., Tensor], part: dict[str, Tensor], size: int) -> int:
    """Return the largest of size / 2, size / 4, ..., 1 whose step fits into memory, or 0."""
    while size > 1:
        size //= 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        try:
            work({name: values[:size] for name, values in part.items()})
            return size
        except (RuntimeError, MemoryError, ValueError) as error:
            if is_of_one_value(error):
                return 0
            if not is_shortage(error):
                raise
    return 0


def _advice(size: int, parts: int, fits: int, trial: bool) -> str:
    problem = f"out of memory with {size} samples per micro-batch"
    if not trial:
        return f"{problem} and process: use a smaller `batch` or a larger `accumulate`"
    if not fits:
        return f"{problem}; a single sample does not fit either: use a smaller network or input"
    several = -(-size // fits) * parts
    return f"{problem}; {fits} fit: use `batch: {fits}`, or `accumulate: {several}` to keep steps of {size * parts}"
