"""Blocks and data sets from the user's own packages, and what a block's signature says.

A YAML file alone can never import code: what is there is what archlab ships, what installed packages declare under the
entry points `archlab.blocks` and `archlab.datasets`, and what the caller names by `--plugin MODULE`, whose tables
`BLOCKS` and `DATASETS` (name -> object) are read.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from archlab.blocks import BLOCKS
from archlab.blocks.wiring import Map, Maps, Wiring
from archlab.core.errors import InputError

Table = dict[str, Callable[..., Any]]


def blocks(plugin: Iterable[str] = ()) -> Table:
    """All blocks by name: built-in, from entry points, from the named modules. A name taken twice is an InputError."""
    return _blocks(tuple(plugin))


def datasets(plugin: Iterable[str] = ()) -> Table:
    """Readers of data sets that others have added, by name."""
    return _joined({}, "archlab.datasets", "DATASETS", tuple(plugin))


@cache
def _blocks(plugin: tuple[str, ...]) -> Table:
    found = _joined(BLOCKS, "archlab.blocks", "BLOCKS", plugin)
    return {name: as_block(value) for name, value in found.items()}


def _joined(built_in: Mapping[str, Any], group: str, table: str, plugin: tuple[str, ...]) -> dict[str, Any]:
    found, owners = dict(built_in), dict.fromkeys(built_in, "archlab")
    added = [(entry.name, entry.load(), entry.value) for entry in entry_points(group=group)]
    for module in plugin:
        added += [(name, value, module) for name, value in getattr(_module(module), table, {}).items()]
    for name, value, owner in added:
        if name in found and found[name] is not value:
            raise InputError(f"{owner} calls a {table[:-1].lower()} {name!r}, which {owners[name]} has already")
        found[name], owners[name] = value, owner
    return found


def _module(name: str) -> Any:
    """Import a plug-in module, also from the current folder."""
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise InputError(f"--plugin {name}: {error}") from error


def as_block(value: Any) -> Callable[..., Any]:
    """A wiring function as it is; an `nn.Module` class as a block of one leaf."""
    is_class = inspect.isclass(value)
    block: Callable[..., Any] = _module_block(value) if is_class else value
    return block


@cache
def _module_block(factory: Any) -> Callable[..., Any]:
    """The block of an `nn.Module` class: its constructor's arguments are the block's.

    A constructor argument `in_channels` is filled with the width of the (first) map that comes in. The module gets one
    tensor for each map and returns a tensor or a tuple of tensors (N, C, H, W).
    """
    loose = {inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD}
    parameters = [p for p in inspect.signature(factory).parameters.values() if p.kind not in loose]
    counts_channels = any(p.name == "in_channels" for p in parameters)

    def block(g: Wiring, xs: Maps, **arguments: Any) -> list[Map]:
        if counts_channels:
            arguments["in_channels"] = xs[0].channels
        return list(g.module(factory, *xs, **arguments))

    own = [p.replace(kind=p.KEYWORD_ONLY) for p in parameters if p.name != "in_channels"]
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    first = [inspect.Parameter(name, positional, annotation=kind) for name, kind in (("g", Wiring), ("xs", Maps))]
    block.__signature__ = inspect.Signature([*first, *own])  # type: ignore[attr-defined]
    hints = inspect.get_annotations(vars(factory).get("__init__", factory))
    block.__annotations__ = {"g": Wiring, "xs": Maps, **{p.name: hints.get(p.name, Any) for p in own}}
    block.__name__, block.__doc__, block.__module__ = factory.__name__, factory.__doc__, factory.__module__
    return block


@cache
def takes_many(function: Callable[..., Any]) -> bool:
    """Whether a block's second parameter is the list of all maps (`Maps`) and not one map (`Map`)."""
    second = list(inspect.signature(function).parameters.values())[1]
    return second.annotation not in ("Map", Map)


@cache
def keywords(function: Callable[..., Any]) -> tuple[str, ...]:
    """The arguments that a file may give to a block."""
    parameters = inspect.signature(function).parameters.values()
    return tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)


def gather(g: Wiring, xs: Maps) -> list[Map]:
    """The maps of several nodes as one list; no operator."""
    return list(xs)
