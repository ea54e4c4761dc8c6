"""A program made as short as it can be, by exact rewritings one after the other."""

from __future__ import annotations

from archlab.deploy.program import Program, attach_activations, fold_norms
from archlab.deploy.sums import add_before_enlarging, convolutions_last, fold_scales
from archlab.deploy.whole import fill_up, keep_whole


def simplify(program: Program, *, lanes: int = 1, whole: bool = True) -> Program:
    """Return the same function in fewer operators.

    lanes: the number of channels that a runtime packs together. Zeros fill up maps to a multiple of it.
    whole: keep maps whole; weights saturate some gates then, which leaves few steps of int8 for the others.
    """
    program = attach_activations(add_before_enlarging(fold_scales(fold_norms(program))))
    return convolutions_last(fill_up(keep_whole(program, lanes), lanes) if whole else program)
