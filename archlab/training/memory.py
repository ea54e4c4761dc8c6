"""A step that does not fit into memory, and the batch that would."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from archlab.core.errors import InputError, Problem


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
