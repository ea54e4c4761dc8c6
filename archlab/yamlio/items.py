"""Items: the values of a YAML file with file, line and column, read by the YAML 1.2 core schema."""

from __future__ import annotations

import math
import numbers
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import yaml

from archlab.core.errors import InputError, Problem, missing_file
from archlab.core.notes import detail

Scalar: TypeAlias = str | int | float | bool | None

MAX_BYTES = 8 * 2**20
MAX_NODES = 100_000  # an alias counts at each use
MAX_DEPTH = 100
_TOO_DEEP = f"nested deeper than {MAX_DEPTH} levels"

_CONSTANTS: dict[str, Scalar] = {
    "": None,
    "~": None,
    **dict.fromkeys(("null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), math.nan),
    **{
        sign + inf: math.copysign(math.inf, -1 if sign == "-" else 1)
        for sign in ("", "+", "-")
        for inf in (".inf", ".Inf", ".INF")
    },
}
_INTEGER = re.compile(r"[-+]?[0-9]+")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Item:
    """A value with its file, line and column; Items of equal values are equal.

    key: the Item of its name, if it is an entry of a mapping.
    """

    value: Scalar | tuple[Item, ...] | dict[str, Item]
    file: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)
    column: int = field(default=0, compare=False)
    key: Item | None = field(default=None, compare=False, repr=False)

    @property
    def entries(self) -> dict[str, Item]:
        """Return the entries of a mapping, or an empty dict for anything else."""
        return self.value if isinstance(self.value, dict) else {}

    def plain(self) -> Any:
        """Return ordinary Python values: dicts, lists and scalars."""
        if isinstance(self.value, dict):
            return {name: item.plain() for name, item in self.value.items()}
        if isinstance(self.value, tuple):
            return [item.plain() for item in self.value]
        return self.value

    def problem(self, message: str, field: str = "") -> Problem:
        return Problem(message, field, self.file, self.line, self.column)

    def key_problem(self, message: str, field: str = "") -> Problem:
        """Return a problem with the name rather than the value, at the place of the key."""
        return (self.key or self).problem(message, field)

    def shown(self) -> str:
        """Return a description of the value, for a message."""
        if isinstance(self.value, dict):
            return f"a mapping ({_shortened(', '.join(self.value))})" if self.value else "an empty mapping"
        if isinstance(self.value, tuple):
            return f"a list of {len(self.value)}"
        if isinstance(self.value, str):
            return _shortened(repr(self.value))
        if self.value is None or isinstance(self.value, bool):
            return {None: "nothing", True: "true", False: "false"}[self.value]
        return _shortened(repr(self.value))


def scalar(text: str) -> Scalar:
    """Return the value of an unquoted scalar by the YAML 1.2 core schema: `5e-4` is a number, `on` and `1:30` are text.

    Raises InputError for a number that Python cannot represent.
    """
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    if _BASED.fullmatch(text):
        return int(text, 0)
    if _INTEGER.fullmatch(text):
        try:
            return int(text)
        except ValueError as error:
            raise InputError(f"a number of {len(text)} digits is too long") from error
    if FLOAT.fullmatch(text):
        if math.isinf(value := float(text)):
            raise InputError(f"{_shortened(text)} is beyond the largest number, 1.8e308")
        return value
    return text


def read(path: Path) -> Item:
    """Return the only document of a YAML file.

    Raises InputError with every problem up to the first syntax error: an unreadable file, repeated keys, keys that are
    not text, tags, merge keys, cyclic aliases, and aliases that expand to too many values.
    """
    text = _text(path)
    detail(f"read {path}")
    return read_text(text, str(path))


def read_text(text: str, file: str) -> Item:
    """Return the only document of YAML text; `file` names it in problems. Raises InputError as `read` does."""
    _refuse_unprintable(text, file)
    return _compose(text, file)


def item_of(value: Any, file: str = "<command line>") -> Item:
    """Return an Item of ordinary Python values: mappings, sequences, numbers, text and paths; an Item is unchanged.

    Raises InputError for a value that YAML cannot hold.
    """
    match value:
        case Item():
            return value
        case None | bool() | str():
            return Item(value, file)
        case dict():
            wrong = [Problem(f"a key must be text, found {key!r}", file=file) for key in value if type(key) is not str]
            if wrong:
                raise InputError(wrong)
            return Item({key: item_of(each, file) for key, each in value.items()}, file)
        case list() | tuple():
            return Item(tuple(item_of(each, file) for each in value), file)
        case Path():
            return Item(str(value), file)
        case numbers.Integral():
            return Item(int(value), file)
        case numbers.Real():
            return Item(float(value), file)
    raise InputError(Problem(f"a {type(value).__name__} has no form in YAML: {value!r}", file=file))


def item_of_text(text: str, file: str = "<command line>") -> Item:
    """Return an Item of an option's text: a scalar, quoted text or flow YAML such as `[1, 2]`.

    Raises InputError without line and column.
    """
    text = text.strip()
    try:
        _refuse_unprintable(text, file)
        return item_of(_compose(text, file).plain() if text.startswith(("[", "{", '"', "'")) else scalar(text), file)
    except InputError as error:  # an option is not a file, so a line and column would mislead
        raise InputError(replace(each, file=file, line=0, column=0) for each in error.problems) from None


def _shortened(text: str, most: int = 80) -> str:
    return text if len(text) <= most else text[: most - 3] + "..."


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise missing_file(path, "file") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(Problem(f"cannot be read: {reason}", file=str(path))) from None
    if len(content) > MAX_BYTES:
        raise InputError(Problem(f"is larger than {MAX_BYTES} bytes, the most for a YAML file", file=str(path)))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8-sig", errors="replace")
        raise InputError(_at(before, f"is not UTF-8 text (byte 0x{content[error.start]:02x})", str(path))) from None
    return text


def _refuse_unprintable(text: str, file: str) -> None:
    if found := _UNPRINTABLE.search(text):
        raise InputError(_at(text[: found.start()], f"unprintable character {found[0]!r}", file))


def _at(before: str, message: str, file: str) -> Problem:
    """Return a problem at the place just after the text `before`."""
    return Problem(message, "", file, before.count("\n") + 1, len(before) - before.rfind("\n"))


def _compose(text: str, file: str) -> Item:
    composer = _composer(text, file)
    try:
        item = composer.document()
    except yaml.MarkedYAMLError as error:
        if error.problem_mark:
            _refuse_depth(text[: error.problem_mark.index], file)
        raise InputError([*composer.problems, _syntax_problem(error, text, file)]) from None
    if composer.problems:
        raise InputError(composer.problems)
    return item


def _composer(text: str, file: str) -> _Composer:
    return _Composer(yaml.parse(text, Loader=_Loader), file, [], {})


def _refuse_depth(scanned: str, file: str) -> None:
    """Raise InputError if the text before a syntax error is nested too deep.

    A parser scans ahead and has a limit of its own, so it may fail before it hands over the first level too many.
    """
    composer = _composer(scanned, file)
    with suppress(yaml.MarkedYAMLError, InputError):
        composer.document()
    if composer.problems and composer.problems[-1].message == _TOO_DEEP:
        raise InputError(composer.problems)


def _syntax_problem(error: yaml.MarkedYAMLError, text: str, file: str) -> Problem:
    mark = error.problem_mark or error.context_mark
    message = ", ".join(part for part in (error.problem, error.context) if part)
    if mark is None:
        return Problem(f"YAML syntax: {message}", file=file)
    line = (*text.split("\n")[mark.line : mark.line + 1], "")[0]
    if "\t" in line[: len(line) - len(line.lstrip())]:
        message += " (a tab: indent with spaces)"
    return Problem(f"YAML syntax: {message}", "", file, mark.line + 1, mark.column + 1)


class _Sized(NamedTuple):
    """An Item with the number of Items in it (aliases expanded) and the number of its levels."""

    item: Item
    size: int
    height: int


@dataclass
class _Composer:
    """Builds Items from parser events; it never creates a Python object from a tag."""

    events: Iterator[Any]
    file: str
    problems: list[Problem]
    anchors: dict[str, _Sized | None]  # None while the anchor's value is being read

    def document(self) -> Item:
        next(self.events)  # the stream begins
        if isinstance(next(self.events), yaml.StreamEndEvent):
            raise InputError(Problem("is empty", file=self.file))
        item = self.node(next(self.events), 1).item
        next(self.events)  # the document ends
        if not isinstance(after := next(self.events), yaml.StreamEndEvent):
            self.note(after, "a second document: a file has one")
        return item

    def node(self, event: Any, depth: int) -> _Sized:
        if depth > MAX_DEPTH:
            self.give_up(event, _TOO_DEEP)
        if isinstance(event, yaml.AliasEvent):
            return self.alias(event, depth)
        if event.tag:
            self.note(event, f"tags such as {event.tag!r} are not accepted; quote text")
        if event.anchor:
            self.anchors[event.anchor] = None
        built = self.content(event, depth)
        if event.anchor:
            self.anchors[event.anchor] = built
        return built

    def content(self, event: Any, depth: int) -> _Sized:
        if isinstance(event, yaml.SequenceStartEvent):
            return self.sequence(event, depth)
        if isinstance(event, yaml.MappingStartEvent):
            return self.mapping(event, depth)
        return self.sized(event, self.resolved(event), [])

    def resolved(self, event: Any) -> Scalar:
        text: str = event.value
        try:
            return scalar(text) if event.implicit[0] else text
        except InputError as error:
            self.note(event, error.problems[0].message)
            return 0

    def sequence(self, start: Any, depth: int) -> _Sized:
        inside = []
        while not isinstance(event := next(self.events), yaml.SequenceEndEvent):
            inside.append(self.node(event, depth + 1))
        return self.sized(start, tuple(each.item for each in inside), inside)

    def mapping(self, start: Any, depth: int) -> _Sized:
        inside: list[_Sized] = []
        pairs: dict[str, Item] = {}
        while not isinstance(event := next(self.events), yaml.MappingEndEvent):
            key, value = self.node(event, depth + 1), self.node(next(self.events), depth + 1)
            inside += (key, value)
            name = key.item.value
            if getattr(event, "value", "") == "<<" and event.implicit[0]:
                self.note(event, "merge keys (<<) are not accepted")
            elif not isinstance(name, str):
                self.note(event, f"a key must be text, found {key.item.shown()} (quote it to make it text)")
            elif name in pairs:
                first = pairs[name].key
                assert first is not None
                self.note(event, f"repeated key, first at line {first.line}, column {first.column}", name)
            else:
                pairs[name] = replace(value.item, key=replace(key.item, **self.place(event)))
        return self.sized(start, pairs, inside)

    def alias(self, event: Any, depth: int) -> _Sized:
        known = self.anchors.get(event.anchor)
        if known is None:
            rule = "stands inside what it repeats" if event.anchor in self.anchors else "repeats nothing named above"
            self.note(event, f"alias *{event.anchor} {rule}")
            return self.sized(event, None, [])
        if depth + known.height > MAX_DEPTH:
            self.give_up(event, _TOO_DEEP)
        return known

    def sized(self, event: Any, value: Scalar | tuple[Item, ...] | dict[str, Item], inside: list[_Sized]) -> _Sized:
        size = 1 + sum(each.size for each in inside)
        if size > MAX_NODES:
            self.give_up(event, f"more than {MAX_NODES} values with aliases written out")
        height = 1 + max((each.height for each in inside), default=0)
        return _Sized(Item(value, **self.place(event)), size, height)

    def place(self, event: Any) -> dict[str, Any]:
        return {"file": self.file, "line": event.start_mark.line + 1, "column": event.start_mark.column + 1}

    def note(self, event: Any, message: str, field: str = "") -> None:
        self.problems.append(Problem(message, field, **self.place(event)))

    def give_up(self, event: Any, message: str) -> None:
        self.note(event, message)
        raise InputError(self.problems)
