"""Reads `nodes`, `output` and `auxiliary`: any network, its nodes in the order of the file."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

from archlab import yamlio
from archlab.core.errors import nearest
from archlab.network.spec import AUXILIARY, HEAT_MAPS, IMAGE, LAST, Auxiliary, Declared, Repeat
from archlab.network.uses import HIDDEN, BlockReader, Declaration
from archlab.yamlio import Above, Item

NODE_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")
RESERVED = (IMAGE, LAST, AUXILIARY)
LossWeight = Annotated[float, Above(0)]


class NodesReader:
    """Reads `nodes`, `output` and `auxiliary`."""

    def __init__(self, blocks: BlockReader, form: Mapping[str, Any]) -> None:
        self.blocks, self.form = blocks, form
        self.written: Mapping[str, Item] = form.get("nodes") or {}

    def read(self) -> Declaration:
        """Return the nodes; the name of a node repeated n times means its last copy, `name.{n-1}`."""
        nodes: list[Declared] = []
        copies = {name: self._copies(name, item) for name, item in self.written.items()}
        ends = {IMAGE: IMAGE} | {
            name: list(labels)[-1] if self._named(name, self.written[name], f"nodes.{name}") and labels else HIDDEN
            for name, labels in copies.items()
        }
        above = IMAGE
        for name, item in self.written.items():
            sources = self._sources(item, above, ends, f"nodes.{name}")
            for label, own in (copies[name] or {name: None}).items():
                use = self.blocks.use(item, f"nodes.{name}", own=own)
                if ends[name] != HIDDEN:
                    self.blocks.declare(nodes, label, use, tuple([(source, None) for source in sources]))
                sources = [label]
            above = name
        outputs = (self.form.get(AUXILIARY) or {}).items()
        auxiliary = tuple(self._auxiliary(nodes, name, item, ends) for name, item in outputs)
        return Declaration(nodes, self._output(above, ends), self.form.get("input"), auxiliary)

    def _auxiliary(self, nodes: list[Declared], name: str, item: Item, ends: Mapping[str, str]) -> Auxiliary:
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
            self.blocks.declare(nodes, node, use, tuple([(source, None) for source in sources]))
        return Auxiliary(name, node, weight, item)

    def _named(self, name: str, item: Item, where: str) -> bool:
        """Return whether a node may have this name, adding a problem if not."""
        if NODE_NAME.fullmatch(name) and name not in RESERVED:
            return True
        rule = f"a node's name is letters, digits and _, and none of {', '.join(RESERVED)}"
        self.blocks.problems.append(item.key_problem(rule, where))
        return False

    def _copies(self, name: str, item: Item) -> dict[str, Item | None] | None:
        """Return the name of each copy of a node and what `repeat:` changes in it; None if `repeat:` is wrong."""
        given, where = item.entries.get("repeat"), f"nodes.{name}.repeat"
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

    def _sources(self, item: Item, above: str | None, ends: Mapping[str, str], where: str) -> Sequence[str]:
        """Return what a node reads: the nodes of `from:`, or the node above, if there is one."""
        where = f"{where}.from"
        given = item.entries.get("from")
        if given is None:
            return [ends[above] if above else HIDDEN]
        names, problems = yamlio.convert(given, str | tuple[str, ...], where)
        if not problems:
            names = (names,) if isinstance(names, str) else names
            unknown = [n for n in names if n not in ends]
            problems = [given.problem(f"no node is called {n!r}{nearest(n, ends)}", where) for n in unknown]
            problems += [] if names else [given.problem("a node reads at least one other", where)]
        self.blocks.problems.extend(problems)
        return [HIDDEN] if problems else [ends[n] for n in names]

    def _output(self, above: str, ends: Mapping[str, str]) -> str:
        if "output" not in self.form or not self.written:
            return HIDDEN
        name = self.form["output"]
        if name is None:
            return ends[above]
        if name not in self.written:
            self.blocks.problems.append(self.blocks.at("output").problem(
                f"no node is called {name!r}{nearest(name, self.written)}", "output"))  # fmt: skip
            return HIDDEN
        return ends[name]
