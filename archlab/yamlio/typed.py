"""Items read into frozen dataclasses and keyword arguments, by type hints."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import keyword
import types
import typing
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar, Union

from archlab.core.errors import InputError, Problem, close, in_order, nearest
from archlab.yamlio.items import Item
from archlab.yamlio.rules import annotated, choices
from archlab.yamlio.scalars import READERS, NotOne

T = TypeVar("T")


@dataclass(frozen=True)
class Argument:
    """A field of a dataclass or an argument of a function: its key in YAML, its name in Python, its type.

    default: returns its default; None if it is required.
    """

    key: str
    name: str
    hint: Any
    default: Callable[[], Any] | None


@dataclass(frozen=True)
class Partial(Generic[T]):
    """A mapping read as a dataclass, as far as it is free of problems.

    value: the dataclass, None if there are problems.
    sound: the fields whose values are known, by their names in Python, defaults included. It lacks a field that is
      wrong, and an absent one that an unknown name may be a misspelling of.
    """

    value: T | None
    sound: Mapping[str, Any]
    problems: tuple[Problem, ...]


def parse_partly(item: Item, cls: type[T], field: str = "") -> Partial[T]:
    """Read a dataclass from a mapping as far as possible; `parse` without the InputError.

    Use it to report the problems of several files, or of files that the sound fields name, in one InputError:
    `raise InputError(in_order([*partial.problems, *others]))`. If a nested dataclass is not among the sound fields,
    call this again on its Item.
    field: the dotted path of `item`.
    """
    assert dataclasses.is_dataclass(cls), f"no dataclass: {cls!r}"
    problems: list[Problem] = []
    if not isinstance(item.value, dict):
        _mismatch(item, cls, field, problems)
        return Partial(None, {}, tuple(problems))
    values = _fill(arguments_of(cls), item.value, item, field, problems)
    made = None if problems else _made(cls, values, item, problems)
    return Partial(None if problems else typing.cast(T, made), values, tuple(in_order(problems)))


def parse(item: Item, cls: type[T]) -> T:
    """Return a dataclass from a mapping, by the type hints of its fields, or any other type that `convert` knows.

    A dataclass may define `problems(self, item: Item) -> Iterable[Problem]` for rules between fields; it is called if
    every field is valid by itself. A field `from_` is `from` in YAML.
    Raises InputError with all problems.
    """
    value, problems = convert(item, cls)
    if problems:
        raise InputError(problems)
    return typing.cast(T, value)


def convert(item: Item, hint: Any, field: str = "") -> tuple[Any, list[Problem]]:
    """Return an item's value as a type, and its problems in the order of the file. The value counts if there are none.

    Types: int, float (finite; an integer is taken), str, bool, None, Path, Literal, tuple, list, Sequence, dict,
    Mapping, unions, dataclasses, Annotated with constraints, Item (kept as it is) and Any (its plain value).
    """
    problems: list[Problem] = []
    value = _convert(item, hint, field, problems)
    return value, in_order(problems)


def check_call(
    function: Callable[..., Any],
    arguments: Mapping[str, Item],
    where: str = "",
    item: Item | None = None,
    hidden: Collection[str] = (),
) -> tuple[dict[str, Any], list[Problem]]:
    """Return the keyword-only arguments of a function that are sound, defaults included, and the problems.

    All arguments of a class's constructor count.
    where: the dotted path of the call.
    item: what stands there; a missing argument is reported at its place.
    hidden: arguments that are given elsewhere but not known; each has no value and no problem.
    """
    problems: list[Problem] = []
    values = _fill(arguments_of(function), arguments, item or Item(None), where, problems, hidden)
    return values, problems


def key_of(name: str) -> str:
    """Return the key in YAML of a Python name: `from` for `from_`, since `from` is a Python keyword."""
    bare = name.removesuffix("_")
    return bare if keyword.iskeyword(bare) else name


@functools.cache
def arguments_of(target: Callable[..., Any]) -> tuple[Argument, ...]:
    """Return the arguments of a dataclass or function, resolving only their type hints."""
    if dataclasses.is_dataclass(target):
        hints = typing.get_type_hints(target, include_extras=True)
        return tuple(
            Argument(key_of(each.name), each.name, hints[each.name], _field_default(each))
            for each in dataclasses.fields(target)
            if each.init
        )
    function = inspect.unwrap(target.__init__ if isinstance(target, type) else target)  # type: ignore[misc]
    parameters = [each for each in inspect.signature(target).parameters.values() if _is_argument(each, target)]
    wanted = {each.name: each.annotation for each in parameters if each.annotation is not each.empty}
    try:
        hints = typing.get_type_hints(
            types.SimpleNamespace(__annotations__=wanted), getattr(function, "__globals__", {}), include_extras=True
        )
    except NameError as error:  # of a user's block
        name = getattr(target, "__qualname__", repr(target))
        raise InputError(f"{name}: the type of an argument cannot be resolved: {error}") from error
    return tuple(
        Argument(key_of(each.name), each.name, hints.get(each.name, Any), _parameter_default(each))
        for each in parameters
    )


def described(hint: Any) -> str:
    """Return what a type accepts, for a message."""
    if hint in _WORDS:
        return _WORDS[hint]
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return described(arguments[0])
    if origin is Literal:
        return choices(arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(map(described, arguments))
    if origin is tuple and arguments[-1] is not Ellipsis:
        return f"a list of {len(arguments)} ({', '.join(map(described, arguments))})"
    if origin in (tuple, list, Sequence):
        return f"a list (each {described(arguments[0])})"
    return "a mapping"


def _field_default(field: dataclasses.Field[Any]) -> Callable[[], Any] | None:
    if field.default is not dataclasses.MISSING:
        return functools.partial(_same, field.default)
    return None if field.default_factory is dataclasses.MISSING else field.default_factory


def _parameter_default(parameter: inspect.Parameter) -> Callable[[], Any] | None:
    return None if parameter.default is parameter.empty else functools.partial(_same, parameter.default)


def _same(value: T) -> T:
    return value


def _is_argument(parameter: inspect.Parameter, target: object) -> bool:
    return parameter.kind is parameter.KEYWORD_ONLY or (
        isinstance(target, type) and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    )


def _fill(
    wanted: tuple[Argument, ...],
    given: Mapping[str, Item],
    where: Item,
    field: str,
    problems: list[Problem],
    hidden: Collection[str] = (),
) -> dict[str, Any]:
    """Return the values that are sound; an absent field that an unknown name may mean is neither sound nor missing."""
    keys = [each.key for each in wanted]
    meant = set(hidden)
    for key, item in given.items():
        if key not in keys:
            problems.append(item.key_problem(f"unknown field{nearest(key, keys)}", _joined(field, key)))
            meant.add(close(key, keys) or "")
    values = {}
    for each in wanted:
        if each.key in given:
            before = len(problems)
            value = _convert(given[each.key], each.hint, _joined(field, each.key), problems)
            if len(problems) == before:
                values[each.name] = value
        elif each.key in meant:
            continue
        elif each.default is not None:
            values[each.name] = each.default()
        else:
            problems.append(where.problem(f"missing: {described(each.hint)} is needed", _joined(field, each.key)))
    return values


def _convert(item: Item, hint: Any, field: str, problems: list[Problem]) -> Any:
    """Return the value; meaningless if problems were added."""
    reader = READERS.get(hint)
    if reader is not None:
        try:
            return reader(item)
        except NotOne as wrong:
            return _mismatch(item, hint, field, problems, wrong.hint)
    form = _FORMS.get(typing.get_origin(hint))
    if form is not None:
        return form(item, hint, field, problems)
    if not dataclasses.is_dataclass(hint):  # of a user's block
        return problems.append(item.problem(f"cannot be written in a file: its type is {hint!r}", field))
    return _dataclass(item, hint, field, problems)


def _mismatch(item: Item, hint: Any, field: str, problems: list[Problem], more: str = "") -> None:
    problems.append(item.problem(f"expected {described(hint)}, found {item.shown()}{more}", field))


def _joined(field: str, part: object) -> str:
    return f"{field}.{part}" if field else str(part)


def _literal(item: Item, hint: Any, field: str, problems: list[Problem]) -> Any:
    known = typing.get_args(hint)
    for choice in known:
        if type(choice) is type(item.value) and choice == item.value:
            return choice
    return problems.append(item.problem(f"expected {choices(known, item.value)}, found {item.shown()}", field))


def _union(item: Item, hint: Any, field: str, problems: list[Problem]) -> Any:
    """Return the value by the first option that accepts the item, or add the problems of the most similar option."""
    options = typing.get_args(hint)
    failures = []
    for option in options:
        found: list[Problem] = []
        value = _convert(item, option, field, found)
        if not found:
            return value
        failures.append((option, found))
    given = [each for each in failures if each[0] is not type(None)]
    near = given if len(given) == 1 and item.value is not None else [each for each in given if _fits(item, each[0])]
    if not near:
        return _mismatch(item, hint, field, problems)
    fewest: list[Problem] = min((found for _, found in near), key=len)
    return problems.extend(fewest)


def _fits(item: Item, hint: Any) -> bool:
    """Return whether an item has the outer shape of a type."""
    origin = typing.get_origin(hint) or hint
    if origin is Annotated:
        return _fits(item, annotated(hint)[0])
    if origin in (Union, types.UnionType):
        return any(_fits(item, option) for option in typing.get_args(hint))
    if origin is Literal:
        return any(type(choice) is type(item.value) for choice in typing.get_args(hint))
    if isinstance(item.value, tuple):
        return origin in (tuple, list, Sequence)
    if isinstance(item.value, dict):
        return origin in (dict, Mapping) or dataclasses.is_dataclass(origin)
    if isinstance(item.value, str):
        return origin in (str, Path)
    return origin is type(item.value) or (origin is float and type(item.value) is int)


def _constrained(item: Item, hint: Any, field: str, problems: list[Problem]) -> Any:
    base, constraints = annotated(hint)
    before = len(problems)
    value = _convert(item, base, field, problems)
    if len(problems) > before or value is None:
        return value
    rules = filter(None, (each.broken(value) for each in constraints))
    problems.extend(item.problem(f"must be {rule}, found {item.shown()}", field) for rule in rules)
    return value


def _fixed(item: Item, hint: Any, field: str, problems: list[Problem]) -> Any:
    hints = typing.get_args(hint)
    if hints[-1] is Ellipsis:
        return _list(item, hint, field, problems)
    if not isinstance(item.value, tuple) or len(hints) != len(item.value):
        return _mismatch(item, hint, field, problems)
    return tuple(
        _convert(each, inner, _joined(field, position), problems)
        for position, (each, inner) in enumerate(zip(item.value, hints, strict=True))
    )


def _list(item: Item, hint: Any, field: str, problems: list[Problem]) -> Any:
    if not isinstance(item.value, tuple):
        return _mismatch(item, hint, field, problems)
    inner = typing.get_args(hint)[0]
    values = [_convert(each, inner, _joined(field, position), problems) for position, each in enumerate(item.value)]
    return values if typing.get_origin(hint) is list else tuple(values)


def _mapping(item: Item, hint: Any, field: str, problems: list[Problem]) -> Any:
    key, inner = typing.get_args(hint)
    assert key is str, f"keys in YAML are text: {hint}"
    if not isinstance(item.value, dict):
        return _mismatch(item, hint, field, problems)
    return {name: _convert(each, inner, _joined(field, name), problems) for name, each in item.value.items()}


def _dataclass(item: Item, cls: Any, field: str, problems: list[Problem]) -> Any:
    if not isinstance(item.value, dict):
        return _mismatch(item, cls, field, problems)
    before = len(problems)
    values = _fill(arguments_of(cls), item.value, item, field, problems)
    if len(problems) > before:
        return None
    return _made(cls, values, item, problems)


def _made(cls: Any, values: Mapping[str, Any], item: Item, problems: list[Problem]) -> Any:
    """Return the dataclass, adding what breaks a rule between its fields to the problems."""
    made = cls(**values)
    rules: Callable[[Item], Iterable[Problem]] | None = getattr(made, "problems", None)
    problems.extend(rules(item) if rules else ())
    return made


_WORDS: dict[Any, str] = {
    int: "an integer",
    float: "a number",
    str: "text",
    bool: "true or false",
    Path: "a path",
    type(None): "nothing",
    None: "nothing",
    Any: "anything",
    object: "anything",
    Item: "anything",
}
_FORMS: dict[Any, Callable[[Item, Any, str, list[Problem]], Any]] = {
    Annotated: _constrained,
    Literal: _literal,
    Union: _union,
    types.UnionType: _union,
    tuple: _fixed,
    list: _list,
    Sequence: _list,
    dict: _mapping,
    Mapping: _mapping,
}
