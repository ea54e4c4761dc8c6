"""Finding the choices of a space that give a network's document."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from archlab import yamlio
from archlab.blocks import registry
from archlab.core.errors import InputError
from archlab.network.spec import Spec
from archlab.search.space.document import Slot
from archlab.yamlio import Item

Path = Sequence[str]


def at(document: Item, path: Path, blocks: registry.Table) -> Item | None:
    """Return the value at a path of a document, None if there is none.

    A single entry for all stages answers for each stage; a block's missing argument has its default.
    """
    for name in path:
        inside = _as_block(document)
        if isinstance(document.value, tuple):
            if not name.isdigit() or int(name) >= len(document.value):
                return None
            document = document.value[int(name)]
        elif inside and name in inside:
            document = inside[name]
        elif not name.isdigit():
            default = _default(inside or {}, name, blocks)
            if default is None:
                return None
            document = default
    return document


def fits(found: Item | None, choice: Item | None, slot: Slot | None, blocks: registry.Table) -> bool:
    """Return whether a found value equals a choice, apart from parameters inside it."""
    if found is None or choice is None:
        return found is choice
    if slot and isinstance(found.value, tuple) and isinstance(choice.value, tuple):
        return len(found.value) == len(choice.value) and all(
            fits(one, other, inside, blocks)
            for i, (one, other) in enumerate(zip(found.value, choice.value, strict=True))
            if (inside := slot.inside.get(str(i))) is None or inside.parameter < 0
        )
    mine, its = _as_block(found), _as_block(choice)
    if mine is None or its is None or "block" not in mine or "block" not in its:
        return found == choice
    names = {*mine, *its} - {"block"} - set(slot.inside if slot else ())
    same = mine["block"] == its["block"]
    return same and all(at(found, [name], blocks) == at(choice, [name], blocks) for name in names)


def check_same(spec: Spec, made: Spec, space: str) -> None:
    """Raise InputError with the fields in which a spec differs from the network of its point."""
    wrong = [name for name in ("input", "outputs", "initialisation") if getattr(spec, name) != getattr(made, name)]
    mine, its = ({node.name: (node.block, node.arguments, node.inputs) for node in each.nodes} for each in (spec, made))
    wrong += [name for name in {**mine, **its} if mine.get(name) != its.get(name)]
    if wrong:
        rule = f"differs from the network of the space {space!r} with the same choices"
        raise InputError(spec.document.problem(rule, name) for name in wrong[:8])


def _as_block(item: Item) -> Mapping[str, Item] | None:
    return {"block": item} if isinstance(item.value, str) else item.value if isinstance(item.value, dict) else None


def _default(entries: Mapping[str, Item], name: str, blocks: registry.Table) -> Item | None:
    block: Any = entries["block"].value if "block" in entries else None
    if not isinstance(block, str) or block not in blocks or name not in registry.keywords(blocks[block]):
        return None
    default = inspect.signature(blocks[block]).parameters[name].default
    return None if default is inspect.Parameter.empty else yamlio.item_of(default)
