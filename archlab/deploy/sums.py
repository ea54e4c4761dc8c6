"""Sums: scales in the convolutions that make the terms, and terms added before they are enlarged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Set
from dataclasses import replace
from itertools import count

from archlab.blocks.wiring import Shape
from archlab.deploy.program import CONVOLUTIONS, RESIZING, Op, Program, needed

Factor = tuple[int, int]


def factor_of(op: Op) -> Factor:
    """Return by how much a nearest resizing enlarges height and width."""
    (_, h, w), (_, height, width) = op.in_shapes[0], op.out_shapes[0]
    return height // h, width // w


def repeats(op: Op) -> bool:
    """Return whether an operator repeats every pixel a whole number of times."""
    if op.kind not in RESIZING or op.act or op.arguments.get("mode", "nearest") != "nearest":
        return False
    (_, h, w), (_, height, width) = op.in_shapes[0], op.out_shapes[0]
    return height % h == 0 and width % w == 0


def fold_scales(program: Program) -> Program:
    """Return the program with the scales of sums in the convolutions that make their terms."""
    ops = list(program.ops)
    makers, readers = program.makers(), program.readers()
    for i, op in enumerate(ops):
        if op.kind == "add":
            scales = list(op["scales"])
            for k, value in enumerate(op.inputs):
                at = _source(ops, makers, readers, value) if scales[k] != 1 else None
                if at is not None:
                    ops[at] = _scaled(ops[at], scales[k])
                    scales[k] = 1
            ops[i] = replace(op, arguments={**op.arguments, "scales": tuple(scales)})
    return Program(tuple(ops), program.output)


def _source(ops: list[Op], makers: Mapping[int, int], readers: Counter[int], value: int) -> int | None:
    """Return the position of the convolution that makes a value, also through resizing, if nothing else reads it."""
    at = makers.get(value)
    while at is not None and readers[value] == 1:
        if ops[at].kind in CONVOLUTIONS:
            return at
        if ops[at].kind not in RESIZING:
            return None
        value = ops[at].inputs[0]
        at = makers.get(value)
    return None


def _scaled(conv: Op, scale: int) -> Op:
    return replace(conv, weights={name: value * scale for name, value in conv.weights.items()})


def add_before_enlarging(program: Program) -> Program:
    """Return the program in which a coarse term of a sum is added to the next finer one before that is enlarged.

    up4(x) + up2(y) = up2(up2(x) + y): one map of full size is made, and not one for each term.
    """
    makers, readers = program.makers(), program.readers()
    numbers = count(1 + max(makers))
    ops: list[Op] = []
    for op in program.ops:
        enlarged = {v: program.ops[makers[v]] for v in op.inputs if v in makers and readers[v] == 1}
        enlarged = {v: maker for v, maker in enlarged.items() if op.kind == "add" and repeats(maker)}
        ops += _added_first(op, enlarged, numbers) if len(enlarged) > 1 else [op]
    return needed(Program(tuple(ops), program.output))


def _added_first(total: Op, enlarged: Mapping[int, Op], numbers: Iterator[int]) -> Iterator[Op]:
    """Yield the operators of a sum: for each coarse term that can be added to a finer one those, then the sum."""
    scales = dict(zip(total.inputs, total["scales"], strict=True))
    terms = {value: value for value in total.inputs}
    coarse, *finer = sorted(enlarged, key=lambda v: factor_of(enlarged[v]), reverse=True)
    current = enlarged[coarse]
    for fine in finer:
        op = enlarged[fine]
        (high, wide), (h, w) = factor_of(current), factor_of(op)
        if scales[coarse] == scales[fine] and high % h == wide % w == 0:
            shape = op.in_shapes[0]
            less = _resized(current, next(numbers), shape)
            both = Op("add", total.name, (*op.inputs, *less.outputs), (next(numbers),), (shape, shape), (shape,),
                      {"scales": (1, 1)})  # fmt: skip
            op = replace(op, inputs=both.outputs, outputs=(next(numbers),))
            yield from (less, both, op)
            del terms[coarse]
            terms[fine] = op.outputs[0]
        coarse, current = fine, op
    shapes = tuple(shape for value, shape in zip(total.inputs, total.in_shapes, strict=True) if value in terms)
    left = {"scales": tuple(scales[value] for value in terms)}
    yield replace(total, inputs=tuple(terms.values()), in_shapes=shapes, arguments={**total.arguments, **left})


def _resized(op: Op, value: int, shape: Shape) -> Op:
    """Return a resizing that makes a value of another shape."""
    how = {"size": shape[1:], "mode": "nearest"}
    return replace(op, kind="resize", outputs=(value,), out_shapes=(shape,), arguments=how, module=None)


def convolutions_last(program: Program) -> Program:
    """Return the program in which sums take what convolutions make last, which a runtime adds as it convolves."""
    made = {value for op in program.ops if op.kind == "conv" for value in op.outputs}
    return replace(program, ops=tuple(_sorted(op, made) if op.kind == "add" else op for op in program.ops))


def _sorted(total: Op, made: Set[int]) -> Op:
    terms = sorted(zip(total.inputs, total.in_shapes, total["scales"], strict=True), key=lambda term: term[0] in made)
    inputs, shapes, scales = zip(*terms, strict=True)
    return replace(total, inputs=inputs, in_shapes=shapes, arguments={**total.arguments, "scales": scales})
