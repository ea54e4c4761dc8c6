"""The block graph as a picture: one row per resolution, columns in flow order, stages under their headers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from archlab.counting.count import Cost
from archlab.network.graph import Graph, Ref
from archlab.report.drawing.across import Spacing
from archlab.report.drawing.bands import breaks, broken
from archlab.report.drawing.flow import Flow, Piece, flow_of, has_stages, shape_text, share
from archlab.report.drawing.fold import Folded, Repeat, fold, unfolded
from archlab.report.drawing.layered import Arrangement, Cell, Pin, arrange
from archlab.report.drawing.palette import PALE, WHITE, block_fills
from archlab.report.drawing.picture import (
    GREY,
    SMALL,
    STRONG,
    Box,
    Line,
    Lines,
    Picture,
    Style,
    Text,
    block_size,
    centred,
    joined,
    set_lines,
    text_width,
    total,
)
from archlab.report.drawing.routing import Layout, route

WIDTH = 1160.0  # at a display width of 1000 pixels, the smallest type is 9 pixels high
EXCHANGES = {"fusion", "transition"}  # drawn with the paths between their resolutions
SPACING = Spacing()
LEVEL = 20.0  # height of a row of brackets
LABEL = Style(11, colour=GREY)
MARGIN = 8.0


@dataclass(frozen=True)
class Header:
    """The lines above a group of columns. members: the nodes in these columns."""

    lines: Lines
    members: frozenset[int]


@dataclass(frozen=True)
class Chosen:
    """A graph in the form to be drawn: one flow per line."""

    drawn: Folded
    flows: tuple[Flow, ...]


def overview(graph: Graph, cost: Cost, chosen: Chosen) -> Picture:
    """Return the picture of a graph in its chosen form, line below line."""
    headers = _headers(graph, cost)
    fills = block_fills(node.block for node in graph.nodes)
    placed, y = [], 0.0
    for flow in chosen.flows:
        line = _line(flow, chosen.drawn.repeats, headers, fills)
        placed.append(line.moved(0, y))
        y += line.height + 26
    return joined(placed)


def choose(graph: Graph, cost: Cost) -> Chosen:
    """Return the least folded form that fits on one line; if none fits, the most folded form on several lines."""
    whole, headers = unfolded(graph), _headers(graph, cost)
    for drawn in (whole, fold(whole, singles=False), fold(whole, singles=True)):
        flow = flow_of(graph, drawn, cost)
        layout = _layout(flow, headers)[1]
        if layout.length + 2 * MARGIN <= WIDTH:
            return Chosen(drawn, (flow,))
    tied = [header.members for header in headers] + [frozenset(repeat.members) for repeat in drawn.repeats]
    ties = Counter(column for members in tied for column in _columns(flow, members)[1:])
    return Chosen(drawn, tuple(_evenly_broken(flow, layout, ties, headers)))


def _evenly_broken(flow: Flow, layout: Layout, ties: Mapping[int, int], headers: Sequence[Header]) -> list[Flow]:
    """Return the flow in the fewest lines that fit the width, as even in length as possible."""
    best: list[Flow] = []
    for limit in range(int(WIDTH), 100, -10):
        lines = broken(flow, breaks(layout.columns, ties, limit))
        if best and len(lines) > len(best):
            break
        if not best and limit > 200 and any(_layout(line, headers)[1].length + 2 * MARGIN > WIDTH for line in lines):
            continue
        best = lines
    return best


def _headers(graph: Graph, cost: Cost) -> tuple[Header, ...]:
    """Return a header for each stage: its name and its shares of the parameters and of the paper's FLOPs."""
    if not has_stages(graph):
        return ()
    headers = []
    for stage, count in cost.stages.items():
        members = frozenset(i for i, node in enumerate(graph.nodes) if node.stage == stage)
        name = stage.replace("stage", "stage ") if stage != "last" else "last layer"
        shares = f"{share(count.params, cost.params)} params", f"{share(count.paper, cost.flops['paper'])} FLOPs"
        headers.append(Header(((name, STRONG), *((share, SMALL) for share in shares)), members))
    return tuple(headers)


def _columns(flow: Flow, members: frozenset[int]) -> range:
    """Return the columns from the first to the last of the nodes; empty if none is in this flow."""
    at = [c for piece, c in zip(flow.pieces, flow.columns, strict=True) if piece.step and piece.step.index in members]
    return range(min(at), max(at) + 1) if at else range(0)


def _layout(flow: Flow, headers: Sequence[Header]) -> tuple[Arrangement, Layout]:
    plan = arrange([_cell(flow, piece, column) for piece, column in zip(flow.pieces, flow.columns, strict=True)])
    labels = {_name(ref): _label_size(flow, ref) for ref in flow.labelled}
    least: dict[int, float] = {}
    for header in headers:
        columns = _columns(flow, header.members)
        if columns:
            rest = SPACING.gap * (len(columns) - 1) + total(_length(plan, c) for c in columns[1:])
            least[columns[0]] = block_size(header.lines)[0] + 2 - rest
    return plan, route(plan, labels, SPACING, least)


def _length(plan: Arrangement, column: int) -> float:
    return max(cell.length for cell in plan.cells if cell.column == column)


def _label_size(flow: Flow, ref: Ref) -> tuple[float, float]:
    return text_width(shape_text(flow.shapes[ref]), LABEL.size), LABEL.size


def _name(ref: Ref) -> str:
    return f"{ref[0]}:{ref[1]}"


def _cell(flow: Flow, piece: Piece, column: int) -> Cell:
    width, height = block_size(piece.lines)
    span = piece.rows[1] - piece.rows[0]
    if _is_exchange(piece):
        breadth, width = max(44.0, 2 * height + 12), max(width, 48.0)  # its text is above its first line
    elif piece.step:
        breadth = max(44.0, height + 12 - span * 62)
    else:
        breadth = 26.0
    ins = tuple(Pin(_name(ref), flow.rows[ref]) for ref in piece.inputs)
    outs = tuple(Pin(_name(ref), flow.rows[ref]) for ref in piece.outputs)
    breadth = max(breadth, SPACING.pin * (len(ins) + 2) if span == 0 and len(ins) > 1 else 0)
    length = max(breadth, width + 14) if piece.step else max(breadth, width + (14 if len(piece.lines[0][0]) > 1 else 8))
    return Cell(column, piece.rows, length, breadth, ins, outs)


def _is_exchange(piece: Piece) -> bool:
    return piece.step is not None and piece.step.node.block in EXCHANGES and piece.rows[0] < piece.rows[1]


def _line(flow: Flow, repeats: Sequence[Repeat], headers: Sequence[Header], fills: Mapping[str, str]) -> Picture:
    """Return one line of the drawing: headers and brackets above pieces and nets."""
    layout = _layout(flow, headers)[1]
    here = [header for header in headers if _columns(flow, header.members)]
    brackets = [repeat for repeat in repeats if _columns(flow, frozenset(repeat.members))]
    depth = max((_depth(repeat, brackets) for repeat in brackets), default=0)
    top = max((block_size(header.lines)[1] + 14 for header in here), default=0) + LEVEL * depth
    height = top + layout.breadth + MARGIN
    parts = [
        *(_stage(flow, layout, header, height) for header in here),
        *(_bracket(flow, layout, repeat, top - LEVEL * _depth(repeat, brackets)) for repeat in brackets),
        _body(flow, layout, fills).moved(0, top),
    ]
    return joined([*(part.moved(MARGIN, 0) for part in parts), Picture(layout.length + 2 * MARGIN, height)])


def _depth(repeat: Repeat, repeats: Sequence[Repeat]) -> int:
    """Return the nesting depth of a group: 1 if it contains no other group."""
    inner = [other for other in repeats if set(other.members) < set(repeat.members)]
    return 1 + max((_depth(other, inner) for other in inner), default=0)


def _stage(flow: Flow, layout: Layout, header: Header, height: float) -> Picture:
    """Return a pale panel behind a stage's columns, with the header at the top."""
    columns = _columns(flow, header.members)
    left, right = layout.columns[columns[0]][0] - 7, layout.columns[columns[-1]][1] + 7
    panel = Box(left, 0, right - left, height, PALE, "panel", stroke="none")
    return Picture(right, height, (panel,), (), tuple(set_lines(header.lines, (left + right) / 2, 6)))


def _bracket(flow: Flow, layout: Layout, repeat: Repeat, y: float) -> Picture:
    """Return a bracket over the columns of a folded group, with the number of copies in a gap in its middle."""
    columns = _columns(flow, frozenset(repeat.members))
    left, right = layout.columns[columns[0]][0], layout.columns[columns[-1]][1]
    text = f"× {repeat.count}"
    half = text_width(text, STRONG.size, bold=True) / 2 + 4
    middle, rail, feet = (left + right) / 2, y + 8, y + 15
    halves = (
        ((left, feet), (left, rail), (middle - half, rail)),
        ((middle + half, rail), (right, rail), (right, feet)),
    )
    lines = tuple(Line(points, "bracket", colour=GREY) for points in halves)
    return Picture(right, feet, (), lines, (Text(middle, rail + 4.5, text, STRONG.size, True, anchor="middle"),))


def _body(flow: Flow, layout: Layout, fills: Mapping[str, str]) -> Picture:
    """Return the pieces, nets and shape labels."""
    wires = tuple(Line(wire.points, wire.net, arrow=True) for wire in layout.wires)
    shapes = {_name(ref): shape_text(shape) for ref, shape in flow.shapes.items()}
    labels = tuple(Text(u, v, shapes[net], LABEL.size, colour=LABEL.colour) for net, (u, v) in layout.labels.items())
    pieces = [_piece(piece, layout, i, fills) for i, piece in enumerate(flow.pieces)]
    return joined([Picture(layout.length, layout.breadth, (), wires, labels), *pieces])


def _piece(piece: Piece, layout: Layout, i: int, fills: Mapping[str, str]) -> Picture:
    span = layout.cells[i]
    width, height = span.u1 - span.u0, span.v1 - span.v0
    if piece.step is None:
        box = Box(span.u0, span.v0, width, height, WHITE, "terminal", stroke=GREY, radius=height / 2)
    else:
        box = Box(span.u0, span.v0, width, height, fills[piece.step.node.block])
    if not _is_exchange(piece):
        return Picture(span.u1, span.v1, (box,), (), tuple(centred(piece.lines, box.centre)))
    ways = [(layout.in_pins[i][k], layout.out_pins[i][o]) for k, o in piece.paths]
    inner = tuple(
        Line(((span.u0, a), (span.u0 + 8, a), (span.u1 - 8, b), (span.u1, b)), f"{i}", inner=True) for a, b in ways
    )
    return Picture(span.u1, span.v1, (box,), inner, tuple(set_lines(piece.lines, box.centre[0], span.v0 + 2)))
