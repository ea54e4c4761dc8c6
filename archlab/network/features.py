"""The maps of several resolutions in a network, as a detector or a segmentation head takes them from a backbone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from archlab.blocks.wiring import Leaf, Shape
from archlab.core.errors import InputError, Problem, nearest
from archlab.network.graph import Graph, Ref, Value, origin
from archlab.network.module import Network, attached
from archlab.network.steps import Operator, lay_steps, needed_for, operators_of, run_steps, steps_of

MOST_STRIDE = 64
"""A map that is smaller than this allows is a pooled one."""


@dataclass(frozen=True)
class Feature:
    """A map of a network.

    name: its node's, with `.K` for output K of several. stride: input pixels from one of its pixels to the next.
    """

    name: str
    stride: int
    channels: int


class Features(nn.Module):
    """Part of a network: images (N, C, H, W) to a list of maps (N, channels, H / stride, W / stride).

    Its layers are the network's own, under the same names; those that no map needs are left out.
    info: the maps, in the order of the list.
    """

    def __init__(self, network: Network, info: Sequence[Feature], values: Sequence[Value]) -> None:
        super().__init__()
        self.info = tuple(info)
        laid, slots = lay_steps(network.graph, network.leaves)
        self._slots, self._outputs = len(slots), [slots[value] for value in values]
        laid = [each for each, needed in zip(laid, needed_for(laid, self._outputs), strict=True) if needed]

        def own(name: str, leaf: Leaf) -> nn.Module:
            return network.get_submodule(name)

        self._steps = steps_of([attached(self, each, own) for each in laid], laid, self._outputs)
        self._operators: list[Operator] | None = None
        self.training = network.training

    @property
    def channels(self) -> tuple[int, ...]:
        return tuple(each.channels for each in self.info)

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(each.stride for each in self.info)

    def forward(self, image: Tensor) -> list[Tensor]:
        if self._operators is None:
            self._operators = operators_of(self, self._steps)
        values = run_steps(self._operators, self._steps, self._slots, image, every=True)
        return [values[slot] for slot in self._outputs]

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_operators": None}


def features(network: Network, at: Sequence[int | str] | None = None) -> Features:
    """Return the part of a network that makes its maps of several resolutions; both share their layers.

    at: strides, or names as `Feature` has them (default: a map for every stride, fine to coarse). At each stride it is
    the last map, of the branches if the network has several, else of those that its coarsest map is computed from.
    Raises InputError for a stride or a name that the network does not have.
    """
    found = _maps(network.graph)
    default: dict[int | str, Feature] = {feature.stride: feature for feature in _default(network.graph, found)}
    known = default | {feature.name: feature for feature in found}
    wanted = list(default) if at is None else list(at)
    if problems := [_unknown(each, default, known) for each in wanted if each not in known]:
        raise InputError(problems)
    chosen = [known[each] for each in wanted]
    return Features(network, chosen, [_value(network.graph, found[each]) for each in chosen])


def _unknown(what: int | str, default: Iterable[int | str], known: Iterable[int | str]) -> Problem:
    strides = ", ".join(map(str, default))
    hint = nearest(what, [each for each in known if isinstance(each, str)]) if isinstance(what, str) else ""
    return Problem(f"no map {what!r}: the strides are {strides}, and nodes have names{hint}", "at")


def _value(graph: Graph, ref: Ref) -> Value:
    node, which = ref
    return origin(graph, (node, graph.nodes[node].wired.outputs[which]))


def _maps(graph: Graph) -> dict[Feature, Ref]:
    """Return every map with a stride that the main output needs, in the order in which they are made."""
    found = {}
    for i in sorted(_ancestors(graph, graph.output[0])):
        node = graph.nodes[i]
        if all(source < 0 for _, (source, _) in node.reads) and {leaf.kind for leaf in node.leaves} == {"resize"}:
            continue  # the image itself at another size
        for which in sorted(node.read):
            shape = node.out_shapes[which]
            if stride := _stride(graph.input, shape):
                name = f"{node.name}.{which}" if len(node.out_shapes) > 1 else node.name
                found[Feature(name, stride, shape[0])] = (i, which)
    return found


def _stride(image: Shape, shape: Shape) -> int | None:
    """Return the power of two by which both sides are smaller, up to a pixel of rounding; None if there is none."""
    both = {2 ** round(math.log2(side / of)) for side, of in zip(image[1:], shape[1:], strict=True)}
    return both.pop() if len(both) == 1 and max(both) <= MOST_STRIDE else None


def _ancestors(graph: Graph, end: int) -> set[int]:
    """Return a node and all that it is computed from."""
    found, waiting = {end}, [end]
    while waiting:
        sources = {node for _, (node, _) in graph.nodes[waiting.pop()].reads if node >= 0} - found
        found |= sources
        waiting += sources
    return found


def _default(graph: Graph, found: dict[Feature, Ref]) -> list[Feature]:
    """Return the last map at each stride, fine to coarse: of parallel branches, or of what the coarsest needs."""
    inner = {feature: ref for feature, ref in found.items() if ref[0] != graph.output[0]}
    branching = {node for node, _ in inner.values() if len({shape[1:] for shape in graph.nodes[node].out_shapes}) > 1}
    if branching:
        held = [feature for feature, (node, _) in inner.items() if node in branching]
    else:
        coarsest = max((feature.stride for feature in inner), default=0)
        end = max((node for feature, (node, _) in inner.items() if feature.stride == coarsest), default=0)
        held = [feature for feature, (node, _) in inner.items() if node in _ancestors(graph, end)]
    last = {feature.stride: feature for feature in held}
    return [last[stride] for stride in sorted(last)]
