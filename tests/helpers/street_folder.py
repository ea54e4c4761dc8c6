"""Writes small folders in Cityscapes' layout for the tests: a sky, a road, and a square of another class."""

from pathlib import Path

import cv2
import numpy as np

SIZE = (44, 60)
"""Height and width of every picture: neither is a multiple of 32."""
CLASSES = """\
names: [sky, road, box]
ids: [23, 7, 26]
ignore: [0, 255]
"""
GREY = {23: 220, 7: 60, 26: 140, 0: 0}


def label(number: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Sky over road, with a square and a border that is ignored, at a place that depends on the number."""
    found = np.full(size, 23, np.uint8)
    found[size[0] // 2 - number % 5 :] = 7
    top, left = 6 + 3 * (number % 4), 4 + 7 * (number % 5)
    found[top : top + 12, left : left + 12] = 26
    found[-3:] = 0
    return found


def picture(values: np.ndarray, number: int) -> np.ndarray:
    noise = np.random.default_rng(number).normal(0, 6, (*values.shape, 3))
    grey = np.vectorize(GREY.get)(values)[..., None]
    return np.clip(grey + noise, 0, 255).astype(np.uint8)


def write(root: Path, *, train: int = 6, val: int = 3, size: tuple[int, int] = SIZE, ending: str = ".png") -> Path:
    root.mkdir(parents=True, exist_ok=True)
    (root / "classes.yaml").write_text(CLASSES)
    for split, count in (("train", train), ("val", val)):
        for number in range(count):
            values = label(number + 10 * (split == "val"), size)
            add(root, split, f"town_{number:03}", values, picture(values, number), ending=ending)
    return root


def add(root: Path, split: str, name: str, values: np.ndarray, image: np.ndarray, *, ending: str = ".png") -> None:
    save(root / "leftImg8bit" / split / "town" / f"{name}_leftImg8bit{ending}", image)
    save(root / "gtFine" / split / "town" / f"{name}_gtFine_labelIds.png", values)


def save(path: Path, values: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), values)
    return path


def load(path: Path) -> np.ndarray:
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
