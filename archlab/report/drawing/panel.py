"""The picture of a block's inside, from top to bottom, in a frame with its name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from archlab.report.drawing import layered
from archlab.report.drawing.across import Spacing
from archlab.report.drawing.flow import shape_text
from archlab.report.drawing.inside import BARS, Inside, Operation
from archlab.report.drawing.layered import Cell, Pin, arrange
from archlab.report.drawing.palette import OPERATOR_FILLS, PLAIN, WHITE
from archlab.report.drawing.picture import (
    GREY,
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
    wrapped,
)
from archlab.report.drawing.routing import UV, Layout, Span, route

SPACING = Spacing(lane=24, between=12, gap=20, arrow=13, pin=24, label_side=1, label_gap=5)
WORDS, LABEL = Style(11.5), Style(10.5, colour=GREY)
OTHERS = (("from the other", "resolutions"), ("to the other", "resolutions"))
STUB = 22.0
PAD = 12.0
Lane = tuple[int, ...]
"""The position of a value across the flow; lanes are ordered as tuples."""
_LAST = (10**6,)  # after all lanes that were opened next to another


@dataclass(frozen=True)
class Part:
    """The content of a cell: an operation, or, without one, an input or output map."""

    operation: Operation | None
    lines: Lines
    lanes: tuple[Lane, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def panel(title: str, notes: Sequence[str], inside: Inside, fill: str) -> Picture:
    """Return the picture of an inside below a strip with the block's name in its colour, and notes below the strip."""
    body = _body(inside)
    head: Lines = ((title, STRONG),)
    joint = " · ".join(notes)
    fits = text_width(joint, LABEL.size) <= max(body.width, block_size(head)[0])
    small: Lines = tuple((note, LABEL) for note in ([joint] if joint and fits else notes))
    (head_width, head_height), (note_width, note_height) = block_size(head), block_size(small)
    width = max(body.width, head_width, note_width) + 2 * PAD
    strip, top = head_height + 8, head_height + 8 + note_height + 14
    height = top + body.height + PAD
    boxes = (
        Box(0, 0, width, height, WHITE, "panel", stroke="#b4b8c0"),
        Box(0, 0, width, strip, fill, "chip", stroke="#b4b8c0"),
    )
    texts = (*set_lines(head, PAD, 4, "start"), *set_lines(small, PAD, strip + 4, "start"))
    return joined([Picture(width, height, boxes, (), texts), body.moved((width - body.width) / 2, top)])


def _body(inside: Inside) -> Picture:
    parts = _parts(inside)
    rank = {lane: i for i, lane in enumerate(sorted({each for part in parts for each in part.lanes}))}
    of_value = _lanes(inside)
    rows = [(rank[min(part.lanes)], rank[max(part.lanes)]) for part in parts]
    makers = {value: i for i, part in enumerate(parts) for value in part.outputs}
    columns = layered.columns(rows, [[makers[value] for value in part.inputs] for part in parts])
    cells = [_cell(part, row, column, rank, of_value) for part, row, column in zip(parts, rows, columns, strict=True)]
    labels = {str(v): (LABEL.size, text_width(shape_text(inside.shapes[v]), LABEL.size)) for v in _labelled(inside)}
    return _picture(inside, parts, route(arrange(cells), labels, SPACING))


def _parts(inside: Inside) -> list[Part]:
    of_value = _lanes(inside)
    parts = [Part(None, _map_text(inside, v), (of_value[v],), (), (v,)) for v in inside.inputs]
    for operation in inside.operations:
        values = (*operation.inputs, *operation.outputs)
        wide = operation.kind in BARS or len(operation.outputs) > 1
        lanes = tuple(of_value[v] for v in (values if wide else operation.outputs))
        lines = tuple((line, WORDS) for line in _label_lines(operation.label))
        parts.append(Part(operation, lines, lanes, operation.inputs, operation.outputs))
    parts += [Part(None, _map_text(inside, v), (of_value[v],), (v,), ()) for v in inside.outputs]
    return parts


def _label_lines(label: str) -> list[str]:
    """Return an operation's label in short lines, broken after commas if it has any."""
    lines: list[str] = []
    for part in label.split(", "):
        if lines and len(lines[-1]) + len(part) <= 18:
            lines[-1] += ", " + part
        else:
            lines = [*(line if line.endswith(",") else f"{line}," for line in lines), *wrapped(part, 20)]
    return lines


def _map_text(inside: Inside, value: int) -> Lines:
    return ((shape_text(inside.shapes[value]), LABEL),)


def _lanes(inside: Inside) -> dict[int, Lane]:
    """Assign every value to a lane along the flow.

    An operation continues the lane of its first input; each extra output opens a new lane. A block with several outputs
    has one lane per output: an operation that joins several inputs for one output only is in that output's lane, and
    one that branches off a value with other readers opens a new lane next to it.
    """
    serves, readers = _serves(inside), Counter(value for operation in inside.operations for value in operation.inputs)
    lanes: dict[int, Lane] = {value: (k,) for k, value in enumerate(inside.inputs)}
    for operation in inside.operations:
        value = operation.inputs[0]
        start = lanes[value]
        own = serves[operation.outputs[0]]
        if len(inside.outputs) > 1 and len(own) == 1 and (len(operation.inputs) > 1 or start == (*own,)):
            start = (*own,)
        elif len(inside.outputs) > 1 and readers[value] > 1 and len(operation.inputs) == 1:
            start = _next_to(start, own, set(lanes.values()))
        for j, made in enumerate(operation.outputs):
            lanes[made] = (*start, j) if j else start
    return lanes


def _next_to(start: Lane, serves: Collection[int], taken: Collection[Lane]) -> Lane:
    """Return a new lane next to `start`, on the side of the outputs that need it."""
    side = (start[0] - 1, *_LAST) if serves and min(serves) < start[0] else start
    return (*side, 1 + sum(lane[: len(side)] == side for lane in taken))


def _serves(inside: Inside) -> dict[int, set[int]]:
    """Return which outputs need each value."""
    serves = {value: {k for k, end in enumerate(inside.outputs) if end == value} for value in inside.shapes}
    for operation in reversed(inside.operations):
        reached = set().union(*(serves[value] for value in operation.outputs))
        for value in operation.inputs:
            serves[value] |= reached
    return serves


def _labelled(inside: Inside) -> list[int]:
    """Return the values whose shape is new, without those that are only outputs, where the shape is shown anyway."""
    read = {value for operation in inside.operations for value in operation.inputs}
    changed = (
        operation
        for operation in inside.operations
        if {inside.shapes[v] for v in operation.inputs} != {inside.shapes[v] for v in operation.outputs}
    )
    return [value for operation in changed for value in operation.outputs if value in read]


def _cell(
    part: Part, rows: tuple[int, int], column: int, rank: Mapping[Lane, int], of_value: Mapping[int, Lane]
) -> Cell:
    width, height = block_size(part.lines)
    others = part.operation is not None and part.operation.others
    length = max(height + 8, 60.0 if others else 0)
    apron = STUB + 6 + max(text_width(line, LABEL.size) for pair in OTHERS for line in pair) if others else 0
    ins = tuple(Pin(str(v), rank[of_value[v]]) for v in part.inputs)
    outs = tuple(Pin(str(v), rank[of_value[v]]) for v in part.outputs)
    narrow = rows[0] == rows[1]
    breadth = max(width + 14 if narrow else 40.0, len(ins) * SPACING.pin + 8.5 if narrow and len(ins) > 1 else 40.0)
    return Cell(column, rows, length, breadth, ins, outs, apron)


def _picture(inside: Inside, parts: Sequence[Part], layout: Layout) -> Picture:
    wires = tuple(Line(tuple(map(_xy, wire.points)), wire.net, arrow=True) for wire in layout.wires)
    labels = tuple(
        Text(v, u + 0.85 * LABEL.size, shape_text(inside.shapes[int(net)]), LABEL.size, colour=LABEL.colour)
        for net, (u, v) in layout.labels.items()
    )
    boxes = [_box(part, span) for part, span in zip(parts, layout.cells, strict=True)]
    scales = [
        Text(v + 4, layout.cells[i].u0 - 2.5, f"{scale}×", 9.5, colour=GREY)
        for i, part in enumerate(parts)
        if part.operation
        for v, scale in zip(layout.in_pins[i], part.operation.scales, strict=True)
        if scale != 1
    ]
    return joined([Picture(layout.breadth, layout.length, (), wires, (*labels, *scales)), *boxes])


def _xy(point: UV) -> tuple[float, float]:
    return point[1], point[0]


def _box(part: Part, span: Span) -> Picture:
    width, height = span.v1 - span.v0, span.u1 - span.u0
    if part.operation is None:
        box = Box(span.v0, span.u0, width, height, WHITE, "terminal", stroke=GREY, radius=height / 2)
    else:
        box = Box(span.v0, span.u0, width, height, OPERATOR_FILLS.get(part.operation.kind, PLAIN))
    own = Picture(span.v1, span.u1, (box,), (), tuple(centred(part.lines, box.centre)))
    return joined([own, _to_others(box)]) if part.operation and part.operation.others else own


def _to_others(box: Box) -> Picture:
    """Return dotted lines from and to the branches that are not drawn."""
    high, low = box.y + box.height / 4, box.y + 3 * box.height / 4
    near, far = box.right, box.right + STUB
    lines = (
        Line(((far, high), (near, high)), "others in", arrow=True, dotted=True),
        Line(((near, low), (far, low)), "others out", arrow=True, dotted=True),
    )
    texts = [
        text
        for y, words in zip((high, low), OTHERS, strict=True)
        for text in set_lines(tuple((w, LABEL) for w in words), far + 4, y - LABEL.leading, "start")
    ]
    return Picture(max(text.extent[2] for text in texts), box.bottom, (), lines, tuple(texts))
