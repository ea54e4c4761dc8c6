"""Reads `nodes`, `parts`, `output` and `auxiliary`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any, NamedTuple

from archlab import yamlio
from archlab.core.errors import nearest
from archlab.network.spec import AUXILIARY, HEAT_MAPS, IMAGE, LAST, MOST_NODES, Auxiliary, Declared, Repeat
from archlab.network.uses import HIDDEN, BlockReader, Declaration, Source
from archlab.yamlio import Above, Item

NODE_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
RESERVED = (IMAGE, LAST, AUXILIARY)
LossWeight = Annotated[float, Above(0)]
Ends = Mapping[str, tuple[Source, ...]]
"""What a name in `from:` means: the nodes that are read."""


class Group(NamedTuple):
    """Nodes that see each other: those of the file, or those of a part in one of its uses.

    where: the field of each. prefix: stands before their names. inputs: what `input`, `input.0`, ... mean.
    """

    written: Mapping[str, Item]
    where: Mapping[str, str]
    prefix: str
    inputs: Ends


class NodesReader:
    """Reads `nodes` and `output`: any network, its nodes in the order of the file.

    The name of a node repeated n times means its last copy, `name.{n-1}`; that of a use of a part its last node.
    """

    def __init__(self, blocks: BlockReader, form: Mapping[str, Any]) -> None:
        self.blocks, self.form = blocks, form
        self.written: Mapping[str, Item] = form.get("nodes") or {}
        self.parts: Mapping[str, Mapping[str, Item]] = form.get("parts") or {}
        self.is_full = False

    def read(self) -> Declaration:
        nodes: list[Declared] = []
        where = {name: f"nodes.{name}" for name in self.written}
        ends = self._group(nodes, Group(self.written, where, "", {IMAGE: ((IMAGE, None),)}))
        outputs = (self.form.get(AUXILIARY) or {}).items()
        auxiliary = tuple(self._auxiliary(nodes, name, item, ends) for name, item in outputs)
        return Declaration(nodes, self._output(ends), self.form.get("input"), auxiliary)

    def _group(self, nodes: list[Declared], group: Group) -> Ends:
        """Declare the nodes of a group; return what their names mean."""
        names = self._ends(group)
        ends = {**group.inputs, **{name: ((node, None),) for name, node in names.items()}}
        above = IMAGE
        for name, item in group.written.items():
            where = group.where[name]
            sources = self._sources(item, above, ends, where)
            hidden = names[name] == HIDDEN
            for label, own in (self._copies(name, item, where) or {name: None}).items():
                if len(nodes) >= MOST_NODES:
                    self._too_many(item, where)
                    break
                made = nodes if not hidden else []
                sources = self._declare(made, group, name, group.prefix + label, own, sources)
            above = name
        return ends

    def _too_many(self, item: Item, where: str) -> None:
        """Add a problem for the first node that is one too many."""
        if not self.is_full:
            self.blocks.problems.append(item.problem(f"more than {MOST_NODES:,} nodes, with their copies", where))
        self.is_full = True

    def _declare(
        self,
        nodes: list[Declared],
        group: Group,
        name: str,
        label: str,
        own: Item | None,
        sources: tuple[Source, ...],
    ) -> tuple[Source, ...]:
        """Declare one copy of a node, or the nodes of one use of a part; return what the next copy reads."""
        item, where = group.written[name], group.where[name]
        if "part" not in item.entries:
            self.blocks.declare(nodes, label, self.blocks.use(item, where, own=own), sources)
            return ((label, None),)
        part = self._part(item, own, where, f"{label}.")
        if part is None:
            return ((HIDDEN, None),)
        inputs = {IMAGE: sources} | {f"{IMAGE}.{i}": (source,) for i, source in enumerate(sources)}
        return self._group(nodes, part._replace(inputs=inputs))[list(part.written)[-1]]

    def _ends(self, group: Group) -> dict[str, str]:
        """Return the node that each name of a group means, HIDDEN if a mistake hides it.

        With a use of a part come the nodes in it, as `use.node`.
        """
        found: dict[str, str] = {}
        for name, item in group.written.items():
            labels = self._copies(name, item, group.where[name])
            if not self._named(name, item, group.where[name]) or labels is None:
                found[name] = HIDDEN
                continue
            label, own = list(labels.items())[-1]
            if "part" not in item.entries:
                found[name] = group.prefix + label
                continue
            part = self._part(item, own, group.where[name], f"{group.prefix}{label}.")
            inside = self._ends(part) if part else {}
            found[name] = inside[list(part.written)[-1]] if part else HIDDEN
            found |= {f"{name}.{each}": node for each, node in inside.items() if len(labels) == 1}
        return found

    def _part(self, item: Item, own: Item | None, where: str, prefix: str) -> Group | None:
        """Return the nodes of one use of a part, with what it changes in them, adding a problem for each mistake.

        own: what one copy of the use changes.
        """
        part = item.entries["part"]
        if not isinstance(part.value, str) or part.value not in self.parts:
            hint = nearest(str(part.value), self.parts)
            self.blocks.problems.append(part.problem(f"no part is called {part.shown()}{hint}", f"{where}.part"))
            return None
        written, problems = self.parts[part.value], []
        changes = {name: each for name, each in item.entries.items() if name not in ("part", "from", "repeat")}
        if own is not None:
            changes = yamlio.overlay(replace(item, value=changes), replace(own, value=own.entries)).entries
        for name in [name for name in changes if name not in written]:
            rule = f"the part {part.value!r} has no node {name!r}{nearest(name, written)}"
            problems.append(changes[name].key_problem(rule, f"{where}.{name}"))
        for name, each in written.items():
            if "part" in each.entries:
                rule = "a node of a part is a block, not another part"
                problems.append(each.entries["part"].problem(rule, f"parts.{part.value}.{name}"))
        if not written:
            problems.append(part.problem(f"the part {part.value!r} has no nodes", f"{where}.part"))
        self.blocks.problems.extend(problems)
        if problems:
            return None
        return Group(
            {name: yamlio.overlay(each, changes[name]) if name in changes else each for name, each in written.items()},
            {name: f"{where}.{name}" if name in changes else f"parts.{part.value}.{name}" for name in written},
            prefix,
            {},
        )

    def _auxiliary(self, nodes: list[Declared], name: str, item: Item, ends: Ends) -> Auxiliary:
        """Declare the block of an auxiliary output as a node."""
        node = f"{AUXILIARY}.{name}"
        sound = self._named(name, item, node)
        if "from" not in item.entries:
            self.blocks.problems.append(item.problem("an auxiliary output reads a node: `from: NODE`", node))
        sources = self._sources(item, None, ends, node)
        weight, problems = yamlio.convert(item.entries.get("weight", Item(1.0)), LossWeight, f"{node}.weight")
        self.blocks.problems.extend(problems)
        if "block" not in item.entries:
            item = replace(item, value={"block": replace(item, value=HEAT_MAPS), **item.entries})
        use = self.blocks.use(item, node, {"outputs": self.form.get("outputs")})
        if sound and "outputs" in self.form:
            self.blocks.declare(nodes, node, use, sources)
        return Auxiliary(name, node, weight, item)

    def _named(self, name: str, item: Item, where: str) -> bool:
        """Return whether a node may have this name, adding a problem if not."""
        if NODE_NAME.fullmatch(name) and name not in RESERVED:
            return True
        rule = f"a node's name is letters, digits and _, and none of {', '.join(RESERVED)}"
        self.blocks.problems.append(item.key_problem(rule, where))
        return False

    def _copies(self, name: str, item: Item, where: str) -> dict[str, Item | None] | None:
        """Return the name of each copy of a node and what `repeat:` changes in it; None if `repeat:` is wrong."""
        given, where = item.entries.get("repeat"), f"{where}.repeat"
        if given is None:
            return {name: None}
        repeat, problems = yamlio.convert(given, Repeat, where)
        copies: Sequence[Item | None] = repeat if isinstance(repeat, tuple) else [None] * (1 if problems else repeat)
        for key in ("from", "repeat"):
            wrong = [own.entries[key] for own in copies if own and key in own.entries]
            problems += [each.key_problem(f"a copy has no `{key}:` of its own", where) for each in wrong]
        self.blocks.problems.extend(problems)
        labels = {name if len(copies) == 1 else f"{name}.{i}": own for i, own in enumerate(copies)}
        return None if problems else labels

    def _sources(self, item: Item, above: str | None, ends: Ends, where: str) -> tuple[Source, ...]:
        """Return what a node reads: the nodes of `from:`, or the node above, if there is one."""
        where = f"{where}.from"
        given = item.entries.get("from")
        if given is None:
            return ends[above] if above else ((HIDDEN, None),)
        names, problems = yamlio.convert(given, str | tuple[str, ...], where)
        if not problems:
            names = (names,) if isinstance(names, str) else names
            unknown = [n for n in names if n not in ends]
            problems = [given.problem(f"no node is called {n!r}{nearest(n, ends)}", where) for n in unknown]
            problems += [] if names else [given.problem("a node reads at least one other", where)]
        self.blocks.problems.extend(problems)
        return ((HIDDEN, None),) if problems else tuple([source for n in names for source in ends[n]])

    def _output(self, ends: Ends) -> str:
        if "output" not in self.form or not self.written:
            return HIDDEN
        name = self.form["output"] or list(self.written)[-1]
        if name not in ends or name == IMAGE:
            self.blocks.problems.append(self.blocks.at("output").problem(
                f"no node is called {name!r}{nearest(name, self.written)}", "output"))  # fmt: skip
            return HIDDEN
        return ends[name][0][0]
