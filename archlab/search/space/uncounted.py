"""A warning when a cost that is limited leaves out operators inside users' modules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress

from archlab.blocks import BLOCKS
from archlab.blocks.wiring import WiringError
from archlab.core.errors import InputError
from archlab.core.notes import note
from archlab.counting.count import uncounted_inside
from archlab.counting.table import by_operator
from archlab.network.graph import assemble
from archlab.search.space.space import Space, each_choice

COUNTER_OF = {"macs": "fvcore", "mflops": "paper"}
"""The counter of a cost, for the costs that operators without a rule are missing from."""

MOVES = frozenset({
    "alias", "channel_shuffle", "clone", "diagonal", "expand_as", "flip", "im2col", "movedim", "native_channel_shuffle",
    "numpy_T", "pad", "pixel_shuffle", "pixel_unshuffle", "repeat", "repeat_interleave", "reshape_as", "swapaxes",
    "swapdims", "tensor_split", "tile", "unflatten", "unfold", "view_as",
})  # fmt: skip
"""Operators that move values and compute nothing: a count that gives them nothing leaves nothing out."""


def warn_uncounted(space: Space, costs: Iterable[str]) -> None:
    """Print a warning for each of these costs that leaves out operators inside users' modules, with their nodes.

    The networks looked at hold every choice of the space once.
    """
    counted = {name: COUNTER_OF[name] for name in costs if name in COUNTER_OF}
    if not counted or space.blocks.keys() <= BLOCKS.keys():
        return
    for name, inside in _uncounted(space, counted).items():
        if inside:
            left_out = ", ".join(by_operator(inside))
            note(f"warning: {name} leaves out {left_out}; limits and objectives on {name} do not see them")


def _uncounted(space: Space, counted: Mapping[str, str]) -> dict[str, dict[str, dict[str, int]]]:
    """Return cost -> node -> operator -> 1; choices that cannot be built or counted are left out."""
    found: dict[str, dict[str, dict[str, int]]] = {name: {} for name in counted}
    for point in each_choice(space):
        with suppress(InputError, WiringError):
            for node in assemble(space.spec(point)).nodes:
                for name, counter in counted.items():
                    for kind in uncounted_inside(node, counter).keys() - MOVES:
                        found[name].setdefault(node.name, {})[kind] = 1
    return found
