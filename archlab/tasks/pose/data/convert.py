"""Data sets that others add: a function writes them in COCO's layout, and from there on they are read like any other.

A data set in the entry point group `archlab.datasets`, or in the table DATASETS of a module named by `--plugin`, is a
function `write(source: Path, out: Path) -> None` that lays the people under `source` into `out`:
`annotations/person_keypoints_{train,val}2017.json`, `train2017/`, `val2017/`, and where there are detections
`person_detection_results/COCO_val2017_detections_AP_H_56_person.json`.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from archlab.core.errors import InputError, Problem, nearest
from archlab.tasks import datasets, resolved
from archlab.tasks.pose.data.coco import load_people

SPLITS = ("train2017", "val2017")


def convert(name: str, source: Path, out: Path, *, plugin: Sequence[str] = ()) -> dict[str, int]:
    """Write a data set of the user's own to `out`; labelled people by split.

    It is built beside `out`, read back, and renamed when it is whole. Raises InputError for a data set that is not
    there, a source that is missing, an `out` that is taken, and everything that the reader finds wrong.
    """
    write = _writer(name, plugin)
    if not source.exists():
        raise InputError(Problem("no such file or folder", "SOURCE", str(source)))
    if out.exists():
        raise InputError(Problem("is there already: name a new folder", "--out", str(out)))
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=out.parent, prefix=f".{out.name}."))
    try:
        write(source, temporary)
        found = {split: len(load_people(temporary, split, aspect=0.75)) for split in SPLITS}
        temporary.chmod(0o755)
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return found


def _writer(name: str, plugin: Sequence[str]) -> Callable[[Path, Path], Any]:
    table = datasets(plugin)
    if name not in table:
        hint = nearest(name, table) or " (none has been added: see --plugin)"
        raise InputError(f"no data set is called {name!r}{hint}")
    found: Callable[[Path, Path], Any] = resolved(table[name])
    return found
