"""Where the time of a forward pass goes, by block and by operator: every operator of a network, timed in place."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from archlab.blocks.wiring import Leaf
from archlab.core.device import placed, using_threads
from archlab.counting.count import leaves_cost
from archlab.deploy.bench.measure import network_of
from archlab.deploy.bench.parts import Part
from archlab.network.graph import Graph
from archlab.network.module import INTERLEAVE, joined


def profile(graph: Graph, *, threads: int = 1, batch: int = 1, rounds: int = 15) -> list[Part]:
    """Return the time of every operator of a network on the CPU, eager and channels last.

    An operator's time is the least of some passes, taken in place: its inputs are where the pass left them.
    """
    network = network_of(graph)
    placed(network, torch.device("cpu"))
    leaves = [(node, leaf) for node in graph.nodes for leaf in joined(node)]
    images = torch.randn(batch, *graph.input).contiguous(memory_format=torch.channels_last)
    least = [float("inf")] * len(leaves)
    with using_threads(threads), torch.inference_mode():
        network(images)
        steps = [step for step in network._steps if step[4]]
        assert len(steps) == len(leaves)
        assert network._operators is not None
        operators = [run for run, step in zip(network._operators, network._steps, strict=True) if step[4]]
        for _ in range(rounds):
            _pass(operators, steps, images, least)
    return [
        Part(node.name, node.block, operator_name(leaf), 1e3 * seconds, macs_of(leaf))
        for (node, leaf), seconds in zip(leaves, least, strict=True)
    ]


def _pass(operators: Sequence[Callable[..., Any]], steps: Sequence[Any], images: Tensor, least: list[float]) -> None:
    """Run all operators once, and lower the least time of each."""
    values: dict[int, Any] = {0: images}
    for i, (run, (_, sources, targets, finished, _)) in enumerate(zip(operators, steps, strict=True)):
        given = [values[s] for s in sources]
        start = time.perf_counter()
        made = run(*given)
        least[i] = min(least[i], time.perf_counter() - start)
        values.update(zip(targets, [made] if len(targets) == 1 else made, strict=True))
        for slot in finished:
            del values[slot]


def macs_of(leaf: Leaf) -> int:
    """Return an operator's multiply-adds by fvcore's counter."""
    return 0 if leaf.kind == INTERLEAVE else sum(count.fvcore for count in leaves_cost((leaf,))[0].values())


def operator_name(leaf: Leaf) -> str:
    """Return an operator's name, a convolution's with its kernel and whether it works on channels apart."""
    if leaf.kind != "conv":
        return leaf.kind
    kernel, (channels, *sides) = leaf["kernel"], leaf.in_shapes[0]
    kind = "depthwise " if leaf["groups"] == channels > 1 else ""
    return f"{kind}conv {kernel}x{kernel}{' on 1x1 maps' if sides == [1, 1] else ''}"
