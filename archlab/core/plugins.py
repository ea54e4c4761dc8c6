"""Tables of named objects that plug-ins extend: installed packages, modules and single files.

A YAML file alone never imports code. A name is known if archlab ships it, if an installed package declares it as an
entry point, or if the caller names a plug-in (`--plugin`) whose table, such as `BLOCKS`, holds it.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from traceback import walk_tb
from types import ModuleType
from typing import Any

from archlab.core.errors import InputError, Problem, missing_file


def joined(built_in: Mapping[str, Any], kind: str, plugin: Iterable[str] = ()) -> dict[str, Any]:
    """Return `built_in` with what entry points and plug-ins add to it, by name.

    kind: what the table holds, in the singular (`block`): entry points are in the group `archlab.blocks`, a plug-in's
      table is its `BLOCKS`.
    Raises InputError if a plug-in cannot be imported or defines a name that is taken.
    """
    from importlib.metadata import entry_points

    found, owners = dict(built_in), dict.fromkeys(built_in, "archlab")
    entries = entry_points(group=f"archlab.{kind}s")
    added = [(entry.name, _imported(entry.value, entry.load), entry.value) for entry in entries]
    for name in plugin:
        added += [(key, value, name) for key, value in _table(name, f"{kind.upper()}S").items()]
    for key, value, owner in added:
        if key in found and found[key] is not value:
            raise InputError(f"{owner} defines a {kind} {key!r}, which {owners[key]} already defines")
        found[key], owners[key] = value, owner
    return found


def _table(name: str, table: str) -> Mapping[str, Any]:
    """Return a plug-in's table. Raises InputError if it is not a mapping from names."""
    found = getattr(load(name), table, {})
    if isinstance(found, Mapping) and all(isinstance(key, str) for key in found):
        return found
    raise InputError(Problem(f"{table} must be a mapping from names", "", name))


def load(name: str) -> ModuleType:
    """Import a plug-in: a path that ends in `.py`, or a module's name, which the current folder may hold.

    A file becomes a module named after it, as `import` would name it. The canonical hash of a network holds the names
    of a plug-in's classes, so it is the same in every process and for both ways of naming the plug-in.
    Raises InputError if the file does not exist, another module has its name, or its import fails.
    """
    if name.endswith(".py"):
        return _load_file(Path(name))
    _search_in(Path.cwd())
    module: ModuleType = _imported(f"--plugin {name}", lambda: importlib.import_module(name))
    return module


def _load_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise missing_file(path, "plug-in")
    path, name = path.resolve(), path.stem
    if name in sys.modules:
        module = sys.modules[name]
        if Path(getattr(module, "__file__", None) or "").resolve() == path:
            return module
        raise InputError(Problem(f"a module called {name!r} is already imported; rename this file", file=str(path)))
    _search_in(path.parent)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if not isinstance(error, Exception | SystemExit):
            raise
        line = _line(error, path)
        raise InputError(Problem(_failure(error), "", str(path), line)) from error
    return module


def place_in(plugin: Iterable[str], error: BaseException) -> tuple[str, int] | None:
    """Return the file and the line of these plug-ins that an error passed through last, None if it passed none."""
    names = [Path(name).stem if name.endswith(".py") else name for name in plugin]
    files = [getattr(sys.modules.get(name), "__file__", None) for name in names]
    return next(((file, line) for file in files if file and (line := _line(error, Path(file)))), None)


def _line(error: BaseException, path: Path) -> int:
    """Return the last line of a file that an error passed through, 0 if none."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        return error.lineno or 0
    lines = [line for frame, line in walk_tb(error.__traceback__) if frame.f_code.co_filename == str(path)]
    return lines[-1] if lines else 0


def _imported(what: str, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except (Exception, SystemExit) as error:
        raise InputError(f"{what}: {_failure(error)}") from error


def _failure(error: BaseException) -> str:
    reason = error.msg if isinstance(error, SyntaxError) else str(error)
    text = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
    return f"cannot be imported: {' '.join(text.split())}"


def _search_in(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
