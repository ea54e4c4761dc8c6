"""The pieces of a folded graph's drawing: what each shows, the rows it spans, and the shapes on its nets."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from archlab.blocks.wiring import Leaf, Shape
from archlab.counting.count import Cost
from archlab.network.graph import Graph, Ref
from archlab.report.drawing import layered
from archlab.report.drawing.fold import Folded, Step
from archlab.report.drawing.picture import NORMAL, SMALL, STRONG, Lines, Style, shortened, wrapped

STAGE = re.compile(r"stage\d+\.")
IMAGE: Ref = (-1, 0)


@dataclass(frozen=True)
class Piece:
    """The content of one cell: a step, one branch of a step, or, without a step, the start or end of the flow.

    paths: (input, output) pairs that depend on each other, by their positions.
    """

    step: Step | None
    lines: Lines
    rows: tuple[int, int]
    inputs: tuple[Ref, ...] = ()
    outputs: tuple[Ref, ...] = ()
    paths: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Flow:
    """Pieces with their columns. shapes, rows: of each net. labelled: the nets that show their shape."""

    pieces: tuple[Piece, ...]
    columns: tuple[int, ...]
    shapes: Mapping[Ref, Shape]
    rows: Mapping[Ref, int]
    labelled: frozenset[Ref]


def shape_text(shape: Shape) -> str:
    """Return `40x64x48`."""
    return "x".join(map(str, shape))


def has_stages(graph: Graph) -> bool:
    """Return whether nodes are in named stages, which get headers. Otherwise each node shows its own name."""
    return any(STAGE.match(node.name) for node in graph.nodes)


def share(part: int, whole: int) -> str:
    """Return a share in percent."""
    percent = 100 * part / whole if whole else 0
    if not part:
        return "0 %"
    return f"{percent:.1f} %" if percent >= 0.05 else "<0.1 %"


def flow_of(graph: Graph, drawn: Folded, cost: Cost) -> Flow:
    """Return the pieces in execution order, from the image to the network's output."""
    shapes = {IMAGE: graph.input}
    for step in drawn.steps:
        shapes |= {(step.index, k): step.node.out_shapes[k] for k in step.outputs}
    rows = _rows(drawn, shapes)
    pieces = [Piece(None, (("image", NORMAL),), (rows[IMAGE],) * 2, outputs=(IMAGE,))]
    for step in drawn.steps:
        pieces += _pieces(step, rows, _lines(graph, step, cost))
    pieces.append(Piece(None, (("output", NORMAL),), (rows[drawn.output],) * 2, inputs=(drawn.output,)))
    makers = {ref: i for i, piece in enumerate(pieces) for ref in piece.outputs}
    columns = layered.columns([p.rows for p in pieces], [[makers[ref] for ref in p.inputs] for p in pieces])
    labelled = {IMAGE} | {ref for step in drawn.steps if _changes(step, shapes) for ref in _made(step)}
    return Flow(tuple(pieces), tuple(columns), shapes, rows, frozenset(labelled))


def depends(leaves: tuple[Leaf, ...], inputs: int) -> dict[int, frozenset[int]]:
    """Return which of a block's inputs each of its values depends on."""
    on = {k: frozenset([k]) for k in range(inputs)}
    for leaf in leaves:
        joint = frozenset().union(*(on[value] for value in leaf.inputs))
        on |= dict.fromkeys(leaf.outputs, joint)
    return on


def _made(step: Step) -> list[Ref]:
    return [(step.index, k) for k in step.outputs]


def _changes(step: Step, shapes: Mapping[Ref, Shape]) -> bool:
    """Return whether a step's output shapes differ from its input shapes."""
    return {shapes[ref] for ref in _made(step)} != {shapes[ref] for _, ref in step.inputs}


def _rows(drawn: Folded, shapes: Mapping[Ref, Shape]) -> dict[Ref, int]:
    """Return a row for each net: one row per resolution, fine to coarse.

    An image whose resolution no other net has is in the row of the steps that read it.
    """
    sizes = sorted(
        {shape[1:] for ref, shape in shapes.items() if ref != IMAGE}, key=lambda size: (-size[0] * size[1], size)
    )
    row = {size: i for i, size in enumerate(sizes)}
    rows = {ref: row[shape[1:]] for ref, shape in shapes.items() if shape[1:] in row}
    if IMAGE not in rows:
        readers = [step for step in drawn.steps if any(ref == IMAGE for _, ref in step.inputs)]
        rows[IMAGE] = min((rows[ref] for step in readers for ref in _made(step)), default=0)
    return rows


def _pieces(step: Step, rows: Mapping[Ref, int], lines: Lines) -> Iterator[Piece]:
    on = depends(step.node.leaves, len(step.node.inputs))
    values = {k: step.node.wired.outputs[k] for k in step.outputs}
    for inputs, outputs in _branches(step, on, values):
        refs = tuple(ref for _, ref in inputs)
        made = tuple((step.index, k) for k in outputs)
        met = made if len(made) == len(refs) == 1 else (*made, *refs)
        reach = sorted(rows[ref] for ref in met)
        paths = [(i, o) for o, k in enumerate(outputs) for i, (n, _) in enumerate(inputs) if n in on[values[k]]]
        yield Piece(step, lines, (reach[0], reach[-1]), refs, made, tuple(paths))


def _branches(
    step: Step, on: Mapping[int, frozenset[int]], values: Mapping[int, int]
) -> list[tuple[tuple[tuple[int, Ref], ...], tuple[int, ...]]]:
    """Return (inputs, outputs) of each piece: one piece per map if a block treats maps separately, else one for all."""
    sources = [on[values[k]] for k in step.outputs]
    single = all(len(source) == 1 for source in sources) and len(set(sources)) == len(sources) == len(step.inputs)
    worked = all(value >= len(step.node.inputs) for value in values.values())
    if not (single and worked):
        return [(step.inputs, step.outputs)]
    given = {k: (k, ref) for k, ref in step.inputs}
    return [((given[next(iter(source))],), (k,)) for source, k in zip(sources, step.outputs, strict=True)]


def _lines(graph: Graph, step: Step, cost: Cost) -> Lines:
    """Return the block's name, its number of repeats and, without stages, the node's name and share of the FLOPs."""
    lines: list[tuple[str, Style]] = [
        (line, NORMAL) for line in wrapped(shortened(step.node.block.replace("_", " "), 40), 11)
    ]
    if step.count > 1:
        lines.append((f"× {step.count}", STRONG))
    if not has_stages(graph):
        name = step.node.name.rsplit(".", 1)[0] if step.count > 1 else step.node.name
        lines.append((shortened(name, 20), Style(SMALL.size, italic=True)))
        flops = cost.nodes[step.index].count.paper * step.count
        lines += [(f"{share(flops, cost.flops['paper'])} FLOPs", SMALL)] if flops else []
    return tuple(lines)
