"""Reading label pictures: grey PNG files whose values are classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from archlab.core.errors import InputError, Problem
from archlab.tasks.image_format import FormatError
from archlab.tasks.images import bytes_of, checked, decoded
from archlab.tasks.segmentation.classes import IGNORE, UNKNOWN, Classes

Label = NDArray[np.uint8]


def read_values(path: Path) -> Label:
    """Return the values of a label picture, (H, W).

    Raises InputError if the file is missing, truncated, of absurd size or no picture of one channel of 8 bits.
    """
    data = bytes_of(path, "label")
    try:
        checked(data)
        values = decoded(data, cv2.IMREAD_UNCHANGED)
    except FormatError as error:
        raise InputError(Problem(str(error), file=str(path))) from error
    if values.ndim != 2 or values.dtype != np.uint8:
        channels = 1 if values.ndim == 2 else values.shape[2]
        rule = f"a label has one channel of 8 bits, but this has {channels} of {8 * values.dtype.itemsize}"
        raise InputError(Problem(rule, file=str(path)))
    return np.asarray(values)


def read_label(path: Path, classes: Classes, *, train_ids: bool) -> Label:
    """Return the train ids of a label picture, (H, W); IGNORE for pixels that are ignored.

    train_ids: its values are train ids and 255, else label ids.
    Raises InputError as `read_values` does, and for values that are neither a class nor ignored.
    """
    values = read_values(path)
    label = np.asarray(cv2.LUT(values, classes.train_table if train_ids else classes.table), np.uint8)
    if (label == UNKNOWN).any():
        raise InputError(Problem(_unknown(values, label, classes, train_ids), file=str(path)))
    return label


def _unknown(values: Label, label: Label, classes: Classes, train_ids: bool) -> str:
    found, counts = np.unique(values[label == UNKNOWN], return_counts=True)
    first = ", ".join(f"{value} ({count} pixels)" for value, count in zip(found[:5], counts[:5], strict=True))
    more = f" and {len(found) - 5} more" if len(found) > 5 else ""
    known = range(len(classes)) if train_ids else sorted(value for each in classes.values for value in each)
    ignored = [IGNORE] if train_ids else sorted(classes.ignore)
    kind = "train ids" if train_ids else "label ids"
    return f"{kind} {first}{more} are neither classes ({spans(known)}) nor ignored ({spans(ignored)})"


def spans(values: Sequence[int]) -> str:
    """Return increasing numbers with runs shortened: `0-3, 7`."""
    parts: list[list[int]] = []
    for value in values:
        if parts and value == parts[-1][-1] + 1:
            parts[-1].append(value)
        else:
            parts.append([value])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)
