"""JSON Schemas for editors, from the same definitions that read the files."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, Literal

from archlab import yamlio
from archlab.ablation import study
from archlab.blocks import registry
from archlab.network.spec import AuxiliaryForm, NodeForm, SpecForm
from archlab.search.config import SearchForm
from archlab.search.space.space import SpaceForm
from archlab.tasks import find_task, tasks
from archlab.training.recipe import form_of

Kind = Literal["network", "space", "recipe", "study", "search"]


def schema(kind: Kind, *, plugin: Iterable[str] = ()) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a kind of file.

    A network's holds the blocks of plug-ins, a recipe's accepts those of every task. A study's also accepts a search,
    which has a schema of its own too.
    """
    if kind in FORMS:
        return yamlio.json_schema(FORMS[kind])
    if kind == "recipe":
        return _any_of(yamlio.json_schema(form_of(find_task(name, plugin))) for name in tasks(plugin))
    if kind == "study":
        return _any_of(_of_study(each) for each in (*study.KINDS.values(), SearchForm))
    return _network(registry.blocks(plugin))


FORMS: dict[str, type] = {"space": SpaceForm, "search": SearchForm}
_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def _any_of(made: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Return the schema that accepts what any of several does. A definition's name means the same in all of them."""
    made = list(made)
    definitions = {name: part for each in made for name, part in each.get("$defs", {}).items()}
    kinds = [{name: value for name, value in each.items() if name not in ("$schema", "$defs")} for each in made]
    return {"$schema": _DRAFT, "anyOf": kinds, "$defs": definitions}


def _of_study(cls: type[Any]) -> dict[str, Any]:
    """Return the schema of a kind of study; one that extends another states only what differs."""
    made = yamlio.json_schema(cls)
    if "extends" in made["properties"]:
        made["anyOf"] = [{"required": ["kind", "extends"]}, {"required": made.pop("required")}]
    return made


def _without_draft(made: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in made.items() if name != "$schema"}


def _network(blocks: registry.Table) -> dict[str, Any]:
    """Return the schema of a network, in which each block has its own arguments."""
    made = yamlio.json_schema(SpecForm)
    definitions = made.setdefault("$defs", {})
    uses = {name: _use(name, function) for name, function in blocks.items()}
    definitions["block"] = {"anyOf": [{"enum": sorted(blocks)}, *({"$ref": f"#/$defs/block.{name}"} for name in uses)]}
    definitions |= {f"block.{name}": use for name, use in uses.items()}
    block, node = {"$ref": "#/$defs/block"}, {"$ref": "#/$defs/node"}
    nodes = [_node(use) for use in uses.values()]
    definitions["node"] = {"anyOf": [*nodes, _PART], "description": inspect.getdoc(NodeForm)}
    properties, stages = made["properties"], definitions["StagesForm"]["properties"]
    listed = {"anyOf": [block, {"type": "array", "items": block}]}
    properties |= {"stem": listed, "head": listed, "last": block}
    properties["nodes"] = {"type": "object", "additionalProperties": node}
    group = {"type": "object", "additionalProperties": {"anyOf": [*nodes, {"enum": sorted(blocks)}]}}
    properties["parts"] = {"anyOf": [{"type": "object", "additionalProperties": group}, {"type": "null"}]}
    outputs = {"anyOf": [_auxiliary(use) for use in uses.values()], "description": inspect.getdoc(AuxiliaryForm)}
    properties["auxiliary"] = {"anyOf": [{"type": "object", "additionalProperties": outputs}, {"type": "null"}]}
    stages |= {"transition": listed, "fusion": listed}
    stages["unit"] = {"anyOf": [block, {"type": "array", "items": listed}]}
    # A file that extends another gives only what differs, in any mapping.
    made["required"] = ["version"]
    definitions["StagesForm"].pop("required", None)
    return made


def _use(name: str, function: Callable[..., Any]) -> dict[str, Any]:
    made = _without_draft(yamlio.json_schema(function))
    properties = {"block": {"const": name}, **made.get("properties", {})}
    return {**made, "properties": properties, "required": []}


_NAMES = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
"""Of nodes, in `from:`."""


_COPIES = {"type": "array", "items": {"type": "object"}, "minItems": 1}
_PART = {
    "type": "object",
    "properties": {
        "part": {"type": "string"},
        "from": _NAMES,
        "repeat": {"anyOf": [{"type": "integer", "minimum": 1}, _COPIES]},
    },
    "additionalProperties": {"type": "object"},
    "required": ["part"],
}
"""A use of a part, with what differs in its nodes."""


def _auxiliary(use: dict[str, Any]) -> dict[str, Any]:
    properties = {**use["properties"], "from": _NAMES, "weight": {"type": "number", "exclusiveMinimum": 0}}
    return {**use, "properties": properties, "required": []}


def _node(use: dict[str, Any]) -> dict[str, Any]:
    copies = {"type": "array", "items": {"$ref": "#/$defs/block"}, "minItems": 1}
    repeat = {"anyOf": [{"type": "integer", "minimum": 1}, copies]}
    properties = {**use["properties"], "from": _NAMES, "repeat": repeat}
    return {**use, "properties": properties, "required": ["block"]}
