"""Maps kept whole where one half of the channels is worked on: no split, no shuffle, other weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from archlab.blocks.wiring import Shape
from archlab.deploy.order import Order, Stored, along, is_dense, is_depthwise, joined, making, padded, part, reading
from archlab.deploy.program import ACTIVATIONS, IMAGE, RESIZING, Op, Program
from archlab.deploy.regions import SATURATED, regions_of

CHANNELWISE = (*ACTIVATIONS, *RESIZING, "pool", "grid_pool", "avg_pool", "max_pool")
"""Kinds that treat every channel alike."""


def keep_whole(program: Program, lanes: int = 1) -> Program:
    """Return the program in which regions work on the whole map.

    In the half that a region keeps, its depthwise convolutions are the identity and its gates are 1; the shuffle at its
    end is an order of channels, which the weights of the next convolutions follow.
    lanes: maps have a multiple of this number of channels, where a convolution can make zeros.
    """
    if not any(regions_of(program)):
        return program
    return _Rewriting(program, lanes).program()


def fill_up(program: Program, lanes: int) -> Program:
    """Return the program in which what convolutions make for other dense ones has a multiple of `lanes` channels."""
    readers: dict[int, list[int]] = {program.output: [-1]}
    for i, op in enumerate(program.ops):
        for value in op.inputs:
            readers.setdefault(value, []).append(i)
    ops = list(program.ops)
    for i, op in enumerate(program.ops):
        after = readers[op.outputs[0]]
        if op.out_shapes[0][0] % lanes and is_dense(op) and all(j >= 0 and is_dense(ops[j]) for j in after):
            order = padded(op.out_shapes[0][0], lanes)
            ops[i] = making(ops[i], order)
            for j in after:
                ops[j] = reading(ops[j], order)
    return replace(program, ops=tuple(ops))


class _Rewriting:
    """Writes a program again, one operator after the other. stored: where each of its values is."""

    def __init__(self, program: Program, lanes: int) -> None:
        self._source, self._lanes = program, lanes
        self._readers = program.readers()
        self._ops: list[Op] = []
        self._makers: dict[int, int] = {}
        self._count = 1 + max(program.makers())
        regions = list(regions_of(program))
        self._splits = {region.split for region in regions}
        self._joins = {region.interleave for region in regions}
        self._paths = {i for region in regions for i in region.path}
        self._gates = {i for region in regions for i in region.gates}
        makers = program.makers()
        free = {i for i, op in enumerate(program.ops) if op.kind in ("split", "interleave") and not op.act}
        self._free = {i for i in free if self._read_by_convolutions(program.ops[i])}
        self._held = {makers[program.ops[i].inputs[0]]: program.ops[i] for i in self._gates}
        channels = next(op.in_shapes[0][0] for op in program.ops if IMAGE in op.inputs)
        self._stored = {IMAGE: Stored(IMAGE, tuple(range(channels)))}

    def program(self) -> Program:
        for i, op in enumerate(self._source.ops):
            self._write(i, op)
        return Program(tuple(self._ops), self._plain(self._stored[self._source.output]).value)

    def _read_by_convolutions(self, op: Op) -> bool:
        """Return whether convolutions alone read an operator's values, in any order of channels."""
        readers = [other for other in self._source.ops if not {*op.outputs}.isdisjoint(other.inputs)]
        output = self._source.output in op.outputs
        return not output and all(is_dense(other) or is_depthwise(other) for other in readers)

    def _write(self, i: int, op: Op) -> None:
        xs = [self._stored[v] for v in op.inputs if v in self._stored]
        if i in self._splits or (self._lanes > 1 and op.kind == "split" and i in self._free):
            self._split(op, xs[0])
        elif i in self._held:
            self._parts(reading(op, xs[0].order), xs[0], self._held[i])
        elif i in self._joins:
            self._join(op, *xs)
        elif i in self._paths:
            self._on_path(op, xs)
        elif op.kind == "interleave" and i in self._free:
            self._concatenate(op, xs)
        elif i not in self._gates:
            self._other(op, xs)

    def _other(self, op: Op, xs: list[Stored]) -> None:
        """Write an operator outside of the regions."""
        if all(x.plain for x in xs):
            self._add(op, xs)
        elif is_dense(op):
            self._add(reading(op, xs[0].order), xs)
        elif is_depthwise(op):
            self._add(along(op, xs[0].order), xs, xs[0].order)
        elif op.kind in CHANNELWISE:
            self._add(op, xs, xs[0].order)
        elif op.kind == "add" and len({shape[0] for shape in op.in_shapes}) == 1:
            order = next(x.order for x in xs if not x.plain)
            self._add(op, [self._in_order(v, order) for v in op.inputs], order)
        elif op.kind == "concat":
            self._add(op, xs, joined([x.order for x in xs], [shape[0] for shape in op.in_shapes]))
        else:
            self._add(op, [self._plain(x) for x in xs])

    def _add(self, op: Op, xs: Sequence[Stored], order: Order | None = None) -> None:
        """Write an operator that reads stored values. order: of its output, if it is not the operator's own."""
        out_shapes = op.out_shapes if order is None else _widened(op.out_shapes, len(order))
        in_shapes = tuple((len(x.order), *shape[1:]) for x, shape in zip(xs, op.in_shapes, strict=True))
        op = replace(op, inputs=tuple(x.value for x in xs), in_shapes=in_shapes, out_shapes=out_shapes)
        for value, shape in zip(op.outputs, out_shapes, strict=True):
            self._makers[value] = len(self._ops)
            self._stored[value] = Stored(value, order or tuple(range(shape[0])))
        self._ops.append(op)

    def _split(self, op: Op, x: Stored) -> None:
        """Let the parts be where the whole is, whose channels are filled up first if possible."""
        if x.plain and self._made_in(op.inputs[0], padded(len(x.order), self._lanes)):
            x = self._stored[op.inputs[0]]
        start = 0
        for value, width in zip(op.outputs, op["widths"], strict=True):
            self._stored[value] = Stored(x.value, part(x.order, start, width))
            start += width

    def _parts(self, conv: Op, x: Stored, split: Op) -> None:
        """Write a convolution that a split follows as one convolution for each part."""
        start = 0
        for k, (value, shape) in enumerate(zip(split.outputs, split.out_shapes, strict=True)):
            made = making(conv, tuple(range(start, start + shape[0])))
            self._add(replace(made, name=f"{conv.name}{k}", outputs=(value,)), [x])
            start += shape[0]

    def _on_path(self, op: Op, xs: list[Stored]) -> None:
        order = xs[0].order
        if op.kind == "conv":
            self._add(along(op, order, keep=True), xs, order)
            return
        assert self._made_in(op.inputs[1], order, gate=True), "a region's gates can be made in any order"
        self._add(op, [xs[0], self._spread(op, self._stored[op.inputs[1]])], order)

    def _spread(self, op: Op, gate: Stored) -> Stored:
        """Return a gate at the map's size: a runtime that packs channels has no product of two sizes."""
        size = op.in_shapes[0][1:]
        if self._lanes == 1 or op.in_shapes[1][1:] == size:
            return gate
        shape = op.in_shapes[1]
        how = {"size": size, "mode": "nearest"}
        resize = Op("resize", op.name, (gate.value,), (self._new(),), (shape,), ((shape[0], *size),), how)
        self._add(resize, [gate], gate.order)
        return self._stored[resize.outputs[0]]

    def _join(self, op: Op, kept: Stored, moved: Stored) -> None:
        """Interleave by order alone: the moved half's map holds the kept half, too."""
        pairs = zip(kept.order, moved.order, strict=True)
        order = tuple(2 * a if a >= 0 else 2 * b + 1 if b >= 0 else -1 for a, b in pairs)
        self._stored[op.outputs[0]] = Stored(moved.value, order)

    def _concatenate(self, op: Op, xs: list[Stored]) -> None:
        """Write an interleaving that convolutions read as one map after the other."""
        apart = joined([x.order for x in xs], [shape[0] for shape in op.in_shapes])
        width = op.in_shapes[0][0]
        order = tuple(c % width * len(xs) + c // width if c >= 0 else -1 for c in apart)
        self._add(replace(op, kind="concat"), xs, order)

    def _in_order(self, value: int, order: Order) -> Stored:
        """Return a value in an order: made in it, else put into it."""
        if self._stored[value].order == order or self._made_in(value, order):
            return self._stored[value]
        return self._put(self._stored[value], order)

    def _made_in(self, value: int, order: Order, *, gate: bool = False) -> bool:
        """Let the convolutions behind a value make an order, and 1 in other channels of a gate, if they can."""
        if can := self._can_make(value):
            self._make(value, order, gate)
        return can

    def _can_make(self, value: int) -> bool:
        """Return whether the convolutions behind a value are free to make it in any order."""
        if value not in self._makers or self._readers[value] > 1 or not self._stored[value].plain:
            return False
        op = self._ops[self._makers[value]]
        return is_dense(op) or (op.kind in (*RESIZING, "add") and all(map(self._can_make, op.inputs)))

    def _make(self, value: int, order: Order, gate: bool) -> None:
        at = self._makers[value]
        op = self._ops[at]
        if is_dense(op):
            self._ops[at] = making(op, order, SATURATED[op.act] if gate else 0.0)
        else:
            for each in op.inputs:
                self._make(each, order, gate)
            in_shapes, out_shapes = (_widened(shapes, len(order)) for shapes in (op.in_shapes, op.out_shapes))
            self._ops[at] = replace(op, in_shapes=in_shapes, out_shapes=out_shapes)
        self._stored[value] = Stored(value, order)

    def _plain(self, x: Stored) -> Stored:
        return x if x.plain else self._put(x, tuple(range(1 + max(x.order))))

    def _put(self, x: Stored, order: Order) -> Stored:
        """Return a value put into another order by a convolution that picks channels."""
        like = next(op.weights["weight"] for op in self._source.ops if "weight" in op.weights)
        pick = torch.tensor(
            [[float(a == b >= 0) for b in x.order] for a in order], dtype=like.dtype, device=like.device
        )
        shape = self._ops[self._makers[x.value]].out_shapes[0]
        how = {"kernel": 1, "stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": False}
        conv = Op("conv", f"order{self._count}", (x.value,), (self._new(),), (shape,), ((len(order), *shape[1:]),), how,
                  {"weight": pick[:, :, None, None]})  # fmt: skip
        self._add(conv, [x], order)
        return self._stored[conv.outputs[0]]

    def _new(self) -> int:
        self._count += 1
        return self._count - 1


def _widened(shapes: Sequence[Shape], width: int) -> tuple[Shape, ...]:
    return tuple((width, *shape[1:]) for shape in shapes)
