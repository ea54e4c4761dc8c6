"""Cityscapes' layout: leftImg8bit/SPLIT/CITY/NAME_leftImg8bit.png and gtFine/SPLIT/CITY/NAME_gtFine_labelIds.png."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from archlab.core.errors import InputError, Problem
from archlab.core.progress import progress
from archlab.tasks.images import image_size
from archlab.tasks.segmentation.classes import FILE, Classes, Dataset, read_classes
from archlab.tasks.segmentation.data.labels import read_label

IMAGES, LABELS = "leftImg8bit", "gtFine"
IMAGE, LABEL_IDS, TRAIN_IDS = "_leftImg8bit", "_gtFine_labelIds.png", "_gtFine_labelTrainIds.png"
ENDINGS = (".png", ".jpg", ".jpeg")
_SHOWN = 20


@dataclass(frozen=True, eq=False)
class Pictures:
    """The labelled pictures of a split, in the order of their file names.

    names: as in the files, without the city and the ending. sizes: (N, 2), height and width.
    """

    classes: Classes
    names: tuple[str, ...]
    images: tuple[Path, ...]
    labels: tuple[Path, ...]
    sizes: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.images)

    def label(self, index: int) -> NDArray[np.uint8]:
        """Return the train ids of a picture, (H, W). Raises InputError if they cannot be read or hold other values."""
        path = self.labels[index]
        trained = path.name.endswith(TRAIN_IDS)
        return read_label(path, self.classes, train_ids=trained)

    def subset(self, rows: Sequence[int] | NDArray[np.int64]) -> Pictures:
        """Return some of the pictures."""
        return replace(
            self,
            names=tuple(self.names[row] for row in rows),
            images=tuple(self.images[row] for row in rows),
            labels=tuple(self.labels[row] for row in rows),
            sizes=self.sizes[list(rows)],
        )


def load_pictures(root: Path, split: str, dataset: Dataset) -> Pictures:
    """Return the pictures of a split: those with labels; both label files may be there, and label ids come first.

    Raises InputError with every label that is missing or has another size than its picture.
    """
    classes = read_classes(root, dataset)
    images = list(_image_files(root, split))
    labels = [_label_file(root, split, path) for path in images]
    missing = [(image, label) for image, label in zip(images, labels, strict=True) if not label.is_file()]
    if missing:
        rule = "the label of {} is missing; a `_labelTrainIds` file would do too"
        raise InputError(few([Problem(rule.format(image.name), file=str(label)) for image, label in missing]))
    sizes = _sizes(images, labels)
    names = tuple(path.stem.removesuffix(IMAGE) for path in images)
    return Pictures(classes, names, tuple(images), tuple(labels), sizes)


def check_labels(pictures: Pictures) -> None:
    """Read every label. Raises InputError with all that are damaged or hold a value that is no class."""

    def problems_of(index: int) -> Sequence[Problem]:
        try:
            pictures.label(index)
        except InputError as error:
            return error.problems
        return ()

    found: list[Problem] = []
    with progress("checking labels", len(pictures)) as advance, ThreadPoolExecutor() as pool:
        for problems in pool.map(problems_of, range(len(pictures))):
            found += problems
            advance()
    if found:
        raise InputError(few(found))


def fingerprint(root: Path) -> str:
    """Return a hex digest of classes.yaml and of the names and sizes of all pictures and labels; no pixel is read."""
    digest = hashlib.sha256()
    if (root / FILE).is_file():
        digest.update((root / FILE).read_bytes())
    for folder in (IMAGES, LABELS):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix.lower() in ENDINGS:
                digest.update(f"{path.relative_to(root).as_posix()} {path.stat().st_size}\n".encode())
    return digest.hexdigest()


def _image_files(root: Path, split: str) -> Iterator[Path]:
    """Yield the pictures of a split by name. Raises InputError if there is none, or if two differ only in ending."""
    folder = root / IMAGES / split
    found = sorted(path for path in folder.rglob(f"*{IMAGE}.*") if path.suffix.lower() in ENDINGS)
    if not found:
        rule = f"no picture of Cityscapes' layout is here: {split}/CITY/NAME{IMAGE}.png or .jpg"
        raise InputError(Problem(rule, file=str(folder)))
    for path, after in pairwise(found):
        if path.with_suffix("") == after.with_suffix(""):
            raise InputError(Problem(f"the picture is there twice, also as {after.name}", file=str(path)))
    yield from found


def _label_file(root: Path, split: str, image: Path) -> Path:
    folder = root / LABELS / image.parent.relative_to(root / IMAGES)
    name = image.stem.removesuffix(IMAGE)
    ids, trained = folder / f"{name}{LABEL_IDS}", folder / f"{name}{TRAIN_IDS}"
    return trained if trained.is_file() and not ids.is_file() else ids


def _sizes(images: Sequence[Path], labels: Sequence[Path]) -> NDArray[np.int64]:
    """Return (N, 2), the labels' heights and widths. Raises InputError with all that are not their pictures'.

    A picture whose size cannot be read is damaged, which is found when it is decoded.
    """
    with ThreadPoolExecutor() as pool:
        of_images, of_labels = (list(pool.map(image_size, paths)) for paths in (images, labels))
    wrong = [
        Problem(f"is {_shown(mine)} pixels, but its picture {image.name} is {_shown(size)}", file=str(label))
        for image, label, size, mine in zip(images, labels, of_images, of_labels, strict=True)
        if size and mine and size != mine
    ]
    if wrong:
        raise InputError(few(wrong))
    found = [mine or size or (0, 0) for size, mine in zip(of_images, of_labels, strict=True)]
    return np.array(found, np.int64).reshape(-1, 2)[:, ::-1]


def _shown(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def few(problems: Sequence[Problem]) -> list[Problem]:
    """Return the first problems, and how many more there are."""
    rest = [Problem(f"and {len(problems) - _SHOWN} more of this kind")] if len(problems) > _SHOWN else []
    return [*problems[:_SHOWN], *rest]
