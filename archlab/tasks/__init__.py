"""The tasks that networks are trained for: one folder per task, and the table of their names."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

from archlab.core import plugins
from archlab.core.errors import InputError, nearest

TASKS = {
    "pose": "archlab.tasks.pose.task:POSE",
    "segmentation": "archlab.tasks.segmentation.task:SEGMENTATION",
}
"""Built-in tasks by name, as `module:object`; `find_task` imports them."""


DATASETS = {
    "lsp": "archlab.tasks.pose.data.lsp:write_lsp",
    "lspet": "archlab.tasks.pose.data.lsp:write_lspet",
    "lspet_selection": "archlab.tasks.pose.data.lsp:write_lspet_selection",
    "camvid": "archlab.tasks.segmentation.data.camvid:write_camvid",
}
"""Built-in data sets that are converted to COCO's or Cityscapes' layout, by name."""


def tasks(plugin: Iterable[str] = ()) -> dict[str, Any]:
    """Return all tasks by name: built-in ones (`module:object`), those of entry points and of the plug-ins' `TASKS`."""
    return plugins.joined(TASKS, "task", plugin)


def datasets(plugin: Iterable[str] = ()) -> dict[str, Any]:
    """Return the converters of data sets, by name: built-in ones (`module:object`) and plug-ins'."""
    return plugins.joined(DATASETS, "dataset", plugin)


def find_task(name: str, plugin: Iterable[str] = ()) -> Any:
    """Return the task of this name. Raises InputError with the nearest name if it is unknown."""
    known = tasks(plugin)
    if name not in known:
        raise InputError(f"no task is called {name!r}{nearest(name, known)}")
    return resolved(known[name])


def resolved(entry: Any) -> Any:
    """Return a table's entry; one that is written `module:object` is imported."""
    if not isinstance(entry, str):
        return entry
    module, _, attribute = entry.partition(":")
    return getattr(import_module(module), attribute)
