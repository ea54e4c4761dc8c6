"""The YAML files that ship with archlab: in the wheel, or at the top of a checkout."""

from __future__ import annotations

from pathlib import Path

from archlab.core.errors import InputError, Problem, missing_file, nearest


def folder(kind: str) -> Path:
    """Return the folder of built-in files, `search_spaces` or `studies`. Raises InputError if it is missing."""
    package = Path(__file__).resolve().parent.parent
    checkout = package.parent
    places = [checkout / kind] if (checkout / "pyproject.toml").is_file() else []
    for candidate in (*places, package / "_shipped" / kind):
        if candidate.is_dir():
            return candidate
    raise InputError(Problem("this folder of archlab is missing: is the installation complete?", file=kind))


def names(kind: str, pattern: str) -> dict[str, Path]:
    """Return the files of `kind` that match a glob pattern, by name, sorted."""
    return {path.stem: path for path in sorted(folder(kind).glob(pattern), key=lambda path: path.stem)}


def find(name_or_path: str | Path, kind: str, pattern: str, what: str) -> Path:
    """Return the file of a path or a built-in name. Raises InputError with the nearest name."""
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"} or len(path.parts) > 1:
        if not path.is_file():
            raise missing_file(path, f"{what} file")
        return path
    known = names(kind, pattern)
    if path.name not in known:
        raise InputError(f"no {what} is called {path.name!r}{nearest(path.name, known)}; a path ends in .yaml")
    return known[path.name]
