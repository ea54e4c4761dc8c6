"""Where the YAML files that travel with archlab lie: in the wheel, or at the top of a checkout."""

from __future__ import annotations

from pathlib import Path

from archlab.core.errors import InputError, Problem, missing_file, nearest


def folder(kind: str) -> Path:
    """`search_spaces` or `studies`."""
    package = Path(__file__).resolve().parent.parent
    checkout = package.parent
    places = [checkout / kind] if (checkout / "pyproject.toml").is_file() else []
    for candidate in (*places, package / "_shipped" / kind):
        if candidate.is_dir():
            return candidate
    raise InputError(Problem("this folder should have come with archlab; is the installation whole?", file=kind))


def names(kind: str, pattern: str) -> dict[str, Path]:
    """Built-in name -> file, for the files of `kind` that match a glob pattern; sorted."""
    return {path.stem: path for path in sorted(folder(kind).glob(pattern), key=lambda path: path.stem)}


def find(name_or_path: str | Path, kind: str, pattern: str, what: str) -> Path:
    """The file that a user means by a path or a built-in name. Raises InputError with the nearest name."""
    path = Path(name_or_path)
    if path.suffix in {".yaml", ".yml"} or len(path.parts) > 1:
        if not path.is_file():
            raise missing_file(path, f"{what} file")
        return path
    known = names(kind, pattern)
    if path.name not in known:
        raise InputError(f"no {what} is called {path.name!r}{nearest(path.name, known)}; a path ends in .yaml")
    return known[path.name]
