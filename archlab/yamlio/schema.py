"""JSON Schemas, for editors, of the mappings that dataclasses and functions accept."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Union

from archlab.yamlio.items import Item
from archlab.yamlio.plain import to_plain
from archlab.yamlio.rules import annotated
from archlab.yamlio.typed import Argument, arguments_of

_SIMPLE: dict[Any, dict[str, Any]] = {
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    bool: {"type": "boolean"},
    Path: {"type": "string", "minLength": 1},
    type(None): {"type": "null"},
    None: {"type": "null"},
    Any: {},
    object: {},
    Item: {},
}


def json_schema(target: Callable[..., Any]) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a dataclass, or of the keyword-only arguments of a function.

    It accepts all that `parse` accepts. It accepts more in two cases: it has no rules between fields, and it takes 3.0
    as an integer, since JSON has one kind of number.
    """
    parts: dict[str, Any] = {}
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **_object(target, parts)}
    return schema | ({"$defs": parts} if parts else {})


def _object(target: Callable[..., Any], parts: dict[str, Any]) -> dict[str, Any]:
    arguments = arguments_of(target)
    schema = {
        "title": getattr(target, "__name__", ""),
        "description": _summary(target),
        "type": "object",
        "properties": {each.key: _property(each, parts) for each in arguments},
        "required": [each.key for each in arguments if each.default is None],
        "additionalProperties": False,
    }
    return {name: value for name, value in schema.items() if value not in ("", [])}


def _summary(target: Callable[..., Any]) -> str:
    """Return the docstring's first paragraph, or nothing if `dataclass` generated it."""
    text = inspect.cleandoc(target.__doc__ or "")
    if text.startswith(f"{getattr(target, '__name__', '')}("):
        return ""
    return " ".join(text.split("\n\n")[0].split())


def _property(argument: Argument, parts: dict[str, Any]) -> dict[str, Any]:
    schema = _schema(argument.hint, parts)
    return schema if argument.default is None else schema | {"default": to_plain(argument.default())}


def _schema(hint: Any, parts: dict[str, Any]) -> dict[str, Any]:
    if hint in _SIMPLE:
        return _SIMPLE[hint]
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _annotated(hint, parts)
    if origin is Literal:
        return {"enum": list(inner)}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema(each, parts) for each in inner]}
    if origin in (tuple, list, Sequence):
        return _array(origin, inner, parts)
    if origin in (dict, Mapping):
        return {"type": "object", "additionalProperties": _schema(inner[1], parts)}
    return _reference(hint, parts)


def _reference(hint: Any, parts: dict[str, Any]) -> dict[str, Any]:
    """Return a reference to a dataclass in `$defs`, adding it at its first use."""
    assert dataclasses.is_dataclass(hint), f"no JSON Schema of {hint!r}"
    assert isinstance(hint, type)
    if hint.__qualname__ not in parts:
        parts[hint.__qualname__] = {}  # a placeholder, for a dataclass that contains itself
        parts[hint.__qualname__].update(_object(hint, parts))
    return {"$ref": f"#/$defs/{hint.__qualname__}"}


def _annotated(hint: Any, parts: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a type with its rules, and its texts as the description. None always passes."""
    base, constraints = annotated(hint)
    rules: dict[str, Any] = {}
    for each in constraints:
        rules |= each.schema()
    schema = _schema(base, parts)
    if rules and type(None) in typing.get_args(base):
        schema = {"anyOf": [{"type": "null"}, {**schema, **rules}]}
    else:
        schema = {**schema, **rules}
    words = " ".join(each for each in hint.__metadata__ if isinstance(each, str))
    return schema | ({"description": words} if words else {})


def _array(origin: Any, inner: tuple[Any, ...], parts: dict[str, Any]) -> dict[str, Any]:
    if origin is not tuple or inner[-1] is Ellipsis:
        return {"type": "array", "items": _schema(inner[0], parts)}
    fixed = [_schema(each, parts) for each in inner]
    return {"type": "array", "prefixItems": fixed, "items": False, "minItems": len(fixed)}
