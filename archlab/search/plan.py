"""What a search would do if it were run: its parts, its size and its progress, found without writing anything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from archlab import yamlio
from archlab.core.device import pick_device
from archlab.core.errors import InputError, Problem
from archlab.search.load import Search
from archlab.search.options import SearchOptions
from archlab.search.recovery import counts
from archlab.search.space.points import size
from archlab.search.space.uncounted import warn_uncounted
from archlab.search.worker import mismatch
from archlab.training.recipe import data_fingerprint, data_folder


@dataclass(frozen=True)
class SearchPlan:
    """A search and its progress.

    root: the data folder; `data_exists` is false if it would be generated first.
    trials, finished: the trials in total, and those that are finished already.
    """

    search: Search
    folder: Path
    storage: str
    root: Path
    data_exists: bool
    device: str
    trials: int
    finished: int

    @property
    def left(self) -> int:
        return max(self.trials - self.finished, 0)

    def as_json(self) -> dict[str, Any]:
        """Return the plan as plain data, with the resolved recipe and space."""
        found = self.search
        space = {
            "name": found.space.name,
            "file": str(found.space.file),
            "size": size(found.space),
            "parameters": {each.name: list(each.labels) for each in found.space.parameters},
            "limits": {name: [limit.min, limit.max] for name, limit in found.space.limits.items()},
        }
        return {
            "search": found.name,
            "space": space,
            "recipe": found.recipe.plain(),
            "sampler": yamlio.to_plain(found.form.sampler),
            "objectives": {each.name: each.direction for each in found.objectives},
            "rungs": [each.label for each in found.rungs],
            "start": list(found.form.start),
            "references": list(found.form.references),
            "front_seeds": list(found.form.front_seeds),
            "trials": {"total": self.trials, "finished": self.finished, "left": self.left},
            "folder": str(self.folder),
            "storage": self.storage,
            "data": {"folder": str(self.root), "exists": self.data_exists},
            "device": self.device,
        }


def plan_search(o: SearchOptions) -> SearchPlan:
    """Return what a search would do; nothing is written.

    Raises InputError as running it would, for a study that was begun with other parts too.
    """
    o.check()
    search = o.load()
    warn_uncounted(search.space, search.costs)
    root = data_folder(search.recipe, o.data)
    storage = o.study_storage(search.name)
    study = storage.peek(search.name)
    if study:
        parts = search.parts(data_fingerprint(search.recipe, root) if root.is_dir() else "")
        if not root.is_dir():
            del parts["data"]
        if rule := mismatch(study, search, parts):
            raise InputError(Problem(rule, "--storage", storage.shown))
    return SearchPlan(
        search=search,
        folder=storage.folder,
        storage=storage.shown,
        root=root,
        data_exists=root.is_dir(),
        device=pick_device(o.device).type,
        trials=o.trials or search.form.trials,
        finished=counts(study)[0] if study else 0,
    )
