"""A small Leeds Sports Pose, of either edition, as its authors lay it out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy.io import savemat

COUNT = 20
PATTERN = {"lsp": "im{:04d}.jpg", "lspet": "im{:05d}.jpg"}


def joints(edition: str) -> np.ndarray[Any, Any]:
    """(N, 14, 3): person i has joint k at (20 + 3 k, 10 + 5 k + i / 10); of the extended set every fifth is missing."""
    made = np.zeros((COUNT, 14, 3))
    for person in range(COUNT):
        made[person, :, 0] = 20 + 3 * np.arange(14)
        made[person, :, 1] = 10 + 5 * np.arange(14) + person / 10
        flags = np.arange(14) % 5 == person % 5
        made[person, :, 2] = flags if edition == "lsp" else ~flags
    return made


def source(folder: Path, edition: str, made: np.ndarray[Any, Any] | None = None, *, first: str = "joints") -> Path:
    """The folder of an edition; `first`: which axis of joints.mat is the first, the joints or the coordinates."""
    root = folder / "source"
    (root / "images").mkdir(parents=True)
    values = joints(edition) if made is None else made
    savemat(root / "joints.mat", {"joints": values.transpose((1, 2, 0) if first == "joints" else (2, 1, 0))})
    for number in range(len(values)):
        image = np.full((90 + number % 3, 80, 3), number, np.uint8)
        cv2.imwrite(str(root / "images" / PATTERN[edition].format(number + 1)), image)
    return root
