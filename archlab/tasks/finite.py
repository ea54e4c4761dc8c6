"""The refusal of predictions that are not numbers: of weights that hold NaN, or a training that went astray."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from archlab.core.errors import InputError


def check_finite(found: NDArray[Any]) -> None:
    """Raise InputError unless all values of a network's predictions are finite, with their number; found: (N, ...)."""
    wrong = int((~np.isfinite(found.reshape(len(found), -1))).any(axis=1).sum()) if found.size else 0
    if wrong:
        raise InputError(f"{wrong} of {len(found)} predictions of the network are NaN or infinite, and have no score")
