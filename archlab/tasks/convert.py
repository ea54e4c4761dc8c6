"""Converters of other data sets: a function writes them in a layout that archlab reads, COCO's or Cityscapes'.

A data set in the entry point group `archlab.datasets`, or in the table DATASETS of a module named by `--plugin`, is a
function `write(source: Path, out: Path) -> None` that writes what is in `source` to `out`.

People, in COCO's layout: `annotations/person_keypoints_{train,val}2017.json`, `train2017/`, `val2017/`, and for
detections `person_detection_results/COCO_val2017_detections_AP_H_56_person.json`.
Labelled pictures, in Cityscapes' layout: `leftImg8bit/{train,val}/`, `gtFine/{train,val}/`, and `classes.yaml` for
other classes than Cityscapes'.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archlab.core import notes
from archlab.core.errors import InputError, Problem, nearest
from archlab.tasks import datasets, resolved
from archlab.tasks.generated import hidden_folder, remove_abandoned


@dataclass(frozen=True)
class Converted:
    """What a converter wrote. unit: `people` or `pictures`. counts: by split. notes: on what is left out."""

    unit: str
    counts: dict[str, int]
    notes: tuple[str, ...] = ()


def convert(name: str, source: Path, out: Path, *, plugin: Sequence[str] = ()) -> Converted:
    """Convert a data set in the new folder `out`; return the number of labelled people or pictures by split.

    The data is written to a temporary folder, read back, and then renamed to `out`.
    Raises InputError if the data set is unknown, `source` is missing, `out` exists, or the written data is malformed.
    """
    write = _writer(name, plugin)
    if not source.exists():
        raise InputError(Problem("no such file or folder", "SOURCE", str(source)))
    if out.exists():
        raise _exists(out)
    remove_abandoned(out)
    temporary = hidden_folder(out)
    try:
        write(source, temporary)
        found = _read_pictures(temporary) if (temporary / "leftImg8bit").is_dir() else _read_people(temporary)
        temporary.chmod(0o755)
        try:
            temporary.rename(out)
        except OSError:
            if out.exists():  # another process wrote it meanwhile
                raise _exists(out) from None
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for text in found.notes:
        notes.note(text)
    return found


def _exists(out: Path) -> InputError:
    return InputError(Problem("exists already; name a new folder", "--out", str(out)))


def _read_people(folder: Path) -> Converted:
    from archlab.tasks.pose.data.coco import load_people

    people = {split: load_people(folder, split, aspect=0.75) for split in ("train2017", "val2017")}
    texts = tuple(text for each in people.values() for text in each.notes)
    return Converted("people", {split: len(each) for split, each in people.items()}, texts)


def _read_pictures(folder: Path) -> Converted:
    from archlab.tasks.segmentation.data.layout import check_labels, load_pictures

    splits = ["train", "val", *(["test"] if (folder / "leftImg8bit" / "test").is_dir() else [])]
    pictures = {split: load_pictures(folder, split, "cityscapes") for split in splits}
    for each in pictures.values():
        check_labels(each)
    return Converted("pictures", {split: len(each) for split, each in pictures.items()})


def _writer(name: str, plugin: Sequence[str]) -> Callable[[Path, Path], Any]:
    table = datasets(plugin)
    if name not in table:
        hint = nearest(name, table) or " (none has been added: see --plugin)"
        raise InputError(f"no data set is called {name!r}{hint}")
    found: Callable[[Path, Path], Any] = resolved(table[name])
    return found
