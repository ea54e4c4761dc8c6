"""The blocks that a network may use, built-in and from plug-ins, and the arguments in a block's signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from archlab.blocks import BLOCKS
from archlab.blocks.modules import module_block
from archlab.blocks.wiring import Map
from archlab.core import plugins
from archlab.core.errors import InputError, Problem

Table = dict[str, Callable[..., Any]]


def blocks(plugin: Iterable[str] = ()) -> Table:
    """Return all blocks by name: built-in ones, from entry points (`archlab.blocks`), from the plug-ins' `BLOCKS`.

    Raises InputError if a plug-in cannot be imported or defines a name that is taken.
    """
    return _blocks(tuple(plugin))


@cache
def _blocks(plugin: tuple[str, ...]) -> Table:
    found = plugins.joined(BLOCKS, "block", plugin)
    wrong = [name for name, value in found.items() if not _is_block(value)]
    if wrong:
        rule = "a block is an nn.Module class, or a function of `g` and its map or maps"
        raise InputError(Problem(f"{rule}, which {name!r} is not") for name in wrong)
    return {name: as_block(value) for name, value in found.items()}


def _is_block(value: Any) -> bool:
    if inspect.isclass(value) or not callable(value):
        return inspect.isclass(value)
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [each.kind in positional for each in inspect.signature(value).parameters.values()][:2] == [True, True]


def as_block(value: Any) -> Callable[..., Any]:
    """Return a wiring function unchanged, and an `nn.Module` class as a block of one leaf."""
    is_class = inspect.isclass(value)
    block: Callable[..., Any] = module_block(value) if is_class else value
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
