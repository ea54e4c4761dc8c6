"""The order of channels in memory, and the weights of convolutions that read or make channels in an order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from archlab.deploy.program import Op

Order = tuple[int, ...]
"""The channel of a value that each channel in memory holds; -1 for a channel that is not the value's."""


@dataclass(frozen=True)
class Stored:
    """A value of the network: the value of the program that holds it, and in which order of channels."""

    value: int
    order: Order

    @property
    def plain(self) -> bool:
        """Whether the channels are the value's own, in their order."""
        return self.order == tuple(range(len(self.order)))


def part(order: Order, start: int, width: int) -> Order:
    """Return the order of a value's channels from `start` on; those before and after are not the part's."""
    return tuple(c - start if start <= c < start + width else -1 for c in order)


def joined(orders: Sequence[Order], widths: Sequence[int]) -> Order:
    """Return the order of values one after the other. widths: the values' own channels."""
    starts = [sum(widths[:k]) for k in range(len(widths))]
    return tuple(c + start if c >= 0 else -1 for order, start in zip(orders, starts, strict=True) for c in order)


def padded(width: int, lanes: int) -> Order:
    """Return the order of `width` channels with zeros after them up to a multiple of `lanes`."""
    return (*range(width), *[-1] * (-width % lanes))


def is_dense(op: Op) -> bool:
    """Return whether an operator is a convolution that reads all channels for each of its own."""
    return op.kind == "conv" and op["groups"] == 1


def is_depthwise(op: Op) -> bool:
    """Return whether an operator is a convolution of each channel by itself."""
    return op.kind == "conv" and op["groups"] == op.in_shapes[0][0] == op.out_shapes[0][0] > 1


def reading(conv: Op, order: Order) -> Op:
    """Return a dense convolution that reads channels in an order."""
    weight = _taken(conv.weights["weight"], order, 1)
    return replace(conv, weights={**conv.weights, "weight": weight}, in_shapes=(_of(order, conv.in_shapes[0]),))


def making(conv: Op, order: Order, other: float = 0.0) -> Op:
    """Return a dense convolution that makes channels in an order, and `other` before its activation in the others."""
    weight = conv.weights["weight"]
    bias = conv.weights.get("bias", weight.new_zeros(len(weight)))
    made = {"weight": _taken(weight, order, 0), "bias": _taken(bias, order, 0, other)}
    shape = _of(order, conv.out_shapes[0])
    return replace(conv, weights=made, out_shapes=(shape,), arguments={**conv.arguments, "bias": True})


def along(conv: Op, order: Order, *, keep: bool = False) -> Op:
    """Return a depthwise convolution of channels in an order. keep: it passes on the others as they are, else zeros."""
    made = making(conv, order)
    if keep:
        middle = conv["kernel"] // 2
        made.weights["weight"][torch.tensor(order) < 0, 0, middle, middle] = 1
    return replace(made, in_shapes=(_of(order, conv.in_shapes[0]),), arguments={**made.arguments, "groups": len(order)})


def _taken(weight: Tensor, order: Order, dim: int, other: float = 0.0) -> Tensor:
    index = torch.tensor(order, device=weight.device)
    return weight.index_select(dim, index.clamp(min=0)).index_fill_(dim, (index < 0).nonzero()[:, 0], other)


def _of(order: Order, shape: tuple[int, ...]) -> tuple[int, ...]:
    return len(order), *shape[1:]
