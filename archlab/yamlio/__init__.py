"""YAML read into frozen dataclasses; every value keeps its file, line and column."""

from archlab.yamlio.edit import extended, overlay, set_path
from archlab.yamlio.items import Item, item_of, item_of_text, read, read_text, scalar
from archlab.yamlio.plain import dump, to_plain
from archlab.yamlio.rules import Above, AtLeast, AtMost, Constraint, Length, MultipleOf, OneOf
from archlab.yamlio.schema import json_schema
from archlab.yamlio.typed import Partial, check_call, convert, parse, parse_partly

__all__ = [
    "Above",
    "AtLeast",
    "AtMost",
    "Constraint",
    "Item",
    "Length",
    "MultipleOf",
    "OneOf",
    "Partial",
    "check_call",
    "convert",
    "dump",
    "extended",
    "item_of",
    "item_of_text",
    "json_schema",
    "overlay",
    "parse",
    "parse_partly",
    "read",
    "read_text",
    "scalar",
    "set_path",
    "to_plain",
]
