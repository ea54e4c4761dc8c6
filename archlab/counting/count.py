"""The cost of a graph: parameters, multiply-adds by two counters, activations. Only this file knows fvcore.

A cost is a sum over leaf operators in evaluation mode. A leaf's cost follows from its arguments and shapes. For
archlab's operators, `RULES` has fvcore's rule and the paper's; tests compare them with fvcore's trace of every operator
and of whole networks, to the unit. A user's `nn.Module` is traced once and remembered; nothing else here needs torch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from math import prod
from typing import Any, NamedTuple

from archlab.blocks.wiring import Arguments, Leaf, Shape
from archlab.network.graph import Graph, Node

COUNTERS = ("fvcore", "paper")
MEBI = 2**20  # the paper's "M"


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
    """The cost of a node of the graph. `out_shapes`: (C, H, W) of its outputs."""

    name: str
    op: str
    inputs: tuple[str, ...]
    out_shapes: tuple[Shape, ...]
    count: Count
    operators: Mapping[str, Count] = field(repr=False)
    calls: Mapping[str, int] = field(repr=False)

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
        """Return counter -> operator -> number of calls, for operators that the counter gives nothing for."""
        calls: Counter[str] = Counter()
        for node in self.nodes:
            calls.update(node.calls)
        silent = {c: [kind for kind in calls if getattr(self.operators[kind], c) == 0] for c in COUNTERS}
        return {counter: {kind: calls[kind] for kind in sorted(kinds)} for counter, kinds in silent.items()}


def cost(graph: Graph) -> Cost:
    """Return the cost of a graph; what its output does not need is listed in `unread` and costs nothing."""
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
    operators, calls = leaves_cost(node.leaves)
    inputs = tuple(dict.fromkeys(graph.source_name(ref) for _, ref in node.reads))
    whole = tuple(dict.fromkeys(name.split(":")[0] for name in inputs))
    return NodeCost(node.name, node.block, whole, node.out_shapes, total(operators.values()), operators, calls)


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
    """Return the cost of one call of a leaf operator."""
    if kind == "module":
        return _traced(arguments, in_shapes)
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


def _resize(a: Mapping[str, Any], x: Shape, y: Shape) -> Count:
    return Count(fvcore=prod(y) * (4 if a["mode"] == "bilinear" else 1))


FREE = Count()


def _free(a: Mapping[str, Any], x: Shape, y: Shape) -> Count:
    return FREE


RULES: dict[str, Callable[[Mapping[str, Any], Shape, Shape], Count]] = {
    "conv": _conv,
    "deconv": _deconv,
    "norm": lambda a, x, y: Count(2 * x[0], 2 * prod(x), 2 * prod(x)),
    "relu": lambda a, x, y: Count(paper=prod(y)),
    "relu6": lambda a, x, y: Count(paper=prod(y)),
    "hswish": _free,
    "hsigmoid": _free,
    "sigmoid": _free,
    "silu": _free,
    "pool": _pool,
    "max_pool": lambda a, x, y: Count(paper=a["kernel"] ** 2 * prod(y)),
    # The paper's counter omits the channels here.
    "upsample": lambda a, x, y: Count(fvcore=prod(y), paper=y[1] * y[2]),
    "resize": _resize,
    "split": _free,
    "concat": _free,
    "shuffle": _free,
    "add": _free,
    "multiply": _free,
}


def total(counts: Iterable[Count]) -> Count:
    """Return the sum of counts."""
    return Count(*map(sum, zip(Count(), *counts, strict=True)))


def _grouped(pairs: Iterable[tuple[str, Count]]) -> dict[str, Count]:
    grouped: dict[str, Count] = {}
    for name, count in pairs:
        grouped[name] = grouped.get(name, Count()) + count
    return grouped


def _traced(arguments: Arguments, in_shapes: tuple[Shape, ...]) -> Count:
    """Return fvcore's trace of a user's module in evaluation mode."""
    import torch

    keywords = dict(arguments)
    module = keywords.pop("factory")(**keywords).eval()  # type: ignore[operator]
    inputs = tuple(torch.zeros(1, *shape) for shape in in_shapes)
    params = sum(p.numel() for p in module.parameters())
    # One level deeper, as in a network: the paper's rules take work in the scope "" of the top for no layer's.
    holder = torch.nn.ModuleDict({"leaf": module})
    holder.forward = lambda *xs: holder["leaf"](*xs)
    flops, paper, activations = trace(holder, inputs)
    return Count(params, flops, paper, activations)


def trace(module: Any, inputs: tuple[Any, ...]) -> tuple[int, int, int]:
    """Trace a module at inputs; return fvcore's multiply-adds, the paper's count and fvcore's activations."""
    from fvcore.nn import ActivationCountAnalysis, FlopCountAnalysis

    def total(analysis: Any) -> int:
        return int(analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).total())

    paper = FlopCountAnalysis(module, inputs).clear_op_handles().set_op_handle(**paper_handlers())
    return total(FlopCountAnalysis(module, inputs)), total(paper), total(ActivationCountAnalysis(module, inputs))


def paper_handlers() -> dict[str, Callable[[list[Any], list[Any]], int]]:
    """Return the paper's rules as fvcore operator handlers, for one analysis whose own handlers are cleared.

    `analysis.clear_op_handles().set_op_handle(**paper_handlers())`

    The paper's tool keeps one count per layer, so only the last call of a layer counts: each call adds its count minus
    that of the call before. A layer is identified by its scope. Work outside any layer (scope "") counts in full,
    except upsampling, which the paper's tool does not see there.
    """
    before: dict[tuple[str, str], int] = {}

    def layer(operator: str, rule: Callable[[list[Any]], int], node: Any, values: list[Any]) -> int:
        now, scope = rule(values), node.scopeName()
        counted = now - before.get((scope, operator), 0)
        if scope:
            before[scope, operator] = now
        return counted

    def handler(operator: str) -> Callable[[list[Any], list[Any]], int]:
        rule = _HANDLERS[operator]
        return lambda inputs, outputs: layer(operator, rule, outputs[0].node(), [*inputs, *outputs])

    handlers = {operator: handler(operator) for operator in _HANDLERS}
    nearest = handlers["aten::upsample_nearest2d"]
    handlers["aten::upsample_nearest2d"] = lambda i, o: nearest(i, o) if o[0].node().scopeName() else 0
    return handlers


def _size(value: Any) -> list[int]:
    """Return the shape of a traced tensor, [] for None."""
    from fvcore.nn.jit_handles import get_shape

    return list(get_shape(value) or [])


def _traced_conv(v: list[Any]) -> int:
    x, weight, y = _size(v[0]), _size(v[1]), _size(v[-1])
    positions = x[2:] if v[6].toIValue() else y[2:]
    return prod(weight) * prod(positions) + (prod(y) if _size(v[2]) else 0)


def _traced_pool(v: list[Any]) -> int:
    x, y = _size(v[0]), _size(v[-1])
    return x[1] * (x[2] + 1) * (x[3] + 1) if y[2:] == [1, 1] else 0


def _traced_max_pool(v: list[Any]) -> int:
    kernel: list[int] = [k.toIValue() for k in v[1].node().inputs()]
    return prod(kernel) * prod(_size(v[-1]))


def _traced_output(v: list[Any]) -> int:
    return prod(_size(v[-1]))


_HANDLERS: dict[str, Callable[[list[Any]], int]] = {
    "aten::_convolution": _traced_conv,
    "aten::batch_norm": lambda v: 2 * _traced_output(v),
    "aten::relu": _traced_output,
    "aten::relu_": _traced_output,
    "aten::hardtanh": _traced_output,  # ReLU6
    "aten::hardtanh_": _traced_output,
    "aten::adaptive_avg_pool2d": _traced_pool,
    "aten::max_pool2d": _traced_max_pool,
    "aten::upsample_nearest2d": lambda v: prod(_size(v[-1])[2:]),
    "aten::linear": lambda v: _traced_output(v) * _size(v[0])[-1],
    "aten::addmm": lambda v: _traced_output(v) * _size(v[1])[-1],
    "aten::mm": lambda v: _traced_output(v) * _size(v[0])[-1],
    "aten::matmul": lambda v: _traced_output(v) * _size(v[0])[-1],
}
