"""Scoring label pictures of any tool: one confusion matrix over the pairs of two folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from archlab.core.errors import InputError, Problem
from archlab.core.progress import progress
from archlab.tasks.segmentation.classes import IGNORE, KNOWN, UNKNOWN, Classes, read_file
from archlab.tasks.segmentation.confusion import Counts, confusion, figures
from archlab.tasks.segmentation.data.labels import Label, read_label
from archlab.tasks.segmentation.data.layout import IMAGE, LABEL_IDS, TRAIN_IDS, few

NUMBERED = Classes(tuple(map(str, range(UNKNOWN))))
"""Classes that are named by their train ids."""


def score_folders(
    truth: Path, predictions: Path, *, classes: str | Path | None = None, label_ids: bool = False
) -> dict[str, Any]:
    """Return mIoU over the classes in the ground truth, pixel accuracy, frequency-weighted IoU and IoUs, 0-100.

    Pictures are paired by the stems of their names, without Cityscapes' endings. Pixels whose label is ignored are left
    out; a prediction that is ignored counts as wrong.

    classes: `cityscapes`, `camvid` or a classes.yaml; by default Cityscapes' for label ids, else numbers.
    label_ids: the values of both folders are label ids, else train ids.
    Raises InputError with all pictures that lack a prediction, differ in size or hold other values.
    """
    known = _classes(classes, label_ids)
    pairs = _pairs(truth, predictions, LABEL_IDS if label_ids else TRAIN_IDS)
    total: Counts = np.zeros((len(known) + 1, len(known) + 1), np.int64)
    problems: list[Problem] = []
    with progress("scoring", len(pairs)) as advance:
        for label_file, found_file in pairs:
            try:
                total += _counted(label_file, found_file, known, label_ids)
            except InputError as error:
                problems += error.problems
            advance()
    if problems:
        raise InputError(few(problems))
    return _sections(figures(total[:-1], known.names))


def _classes(named: str | Path | None, label_ids: bool) -> Classes:
    if named is None:
        return KNOWN["cityscapes"] if label_ids else NUMBERED
    return next((known for name, known in KNOWN.items() if name == str(named)), None) or read_file(Path(named))


def _pairs(truth: Path, predictions: Path, ending: str) -> list[tuple[Path, Path]]:
    """Return the label pictures with their predictions. Raises InputError with all that have none."""
    labels, found = (_by_stem(folder, ending) for folder in (truth, predictions))
    if missing := [stem for stem in labels if stem not in found]:
        rule = "no picture in {} is called {}.png"
        raise InputError(few([Problem(rule.format(predictions, stem), file=str(labels[stem])) for stem in missing]))
    return [(path, found[stem]) for stem, path in labels.items()]


def _by_stem(folder: Path, ending: str) -> dict[str, Path]:
    """Return the PNG files of a folder, also below it, by their stems; if some have the ending, only those."""
    if not folder.is_dir():
        raise InputError(Problem("no such folder", file=str(folder)))
    files = sorted(folder.rglob("*.png"))
    chosen = [path for path in files if path.name.endswith(ending)] or files
    if not chosen:
        raise InputError(Problem("no .png file is here", file=str(folder)))
    stems: dict[str, Path] = {}
    for path in chosen:
        stem = path.name.removesuffix(ending).removesuffix(".png").removesuffix(IMAGE)
        if stem in stems:
            raise InputError(Problem(f"has the stem {stem!r} of {stems[stem]}", file=str(path)))
        stems[stem] = path
    return stems


def _counted(label_file: Path, found_file: Path, classes: Classes, label_ids: bool) -> Counts:
    """Return (C + 1, C + 1), the confusion of two pictures, with a last column for predictions that are ignored."""
    label, found = (read_label(path, classes, train_ids=not label_ids) for path in (label_file, found_file))
    if label.shape != found.shape:
        sizes = [f"{shape[1]} x {shape[0]}" for shape in (found.shape, label.shape)]
        raise InputError(Problem(f"is {sizes[0]} pixels, but {label_file} is {sizes[1]}", file=str(found_file)))
    guess: Label = np.where(found == IGNORE, len(classes), found).astype(np.uint8)
    return np.asarray(confusion(torch.from_numpy(label), torch.from_numpy(guess), len(classes) + 1).numpy())


def _sections(scores: dict[str, float | None]) -> dict[str, Any]:
    """Return the figures with those of the classes that occur as a section of their own."""
    whole = {name: value for name, value in scores.items() if not name.startswith("iou_")}
    iou = {name.removeprefix("iou_"): value for name, value in scores.items() if name not in whole}
    return {**whole, "iou": {name: value for name, value in iou.items() if value is not None}}
