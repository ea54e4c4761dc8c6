"""The classes of a data set: their names, colours, label values and weights; Cityscapes' and CamVid's, or a file's."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray

from archlab.core.errors import Problem
from archlab.yamlio import Above, AtLeast, AtMost, Item, Length, parse, read

FILE = "classes.yaml"
IGNORE = 255
"""The train id of pixels that are neither trained nor scored."""
UNKNOWN = 254
"""What `Classes.table` gives a label value that is neither a class nor ignored."""
MOST = 200
Dataset = Literal["cityscapes", "camvid"]
Value = Annotated[int, AtLeast(0), AtMost(255)]
Colour = tuple[Value, Value, Value]
Weight = Annotated[float, Above(0)]


@dataclass(frozen=True)
class Classes:
    """Classes by train id, from 0. A file `classes.yaml` in the data folder has these fields."""

    names: Annotated[tuple[Annotated[str, Length(1)], ...], Length(1, MOST), "The classes, in order."]
    colours: Annotated[tuple[Colour, ...] | None, "Red, green, blue of each class in pictures; null: chosen."] = None
    ids: Annotated[
        tuple[Value | tuple[Value, ...], ...] | None,
        "The value, or values, of each class in `_labelIds` files; null: 0, 1, 2, ...",
    ] = None
    ignore: Annotated[tuple[Value, ...], "The values in `_labelIds` files that are neither trained nor scored."] = (
        IGNORE,
    )
    weights: Annotated[tuple[Weight, ...] | None, "The weight of each class in the loss; null: 1."] = None

    def problems(self, item: Item) -> Iterator[Problem]:
        """Yield lists that have not one entry a class, and names and values of two classes."""
        for field, rule in self._wrong():
            yield item.entries.get(field, item).problem(rule, field)

    def _wrong(self) -> Iterator[tuple[str, str]]:
        for field in ("colours", "ids", "weights"):
            given = getattr(self, field)
            if given is not None and len(given) != len(self):
                yield field, f"has {len(given)} entries for {len(self)} names"
        if len(set(self.names)) != len(self):
            yield "names", "two classes have one name"
        values = [value for values in self.values for value in values]
        if twice := sorted({value for value in values if values.count(value) > 1}):
            yield "ids", f"{twice} are values of two classes"
        if both := sorted(set(values) & set(self.ignore)):
            yield "ignore", f"{both} are values of classes"

    def __len__(self) -> int:
        return len(self.names)

    @property
    def values(self) -> tuple[tuple[int, ...], ...]:
        """The values of each class in `_labelIds` files."""
        ids = range(len(self.names)) if self.ids is None else self.ids
        return tuple((each,) if isinstance(each, int) else each for each in ids)

    @cached_property
    def table(self) -> NDArray[np.uint8]:
        """(256,), the train id of each value in `_labelIds` files, or IGNORE, or UNKNOWN."""
        table = np.full(256, UNKNOWN, np.uint8)
        table[list(self.ignore)] = IGNORE
        for number, values in enumerate(self.values):
            table[list(values)] = number
        return table

    @cached_property
    def train_table(self) -> NDArray[np.uint8]:
        """(256,), the same for `_labelTrainIds` files, which hold train ids and 255."""
        table = np.full(256, UNKNOWN, np.uint8)
        table[: len(self)] = np.arange(len(self))
        table[IGNORE] = IGNORE
        return table

    @cached_property
    def palette(self) -> NDArray[np.uint8]:
        """(256, 3), the colour of each train id; black for those that are ignored."""
        palette = np.zeros((256, 3), np.uint8)
        palette[: len(self)] = _distinct(len(self)) if self.colours is None else self.colours
        return palette


def _distinct(count: int) -> NDArray[np.uint8]:
    """Return colours whose hues are a golden section apart, in three degrees of brightness."""
    colours = [colorsys.hsv_to_rgb(0.618034 * i % 1, 0.75, (0.95, 0.65, 0.8)[i % 3]) for i in range(count)]
    return np.asarray(np.rint(255 * np.array(colours)), np.uint8)


def _known(rows: Sequence[tuple[str, int, Colour]]) -> Classes:
    """Return classes by (name, Cityscapes' label id, colour); the other label ids are ignored."""
    ids = tuple(value for _, value, _ in rows)
    rest = tuple(value for value in [*range(34), IGNORE] if value not in ids)
    return Classes(tuple(name for name, _, _ in rows), tuple(colour for *_, colour in rows), ids, rest)


CITYSCAPES = _known(
    (
        ("road", 7, (128, 64, 128)),
        ("sidewalk", 8, (244, 35, 232)),
        ("building", 11, (70, 70, 70)),
        ("wall", 12, (102, 102, 156)),
        ("fence", 13, (190, 153, 153)),
        ("pole", 17, (153, 153, 153)),
        ("traffic light", 19, (250, 170, 30)),
        ("traffic sign", 20, (220, 220, 0)),
        ("vegetation", 21, (107, 142, 35)),
        ("terrain", 22, (152, 251, 152)),
        ("sky", 23, (70, 130, 180)),
        ("person", 24, (220, 20, 60)),
        ("rider", 25, (255, 0, 0)),
        ("car", 26, (0, 0, 142)),
        ("truck", 27, (0, 0, 70)),
        ("bus", 28, (0, 60, 100)),
        ("train", 31, (0, 80, 100)),
        ("motorcycle", 32, (0, 0, 230)),
        ("bicycle", 33, (119, 11, 32)),
    )
)
"""The 19 classes that Cityscapes scores, in the order of their train ids."""

_IN_CAMVID = (
    "sky", "building", "pole", "road", "sidewalk", "vegetation", "traffic sign", "fence", "car", "person", "rider",
)  # fmt: skip
CAMVID = _known(
    tuple(
        (name, CITYSCAPES.values[at][0], (CITYSCAPES.colours or ())[at])
        for name in _IN_CAMVID
        for at in [CITYSCAPES.names.index(name)]
    )
)
"""CamVid's 11 classes in SegNet's order, with the names and the label ids of Cityscapes."""

KNOWN: dict[Dataset, Classes] = {"cityscapes": CITYSCAPES, "camvid": CAMVID}


def read_classes(root: Path | None, dataset: Dataset) -> Classes:
    """Return the classes of a data folder: those of its classes.yaml, else the data set's.

    root: None for generated data. Raises InputError with every problem of the file.
    """
    path = root / FILE if root else None
    return read_file(path) if path and path.is_file() else KNOWN[dataset]


def read_file(path: Path) -> Classes:
    """Return the classes that a file describes. Raises InputError with every problem of the file."""
    return parse(read(path), Classes)


def classes_for(names: Sequence[str] | None, outputs: int, dataset: Dataset) -> Classes:
    """Return the classes with these names, or as many as the network has outputs: the data set's, or numbered ones."""
    known = [KNOWN[dataset], *KNOWN.values()]
    if names is None:
        numbered = Classes(tuple(f"class {i}" for i in range(outputs)))
        return next((each for each in known if len(each) == outputs), numbered)
    return next((each for each in known if each.names == tuple(names)), Classes(tuple(names)))
