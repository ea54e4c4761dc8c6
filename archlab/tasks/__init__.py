"""What networks are trained for: a folder a task, and the table that names them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

from archlab.core import plugins
from archlab.core.errors import InputError, nearest

TASKS = {"pose": "archlab.tasks.pose.task:POSE"}
"""Built-in tasks by name; each is imported when it is asked for."""


def tasks(plugin: Iterable[str] = ()) -> dict[str, Any]:
    """Return all tasks by name: built-in ones (`module:object`), from entry points, from the plug-ins' `TASKS`."""
    return plugins.joined(TASKS, "task", plugin)


def datasets(plugin: Iterable[str] = ()) -> dict[str, Callable[..., Any]]:
    """Return the readers of data sets that others add (`archlab.datasets`, the plug-ins' `DATASETS`), by name."""
    return plugins.joined({}, "dataset", plugin)


def find_task(name: str, plugin: Iterable[str] = ()) -> Any:
    """Return the task of this name. Raises InputError with the nearest name if there is none."""
    known = tasks(plugin)
    if name not in known:
        raise InputError(f"no task is called {name!r}{nearest(name, known)}")
    found = known[name]
    if isinstance(found, str):
        module, _, attribute = found.partition(":")
        found = getattr(import_module(module), attribute)
    return found
