"""The cost of a graph: parameters, multiply-adds by two counters, activations.

A cost is a sum over leaf operators in evaluation mode. A leaf's cost follows from its arguments and shapes. For
archlab's operators, `RULES` has fvcore's rule and the paper's; tests compare them with fvcore's trace and the hooks of
the paper's counter, of every operator and of whole networks, to the unit. A user's `nn.Module` is traced once and
remembered (`archlab.counting.modules`); nothing else here needs torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

from archlab.blocks.wiring import Arguments, Leaf, Shape, WiringError
from archlab.core.errors import InputError, Problem
from archlab.network.graph import Graph, Node

if TYPE_CHECKING:
    from archlab.counting.modules import ModuleCost

COUNTERS = ("fvcore", "paper")
MEBI = 2**20  # the paper's "M"
MODULE = "module"
"""The operator of a user's module."""


class Count(NamedTuple):
    """Parameters, multiply-adds by counter (the paper's before its division by 2^20) and activations."""

    params: int = 0
    fvcore: int = 0
    paper: int = 0
    activations: int = 0

    @property
    def flops(self) -> dict[str, int]:
        return {"fvcore": self.fvcore, "paper": self.paper}

    def __add__(self, other: Count) -> Count:  # type: ignore[override]
        return total((self, other))


@dataclass(frozen=True)
class NodeCost:
    """The cost of a node of the graph.

    out_shapes: (C, H, W) of its outputs.
    calls: operator -> number of calls.
    uncounted: counter -> operator inside a user's module -> number of calls that the counter gives nothing for.
    uncalled: the layers inside a user's module that have parameters and are not called as layers.
    """

    name: str
    op: str
    inputs: tuple[str, ...]
    out_shapes: tuple[Shape, ...]
    count: Count
    operators: Mapping[str, Count] = field(repr=False)
    calls: Mapping[str, int] = field(repr=False)
    uncounted: Mapping[str, Mapping[str, int]] = field(default_factory=dict, repr=False)
    uncalled: tuple[str, ...] = ()

    @property
    def stage(self) -> str:
        return self.name.split(".", 1)[0]

    @property
    def params(self) -> int:
        return self.count.params

    @property
    def flops(self) -> dict[str, int]:
        return self.count.flops


@dataclass(frozen=True)
class Cost:
    """The cost of a network in evaluation mode, in total and by node, stage and leaf operator."""

    nodes: tuple[NodeCost, ...]
    unread: tuple[str, ...]

    @cached_property
    def total(self) -> Count:
        return total(node.count for node in self.nodes)

    @property
    def params(self) -> int:
        return self.total.params

    @property
    def flops(self) -> dict[str, int]:
        """Multiply-adds by counter: "fvcore", and "paper" before its division by 2^20."""
        return self.total.flops

    @property
    def activations(self) -> int:
        """Output elements of convolutions (and products of matrices), as fvcore counts activations."""
        return self.total.activations

    @cached_property
    def stages(self) -> dict[str, Count]:
        return _grouped((node.stage, node.count) for node in self.nodes)

    @cached_property
    def operators(self) -> dict[str, Count]:
        return _grouped((kind, count) for node in self.nodes for kind, count in node.operators.items())

    @cached_property
    def uncounted(self) -> dict[str, dict[str, int]]:
        """Return counter -> operator -> number of calls, for operators that the counter gives nothing for.

        An operator inside a user's module is named with its node: `softmax in z`.
        """
        calls: Counter[str] = Counter()
        for node in self.nodes:
            calls.update({kind: n for kind, n in node.calls.items() if kind != MODULE})
        found = {}
        for counter in COUNTERS:
            own = {kind: calls[kind] for kind in sorted(calls) if getattr(self.operators[kind], counter) == 0}
            inside = {
                f"{kind} in {name}": n for name, kinds in self.passed_over(counter).items() for kind, n in kinds.items()
            }
            found[counter] = own | inside
        return found

    def passed_over(self, counter: str) -> dict[str, Mapping[str, int]]:
        """Return node -> operator -> number of calls that the counter gives nothing for, inside users' modules."""
        return {node.name: node.uncounted[counter] for node in self.nodes if node.uncounted.get(counter)}

    @property
    def uncalled(self) -> tuple[str, ...]:
        """Return the layers of users' modules that have parameters and are not called as layers: `conv in z`."""
        return tuple(f"{layer} in {node.name}" for node in self.nodes for layer in node.uncalled)


def cost(graph: Graph) -> Cost:
    """Return the cost of a graph; what its output does not need is listed in `unread` and costs nothing.

    Raises InputError with the node of a user's module that cannot be counted.
    """
    return Cost(tuple(_node_cost(graph, node) for node in graph.nodes), unread_work(graph))


def unread_work(graph: Graph) -> tuple[str, ...]:
    """Return the nodes that nothing reads, and the operators pruned from nodes with some outputs unread."""
    pruned = []
    for node in graph.nodes:
        if node.pruned:
            kinds = Counter(leaf.kind for leaf in node.pruned)
            pruned.append(f"{node.name}: {', '.join(f'{n} {kind}' for kind, n in kinds.items())}")
    return (*graph.unread, *pruned)


def _node_cost(graph: Graph, node: Node) -> NodeCost:
    try:
        operators, calls = leaves_cost(node.leaves)
    except WiringError as error:
        raise InputError(Problem(f"{node.block}: {error}", node.name)) from error
    inputs = tuple(dict.fromkeys(graph.source_name(ref) for _, ref in node.reads))
    whole = tuple(dict.fromkeys(name.split(":")[0] for name in inputs))
    uncounted = {counter: uncounted_inside(node, counter) for counter in COUNTERS}
    uncalled = tuple(dict.fromkeys(layer for module in _modules(node) for layer in module.uncalled))
    count = total(operators.values())
    return NodeCost(node.name, node.block, whole, node.out_shapes, count, operators, calls, uncounted, uncalled)


def uncounted_inside(node: Node, counter: str) -> dict[str, int]:
    """Return the operators in a node's user modules that a counter gives nothing for, with their numbers of calls.

    Raises WiringError if a module cannot be counted.
    """
    found: Counter[str] = Counter()
    for module in _modules(node):
        found.update(module.uncounted[counter])
    return dict(sorted(found.items()))


def _modules(node: Node) -> list[ModuleCost]:
    return [module_cost(leaf.arguments, leaf.in_shapes) for leaf in node.leaves if leaf.kind == MODULE]


def module_cost(arguments: Arguments, in_shapes: tuple[Shape, ...]) -> ModuleCost:
    """Return the cost of a user's module. Raises WiringError if it cannot be counted."""
    from archlab.counting import modules  # it needs torch

    return modules.module_cost(arguments, in_shapes)


@lru_cache(maxsize=65536)
def leaves_cost(leaves: tuple[Leaf, ...]) -> tuple[dict[str, Count], dict[str, int]]:
    """Return the cost and the number of calls of a block's leaves by operator; remembered, since blocks repeat.

    A layer called several times holds its parameters once, and the paper's counter sees only its last call.
    """
    last_call = {leaf.scope: i for i, leaf in enumerate(leaves) if leaf.scope}
    first_call = {leaf.scope: i for i, leaf in reversed(list(enumerate(leaves))) if leaf.scope}
    counts = []
    for i, leaf in enumerate(leaves):
        count = leaf_cost(leaf.kind, leaf.arguments, leaf.in_shapes, leaf.out_shapes)
        paper = count.paper if last_call.get(leaf.scope, i) == i else 0
        params = count.params if first_call.get(leaf.scope, i) == i else 0
        counts.append((leaf.kind, Count(params, count.fvcore, paper, count.activations)))
    return _grouped(counts), dict(Counter(leaf.kind for leaf in leaves))


@lru_cache(maxsize=262144)
def leaf_cost(kind: str, arguments: Arguments, in_shapes: tuple[Shape, ...], out_shapes: tuple[Shape, ...]) -> Count:
    """Return the cost of one call of a leaf operator. Raises WiringError if it is a module that cannot be counted."""
    if kind == MODULE:
        return module_cost(arguments, in_shapes).count
    return RULES[kind](dict(arguments), in_shapes[0], out_shapes[0])


def _conv(a: Mapping[str, Any], x: Shape, y: Shape) -> Count:
    weights = y[0] * (x[0] // a["groups"]) * a["kernel"] ** 2
    bias = y[0] if a["bias"] else 0
    multiply_adds = weights * y[1] * y[2]
    return Count(weights + bias, multiply_adds, multiply_adds + bias * y[1] * y[2], prod(y))


def _deconv(a: Mapping[str, Any], x: Shape, y: Shape) -> Count:
    weights = x[0] * y[0] * a["kernel"] ** 2
    bias = y[0] if a["bias"] else 0
    multiply_adds = weights * x[1] * x[2]
    return Count(weights + bias, multiply_adds, multiply_adds + bias * y[1] * y[2], prod(y))


def _pool(a: Mapping[str, Any], x: Shape, y: Shape) -> Count:
    """The paper's counter has the global pool only, as C (H + 1) (W + 1); pooling to a larger size is a function."""
    return Count(fvcore=prod(x), paper=x[0] * (x[1] + 1) * (x[2] + 1) if a["size"] == (1, 1) else 0)


def _grid_pool(a: Mapping[str, Any], x: Shape, y: Shape) -> Count:
    """The paper's counter: C (h + 1) (w + 1) summed over the cells of h x w positions."""
    rows, columns = (sum(_cells(side, cells)) + cells for side, cells in zip(x[1:], y[1:], strict=True))
    return Count(fvcore=prod(x), paper=x[0] * rows * columns)


def _cells(side: int, cells: int) -> list[int]:
    """Return the lengths of the cells into which adaptive pooling cuts a side; they may overlap."""
    return [-(-(i + 1) * side // cells) - i * side // cells for i in range(cells)]


def _resize(a: Mapping[str, Any], x: Shape, y: Shape) -> Count:
    return Count(fvcore=prod(y) * (4 if a["mode"] == "bilinear" else 1))


def _upsample(a: Mapping[str, Any], x: Shape, y: Shape) -> Count:
    """The paper's counter omits the channels here."""
    return Count(fvcore=prod(y) * (4 if a.get("mode") == "bilinear" else 1), paper=y[1] * y[2])


FREE = Count()


def _free(a: Mapping[str, Any], x: Shape, y: Shape) -> Count:
    return FREE


RULES: dict[str, Callable[[Mapping[str, Any], Shape, Shape], Count]] = {
    "conv": _conv,
    "deconv": _deconv,
    "norm": lambda a, x, y: Count(2 * x[0], 2 * prod(x), 2 * prod(x)),
    "relu": lambda a, x, y: Count(paper=prod(y)),
    "relu6": lambda a, x, y: Count(paper=prod(y)),
    "leaky_relu": lambda a, x, y: Count(paper=prod(y)),
    "prelu": lambda a, x, y: Count(x[0], paper=prod(y)),
    "hswish": _free,
    "hswish_relu6": lambda a, x, y: Count(paper=prod(y)),
    "hsigmoid": _free,
    "hsigmoid_half": _free,
    "sigmoid": _free,
    "silu": _free,
    "pool": _pool,
    "max_pool": lambda a, x, y: Count(paper=a["kernel"] ** 2 * prod(y)),
    "avg_pool": lambda a, x, y: Count(paper=prod(a["kernel"]) * prod(y)),
    "grid_pool": _grid_pool,
    "upsample": _upsample,
    "resize": _resize,
    "split": _free,
    "concat": _free,
    "shuffle": _free,
    "add": _free,
    "multiply": _free,
    "mean": _free,
    "softmax": _free,
    "weighted_sum": lambda a, x, y: Count(fvcore=prod(x), activations=prod(y)),
}


def total(counts: Iterable[Count]) -> Count:
    """Return the sum of counts."""
    return Count(*map(sum, zip(Count(), *counts, strict=True)))


def _grouped(pairs: Iterable[tuple[str, Count]]) -> dict[str, Count]:
    grouped: dict[str, Count] = {}
    for name, count in pairs:
        grouped[name] = grouped.get(name, Count()) + count
    return grouped
