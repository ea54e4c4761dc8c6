"""Converters of other data sets: a function writes them in COCO's layout, and archlab then reads them as COCO.

A data set in the entry point group `archlab.datasets`, or in the table DATASETS of a module named by `--plugin`, is a
function `write(source: Path, out: Path) -> None` that writes the people in `source` to `out`:
`annotations/person_keypoints_{train,val}2017.json`, `train2017/`, `val2017/`, and for detections
`person_detection_results/COCO_val2017_detections_AP_H_56_person.json`.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from archlab.core import notes
from archlab.core.errors import InputError, Problem, nearest
from archlab.tasks import datasets, resolved
from archlab.tasks.pose.data.coco import load_people

SPLITS = ("train2017", "val2017")


def convert(name: str, source: Path, out: Path, *, plugin: Sequence[str] = ()) -> dict[str, int]:
    """Convert a data set to COCO's layout in the new folder `out`; return the number of labelled people by split.

    The data is written to a temporary folder, read back, and then renamed to `out`.
    Raises InputError if the data set is unknown, `source` is missing, `out` exists, or the written data is malformed.
    """
    write = _writer(name, plugin)
    if not source.exists():
        raise InputError(Problem("no such file or folder", "SOURCE", str(source)))
    if out.exists():
        raise InputError(Problem("exists already; name a new folder", "--out", str(out)))
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        write(source, temporary)
        people = {split: load_people(temporary, split, aspect=0.75) for split in SPLITS}
        temporary.chmod(0o755)
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    for text in (text for split in SPLITS for text in people[split].notes):
        notes.note(text)
    return {split: len(people[split]) for split in SPLITS}


def _writer(name: str, plugin: Sequence[str]) -> Callable[[Path, Path], Any]:
    table = datasets(plugin)
    if name not in table:
        hint = nearest(name, table) or " (none has been added: see --plugin)"
        raise InputError(f"no data set is called {name!r}{hint}")
    found: Callable[[Path, Path], Any] = resolved(table[name])
    return found
