"""A network's cost as a table for a terminal and as one JSON object."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table

from archlab.counting.count import COUNTERS, GIBI, MEBI, Cost, NodeCost
from archlab.counting.rules import Count
from archlab.network.graph import Graph

FEW = 4
"""The largest number of nodes that a remark lists."""


def as_json(graph: Graph, cost: Cost) -> dict[str, Any]:
    """Return what `archlab build --json` prints; `flops` are multiply-adds, the paper's before its division by 2^20."""
    return {
        "name": graph.name,
        "hash": graph.hash,
        "input": list(graph.input),
        "outputs": graph.outputs,
        "params": cost.params,
        "auxiliary_params": cost.auxiliary_params,
        "flops": cost.flops,
        "summary": cost.total.summary,
        "activations": cost.activations,
        "nodes": [
            {
                "name": node.name,
                "op": node.op,
                "inputs": list(node.inputs),
                "out_shapes": [list(shape) for shape in node.out_shapes],
                "params": node.params,
                "flops": node.flops,
            }
            for node in cost.nodes
        ],
        "operators": {
            kind: {"params": count.params, "flops": count.flops} for kind, count in sorted(cost.operators.items())
        },
        "uncounted": cost.uncounted,
        "uncalled": list(cost.uncalled),
        "unread": list(cost.unread),
    }


def as_table(graph: Graph, cost: Cost) -> Table:
    """Return the cost by stage and in total."""
    title = f"{graph.name}  {_size(graph.input)} -> {_size(cost.nodes[-1].out_shapes[0])}"
    table = Table(title=title, title_style="bold", title_justify="left", show_footer=True)
    total = cost.total
    table.add_column("stage", "total")
    table.add_column("nodes", str(len(cost.nodes)), justify="right")
    table.add_column("output", "")
    for name, footer in zip(_HEADERS, _row(total, total), strict=True):
        table.add_column(name, footer, justify="right")
    stages: dict[str, list[NodeCost]] = {}
    for node in cost.nodes:
        stages.setdefault(node.stage, []).append(node)
    for stage, count in cost.stages.items():
        nodes = stages[stage]
        table.add_row(stage, str(len(nodes)), " ".join(map(_size, nodes[-1].out_shapes)), *_row(count, total))
    return table


_HEADERS = ("params", "share", "fvcore MFLOPs", "paper MFLOPs", "activations")


def _row(count: Count, total: Count) -> list[str]:
    share = f"{100 * count.paper / total.paper:.1f} %" if total.paper else "-"
    flops = [f"{count.fvcore / 1e6:.2f}", f"{count.paper / MEBI:.2f}"]
    return [f"{count.params:,}", share, *flops, f"{count.activations:,}"]


def remarks(graph: Graph, cost: Cost) -> list[str]:
    """Return the lines below the table: units, what the counters leave out, and the hash."""
    return [
        "FLOPs are multiply-adds in evaluation mode; fvcore's M is 10^6, the paper's 2^20; share is of the paper's.",
        f"HRNet's summary, convolutions alone: {cost.total.summary / GIBI:.3f} G; its G is 2^30.",
        *(f"{counter} counts nothing for {_calls(cost, counter)}." for counter in COUNTERS if cost.uncounted[counter]),
        *_uncalled(cost),
        *_auxiliary(graph, cost),
        *(f"unread, left out: {work}" for work in cost.unread),
        f"hash {graph.hash}",
    ]


def _calls(cost: Cost, counter: str) -> str:
    """Return `relu (2), softmax in z (1)`: operators, those inside users' modules with their nodes, and calls."""
    inside = cost.passed_over(counter)
    named = {f"{kind} in {name}" for name, kinds in inside.items() for kind in kinds}
    own = {kind: n for kind, n in cost.uncounted[counter].items() if kind not in named}
    return ", ".join(f"{kind} ({n})" for kind, n in {**own, **by_operator(inside)}.items())


def by_operator(inside: Mapping[str, Mapping[str, int]]) -> dict[str, int]:
    """Return `softmax in a, b` -> number of calls for each operator, given node -> operator -> number of calls."""
    kinds = sorted({kind for kinds in inside.values() for kind in kinds})
    nodes = {kind: [name for name, kinds in inside.items() if kind in kinds] for kind in kinds}
    return {f"{kind} in {_few(nodes[kind])}": sum(inside[name][kind] for name in nodes[kind]) for kind in kinds}


def _uncalled(cost: Cost) -> list[str]:
    if not cost.uncalled:
        return []
    return [f"never called as layers, so that the paper's counter does not see them: {_few(cost.uncalled)}."]


def _auxiliary(graph: Graph, cost: Cost) -> list[str]:
    names = [each.name for each in graph.spec.auxiliary] if graph.spec else []
    return [f"in training alone: {', '.join(names)}, {cost.auxiliary_params:,} params more."] if names else []


def _few(names: Sequence[str]) -> str:
    """Return the names, of more than FEW the first ones and how many others there are."""
    return ", ".join(names) if len(names) <= FEW else f"{', '.join(names[: FEW - 1])} and {len(names) - FEW + 1} more"


def _size(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
