"""Changes of Items, for `extends` and `--set`; every part keeps its file, line and column."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from archlab.core.errors import InputError
from archlab.yamlio.items import MAX_DEPTH, Item, read


def overlay(base: Item, over: Item) -> Item:
    """Return `base` overlaid with `over`: mappings merge name by name, at every depth; anything else is replaced.

    If one is text and the other a mapping, the text names a block: `ccw` means `{block: ccw}`. If `over` names a
    different block than `base`, it replaces the whole mapping, since the arguments belong to the old block.
    """
    if not isinstance(over.value, dict):
        return over
    below = _as_mapping(base)
    if below is None or ("block" in over.value and _block(over.value) != _block(below)):
        return over
    merged = dict(below)
    for name, item in over.value.items():
        merged[name] = overlay(below[name], item) if name in below else item
    return replace(over, value=merged)


def extended(item: Item, base: Path) -> Item:
    """Return a document laid over the file that its `extends` names, without that file's `name`; one level.

    Raises InputError if that file extends another one.
    """
    below = read(base)
    if "extends" in below.entries:
        rule = f"{base.name} extends another file itself; one level is the most"
        raise InputError(item.entries["extends"].problem(rule, "extends"))
    unnamed = {key: value for key, value in below.entries.items() if key != "name"}
    return overlay(replace(below, value=unnamed), item)


def set_path(item: Item, path: str, value: Item) -> Item:
    """Return `item` with `value` at a dotted path such as `stages.0.unit.ratio`; positions in lists count from 0.

    Missing names and mappings are added; parsing into a type later refuses names that do not exist. Text on the way
    names a block.
    Raises InputError if the path cannot be followed.
    """
    parts = path.split(".")
    if not all(parts):
        raise InputError(value.problem(f"expected names separated by single dots, found {path!r}", path))
    if len(parts) > MAX_DEPTH:
        raise InputError(value.problem(f"a path has at most {MAX_DEPTH} names", path))
    return _set(item, parts, value, 0)


def _set(item: Item, parts: list[str], value: Item, done: int) -> Item:
    if done == len(parts):
        return value
    name, path = parts[done], ".".join(parts)
    if isinstance(item.value, tuple):
        last = len(item.value) - 1
        if name not in map(str, range(last + 1)):
            here = ".".join(parts[:done]) or "the file"
            rule = f"a list: its positions are 0 to {last}" if last >= 0 else "an empty list"
            raise InputError(value.problem(f"{here} is {rule}, found {name!r}", path))
        position = int(name)
        changed = _set(item.value[position], parts, value, done + 1)
        return replace(item, value=(*item.value[:position], changed, *item.value[position + 1 :]))
    inside = _as_mapping(item)
    if inside is None:
        here = ".".join(parts[:done]) or "the file"
        raise InputError(value.problem(f"{here} is {item.shown()}, which has no field {name!r}", path))
    below = inside.get(name, Item({}, value.file, value.line, value.column))
    return replace(item, value={**inside, name: _set(below, parts, value, done + 1)})


def _as_mapping(item: Item) -> dict[str, Item] | None:
    if isinstance(item.value, str):
        return {"block": item}
    return item.value if isinstance(item.value, dict) else None


def _block(mapping: dict[str, Item]) -> object:
    return mapping["block"].value if "block" in mapping else None
