"""The parameters of a space, read from `vary` in its file: one for each choice."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from archlab.core.errors import Problem, nearest
from archlab.search.space.document import Point, Slot, entries_of, matches, plant
from archlab.yamlio import Above, Item, Length

MOST_CHOICES = 10_000


@dataclass(frozen=True)
class Varied:
    """A parameter: a field of the base network, or the length of a list in it.

    field: a dotted path, or several that get the same value; `*` matches every entry of a list.
    length: the path of a list, of which the first entries are kept.
    choices: the values, as a list or as a mapping from labels; null keeps the base's value.
    from, to, step: the values `from`, `from` + `step`, ... up to `to`, instead of `choices`.
    tied: false gives every entry that `*` matches a choice of its own.
    when: the labels of other parameters for which this one is active.
    """

    field: str | Annotated[tuple[str, ...], Length(1)] | None = None
    length: str | None = None
    choices: Item | None = None
    from_: int | float | None = None
    to: int | float | None = None
    step: Annotated[int | float, Above(0)] = 1
    tied: bool = True
    when: dict[str, Item] = dataclasses.field(default_factory=dict)

    @property
    def paths(self) -> tuple[str, ...]:
        if self.length is not None:
            return (self.length,)
        return (self.field,) if isinstance(self.field, str) else self.field or ()

    def problems(self, item: Item) -> Iterator[Problem]:
        if (self.field is None) == (self.length is None):
            yield item.problem("needs either `field` or `length`", "vary.field")
        numbers = self.from_ is not None, self.to is not None
        if (self.choices is None) != all(numbers) or (self.choices is not None and any(numbers)):
            yield item.problem("needs either `choices`, or `from` and `to`", "vary.choices")
        elif self.choices is not None:
            if not isinstance(self.choices.value, (tuple, dict)) or not self.choices.value:
                yield self.choices.problem("expected a list or mapping of at least one choice", "vary.choices")
        elif self.from_ is not None and self.to is not None and self.from_ > self.to:
            yield item.problem(f"`to`, {self.to:g}, is below `from`, {self.from_:g}", "vary.to")
        elif self.from_ is not None and self.to is not None and (self.to - self.from_) / self.step >= MOST_CHOICES:
            yield item.problem(f"more than {MOST_CHOICES} choices", "vary.step")

    def items(self, place: Item) -> tuple[tuple[Any, Item | None], ...]:
        """Return the labels and values; None for the base's value."""
        if self.choices is None:
            assert self.from_ is not None
            assert self.to is not None
            count = int((self.to - self.from_) / self.step + 1e-9) + 1
            whole = all(isinstance(n, int) for n in (self.from_, self.step))
            numbers = [self.from_ + i * self.step for i in range(count)]
            values = [n if whole else float(n) for n in numbers]
            return tuple((n, Item(n, place.file, place.line, place.column)) for n in values)
        if isinstance(self.choices.value, dict):
            return tuple((label, _or_kept(item)) for label, item in self.choices.value.items())
        assert isinstance(self.choices.value, tuple)
        return tuple((_label(item), _or_kept(item)) for item in self.choices.value)


@dataclass(frozen=True)
class Parameter:
    """One choice of a space.

    items: the value of each label; None for the base's value.
    when: it is active if each of these parameters has one of these choices.
    ordered: its labels are numbers.
    """

    name: str
    labels: tuple[Any, ...]
    items: tuple[Item | None, ...]
    when: tuple[tuple[int, frozenset[int]], ...]
    ordered: bool
    item: Item = dataclasses.field(compare=False)
    paths: tuple[tuple[str, ...], ...] = ()
    is_length: bool = False

    def active(self, point: Point | list[int]) -> bool:
        return all(point[other] in choices for other, choices in self.when)


@dataclass
class Reader:
    """Expands `vary` into parameters and collects problems; `wrong` are the entries that could not be read."""

    item: Item
    document: Item
    wrong: frozenset[str] = frozenset()
    parameters: list[Parameter] = dataclasses.field(default_factory=list)
    families: dict[str, dict[tuple[str, ...], int]] = dataclasses.field(default_factory=dict)
    lengths: dict[tuple[str, ...], int] = dataclasses.field(default_factory=dict)
    root: Slot = dataclasses.field(default_factory=Slot)
    problems: list[Problem] = dataclasses.field(default_factory=list)

    def read(self, vary: Mapping[str, Varied]) -> None:
        for name, varied in vary.items():
            item = self.item.entries["vary"].entries[name]
            groups = self._groups(name, varied, item)
            self.families[name] = {}
            for index, paths in groups.items():
                self._add(name, index, paths, varied, item)

    def _groups(self, name: str, varied: Varied, item: Item) -> dict[tuple[str, ...], list[tuple[str, ...]]]:
        """Return paths by what `*` matched; tied paths are one group."""
        groups: dict[tuple[str, ...], list[tuple[str, ...]]] = {}
        for written in varied.paths:
            parts = tuple(written.split("."))
            found = list(matches(self.document, parts, self.root))
            if not found:
                message = f"{written!r} matches nothing in the base network"
                self.problems.append(item.problem(message, f"vary.{name}"))
            for path in found:
                index = tuple(p for p, part in zip(path, parts, strict=True) if part == "*")
                groups.setdefault(() if varied.tied else index, []).append(path)
        return groups

    def _add(self, name: str, index: tuple[str, ...], paths: list[tuple[str, ...]], varied: Varied, item: Item) -> None:
        number = len(self.parameters)
        labels, items = zip(*varied.items(item), strict=True)
        if len(set(map(repr, labels))) < len(labels):
            self.problems.append(item.problem("two choices have the same label", f"vary.{name}"))
        when = [self._condition(name, index, other, wanted) for other, wanted in varied.when.items()]
        when += self._cuts(paths)
        self.families[name][index] = number
        ordered = all(isinstance(label, (int, float)) and not isinstance(label, bool) for label in labels)
        full = ".".join((name, *index))
        conditions = tuple(dict.fromkeys(each for each in when if each))
        is_length = varied.length is not None
        self.parameters.append(Parameter(full, labels, items, conditions, ordered, item, tuple(paths), is_length))
        for path in paths:
            plant(self.root, path, number, len(labels), length=is_length)
            if is_length:
                self.lengths[path] = number
                self._check_length(name, path, labels, item)

    def _check_length(self, name: str, path: tuple[str, ...], labels: tuple[Any, ...], item: Item) -> None:
        there: Item | None = self.document
        for part in path:
            there = None if there is None else entries_of(there).get(part)
        if there is None or not isinstance(there.value, tuple):
            self.problems.append(
                item.problem(f"{'.'.join(path)!r} is no list in the base network", f"vary.{name}.length")
            )
        elif not all(type(label) is int and 1 <= label <= len(there.value) for label in labels):
            rule = f"lengths must be 1 to {len(there.value)}, the length in the base network; found {list(labels)}"
            self.problems.append(item.problem(rule, f"vary.{name}.length"))

    def _condition(
        self, name: str, index: tuple[str, ...], other: str, wanted: Item
    ) -> tuple[int, frozenset[int]] | None:
        """Return the parameter of `other` that matches this one's `*`, and the choices of it that activate this one."""
        where = f"vary.{name}.when"
        if other in self.wrong:
            return None
        if other not in self.families:
            hint = nearest(other, self.families)
            self.problems.append(wanted.key_problem(f"no parameter above is called {other!r}{hint}", where))
            return None
        family = self.families[other]
        fitting = [family[key] for key in (index[:n] for n in range(len(index), -1, -1)) if key in family]
        if not fitting:
            rule = f"{other!r} has a choice for each of {len(family)} entries, none of which matches {name!r}"
            self.problems.append(wanted.problem(rule, where))
            return None
        labels = self.parameters[fitting[0]].labels
        asked = [_label(each) for each in wanted.value] if isinstance(wanted.value, tuple) else [_label(wanted)]
        for label in asked:
            if label not in labels:
                hint = nearest(str(label), map(str, labels))
                self.problems.append(wanted.problem(f"{other!r} has no choice {label!r}{hint}", where))
        return fitting[0], frozenset(i for i, label in enumerate(labels) if label in asked)

    def _cuts(self, paths: list[tuple[str, ...]]) -> list[tuple[int, frozenset[int]]]:
        """Return the conditions that a list of varying length holds a field; for tied fields, the first."""
        cuts: dict[int, list[int]] = {}
        for path in paths:
            for end in range(len(path)):
                if path[:end] in self.lengths:
                    cuts.setdefault(self.lengths[path[:end]], []).append(int(path[end]))
        return [
            (number, frozenset(i for i, label in enumerate(self.parameters[number].labels) if label > min(positions)))
            for number, positions in cuts.items()
            if len(positions) == len(paths)
        ]


def _or_kept(item: Item) -> Item | None:
    return None if item.value is None else item


def _label(item: Item) -> Any:
    """Return a scalar itself, the name of a block without arguments, else the value as text."""
    plain = item.plain()
    if isinstance(plain, (dict, list)):
        return plain["block"] if isinstance(plain, dict) and set(plain) == {"block"} else str(plain).replace("'", "")
    return plain
