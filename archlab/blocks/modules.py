"""A user's `nn.Module` classes as blocks of one leaf."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any

from archlab.blocks.wiring import Arguments, Map, Maps, Shape, Wiring, WiringError, shown


@cache
def module_block(factory: Any) -> Callable[..., Any]:
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


@lru_cache(maxsize=4096)
def output_shapes(factory: Callable[..., Any], arguments: Arguments, in_shapes: tuple[Shape, ...]) -> tuple[Shape, ...]:
    """Return the shapes that a module makes, by running it once, without memory for its weights where it allows that.

    Raises WiringError if the module fails or returns anything but tensors.
    """
    import torch

    for device in ("meta", "cpu"):
        try:
            with torch.device(device), torch.no_grad():
                module = factory(**dict(arguments)).eval()
                made = module(*(torch.zeros(1, *shape) for shape in in_shapes))
            break
        except Exception as error:
            if device == "cpu":
                raise WiringError(
                    f"{factory.__name__} fails on {', '.join(map(shown, in_shapes))}: {type(error).__name__}: {error}"
                ) from error
    tensors = made if isinstance(made, tuple | list) else (made,)
    wrong = [type(each).__name__ for each in tensors if not isinstance(each, torch.Tensor)]
    if wrong or not tensors:
        found = f"{type(made).__name__}{f' with {wrong[0]}' if made is tensors and wrong else ''}"
        raise WiringError(f"{factory.__name__} returns {found}; expected a tensor or a tuple of tensors")
    return tuple(tuple(t.shape[1:]) for t in tensors)
