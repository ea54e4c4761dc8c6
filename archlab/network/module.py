"""A graph as an `nn.Module`: leaves are named submodules that a plain loop runs in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from archlab.blocks.wiring import Leaf
from archlab.network import layers
from archlab.network.graph import Graph, Node, assemble, output_values
from archlab.network.layers import HalfHardSigmoid, HardSwish6, PooledTo
from archlab.network.pointwise import Pointwise
from archlab.network.spec import Initialisation
from archlab.network.steps import Laid, Operator, lay_steps, operators_of, run_steps, steps_of


class Network(nn.Module):
    """Runs a graph: (N, C, H, W) to (N, outputs, H', W').

    In training mode a graph for training gives a list: this map, then one for each auxiliary output. Every leaf with
    state and every activation is a submodule under `node.scope`. A value is dropped after its last reader has run.
    graph: the graph that it was built from.
    join: run a concatenation and the shuffle after it as one operator.
    leaves: returns what runs of a node.
    """

    def __init__(self, graph: Graph, *, join: bool = True) -> None:
        super().__init__()
        self.graph = graph
        self.leaves = joined if join else leaves_of
        laid, slots = lay_steps(graph, self.leaves)
        self._slots, self._outputs = len(slots), [slots[value] for value in output_values(graph)]
        named = [attached(self, each, lambda name, leaf: MODULES[leaf.kind](leaf)) for each in laid]
        self._steps = steps_of(named, laid, self._outputs)
        self._operators: list[Operator] | None = None
        initialise(self, graph.initialisation)

    def forward(self, image: Tensor) -> Any:
        if self._operators is None:
            self._operators = operators_of(self, self._steps)
        values = run_steps(self._operators, self._steps, self._slots, image, every=self.training)
        if self.training and len(self._outputs) > 1:
            return [values[slot] for slot in self._outputs]
        result = values[self._outputs[0]]
        assert isinstance(result, Tensor)
        return result

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_operators": None}


def attached(root: nn.Module, step: Laid, make: Callable[[str, Leaf], nn.Module]) -> str | Operator:
    """Return the name of a step's submodule, or a function without state.

    make: returns the submodule of a name, which is added to `root` if it is new.
    """
    leaf = step.leaf
    if leaf.kind == INTERLEAVE:
        return interleave
    if leaf.kind in FUNCTIONS:
        return FUNCTIONS[leaf.kind](leaf)
    whole = layer_name(step.node, leaf)
    *parents, name = whole.split(".")
    parent = root
    for part in parents:
        if part not in parent._modules:
            parent.add_module(part, nn.Module())
        parent = parent.get_submodule(part)
    if name not in parent._modules:
        parent.add_module(name, make(whole, leaf))
    return whole


def free_name(name: str) -> str:
    """Return a submodule's name that is not a method or field of a module: `half_` for a node called `half`."""
    return f"{name}_" if hasattr(nn.Module, name) or name in {"graph", "training"} else name


def auxiliary_layers(graph: Graph) -> frozenset[str]:
    """Return the names of the layers that auxiliary outputs alone need, of a graph or of its graph for training."""
    main = _layers(assemble(graph.spec)) if graph.auxiliary and graph.spec else _layers(graph)
    return _layers(graph.training or graph) - main


def _layers(graph: Graph) -> frozenset[str]:
    return frozenset(layer_name(node.name, leaf) for node in graph.nodes for leaf in node.leaves if leaf.scope)


def layer_name(node: str, leaf: Leaf) -> str:
    """Return the name of a leaf's submodule."""
    return ".".join(free_name(part) for part in f"{node}.{leaf.scope}".split("."))


def build(graph: Graph, *, join: bool = True) -> Network:
    """Return a network in training mode, with weights drawn from torch's global generator."""
    return Network(graph, join=join)


def initialise(network: nn.Module, how: Initialisation) -> None:
    """Draw convolutions from N(0, std), with bias 0; norms keep 1 and 0, other layers their class's initialisation.

    With `torch` every layer keeps its class's initialisation.
    """
    if how.weights == "torch":
        return
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | layers.DynamicConv):
            nn.init.normal_(module.weight, std=how.std)
            bias = getattr(module, "bias", None)
            if bias is not None:
                nn.init.zeros_(bias)


INTERLEAVE = "interleave"


def leaves_of(node: Node) -> Sequence[Leaf]:
    return node.leaves


def joined(node: Node) -> list[Leaf]:
    """Return a node's leaves, with each concatenation of equal maps and its shuffle in as many groups as one leaf.

    A shuffled concatenation copies every element twice, interleaving the maps copies it once. A concatenation that
    anything else reads stays.
    """
    readers = Counter(number for leaf in node.leaves for number in leaf.inputs)
    readers.update(node.wired.outputs)
    makers = {leaf.outputs[0]: leaf for leaf in node.leaves if leaf.kind == "concat"}
    found = {}
    for leaf in node.leaves:
        concat = makers.get(leaf.inputs[0]) if leaf.kind == "shuffle" else None
        if concat and readers[concat.outputs[0]] == 1 and concat.in_shapes == concat.in_shapes[:1] * leaf["groups"]:
            found[concat.outputs[0]] = replace(concat, kind=INTERLEAVE, outputs=leaf.outputs)
    leaves = [leaf for leaf in node.leaves if leaf.kind != "concat" or leaf.outputs[0] not in found]
    return [found.get(leaf.inputs[0], leaf) if leaf.kind == "shuffle" else leaf for leaf in leaves]


def interleave(*xs: Tensor) -> Tensor:
    """Channel i of map g goes to i * len(xs) + g: a shuffled concatenation in one copy, in the maps' memory format."""
    if xs[0].is_contiguous():
        return torch.stack(xs, dim=2).flatten(1, 2)
    return torch.stack([x.permute(0, 2, 3, 1) for x in xs], dim=4).flatten(3, 4).permute(0, 3, 1, 2)


def shuffle(x: Tensor, groups: int) -> Tensor:
    """Channel g * n + i goes to i * groups + g."""
    n, c, h, w = x.shape
    return x.view(n, groups, c // groups, h, w).transpose(1, 2).reshape(n, c, h, w)


def add(xs: Sequence[Tensor], scales: Sequence[int]) -> Tensor:
    """sum_k scales_k x_k."""
    total = xs[0] if scales[0] == 1 else xs[0] * scales[0]
    for x, scale in zip(xs[1:], scales[1:], strict=True):
        total = torch.add(total, x, alpha=scale)
    return total


def _conv(leaf: Leaf) -> nn.Module:
    how = leaf["kernel"], leaf["stride"], leaf["padding"], leaf["dilation"], leaf["groups"]
    layer = Pointwise if how == (1, 1, 0, 1, 1) else nn.Conv2d
    return layer(leaf.in_shapes[0][0], leaf.out_shapes[0][0], *how, leaf["bias"])


def _deconv(leaf: Leaf) -> nn.Module:
    return nn.ConvTranspose2d(leaf.in_shapes[0][0], leaf.out_shapes[0][0], leaf["kernel"], leaf["stride"],
                              leaf["padding"], leaf["output_padding"], bias=leaf["bias"])  # fmt: skip


def _dynamic_conv(leaf: Leaf) -> nn.Module:
    shape = leaf["kernels"], leaf.out_shapes[0][0], leaf.in_shapes[0][0] // leaf["groups"], leaf["kernel"]
    return layers.DynamicConv(shape, stride=leaf["stride"], padding=leaf["padding"], groups=leaf["groups"])


def _resize(leaf: Leaf) -> Operator:
    size, mode = leaf["size"], leaf["mode"]
    corners = leaf.get("corners", True) if mode == "bilinear" else None
    return lambda x: F.interpolate(x, size=size, mode=mode, align_corners=corners)


def _pool(leaf: Leaf) -> nn.Module:
    return nn.AdaptiveAvgPool2d(1) if leaf["size"] == (1, 1) else PooledTo(leaf["size"])


def _max_pool(leaf: Leaf) -> nn.Module:
    kind = nn.MaxPool2d if leaf.get("layer", True) else layers.MaxPoolFunction
    return kind(leaf["kernel"], leaf["stride"], leaf["padding"])


def _upsample(leaf: Leaf) -> nn.Module:
    mode = leaf.get("mode", "nearest")
    return nn.Upsample(scale_factor=leaf["factor"], mode=mode, align_corners=None if mode == "nearest" else True)


def _module(leaf: Leaf) -> nn.Module:
    arguments = dict(leaf.arguments)
    made = arguments.pop("factory")(**arguments)  # type: ignore[operator]
    assert isinstance(made, nn.Module)
    return made


MODULES: dict[str, Callable[[Leaf], nn.Module]] = {
    "conv": _conv,
    "deconv": _deconv,
    "norm": lambda leaf: nn.BatchNorm2d(leaf.in_shapes[0][0], eps=leaf["eps"], momentum=leaf["momentum"]),
    "relu": lambda leaf: nn.ReLU(),
    "relu6": lambda leaf: nn.ReLU6(),
    "leaky_relu": lambda leaf: nn.LeakyReLU(),
    "prelu": lambda leaf: nn.PReLU(leaf.in_shapes[0][0]),
    "hswish": lambda leaf: nn.Hardswish(),
    "hswish_relu6": lambda leaf: HardSwish6(),
    "hsigmoid": lambda leaf: nn.Hardsigmoid(),
    "hsigmoid_half": lambda leaf: HalfHardSigmoid(),
    "sigmoid": lambda leaf: nn.Sigmoid(),
    "silu": lambda leaf: nn.SiLU(),
    "pool": _pool,
    "max_pool": _max_pool,
    "avg_pool": lambda leaf: nn.AvgPool2d(leaf["kernel"], leaf["stride"], leaf["padding"]),
    "grid_pool": lambda leaf: (nn.AdaptiveAvgPool2d if leaf.get("layer", True) else PooledTo)(leaf["grid"]),
    "upsample": _upsample,
    "layer_norm": lambda leaf: layers.ChannelNorm(leaf.in_shapes[0][0]),
    "learned_scale": lambda leaf: layers.LearnedScale(leaf["axis"], leaf["length"]),
    "dynamic_conv": _dynamic_conv,
    "module": _module,
}
FUNCTIONS: dict[str, Callable[[Leaf], Operator]] = {
    "resize": _resize,
    "split": lambda leaf: lambda x, widths=leaf["widths"]: x.split(widths, dim=1),
    "concat": lambda leaf: lambda *xs: torch.cat(xs, dim=1),
    "shuffle": lambda leaf: lambda x, groups=leaf["groups"]: shuffle(x, groups),
    "add": lambda leaf: lambda *xs, scales=leaf["scales"]: add(xs, scales),
    "multiply": lambda leaf: torch.mul,
    "mean": lambda leaf: partial(layers.mean, axis=leaf["axis"]),
    "softmax": lambda leaf: partial(layers.softmax, axis=leaf["axis"], temperature=leaf["temperature"]),
    "weighted_sum": lambda leaf: partial(layers.weighted_sum, axis=leaf["axis"]),
    "weighted_runs": lambda leaf: partial(layers.weighted_runs, size=leaf["size"]),
    "dynamic_relu": lambda leaf: layers.dynamic_relu,
}
