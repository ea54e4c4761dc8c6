"""The blocks that a network may use, built-in and from plug-ins, and what a block's signature says."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from archlab.blocks import BLOCKS
from archlab.blocks.wiring import Map, Maps, Wiring
from archlab.core import plugins

Table = dict[str, Callable[..., Any]]


def blocks(plugin: Iterable[str] = ()) -> Table:
    """Return all blocks by name: built-in ones, from entry points (`archlab.blocks`), from the plug-ins' `BLOCKS`.

    Raises InputError if a plug-in cannot be imported or defines a name that is taken.
    """
    return _blocks(tuple(plugin))


@cache
def _blocks(plugin: tuple[str, ...]) -> Table:
    return {name: as_block(value) for name, value in plugins.joined(BLOCKS, "block", plugin).items()}


def as_block(value: Any) -> Callable[..., Any]:
    """Return a wiring function unchanged, and an `nn.Module` class as a block of one leaf."""
    is_class = inspect.isclass(value)
    block: Callable[..., Any] = _module_block(value) if is_class else value
    return block


@cache
def _module_block(factory: Any) -> Callable[..., Any]:
    """Return the block of an `nn.Module` class; its arguments are the constructor's.

    A constructor argument `in_channels` is set to the width of the (first) input map. The module takes one tensor per
    map and returns a tensor or a tuple of tensors (N, C, H, W).
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
    """Return whether a block's second parameter is the list of all maps (`Maps`) rather than one map (`Map`)."""
    second = list(inspect.signature(function).parameters.values())[1]
    return second.annotation not in ("Map", Map)


@cache
def keywords(function: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of the arguments that a file may give to a block."""
    parameters = inspect.signature(function).parameters.values()
    return tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
