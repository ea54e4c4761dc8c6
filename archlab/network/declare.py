"""From what a file says to declared nodes: the stages form and the nodes form, problems gathered on the way."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from archlab import yamlio
from archlab.blocks import registry
from archlab.blocks.basic import gather
from archlab.blocks.wiring import Arguments
from archlab.core.errors import Problem, nearest
from archlab.network.spec import IMAGE, Declared, Repeat, SpecForm, StagesForm
from archlab.yamlio import Item

NODE_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Use:
    """A block with checked arguments."""

    block: str
    function: Callable[..., Any]
    arguments: Arguments
    item: Item


Uses = dict[tuple[int, int, str, str], tuple[Item, Item | None, Use]]
"""Blocks that were checked once, by the identity of what stands in the file; the Items are kept, so that it stays."""
MOST_USES = 20_000


@dataclass
class Declarer:
    """Turns forms into declared nodes, gathering problems; what is in `uses` is not checked again."""

    blocks: registry.Table
    document: Item
    problems: list[Problem] = field(default_factory=list)
    uses: Uses | None = None

    def check_form(self, form: SpecForm) -> None:
        if bool(form.stages) == bool(form.nodes):
            self.problems.append(self.document.problem("a network has either `stages:` or `nodes:`", "stages"))
        for name in ("stem", "head") if form.nodes else ("output",):
            if getattr(form, name) is not None:
                other = "nodes" if form.nodes else "stages"
                at = self.document.entries[name]
                self.problems.append(at.problem(f"`{name}:` does not go with `{other}:`", name))
        if form.stages:
            multiple = 4 * 2 ** len(form.stages.modules)
            if any(side % multiple for side in form.input[1:]):
                resolutions = len(form.stages.modules) + 1
                self.problems.append(self._at("input").problem(
                    f"height and width must be multiples of {multiple}, so that the maps of {resolutions} resolutions "
                    f"fit each other; found {form.input[1]}x{form.input[2]}", "input"))  # fmt: skip

    def stages(self, form: SpecForm) -> tuple[list[Declared], str]:
        assert form.stages is not None
        nodes: list[Declared] = []
        at = IMAGE
        stems = self._many(form.stem, "stem")
        for i, item in enumerate(stems):
            if use := self.use(item, "stem"):
                at = self._add(nodes, "stem" if len(stems) == 1 else f"stem.{i}", use, at)
        for index in range(len(form.stages.modules)):
            at = self._stage(nodes, form.stages, index, at)
        for i, item in enumerate(self._many(form.head, "head")):
            if use := self.use(item, "head"):
                at = self._add(nodes, "head" if i == 0 else f"head.{i}", use, at)
        return nodes, at

    def _stage(self, nodes: list[Declared], form: StagesForm, index: int, at: str) -> str:
        stage, widths = f"stage{index + 2}", form.widths(index)
        repeat = form.repeat if isinstance(form.repeat, int) else form.repeat[index]
        joint = self.use(_entry(form.transition, index), "stages.transition", {"widths": widths})
        units = self._units(_entry(form.unit, index), len(widths))
        fuse = self.use(_entry(form.fusion, index), "stages.fusion")
        if joint:
            at = self._add(nodes, f"{stage}.transition", joint, at)
        for module in range(form.modules[index]):
            for unit in range(repeat):
                at = self._unit(nodes, f"{stage}.module{module}.unit{unit}", units, at)
            if fuse:
                at = self._add(nodes, f"{stage}.module{module}.fusion", fuse, at)
        return at

    def _units(self, item: Item, branches: int) -> Use | list[Use] | None:
        """One block for all branches, or a list with one a branch."""
        if not isinstance(item.value, tuple):
            return self.use(item, "stages.unit")
        if len(item.value) == branches:
            return [use for entry in item.value if (use := self.use(entry, "stages.unit"))]
        rule = f"one block a branch: expected {branches}, found {len(item.value)}"
        self.problems.append(item.problem(rule, "stages.unit"))
        return None

    def _unit(self, nodes: list[Declared], name: str, units: Use | list[Use] | None, at: str) -> str:
        """The maps of blocks that stand for one branch each are gathered again under `name`."""
        if not isinstance(units, list):
            return self._add(nodes, name, units, at) if units else at
        made = [(f"{name}.branch{branch}", None) for branch in range(len(units))]
        for branch, use in enumerate(units):
            nodes.append(self.declare(made[branch][0], use, [(at, branch)]))
        nodes.append(self.declare(name, Use("gather", gather, (), self.document), made))
        return name

    def nodes(self, form: SpecForm) -> tuple[list[Declared], str]:
        """Nodes in the order of the file; `name` of a node repeated n times means its last copy, `name.{n-1}`."""
        written = form.nodes or {}
        for name, item in written.items():
            if not NODE_NAME.fullmatch(name) or name in (IMAGE, "last"):
                self.problems.append(item.key_problem(
                    f"a node's name is letters, digits and _, and neither {IMAGE!r} nor 'last'",
                    f"nodes.{name}"))  # fmt: skip
        copies = {name: self._copies(name, item) for name, item in written.items()}
        ends = {IMAGE: IMAGE} | {name: list(labels)[-1] for name, labels in copies.items()}
        nodes: list[Declared] = []
        above = IMAGE
        for name, item in written.items():
            sources = self._sources(name, item, above, ends)
            for label, own in copies[name].items():
                if use := self.use(item, f"nodes.{name}", own=own):
                    nodes.append(self.declare(label, use, [(source, None) for source in sources]))
                    sources = [label]
            above = name
        if form.output is not None and form.output not in written:
            self.problems.append(self._at("output").problem(
                f"no node is called {form.output!r}{nearest(form.output, written)}", "output"))  # fmt: skip
        return nodes, ends.get(form.output or above, IMAGE)

    def _copies(self, name: str, item: Item) -> dict[str, Item | None]:
        """Of every copy of a node its name and what its `repeat:` says differs in it."""
        given, where = item.entries.get("repeat"), f"nodes.{name}.repeat"
        if given is None:
            return {name: None}
        repeat, problems = yamlio.convert(given, Repeat, where)
        copies: Sequence[Item | None] = repeat if isinstance(repeat, tuple) else [None] * (1 if problems else repeat)
        for key in ("from", "repeat"):
            wrong = [own.entries[key] for own in copies if own and key in own.entries]
            problems += [each.key_problem(f"a copy has no `{key}:` of its own", where) for each in wrong]
        self.problems.extend(problems)
        return {name if len(copies) == 1 else f"{name}.{i}": own for i, own in enumerate(copies)}

    def _sources(self, name: str, item: Item, above: str, ends: Mapping[str, str]) -> list[str]:
        """What a node reads: the names of `from:`, or the node above."""
        where = f"nodes.{name}.from"
        given = item.entries.get("from")
        if given is None:
            return [ends[above]]
        names, problems = yamlio.convert(given, str | tuple[str, ...], where)
        if not problems:
            names = (names,) if isinstance(names, str) else names
            unknown = [n for n in names if n not in ends]
            problems = [given.problem(f"no node is called {n!r}{nearest(n, ends)}", where) for n in unknown]
            problems += [] if names else [given.problem("a node reads at least one other", where)]
        self.problems.extend(problems)
        return [] if problems else [ends[n] for n in names]

    def use(
        self, item: Item, where: str, given: Mapping[str, Any] | None = None, own: Item | None = None
    ) -> Use | None:
        """A checked block, from `name` or `{block: name, argument: value}`, changed to what is `own` to a copy of it.

        `given` arguments come from elsewhere.
        """
        if self.uses is None:
            return self._checked(item, where, given, own)
        key = id(item), id(own), where, repr(given)
        if key in self.uses:
            return self.uses[key][2]
        use = self._checked(item, where, given, own)
        if use:
            if len(self.uses) >= MOST_USES:
                self.uses.clear()
            self.uses[key] = item, own, use
        return use

    def _checked(self, item: Item, where: str, given: Mapping[str, Any] | None, own: Item | None) -> Use | None:
        item = item if own is None else yamlio.overlay(item, own)
        entries = dict(item.entries) if isinstance(item.value, dict) else {"block": item}
        if where.startswith("nodes."):
            entries = {name: entry for name, entry in entries.items() if name not in ("from", "repeat")}
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
        known = {k: yamlio.item_of(v, file=item.file) for k, v in (given or {}).items() if k in asked}
        arguments, problems = yamlio.check_call(function, known | entries, where, item)
        self.problems.extend(problems)
        return None if problems else Use(name.value, function, tuple(sorted(arguments.items())), item)

    def declare(self, name: str, use: Use, inputs: Iterable[tuple[str, int | None]]) -> Declared:
        many = registry.takes_many(use.function)
        return Declared(name, use.block, use.function, many, use.arguments, tuple(inputs), use.item)

    def _add(self, nodes: list[Declared], name: str, use: Use, at: str) -> str:
        nodes.append(self.declare(name, use, [(at, None)]))
        return name

    def _many(self, item: Item | None, where: str) -> list[Item]:
        if item is None:
            self.problems.append(self.document.problem(f"`stages:` needs a `{where}:`", where))
            return []
        return list(item.value) if isinstance(item.value, tuple) else [item]

    def _at(self, name: str) -> Item:
        return self.document.entries.get(name, self.document)


def _entry(item: Item, stage: int) -> Item:
    """A stage's own entry of a per-stage list, or what stands for all stages."""
    return item.value[stage] if isinstance(item.value, tuple) else item
