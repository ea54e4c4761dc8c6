"""The base network's document with a point's choices put into it, rebuilt only where something varies."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from archlab.yamlio import Item

Point = tuple[int, ...]
"""Of every parameter of a space the number of its choice, or INACTIVE."""
INACTIVE = -1
REMEMBERED = 2**14


@dataclass
class Slot:
    """A place in the document at or below which something varies: whose choice stands here, and what cuts its list.

    `below`: the parameters that decide on it, which give it at most so many `forms`.
    """

    inside: dict[str, Slot] = field(default_factory=dict)
    parameter: int = INACTIVE
    length: int = INACTIVE
    below: tuple[int, ...] = ()
    forms: int = 1
    built: dict[Point, Item] = field(default_factory=dict)


def plant(root: Slot, path: Sequence[str], parameter: int, choices: int, *, length: bool = False) -> None:
    """Note that `parameter` says what stands at `path`, or, with `length`, how many entries the list there has."""
    places = [root]
    for name in path:
        places.append(places[-1].inside.setdefault(name, Slot()))
    for at in places:
        at.below += (parameter,)
        at.forms *= choices + 1
    if length:
        at.length = parameter
    else:
        at.parameter = parameter


def build(place: Slot, item: Item, point: Point, choices: Sequence[Sequence[Item | None]]) -> Item:
    """`item` with the choices of `point` at and below `place`; a choice None leaves what is there.

    A place of few forms is the same object wherever it has the same choices, so that its reading is remembered too.
    """
    if place.forms > REMEMBERED:
        return _built(place, item, point, choices)
    key = tuple([point[i] for i in place.below])
    made = place.built.get(key)
    if made is None:
        place.built[key] = made = _built(place, item, point, choices)
    return made


def _built(place: Slot, item: Item, point: Point, choices: Sequence[Sequence[Item | None]]) -> Item:
    chosen = point[place.parameter] if place.parameter >= 0 else INACTIVE
    if chosen >= 0:
        item = choices[place.parameter][chosen] or item
    if place.length >= 0 and point[place.length] >= 0 and isinstance(item.value, tuple):
        count = choices[place.length][point[place.length]]
        assert count is not None
        item = Item(item.value[: int(str(count.value))], item.file, item.line, item.column)
    for name, child in place.inside.items():
        if any(point[i] >= 0 for i in child.below):
            item = _with(item, name, child, point, choices)
    return item


def _with(item: Item, name: str, child: Slot, point: Point, choices: Sequence[Sequence[Item | None]]) -> Item:
    if isinstance(item.value, tuple):
        at = int(name) if name.isdigit() else len(item.value)
        if at >= len(item.value):  # cut off, or a name in a block that stands here by another choice
            return item
        made = build(child, item.value[at], point, choices)
        return Item((*item.value[:at], made, *item.value[at + 1 :]), item.file, item.line, item.column)
    inside = dict(item.value) if isinstance(item.value, dict) else {"block": item}
    inside[name] = build(child, inside.get(name, Item({}, item.file, item.line, item.column)), point, choices)
    return Item(inside, item.file, item.line, item.column)


def matches(item: Item, path: Sequence[str], place: Slot | None = None) -> Iterator[tuple[str, ...]]:
    """The paths of a document that a path with `*` for any entry stands for.

    Its last name need not be there yet, also not where a list is but, by what `place` says, a block may come instead.
    """
    if not path:
        yield ()
        return
    name, *rest = path
    here = entries_of(item)
    if name == "*":
        found = list(here) if isinstance(item.value, tuple) else []
    else:
        is_list = isinstance(item.value, tuple) and not (place and place.parameter >= 0 and not name.isdigit())
        found = [name] if name in here or not (rest or is_list) else []
    for each in found:
        for below in matches(here.get(each, Item({})), rest, place.inside.get(each) if place else None):
            yield (each, *below)


def entries_of(item: Item) -> dict[str, Item]:
    """What stands in a mapping, a list (by position) or a block's name."""
    if isinstance(item.value, tuple):
        return {str(i): each for i, each in enumerate(item.value)}
    return {"block": item} if isinstance(item.value, str) else item.entries
