"""Uses of blocks in a network's file: each checked against its block's signature, and declared as a node.

Readers continue after a mistake. A use of a block that a mistake hides is None and gives no node; a node that reads
what a mistake hides reads HIDDEN. Neither is wired, nor what reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from archlab import yamlio
from archlab.blocks import registry
from archlab.blocks.wiring import Arguments, Shape
from archlab.core.errors import Problem, nearest
from archlab.network.spec import AUXILIARY, Auxiliary, Declared
from archlab.yamlio import Item

MOST_USES = 20_000
NOT_ARGUMENTS = {"nodes": ("from", "repeat"), "parts": ("from", "repeat"), AUXILIARY: ("from", "weight")}
"""By the field of the file, the entries of a use that are not its block's arguments."""


@dataclass(frozen=True)
class Use:
    """A block with checked arguments."""

    block: str
    function: Callable[..., Any]
    many: bool
    arguments: Arguments
    item: Item


Uses = dict[tuple[int, int, str, str], tuple[Item, Item | None, Use]]
"""Uses checked before, by the identity of their Items; the Items are kept, so that no other takes their place."""

HIDDEN = "?"
"""In place of the name of a node that a mistake hides; no node is called that."""

Source = tuple[str, int | None]
"""The node that is read and which of its maps, None for all."""


class Declaration(NamedTuple):
    """The nodes that are known, the node to end in, and the (C, H, W) of the image, None if a mistake hides it."""

    nodes: list[Declared]
    end: str
    input: Shape | None
    auxiliary: tuple[Auxiliary, ...] = ()


@dataclass
class BlockReader:
    """Checks uses of blocks and collects problems. `uses`: what was checked before and is not checked again."""

    blocks: registry.Table
    document: Item
    problems: list[Problem] = field(default_factory=list)
    uses: Uses | None = None

    def use(
        self, item: Item, where: str, given: Mapping[str, Any] | None = None, own: Item | None = None
    ) -> Use | None:
        """Return a checked block, from `name` or `{block: name, argument: value}`; None if its arguments are not known.

        given: arguments that come from elsewhere in the file, None if a mistake hides the value.
        own: what one copy of the node changes.
        """
        if self.uses is None:
            return self._checked(item, where, given, own)
        key = id(item), id(own), where, repr(given)
        if key in self.uses:
            return self.uses[key][2]
        before = len(self.problems)
        use = self._checked(item, where, given, own)
        if use and len(self.problems) == before:
            if len(self.uses) >= MOST_USES:
                self.uses.clear()
            self.uses[key] = item, own, use
        return use

    def _checked(self, item: Item, where: str, given: Mapping[str, Any] | None, own: Item | None) -> Use | None:
        item = item if own is None else yamlio.overlay(item, own)
        entries = dict(item.entries) if isinstance(item.value, dict) else {"block": item}
        other = NOT_ARGUMENTS.get(where.partition(".")[0], ())
        entries = {name: entry for name, entry in entries.items() if name not in other}
        name = entries.pop("block", None)
        if name is None or not isinstance(name.value, str):
            self.problems.append((name or item).problem("expected a block's name, or `{block: name, ...}`", where))
            return None
        if name.value not in self.blocks:
            hint = nearest(name.value, self.blocks)
            self.problems.append(name.problem(f"no block is called {name.value!r}{hint}", where))
            return None
        function = self.blocks[name.value]
        asked = registry.keywords(function)
        given = {k: v for k, v in (given or {}).items() if k in asked and k not in entries}
        known = {k: yamlio.item_of(v, file=item.file) for k, v in given.items() if v is not None}
        hidden = [k for k, v in given.items() if v is None]
        arguments, problems = yamlio.check_call(function, known | entries, where, item, hidden)
        self.problems.extend(problems)
        if len(arguments) < len(asked):
            return None
        values = {key: _unchanging(value) for key, value in sorted(arguments.items())}
        wrong = [key for key, value in values.items() if key in entries and not isinstance(value, Hashable)]
        rule = "a mapping cannot be an argument of a block; lists and single values can"
        self.problems += [entries[key].problem(rule, f"{where}.{key}") for key in wrong]
        if wrong:
            return None
        kept = tuple(
            (key, value) for key, value in values.items() if isinstance(value, Hashable)
        )  # defaults may not be
        return Use(name.value, function, registry.takes_many(function), kept, item)

    def declare(self, nodes: list[Declared], name: str, use: Use | None, inputs: tuple[Source, ...]) -> str:
        """Append a node if its block is known; return its name."""
        if use is not None:
            nodes.append(Declared(name, use.block, use.function, use.many, use.arguments, inputs, use.item))
        return name

    def at(self, name: str) -> Item:
        """Return a field of the document, the document itself if it has no such field."""
        return self.document.entries.get(name, self.document)


def _unchanging(value: Any) -> Any:
    """Return a value with tuples in place of lists, a mapping within one as the value itself."""
    if not isinstance(value, list | tuple):
        return value
    values = [_unchanging(each) for each in value]
    return next((each for each in values if isinstance(each, dict)), tuple(values))
