"""The file: every class as text, formatted as ruff leaves it."""

from __future__ import annotations

import inspect
import keyword
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from archlab.deploy.plain.calls import Call, Step
from archlab.deploy.plain.classes import MOST_WORDS, Class, Classes, Hole, children, is_sequential, numbers_of, words_of
from archlab.deploy.plain.copied import Sources
from archlab.deploy.plain.expressions import HELPERS, Names, expression
from archlab.deploy.plain.layers import REQUIRED, layer
from archlab.network.graph import Value

LINE = 120
INLINE = 80
"""The length up to which an expression is written into the one that reads it."""
LEAST_LOOP = 3
LONG_TARGETS = 80
IDENTIFIER = re.compile("[a-z_][a-z_0-9]*")
TAKEN = {"self", "xs", "torch", "nn", *(function.__name__ for function in HELPERS)}
WORDS = {"split": "part", "concat": "joined", "interleave": "mixed", "shuffle": "mixed", "add": "total",
         "multiply": "weighted", "resize": "resized", "pool": "pooled", "grid_pool": "pooled", "mean": "mean",
         "softmax": "mask", "weighted_sum": "context", "weighted_runs": "context"}  # fmt: skip


class ClassText:
    """Writes one class. sources: collects what must be copied."""

    def __init__(self, classes: Classes, made: Class, sources: Sources) -> None:
        self.classes, self.made, self.sources = classes, made, sources
        self.call = made.call

    def lines(self, doc: str, after: Sequence[str] = ()) -> Iterator[str]:
        """Yield the class. after: more lines for its constructor."""
        sequential = is_sequential(self.call)
        yield f"class {self.made.name}(nn.{'Sequential' if sequential else 'Module'}):"
        yield from docstring(doc)
        yield ""
        yield from wrapped("    def __init__", ["self", *self._parameters()], " -> None:")
        yield "        super().__init__()"
        yield from (f"        self.{name} = {name}" for name in self._kept())
        yield from self._children()
        yield from after
        if not sequential:
            yield ""
            yield from ForwardText(self).lines()

    def _parameters(self) -> Iterator[str]:
        for name, default in self.made.defaults.items():
            kind = _annotation(self.made.values[name])
            yield f"{name}: {kind}" + ("" if default is REQUIRED else f" = {literal(default)}")

    def _children(self) -> Iterator[str]:
        made = [(name, self._constructor(name, child)) for name, child in children(self.call)]
        at = 0
        while at < len(made):
            name, parts = made[at]
            stem, number = re.fullmatch(r"(.*?)(\d*)", name, re.DOTALL).groups()  # type: ignore[union-attr]
            count = 1
            while number and made[at + count : at + count + 1] == [(f"{stem}{int(number) + count}", parts)]:
                count += 1
            if count >= LEAST_LOOP:
                span = f"{number}, {int(number) + count}" if int(number) else str(count)
                yield f"        for i in range({span}):"
                key = f'f"{stem}{{i}}"' if stem else "str(i)"
                yield from wrapped("            self.add_module", [key, _one_line(parts)], "")
            else:
                count = 1
                if name.isidentifier():
                    yield from wrapped(f"        self.{name} = {parts[0]}", parts[1], "")
                else:
                    yield from wrapped("        self.add_module", [f'"{name}"', _one_line(parts)], "")
            at += count

    def _constructor(self, name: str, child: Call | Step) -> tuple[str, list[str]]:
        """Return the class of a child, and the texts of its arguments."""
        if isinstance(child, Call):
            inner = self.classes.of(child)
            given = []
            for k, (argument, default) in enumerate(inner.defaults.items()):
                text = self.text((name, argument))
                if (name, argument) in self.made.expressions or self.made.constant[name, argument] != default:
                    given.append(text if k < 2 and default is REQUIRED else f"{argument}={text}")
            return inner.name, given
        made = layer(child.leaf)
        given = []
        for k, (argument, _, default) in enumerate(made.fields):
            hole = name, argument
            if hole in self.made.expressions or default is REQUIRED or self.made.constant[hole] != default:
                given.append(self.text(hole) if k < made.positional else f"{argument}={self.text(hole)}")
        return made.call, given

    def text(self, hole: Hole) -> str:
        """Return the expression of a child's argument."""
        return self.made.expressions.get(hole) or literal(self.made.constant[hole])

    def number(self, hole: Hole) -> str:
        """Return the expression of a number in `forward`, which is kept by the constructor if calls differ in it."""
        return (
            IDENTIFIER.sub(r"self.\g<0>", self.made.expressions[hole])
            if hole in self.made.expressions
            else self.text(hole)
        )

    def _kept(self) -> Iterator[str]:
        """Yield the arguments that `forward` reads."""
        texts = [text for hole, text in self.made.expressions.items() if hole in dict(numbers_of(self.call))]
        yield from dict.fromkeys(name for text in texts for name in IDENTIFIER.findall(text))


class ForwardText:
    """Writes the `forward` of a class: expressions read once stand where they are read."""

    def __init__(self, owner: ClassText) -> None:
        self.owner, self.call = owner, owner.call
        many = len(self.call.inputs) > 1
        self.inputs = tuple(f"x{i}" for i in range(len(self.call.inputs))) if many else ("x",)
        self.texts: dict[Value, str] = dict(zip(self.call.inputs, self.inputs, strict=True))
        self.lists: dict[tuple[Value, ...], str] = {self.call.inputs: "xs"} if many else {}
        self.taken = {*self.inputs, *TAKEN}
        self.readers = Counter(v for step in self.call.steps for v in step.inputs)
        self.readers.update(self.call.outputs)
        self.whole = Counter(step.inputs for step in self.call.steps if isinstance(step, Call) and len(step.inputs) > 1)
        self.whole.update([self.call.outputs] if len(self.call.outputs) > 1 else [])
        self.body: list[str] = []

    def lines(self) -> Iterator[str]:
        several = len(self.inputs) > 1
        taken = f"xs: {'list[Tensor]' if several else 'Tensor'}" if several else "x: Tensor"
        yield f"    def forward(self, {taken}) -> {'list[Tensor]' if len(self.call.outputs) > 1 else 'Tensor'}:"
        for at, step in enumerate(self.call.steps):
            self._step(at, step)
        result = self._argument(self.call.outputs)
        text = "\n".join([*self.body, result])
        if several and any(re.search(rf"\b{name}\b", text) for name in self.inputs):
            yield f"        {', '.join(self.inputs)} = xs"
        yield from self.body
        yield from statement("        return ", result)

    def _step(self, at: int, step: Step | Call) -> None:
        if isinstance(step, Call):
            self._keep(step, f"{_called(step.name)}({self._argument(step.inputs)})", step.name)
        elif step.layer:
            arguments = ", ".join(self.texts[v] for v in step.inputs)
            self._keep(step, f"{_called(step.layer)}({arguments})", step.layer)
        else:
            names = Names(self.inputs, self.call.sizes, lambda name, value: self.owner.number((str(at), name)))
            text = expression(step.leaf, [self.texts[v] for v in step.inputs], names)
            for function in names.copied:
                self.owner.sources.add(function)
            self._keep(step, text, WORDS.get(step.leaf.kind, "y"))

    def _argument(self, values: tuple[Value, ...]) -> str:
        if len(values) == 1:
            return self.texts[values[0]]
        return self.lists.get(values) or f"[{', '.join(self.texts[v] for v in values)}]"

    def _keep(self, step: Step | Call, text: str, name: str) -> None:
        """Keep an expression for its only reader, or assign it to a name."""
        values = step.outputs
        name = name if name.isidentifier() and not keyword.iskeyword(name) else "y"
        if len(values) == 1:
            returned = values == self.call.outputs
            if self.readers[values[0]] == 1 and (returned or len(text) <= INLINE):
                self.texts[values[0]] = text
                return
            self.texts[values[0]] = self._assigned(name, text)
            return
        if isinstance(step, Call) and all(self.readers[v] == self.whole[values] for v in values):
            single = self.whole[values] == 1 and len(text) <= INLINE
            self.lists[values] = text if single else self._assigned(name, text)
            return
        targets = [self._free(each) for each in _targets(step, text, name)]
        self.texts |= dict(zip(values, targets, strict=True))
        left = ", ".join(targets)
        self.body += statement(f"        {left} = ", text if len(left) <= LONG_TARGETS else self._assigned(name, text))

    def _assigned(self, name: str, text: str) -> str:
        target = self._free(name)
        self.body += statement(f"        {target} = ", text)
        return target

    def _free(self, name: str) -> str:
        options = [name, *(f"{name}{'_' if name[-1].isdigit() else ''}{i}" for i in range(2, 999))]
        chosen = next(option for option in options if option not in self.taken)
        self.taken.add(chosen)
        return chosen


def _targets(step: Step | Call, text: str, name: str) -> list[str]:
    """Return names for several maps: halves of an input have its number."""
    if isinstance(step, Step) and len(step.outputs) == 2:
        source = re.match(r"x(\d*)\.", text)
        return [f"{half}{source[1] if source else ''}" for half in ("first", "second")]
    return [f"{name}{'_' if name[-1].isdigit() else ''}{i}" for i in range(len(step.outputs))]


def _called(name: str) -> str:
    return f"self.{name}" if name.isidentifier() else f'self.get_submodule("{name}")'


def literal(value: Any) -> str:
    """Return a value as Python."""
    if isinstance(value, type):
        return value.__name__
    return repr(value).replace("'", '"')


def docstring(text: str) -> Iterator[str]:
    """Yield a class's docstring, on several lines if it is too long for one."""
    if len(text) + 10 <= LINE:
        yield f'    """{text}"""'
        return
    yield from textwrap.wrap(f'"""{text}', LINE - 4, initial_indent="    ", subsequent_indent="    ")
    yield '    """'


def _annotation(values: Sequence[Any]) -> str:
    value = values[0]
    if isinstance(value, tuple):
        return "tuple[int, ...]" if len({len(v) for v in values}) > 1 else f"tuple[{', '.join(['int'] * len(value))}]"
    return "float" if any(isinstance(v, float) for v in values) else type(value).__name__


def _one_line(parts: tuple[str, list[str]]) -> str:
    return f"{parts[0]}({', '.join(parts[1])})"


def wrapped(start: str, arguments: Sequence[str], end: str) -> Iterator[str]:
    """Yield a call on one line, or with a line for each argument if it is too long."""
    line = f"{start}({', '.join(arguments)}){end}"
    if len(line) <= LINE:
        yield line
        return
    indent = " " * (len(start) - len(start.lstrip()))
    yield f"{start}("
    for each in arguments:
        lines = statement(f"{indent}    ", each, LINE - 1)
        yield from lines[:-1]
        yield f"{lines[-1]},"
    yield f"{indent}){end}"


def statement(start: str, text: str, most: int = LINE) -> list[str]:
    """Return a statement as lines; a call or list that is longer than `most` gets a line for each item."""
    if len(start + text) <= most:
        return [start + text]
    if text[-1] in ")]":
        opening = _opening(text)
        inner = _items(text[opening + 1 : -1])
        indent = " " * (len(start) - len(start.lstrip()))
        lines = [f"{start}{text[: opening + 1]}"]
        for item in inner:
            lines += statement(f"{indent}    ", item, LINE - 1)
            lines[-1] += ","
        return [*lines, f"{indent}{text[-1]}"]
    terms = _items(text, " + ")
    indent = " " * (len(start) - len(start.lstrip()))
    return [f"{start}(", f"{indent}    {terms[0]}", *(f"{indent}    + {term}" for term in terms[1:]), f"{indent})"]


def _opening(text: str) -> int:
    """Return the position of the bracket that the last sign closes."""
    depth = 0
    for at in range(len(text) - 1, -1, -1):
        depth += (text[at] in ")]") - (text[at] in "([")
        if depth == 0:
            return at
    raise AssertionError("brackets do not match")


def _items(text: str, separator: str = ", ") -> list[str]:
    """Split a text at a separator outside brackets."""
    found, depth, start = [], 0, 0
    for at, sign in enumerate(text):
        depth += (sign in "([{") - (sign in ")]}")
        if depth == 0 and text.startswith(separator, at):
            found.append(text[start:at])
            start = at + len(separator)
    return [*found, text[start:]]


def doc_of(made: Class, blocks: Mapping[str, Callable[..., Any]]) -> str:
    """Return a class's docstring: the layers in it, the first line of its block's, or where it stands."""
    words = words_of(made.call)
    if 1 < len(words) <= MOST_WORDS:
        text = ", ".join(_WORDS.get(word, word) for word in words)
        return f"{text[0].upper()}{text[1:]}."
    if made.call.node is not None:
        first = (inspect.getdoc(blocks[made.call.node.name]) or "").split("\n")[0]
        return first or f"The block {made.call.node.block}."
    paths = list(dict.fromkeys(".".join(call.path) for call in made.calls))
    return f"`{paths[0]}`" + (f" to `{paths[-1]}`." if len(paths) > 1 else ".")


_WORDS = {"Pointwise": "1x1 convolution", "Depthwise": "depthwise convolution", "Conv": "convolution",
          "Deconv": "transposed convolution", "Norm": "batch norm", "GlobalPool": "global mean",
          "Sigmoid": "sigmoid", "Upsample": "upsampling", "MaxPool": "max pool"}  # fmt: skip
