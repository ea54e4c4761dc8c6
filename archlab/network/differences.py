"""Differences between two networks' files, field by field, independent of how each was written."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from archlab import yamlio
from archlab.blocks import registry
from archlab.network.spec import Spec, StagesForm
from archlab.yamlio import Item

OF_BLOCKS = ("stem", "stages", "head", "nodes", "parts", "auxiliary", "last")
BY_STAGE = ("unit", "fusion", "transition", "repeat")
REPEAT = StagesForm.__dataclass_fields__["repeat"].default


@dataclass(frozen=True)
class Difference:
    """A field in which two networks differ: its dotted path (positions count from 0) and its values, None if absent."""

    field: str
    a: Any
    b: Any


def differences(a: Spec, b: Spec, plugin: Iterable[str] = ()) -> list[Difference]:
    """Return the fields in which two networks differ, in the order of the first, with the second's next to their kin.

    Short forms are expanded first: one width or block for all stages, a block's name alone, an argument at its default.
    """
    blocks = registry.blocks(plugin)
    mine, its = (dict(_leaves(_whole(each, blocks))) for each in (a, b))
    names = dict.fromkeys([*mine, *its])
    places = list(dict.fromkeys(map(_parent, names)))
    found = (Difference(name, mine.get(name), its.get(name)) for name in names)
    return sorted((each for each in found if each.a != each.b), key=lambda each: places.index(_parent(each.field)))


def with_widths(spec: Spec) -> Item:
    """Return the network's document with `stages.width` as one list per stage."""
    stages = spec.document.entries.get("stages")
    if stages is None:
        return spec.document
    form = yamlio.parse(stages, StagesForm)
    there = stages.entries["width"]
    lists = [[replace(there, value=width) for width in form.widths(stage)] for stage in range(len(form.modules))]
    widths = replace(there, value=tuple(replace(there, value=tuple(widths)) for widths in lists))
    return yamlio.set_path(spec.document, "stages.width", widths)


def _whole(spec: Spec, blocks: registry.Table) -> dict[str, Any]:
    """Return the network's document with every short form written out."""
    document: dict[str, Any] = with_widths(spec).plain()
    whole = {name: value for name, value in document.items() if name not in ("version", "extends")}
    whole |= {
        "input": list(spec.input),
        "outputs": spec.outputs,
        "initialisation": yamlio.to_plain(spec.initialisation),
    }
    if "stages" in whole:
        stages = dict(whole["stages"])
        stages.setdefault("repeat", REPEAT)
        count = len(stages["modules"])
        for name in BY_STAGE:
            stages[name] = stages[name] if isinstance(stages[name], list) else [stages[name]] * count
        whole["stages"] = stages
    whole.setdefault("last", "heat_maps")
    return {name: _with_defaults(value, blocks) if name in OF_BLOCKS else value for name, value in whole.items()}


def _with_defaults(value: Any, blocks: registry.Table) -> Any:
    """Return a value with each block as a mapping of all its arguments, at any depth."""
    if isinstance(value, list):
        return [_with_defaults(each, blocks) for each in value]
    if isinstance(value, str) and value in blocks:
        value = {"block": value}
    if not isinstance(value, dict):
        return value
    name = value.get("block")
    if isinstance(name, str) and name in blocks:
        return {"block": name, **_defaults(blocks[name]), **value}
    return {key: _with_defaults(each, blocks) for key, each in value.items()}


def _defaults(block: Any) -> dict[str, Any]:
    arguments = inspect.signature(block).parameters
    given = {name: arguments[name].default for name in registry.keywords(block)}
    return {
        name: list(v) if isinstance(v, tuple) else v for name, v in given.items() if v is not inspect.Parameter.empty
    }


def _leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    inside = dict(enumerate(value)) if isinstance(value, list) else value
    if not isinstance(inside, dict) or not inside:
        yield path, value
        return
    for name, each in inside.items():
        yield from _leaves(each, f"{path}.{name}" if path else str(name))


def _parent(path: str) -> str:
    return path.rpartition(".")[0]
