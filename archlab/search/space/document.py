"""Building the document of a point: the base network's with the choices put in, rebuilt only where it varies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from archlab.yamlio import Item

Point = tuple[int, ...]
"""The number of the choice of every parameter of a space, or INACTIVE."""
INACTIVE = -1
REMEMBERED = 2**14


@dataclass
class Slot:
    """A position in the document at or below which something varies.

    inside: the slots below, by entry.
    parameter: the parameter whose choice is put here, or INACTIVE.
    length: the parameter that sets the length of the list here, or INACTIVE.
    below: the parameters that determine what is here, in at most `forms` ways.
    built: what was built before, by the choices of `below`.
    """

    inside: dict[str, Slot] = field(default_factory=dict)
    parameter: int = INACTIVE
    length: int = INACTIVE
    below: tuple[int, ...] = ()
    forms: int = 1
    built: dict[Point, Item] = field(default_factory=dict)


def plant(root: Slot, path: Sequence[str], parameter: int, choices: int, *, length: bool = False) -> None:
    """Record that `parameter` sets the value at `path`, or, with `length`, the length of the list there."""
    slots = [root]
    for name in path:
        slots.append(slots[-1].inside.setdefault(name, Slot()))
    for at in slots:
        at.below += (parameter,)
        at.forms *= choices + 1
    if length:
        at.length = parameter
    else:
        at.parameter = parameter


def build(slot: Slot, item: Item, point: Point, choices: Sequence[Sequence[Item | None]]) -> Item:
    """Return `item` with the choices of `point` at and below `slot`; a choice of None keeps the value.

    A slot with few forms returns the same object for the same choices, so that its parsing can be cached too.
    """
    if slot.forms > REMEMBERED:
        return _built(slot, item, point, choices)
    key = tuple([point[i] for i in slot.below])
    made = slot.built.get(key)
    if made is None:
        slot.built[key] = made = _built(slot, item, point, choices)
    return made


def _built(slot: Slot, item: Item, point: Point, choices: Sequence[Sequence[Item | None]]) -> Item:
    chosen = point[slot.parameter] if slot.parameter >= 0 else INACTIVE
    if chosen >= 0:
        item = choices[slot.parameter][chosen] or item
    if slot.length >= 0 and point[slot.length] >= 0 and isinstance(item.value, tuple):
        count = choices[slot.length][point[slot.length]]
        assert count is not None
        item = Item(item.value[: int(str(count.value))], item.file, item.line, item.column)
    for name, child in slot.inside.items():
        if any(point[i] >= 0 for i in child.below):
            item = _with(item, name, child, point, choices)
    return item


def _with(item: Item, name: str, child: Slot, point: Point, choices: Sequence[Sequence[Item | None]]) -> Item:
    if isinstance(item.value, tuple):
        at = int(name) if name.isdigit() else len(item.value)
        if at >= len(item.value):  # cut off, or a name in a block that another choice puts here
            return item
        made = build(child, item.value[at], point, choices)
        return Item((*item.value[:at], made, *item.value[at + 1 :]), item.file, item.line, item.column)
    inside = dict(item.value) if isinstance(item.value, dict) else {"block": item}
    inside[name] = build(child, inside.get(name, Item({}, item.file, item.line, item.column)), point, choices)
    return Item(inside, item.file, item.line, item.column)


def matches(item: Item, path: Sequence[str], slot: Slot | None = None) -> Iterator[tuple[str, ...]]:
    """Yield the paths of a document that a path with `*` matches.

    The last name need not exist yet, not even in a list that, according to `slot`, a block can replace.
    """
    if not path:
        yield ()
        return
    name, *rest = path
    here = entries_of(item)
    if name == "*":
        found = list(here) if isinstance(item.value, tuple) else []
    else:
        is_list = isinstance(item.value, tuple) and not (slot and slot.parameter >= 0 and not name.isdigit())
        found = [name] if name in here or not (rest or is_list) else []
    for each in found:
        for below in matches(here.get(each, Item({})), rest, slot.inside.get(each) if slot else None):
            yield (each, *below)


def entries_of(item: Item) -> dict[str, Item]:
    """Return the entries of a mapping, a list (by position) or a block's name."""
    if isinstance(item.value, tuple):
        return {str(i): each for i, each in enumerate(item.value)}
    return {"block": item} if isinstance(item.value, str) else item.entries
