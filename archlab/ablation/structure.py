"""The structure table: the graphs of some networks, layer by layer, compared with the printed lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from archlab.ablation.study import Layer, Structure
from archlab.blocks.wiring import Leaf
from archlab.counting import count as counting
from archlab.counting.count import MEBI
from archlab.network.graph import Graph, Node, assemble
from archlab.network.load import load_at
from archlab.report.tables import EMPTY, Cell, Column, Table, TableSet


@dataclass(frozen=True)
class Built:
    """One line of one network. paper: multiply-adds by the paper's counter, before its division by 2^20."""

    shapes: tuple[tuple[int, ...], ...]
    repeat: int
    modules: int
    paper: int


Line = tuple[str, str]  # (layer, operator)


def structure_tables(study: Structure, plugin: Sequence[str] = ()) -> TableSet:
    """Return the printed lines computed from the graphs, the work that the paper's table omits, and the totals."""
    graphs = [
        assemble(load_at(row.spec, study.size, plugin=plugin, **{"outputs": study.outputs, **row.fields}))
        for row in study.rows
    ]
    found = [lines(graph, study.layers) for graph in graphs]
    body = [_printed_line(study, i, layer, found) for i, layer in enumerate(study.layers)]
    others = dict.fromkeys(line for each in found for line in each if not isinstance(line, int))
    body += [_other_line(study, line, found) for line in others]
    body += _totals(study, graphs)
    columns = [Column(name, align="l") for name in ("Layer", "Operator")]
    columns += [Column("Output size"), Column("Resolutions"), Column("Channels"), Column("Repeat")]
    columns += [Column(row.name, "Modules") for row in study.rows]
    columns += [Column(row.name, "MFLOPs, 2²⁰") for row in study.rows]
    heading = f"Layers at {study.size[0]}×{study.size[1]}, {study.outputs} heat-maps"
    table = Table(heading, tuple(columns), tuple(body), (_caption(study, found), *study.notes))
    return TableSet(study.name, study.title, study.source, (table,), tuple(_records(study, found)))


def lines(graph: Graph, layers: Sequence[Layer]) -> Mapping[int | Line, Built]:
    """Return what a graph has for each printed line (by its number), and for everything else (by stage and block)."""
    found: dict[int | Line, Built] = {}
    taken: set[int] = set()
    for i, layer in enumerate(layers):
        nodes = [node for node in graph.nodes if (node.stage, node.block) == (layer.layer, layer.block)]
        siblings = {other.scope for other in layers if (other.layer, other.block) == (layer.layer, layer.block)}
        if nodes:
            found[i] = _built(graph, nodes, layer.scope, siblings - {layer.scope})
            taken.update(map(id, nodes))
    rest: dict[Line, list[Node]] = {}
    for node in graph.nodes:
        if id(node) not in taken:
            rest.setdefault((node.stage, node.block.replace("_", " ")), []).append(node)
    return found | {line: _built(graph, nodes, "", set()) for line, nodes in rest.items()}


def _built(graph: Graph, nodes: Sequence[Node], scope: str, siblings: set[str]) -> Built:
    parts = [_part(node, scope, siblings) for node in nodes]
    modules = len({".".join(node.name.split(".")[:2]) for node in nodes})
    shapes = parts[0][-1].out_shapes if scope else nodes[0].out_shapes
    paper = sum(_count(graph, node, leaves) for node, leaves in zip(nodes, parts, strict=True))
    return Built(shapes, len(nodes) // modules, modules, paper)


def _part(node: Node, scope: str, siblings: set[str]) -> list[Leaf]:
    """Return the leaves of a block in `scope`; if empty, those in no sibling's scope."""
    if scope:
        return [leaf for leaf in node.leaves if leaf.scope.split(".")[0] == scope]
    return [leaf for leaf in node.leaves if leaf.scope.split(".")[0] not in siblings]


def _count(graph: Graph, node: Node, leaves: Iterable[Leaf]) -> int:
    alone = replace(node, leaves=tuple(leaves), inputs=())
    return counting.cost(replace(graph, nodes=(alone,))).flops["paper"]


def _printed_line(
    study: Structure, index: int, layer: Layer, found: Sequence[Mapping[int | Line, Built]]
) -> tuple[Cell, ...]:
    built = [each.get(index) for each in found]
    there = [each for each in built if each]
    cells = [Cell(layer.layer), Cell(layer.operator), Cell(_joined(_size(each) for each in there))]
    cells += [
        _compared(_joined(_resolutions(study, each) for each in there), _times(layer.resolutions)),
        _compared(_joined(_channels(each) for each in there), _commas(layer.channels)),
        _compared(_joined(str(each.repeat) for each in there), str(layer.repeat)),
    ]
    modules = [str(each.modules) if each else EMPTY for each in built]
    cells += [_compared(text, str(printed)) for text, printed in zip(modules, layer.modules, strict=True)]
    return (*cells, *(Cell(_mflops(each)) for each in built))


def _other_line(study: Structure, line: Line, found: Sequence[Mapping[int | Line, Built]]) -> tuple[Cell, ...]:
    built = [each.get(line) for each in found]
    there = [each for each in built if each]
    texts = [_size, lambda each: _resolutions(study, each), _channels]
    cells = [Cell(text) for text in line] + [Cell(_joined(text(each) for each in there)) for text in texts]
    cells[1] = Cell(line[1], "Not in the printed table.")
    return (*cells, *[Cell("")] * (1 + len(built)), *(Cell(_mflops(each)) for each in built))


def _totals(study: Structure, graphs: Sequence[Graph]) -> list[tuple[Cell, ...]]:
    costs = [counting.cost(graph) for graph in graphs]
    printed = [row.published for row in study.rows]
    flops = [f"{cost.flops['paper'] / MEBI:.2f}" for cost in costs], [_figure(p.mpii_mflops) for p in printed]
    params = [f"{cost.params / 1e6:.3f}" for cost in costs], [_figure(p.params_m) for p in printed]
    empty = [Cell("")] * (4 + len(graphs))
    named = (("Total", "counted"), flops[0]), (("Total", "printed"), flops[1])
    millions = (("Parameters, 10⁶", "counted"), params[0]), (("Parameters, 10⁶", "printed"), params[1])
    return [(Cell(what), Cell(how), *empty, *map(Cell, texts)) for (what, how), texts in (*named, *millions)]


def _caption(study: Structure, found: Sequence[Mapping[int | Line, Built]]) -> str:
    differ = sum(
        "printed" in cell.text for i, layer in enumerate(study.layers) for cell in _printed_line(study, i, layer, found)
    )
    verdict = "all are as printed" if not differ else f"{differ} differ, and both figures are shown"
    return (
        "All figures are computed from the graphs. Resolutions, channels, repeat and modules of the printed lines were "
        f"compared with the paper's: {verdict}. MFLOPs are for all modules of a layer together, by the paper's counter."
    )


def _records(study: Structure, found: Sequence[Mapping[int | Line, Built]]) -> Iterator[dict[str, Any]]:
    """Yield a record for each line of each network, with the printed figures in columns of their own."""
    for row, each in zip(study.rows, found, strict=True):
        for key, built in each.items():
            layer = study.layers[key] if isinstance(key, int) else None
            line = key if isinstance(key, tuple) else (study.layers[key].layer, study.layers[key].operator)
            values = {"network": row.name, "layer": line[0], "operator": line[1], "in_print": layer is not None}
            values |= {"height": built.shapes[0][1], "width": built.shapes[0][2],
                       "resolutions": " ".join(str(study.size[0] // shape[1]) for shape in built.shapes),
                       "channels": " ".join(str(shape[0]) for shape in built.shapes), "repeat": built.repeat,
                       "modules": built.modules, "paper_flops": built.paper}  # fmt: skip
            printed = layer.modules[study.rows.index(row)] if layer else None
            yield values | {"published_repeat": layer.repeat if layer else None, "published_modules": printed}


def _compared(text: str, printed: str) -> Cell:
    return Cell(text if text == printed else f"{text} (printed {printed})")


def _joined(texts: Iterable[str]) -> str:
    """Return one text if all networks agree, else all texts in order."""
    return " / ".join(dict.fromkeys(texts)) or EMPTY


def _size(built: Built) -> str:
    return f"{built.shapes[0][1]}×{built.shapes[0][2]}"


def _resolutions(study: Structure, built: Built) -> str:
    return _times(study.size[0] // shape[1] for shape in built.shapes)


def _channels(built: Built) -> str:
    return _commas(shape[0] for shape in built.shapes)


def _times(numbers: Iterable[int]) -> str:
    return " ".join(f"{n}×" for n in numbers)


def _commas(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def _mflops(built: Built | None) -> str:
    return f"{built.paper / MEBI:.2f}" if built else EMPTY


def _figure(value: float | None) -> str:
    return EMPTY if value is None else f"{value:.1f}"
