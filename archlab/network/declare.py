"""From a network's file to declared nodes: a reader for each form, which continues after a mistake (see `uses`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from archlab import yamlio
from archlab.blocks.basic import gather
from archlab.blocks.wiring import Shape
from archlab.network.nodes import NodesReader
from archlab.network.spec import HEAT_MAPS, IMAGE, LAST, MOST_NODES, Declared, StagesForm, branch_widths
from archlab.network.uses import HIDDEN, BlockReader, Declaration, Use
from archlab.yamlio import Item

MOST_STAGES = 6


def declare(blocks: BlockReader, form: Mapping[str, Any]) -> Declaration:
    """Return the nodes of either form with the last layer; problems are added to the reader's.

    form: the sound fields of SpecForm.
    """
    written = [name for name in ("stages", "nodes") if blocks.document.entries.get(name, Item(None)).value]
    _check_form(blocks, form, written)
    made = [_READERS[name](blocks, form).read() for name in written]
    nodes, end, input, auxiliary = made[0] if len(made) == 1 else Declaration([], HIDDEN, None)
    if "last" in form:
        item = form["last"] or replace(blocks.document, value=HEAT_MAPS)
        use = blocks.use(item, LAST, {"outputs": form.get("outputs")})
        if "outputs" in form:
            blocks.declare(nodes, LAST, use, ((end, None),))
    return Declaration(nodes, LAST, input, auxiliary)


def _check_form(blocks: BlockReader, form: Mapping[str, Any], written: Sequence[str]) -> None:
    """Add a problem for both forms or none, and for fields of the other form. A misspelt form is not a missing one."""
    if len(written) == 2 or not (written or {"stages", "nodes"} - set(form)):
        blocks.problems.append(blocks.document.problem("a network has either `stages:` or `nodes:`", "stages"))
    for name in _OTHERS[written[0]] if len(written) == 1 else ():
        if form.get(name) is not None:
            blocks.problems.append(blocks.at(name).problem(f"`{name}:` does not go with `{written[0]}:`", name))


class StagesReader:
    """Reads `stem`, `stages` and `head`: a high-resolution network."""

    def __init__(self, blocks: BlockReader, form: Mapping[str, Any]) -> None:
        self.blocks, self.form = blocks, form
        self.item = blocks.at("stages")
        whole = form.get("stages")
        self.stages = vars(whole) if whole else yamlio.parse_partly(self.item, StagesForm, "stages").sound
        modules = self.stages.get("modules")
        self.count = len(modules) if modules is not None and 1 <= len(modules) <= MOST_STAGES else None
        self.width_rule = self._width_rule()
        self.is_small = self._check_size()

    def read(self) -> Declaration:
        nodes: list[Declared] = []
        self._check_lengths()
        at = self._chain(nodes, "stem", IMAGE)
        for index in range(self.count or max(1, *map(len, self._lists().values()))):
            at = self._stage(nodes, index, at)
        return Declaration(nodes, self._chain(nodes, "head", at), self._input())

    def _chain(self, nodes: list[Declared], name: str, at: str) -> str:
        """Declare the blocks of `stem` or `head`, one after the other."""
        if name not in self.form:
            return HIDDEN
        item = self.form[name]
        if item is None:
            self.blocks.problems.append(self.blocks.document.problem(f"`stages:` needs a `{name}:`", name))
            return HIDDEN
        items = item.value if isinstance(item.value, tuple) else (item,)
        for i, each in enumerate(items):
            alone = len(items) == 1 or (name == "head" and i == 0)
            at = self._add(nodes, name if alone else f"{name}.{i}", self.blocks.use(each, name), at)
        return at

    def _stage(self, nodes: list[Declared], index: int, at: str) -> str:
        stage, widths = f"stage{index + 2}", self._widths(index)
        joint = self._use("transition", index, {"widths": widths})
        units = self._units(index)
        fuse = self._use("fusion", index)
        modules, repeat = self._number("modules", index), self._number("repeat", index)
        if not self.is_small:
            modules, repeat = min(modules or 1, 1), min(repeat or 1, 1)
        at = self._add(nodes, f"{stage}.transition", joint, at)
        for module in range(modules or 1):
            for unit in range(repeat or 1):
                at = self._unit(nodes, f"{stage}.module{module}.unit{unit}", units, at)
            at = self._add(nodes, f"{stage}.module{module}.fusion", fuse, at if repeat else HIDDEN)
        return at if modules else HIDDEN

    def _units(self, index: int) -> Use | list[Use | None] | None:
        """Return one block for all branches, or a list with one for each branch."""
        item = self._entry("unit", index)
        if item is None or not isinstance(item.value, tuple):
            return self._use("unit", index)
        uses = [self.blocks.use(each, "stages.unit") for each in item.value]
        if len(uses) == index + 2:
            return uses
        rule = f"one block per branch: expected {index + 2}, found {len(uses)}"
        self.blocks.problems.append(item.problem(rule, "stages.unit"))
        return None

    def _unit(self, nodes: list[Declared], name: str, units: Use | list[Use | None] | None, at: str) -> str:
        """Declare a unit; the maps of blocks for single branches are gathered under `name`."""
        if not isinstance(units, list):
            return self._add(nodes, name, units, at)
        made = [
            self.blocks.declare(nodes, f"{name}.branch{branch}", use, ((at, branch),))
            for branch, use in enumerate(units)
        ]
        together = Use("gather", gather, True, (), self.blocks.document)
        return self.blocks.declare(nodes, name, together, tuple([(each, None) for each in made]))

    def _add(self, nodes: list[Declared], name: str, use: Use | None, at: str) -> str:
        return self.blocks.declare(nodes, name, use, ((at, None),))

    def _use(self, name: str, index: int, given: Mapping[str, Any] | None = None) -> Use | None:
        item = self._entry(name, index)
        return None if item is None else self.blocks.use(item, f"stages.{name}", given)

    def _entry(self, name: str, index: int) -> Item | None:
        """Return a stage's own entry of a list, or the only entry for all stages."""
        item: Item | None = self.stages.get(name)
        if item is None or not isinstance(item.value, tuple):
            return item
        return item.value[index] if index < len(item.value) else None

    def _check_size(self) -> bool:
        """Return whether the stages have few enough nodes, adding a problem if not."""
        modules = self.stages.get("modules", ())
        copies = sum((modules[i] or 1) * (self._number("repeat", i) or 1) * (i + 3) for i in range(len(modules)))
        if copies > MOST_NODES:
            self._add_problem("modules", f"{copies:,} blocks; a network has at most {MOST_NODES:,}")
        return copies <= MOST_NODES

    def _number(self, name: str, index: int) -> int | None:
        found = self.stages.get(name)
        if found is None or isinstance(found, int):
            return found
        number: int | None = found[index] if index < len(found) else None
        return number

    def _widths(self, index: int) -> tuple[int, ...] | None:
        width = self.stages.get("width")
        if width is None or (not isinstance(width, int) and (self.count is None or self.width_rule)):
            return None
        return branch_widths(width, index)

    def _lists(self) -> dict[str, Sequence[Any]]:
        """Return the fields that are written as one entry a stage."""
        lists: dict[str, Sequence[Any]] = {"": ()}
        for name in ("unit", "fusion", "transition", "repeat"):
            found = self.stages.get(name)
            entries = found.value if isinstance(found, Item) else found
            if isinstance(entries, tuple):
                lists[name] = entries
        return lists

    def _check_lengths(self) -> None:
        """Add a problem for lists that do not fit the number of stages; check the blocks of surplus entries too."""
        if self.count is None:
            if "modules" in self.stages:
                rule = f"a network has 1 to {MOST_STAGES} stages"
                self._add_problem("modules", rule)
            return
        for name, entries in self._lists().items():
            if name and len(entries) != self.count:
                self._add_problem(name, f"one entry per stage: expected {self.count}, found {len(entries)}")
            for entry in entries[self.count :] if name in ("unit", "fusion", "transition") else ():
                for each in entry.value if isinstance(entry.value, tuple) else (entry,):
                    self.blocks.use(each, f"stages.{name}", {"widths": None})
        if self.width_rule:
            self._add_problem("width", self.width_rule)

    def _width_rule(self) -> str:
        """Return the rule that the list of widths breaks, an empty text if none."""
        width, count = self.stages.get("width", 1), self.count or 0
        if isinstance(width, int):
            return ""
        if not width or isinstance(width[0], int):
            return "" if len(width) == count + 1 else f"one width per branch: expected {count + 1}, found {len(width)}"
        lengths, expected = [len(widths) for widths in width], list(range(2, count + 2))
        rule = f"expected lists of {', '.join(map(str, expected))} widths, one list per stage; found lists of {lengths}"
        return "" if lengths == expected else rule

    def _add_problem(self, name: str, rule: str) -> None:
        self.blocks.problems.append(self.item.entries[name].problem(rule, f"stages.{name}"))

    def _input(self) -> Shape | None:
        """Return the input with its sides rounded up to fit all resolutions, adding a problem if they do not fit."""
        input: Shape | None = self.form.get("input")
        if input is None or self.count is None:
            return input
        multiple = 4 * 2**self.count
        if any(side % multiple for side in input[1:]):
            self.blocks.problems.append(self.blocks.at("input").problem(
                f"height and width must be multiples of {multiple}, so that the maps of {self.count + 1} resolutions "
                f"fit each other; found {input[1]}x{input[2]}", "input"))  # fmt: skip
        return (input[0], *(-(-side // multiple) * multiple for side in input[1:]))


_READERS: dict[str, Callable[[BlockReader, Mapping[str, Any]], StagesReader | NodesReader]] = {
    "stages": StagesReader,
    "nodes": NodesReader,
}
"""A third form is one more class and its line here."""
_OTHERS = {"stages": ("parts", "output", "auxiliary"), "nodes": ("stem", "head")}
"""Fields that belong to the other form."""
