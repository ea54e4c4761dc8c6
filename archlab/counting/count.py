"""The cost of a graph: parameters, multiply-adds by two counters, activations.

A cost is a sum over leaf operators in evaluation mode. A leaf's cost follows from its arguments and shapes. For
archlab's operators, `RULES` has fvcore's rule and the paper's; tests compare them with fvcore's trace and the hooks of
the paper's counter, of every operator and of whole networks, to the unit. A user's `nn.Module` is traced once and
remembered (`archlab.counting.modules`); nothing else here needs torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

from archlab.blocks.wiring import Arguments, Leaf, Shape, WiringError
from archlab.core.errors import InputError, Problem
from archlab.counting.rules import RULES, Count, total
from archlab.network.graph import Graph, Node

if TYPE_CHECKING:
    from archlab.counting.modules import ModuleCost

COUNTERS = ("fvcore", "paper")
MEBI = 2**20  # the paper's "M"
GIBI = 2**30  # its "G", and that of HRNet's summary
MODULE = "module"
"""The operator of a user's module."""


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
    """The cost of a network in evaluation mode, in total and by node, stage and leaf operator.

    auxiliary_params: those of layers that auxiliary outputs alone need; no other figure counts these layers.
    """

    nodes: tuple[NodeCost, ...]
    unread: tuple[str, ...]
    auxiliary_params: int = 0

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
    nodes = tuple(_node_cost(graph, node) for node in graph.nodes)
    auxiliary = 0
    if graph.training:
        everything = total(total(leaves_cost(node.leaves)[0].values()) for node in graph.training.nodes)
        auxiliary = everything.params - total(node.count for node in nodes).params
    return Cost(nodes, unread_work(graph), auxiliary)


def unread_work(graph: Graph) -> tuple[str, ...]:
    """Return the nodes that nothing reads, and the operators pruned from nodes with some outputs unread."""
    pruned = []
    for node in (graph.training or graph).nodes:
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
        counts.append((leaf.kind, count._replace(params=params, paper=paper)))
    return _grouped(counts), dict(Counter(leaf.kind for leaf in leaves))


@lru_cache(maxsize=262144)
def leaf_cost(kind: str, arguments: Arguments, in_shapes: tuple[Shape, ...], out_shapes: tuple[Shape, ...]) -> Count:
    """Return the cost of one call of a leaf operator. Raises WiringError if it is a module that cannot be counted."""
    if kind == MODULE:
        return module_cost(arguments, in_shapes).count
    return RULES[kind](dict(arguments), in_shapes[0], out_shapes[0])


def _grouped(pairs: Iterable[tuple[str, Count]]) -> dict[str, Count]:
    grouped: dict[str, Count] = {}
    for name, count in pairs:
        grouped[name] = grouped.get(name, Count()) + count
    return grouped
