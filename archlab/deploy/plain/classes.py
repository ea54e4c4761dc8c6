"""Calls of one structure as one class, whose arguments are the numbers in which the calls differ."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from archlab.blocks.wiring import Leaf
from archlab.deploy.plain.calls import Call, Step
from archlab.deploy.plain.layers import REQUIRED, layer
from archlab.network.graph import Value

Hole = tuple[str, str]
"""A value in a class: the child that it is given to, and the name of the child's argument."""
FACTORS = (2, 3, 4, 6, 8)
MOST_LETTERS = 28
MOST_WORDS = 6
LETTERS = "BCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass
class Class:
    """A module class. calls: its instances. expressions: what each child's argument is, in terms of its own arguments.

    defaults: its arguments, with the values that may be left out (REQUIRED: none).
    """

    name: str
    calls: list[Call]
    expressions: dict[Hole, str] = field(default_factory=dict)
    constant: dict[Hole, Any] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    values: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def call(self) -> Call:
        """Return the call after which the class is written."""
        return self.calls[0]

    def value(self, name: str, call: Call) -> Any:
        """Return the value of an argument in a call."""
        return self.values[name][self.calls.index(call)]

    def given(self, call: Call) -> dict[str, Any]:
        """Return the arguments of a call, without those left out."""
        found = {name: self.value(name, call) for name in self.defaults}
        return {name: value for name, value in found.items() if value != self.defaults[name]}


class Classes:
    """The classes of a network, each after those that it uses. taken: names that none of them may have."""

    def __init__(self, root: Call, taken: Collection[str]) -> None:
        self._keys: dict[Call, Hashable] = {}
        self.by_key: dict[Hashable, Class] = {}
        for call in root.calls():
            self.by_key.setdefault(self.key(call), Class("", [])).calls.append(call)
        self.root = self.by_key[self.key(root)]
        for each in self.by_key.values():
            _Arguments(self, each).find()
        _Namer(self, taken).name()

    def of(self, call: Call) -> Class:
        return self.by_key[self.key(call)]

    def key(self, call: Call) -> Hashable:
        """Return what is equal for calls of the same class."""
        if call not in self._keys:
            self._keys[call] = self._key(call)
        return self._keys[call]

    def _key(self, call: Call) -> Hashable:
        numbers: dict[Value, int] = {}

        def numbered(values: Sequence[Value]) -> tuple[int, ...]:
            return tuple(numbers.setdefault(value, len(numbers)) for value in values)

        ends = numbered(call.inputs), len(call.path) == 0
        steps = []
        for step in call.steps:
            what: Hashable
            if isinstance(step, Call):
                what = step.name, self.key(step)
            elif step.layer:
                text = layer(step.leaf)
                what = step.layer, text.call, text.word, tuple(name for name, *_ in text.fields)
            else:
                what = step.leaf.kind, _function_key(step.leaf, call)
            steps.append((what, numbered(step.inputs), numbered(step.outputs)))
        return ends, tuple(steps), numbered(call.outputs)


def _function_key(leaf: Leaf, call: Call) -> Hashable:
    """Return what of a function is part of its text."""
    sizes = [shape[1:] for shape in call.sizes]
    choices = {k: v for k, v in leaf.arguments if k not in ("size", "grid", "widths")}
    size = leaf.get("size", None) or leaf.get("grid", None)
    if size is not None:
        choices["size"] = sizes.index(size) if size in sizes else -1
    if leaf.kind == "split":
        widths = leaf["widths"]
        own = len(sizes) > 1 and widths == tuple(shape[0] for shape in call.sizes)
        choices["widths"] = ("equal", len(widths)) if len(set(widths)) == 1 else "own" if own else "given"
    return tuple(sorted(choices.items()))


def children(call: Call) -> Iterator[tuple[str, Call | Step]]:
    """Yield the submodules of a call by name, each once."""
    seen = set()
    for step in call.steps:
        name = step.name if isinstance(step, Call) else step.layer
        if name and name not in seen:
            seen.add(name)
            yield name, step


def numbers_of(call: Call) -> Iterator[tuple[Hole, Any]]:
    """Yield the sizes and widths that the functions of a call state."""
    for at, step in enumerate(call.steps):
        if isinstance(step, Step) and not step.layer:
            for name in ("size", "grid", "widths"):
                if step.leaf.get(name, None) is not None:
                    yield (str(at), "size" if name == "grid" else name), step.leaf[name]


class _Arguments:
    """Finds the arguments of a class: the fewest from which all values in its calls follow."""

    def __init__(self, classes: Classes, made: Class) -> None:
        self.classes, self.made = classes, made

    def find(self) -> None:
        rows = [dict(self._holes(call)) for call in self.made.calls]
        for hole in rows[0]:
            self._place(hole, [row[hole] for row in rows])
        channels = [name for name in self.made.values if name.endswith("channels")]
        if len(channels) == 1 and "channels" not in self.made.values:
            self._rename(channels[0], "channels")
        self.made.defaults = dict(sorted(
            ((name, _default(name, values)) for name, values in self.made.values.items()),
            key=lambda pair: pair[1] is not REQUIRED,
        ))  # fmt: skip

    def _holes(self, call: Call) -> Iterator[tuple[Hole, Any]]:
        for name, child in children(call):
            if isinstance(child, Call):
                inner = self.classes.of(child)
                yield from (((name, argument), inner.value(argument, child)) for argument in inner.defaults)
            else:
                yield from (((name, argument), value) for argument, value, _ in layer(child.leaf).fields)
        yield from numbers_of(call)

    def _place(self, hole: Hole, values: list[Any]) -> None:
        if all(value == values[0] for value in values):
            self.made.constant[hole] = values[0]
            return
        self.made.expressions[hole] = self._derived(values) or self._new(hole, values)

    def _derived(self, values: list[Any]) -> str:
        for name, known in self.made.values.items():
            if known == values:
                return name
        if not all(type(value) is int for value in values):
            return ""
        for name, known in self.made.values.items():
            if all(type(value) is int for value in known):
                for k in FACTORS:
                    if [v * k for v in known] == values:
                        return f"{k} * {name}"
                    if [v // k for v in known] == values and len(set(values)) > 1:
                        return f"{name} // {k}"
        return ""

    def _new(self, hole: Hole, values: list[Any]) -> str:
        child, name = hole
        taken = self.made.values
        taken_by_children = {each for each, _ in children(self.made.call)} if child.isdigit() else set()
        options = [name, *([] if child.isdigit() else [f"{child}_{name}"]), *(f"{name}{i}" for i in range(2, 99))]
        chosen = next(option for option in options if option not in taken and option not in taken_by_children)
        taken[chosen] = values
        return chosen

    def _rename(self, old: str, new: str) -> None:
        self.made.values = {new if name == old else name: values for name, values in self.made.values.items()}
        pattern = re.compile(rf"\b{old}\b")
        self.made.expressions = {hole: pattern.sub(new, text) for hole, text in self.made.expressions.items()}


def _default(name: str, values: list[Any]) -> Any:
    return REQUIRED if name.endswith(("channels", "widths", "size")) else Counter(values).most_common(1)[0][0]


def camel(name: str) -> str:
    """Return a class name for a name."""
    text = "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", name))
    return text if text[:1].isalpha() else f"Network{text}"


def words_of(call: Call) -> list[str]:
    """Return the words of the layers that a call runs one after the other; none if it does anything else."""
    if not is_sequential(call):
        return []
    found = [words_of(step) if isinstance(step, Call) else [layer(step.leaf).word] for step in call.steps]
    return [word for words in found for word in words] if all(found) else []


def is_sequential(call: Call) -> bool:
    """Return whether a call hands each of its submodules, once and in order, what the one before made."""
    made, seen = call.inputs, set()
    for step in call.steps:
        name = step.name if isinstance(step, Call) else step.layer
        if not name or name in seen or step.inputs != made:
            return False
        if isinstance(step, Step) and max(len(step.inputs), len(step.outputs)) > 1:
            return False
        made = step.outputs
        seen.add(name)
    return made == call.outputs


class _Namer:
    """Names every class after the layers in it, its block or its scope, those that use others first.

    Of equal names, those for several maps get their number, the others a letter.
    """

    def __init__(self, classes: Classes, taken: Collection[str]) -> None:
        self.classes, self.taken = classes, set(taken)
        self.parents = {
            step: call for call in classes.root.call.calls() for step in call.steps if isinstance(step, Call)
        }

    def name(self) -> None:
        for each in reversed(self.classes.by_key.values()):
            if each is not self.classes.root:
                each.name = self._free(self._proposal(each), each.call)
                self.taken.add(each.name)

    def _free(self, name: str, call: Call) -> str:
        maps = max(len(call.inputs), len(call.outputs))
        name = f"{name}{maps}" if maps > 1 and call.node is not None else name
        return next(n for n in (name, *(f"{name}{letter}" for letter in LETTERS)) if n not in self.taken)

    def _proposal(self, made: Class) -> str:
        call, words = made.call, words_of(made.call)
        if len(call.steps) > 1 and 1 < len(words) <= MOST_WORDS:
            return "".join(words)
        if call.node is not None:
            return camel(call.node.block)
        stripped = [re.sub(r"\d+$", "", part) for part in call.path]
        block = self._block(call)
        if block is None:
            alone = len({each.path for each in made.calls}) == 1
            return camel("_".join(call.path if alone else [*call.path[:-1], stripped[-1] or call.path[-1]]))
        users = {(self.classes.of(self.parents[each]).name, each.name) for each in made.calls}
        if len(users) == 1 and len(own := "".join(map(camel, users.pop()))) <= MOST_LETTERS:
            return own
        scopes = "_".join(stripped[len(block.path) :])
        whole = camel(f"{block.node.block if block.node else ''}_{scopes}")
        maps = f"_{len(call.inputs)}" if len(call.inputs) > 1 else ""
        return whole if len(whole) <= MOST_LETTERS else camel(f"{scopes}{maps}")

    def _block(self, call: Call) -> Call | None:
        """Return the node's call that a call is part of."""
        above: Call | None = call
        while above is not None and above.node is None:
            above = self.parents.get(above)
        return above
