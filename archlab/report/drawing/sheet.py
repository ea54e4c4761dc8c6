"""A whole drawing: title, block graph, legend and the insides of the blocks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

from archlab.blocks.wiring import Wired
from archlab.counting import count as counting
from archlab.counting.count import MEBI, Cost
from archlab.network.graph import Graph, Node
from archlab.report.drawing.flow import shape_text
from archlab.report.drawing.fold import GATHER
from archlab.report.drawing.inside import Inside, inside_of, inside_of_weighting
from archlab.report.drawing.overview import WIDTH, Chosen, choose, overview
from archlab.report.drawing.palette import OPERATOR_FILLS, PLAIN, block_fills
from archlab.report.drawing.panel import panel
from archlab.report.drawing.picture import (
    Box,
    Lines,
    Picture,
    Style,
    block_size,
    joined,
    set_lines,
    shortened,
    text_width,
)
from archlab.report.drawing.svg import to_svg

TITLE, HEADING, TEXT = Style(20, bold=True), Style(15, bold=True), Style(12)
EDGE = 14.0
BETWEEN = 12.0  # between panels

Placed: TypeAlias = list[tuple[float, float, Picture]]
"""Panels with the x and y of their upper left corners."""


def draw(graph: Graph) -> str:
    """Return the SVG of a network: its block graph, as in Lite-HRNet's Figure 2, and the insides of its blocks."""
    cost = counting.cost(graph)
    facts = [f"input {shape_text(graph.input)}", *_facts(cost)]
    described = f"Block graph of {graph.name}: {', '.join(facts)}. Below it, the inside of each kind of block."
    return to_svg(sheet(graph, cost), f"{graph.name}: block graph", described)


def draw_parts(parts: Sequence[tuple[Graph, Sequence[str]]], title: str) -> str:
    """Return the SVG of parts: the insides of the named `kinds` of blocks, or without any the block graph."""
    made: list[Picture] = []
    panels = [each for graph, blocks in parts for each in (_chosen_panels(graph, blocks) if blocks else ())]
    for graph, blocks in parts:
        if not blocks:
            cost = counting.cost(graph)
            chosen = choose(graph, cost)
            made += [overview(graph, cost, chosen), _legend(graph, chosen)]
    made += [packed(panels, WIDTH)] if panels else []
    names = ", ".join(dict.fromkeys(graph.name for graph, _ in parts))
    return to_svg(_stacked(made), title, f"{title}: parts of {names}.")


def kinds(graph: Graph) -> list[str]:
    """Return the kinds of blocks of a network whose insides can be drawn."""
    return [example.block for example in _examples(graph.nodes)]


def _chosen_panels(graph: Graph, blocks: Sequence[str]) -> list[Picture]:
    chosen = [example for example in _examples(graph.nodes) if example.block in blocks]
    assert {example.block for example in chosen} == set(blocks), (graph.name, blocks)
    return _panels(graph, chosen, f"{graph.name}, ")


def draw_block(wired: Wired, title: str) -> str:
    """Return the SVG of a block's inside and of the weightings in it."""
    inside = inside_of(wired, wired.leaves, range(len(wired.outputs)))
    panels = [panel(title, (), inside, PLAIN), *_weighting_panels(inside).values()]
    picture = _stacked([packed(panels, WIDTH)])
    return to_svg(picture, title, f"The operations inside the block {title}, from top to bottom.")


def sheet(graph: Graph, cost: Cost) -> Picture:
    """Return the whole drawing as a picture."""
    facts = " · ".join([f"input {shape_text(graph.input)}", *_facts(cost)])
    title = _lines(((shortened(graph.name, 60), TITLE), (facts, TEXT)))
    chosen = choose(graph, cost)
    main = overview(graph, cost, chosen)
    examples = list(_examples(graph.nodes))
    reading = "From top to bottom. Rounded boxes: input and output maps. DWConv: depthwise convolution."
    if any(scale != 1 for each in examples for operation in each.inside.operations for scale in operation.scales):
        reading += " 2×: counted twice in the sum."
    insides = _lines((("Inside the blocks", HEADING), (reading, TEXT)))
    return _stacked([title, main, _legend(graph, chosen), insides, packed(_panels(graph, examples), WIDTH)])


def _facts(cost: Cost) -> list[str]:
    return [
        f"{cost.params:,} parameters",
        f"{cost.flops['paper'] / MEBI:.1f} MFLOPs (paper's counter, M = 2²⁰)",
        f"{cost.flops['fvcore'] / 1e6:.1f} MFLOPs (fvcore, M = 10⁶)",
    ]


def _lines(lines: Lines) -> Picture:
    width, height = block_size(lines)
    return Picture(width, height, (), (), tuple(set_lines(lines, 0, 0, "start")))


def _stacked(parts: Sequence[Picture]) -> Picture:
    """Return pictures one below the other, with a margin around them."""
    placed, y = [], EDGE
    for part in parts:
        placed.append(part.moved(EDGE, y))
        y += part.height + 16
    whole = joined(placed)
    return joined([whole, Picture(whole.width + EDGE, whole.height + EDGE)])


def _legend(graph: Graph, chosen: Chosen) -> Picture:
    """Return the legend: the meaning of colours, lines, letters and multiples."""
    boxes, texts, x, y = [], [], 0.0, 0.0
    for block, fill in block_fills(node.block for node in graph.nodes if node.block != GATHER).items():
        words = shortened(block.replace("_", " "))
        needed = 22 + text_width(words, TEXT.size)
        if x and x + needed > WIDTH:
            x, y = 0.0, y + 20
        boxes.append(Box(x, y, 16, 12, fill, "chip", radius=3))
        texts += set_lines(((words, TEXT),), x + 22, y - 2, "start")
        x += needed + 18
    notes = _lines(tuple((note, TEXT) for note in _notes(chosen))).moved(0, y + 20)
    return joined([Picture(x, y + 12, tuple(boxes), (), tuple(texts)), notes])


def _notes(chosen: Chosen) -> Iterator[str]:
    maps = "An arrow is a feature map, channels x height x width, labelled where shapes change."
    yield f"{maps} Rows are resolutions, fine above coarse."
    folded = chosen.drawn.repeats or any(step.count > 1 for step in chosen.drawn.steps)
    notes = ["× n: n equal consecutive blocks or groups of blocks, drawn once."] if folded else []
    notes += ["Circled letters: an arrow continues at the same letter."] if len(chosen.flows) > 1 else []
    yield " ".join([*notes, "Shares of FLOPs are by the paper's counter."])


@dataclass(frozen=True)
class Example:
    """One kind of block with the node that shows it. alike, all: nodes of the same form, and nodes of this kind."""

    block: str
    node: Node
    inside: Inside
    alike: int
    all: int


def _panels(graph: Graph, examples: Sequence[Example], whose: str = "") -> list[Picture]:
    """Return a panel for each kind of block in order of first appearance, each followed by its weightings.

    whose: the network, before the name of the node that is shown.
    """
    fills = block_fills(node.block for node in graph.nodes)
    made: dict[str, Picture] = {}
    for example in examples:
        notes = [f"as in {whose}{example.node.name}"]
        if example.alike < example.all:
            notes.append(f"this form: {example.alike} of {example.all}")
        title = shortened(example.block.replace("_", " "))
        made[example.block] = panel(title, notes, example.inside, fills[example.block])
        made |= _weighting_panels(example.inside)
    return list(made.values())


def _weighting_panels(inside: Inside) -> dict[str, Picture]:
    """Return a panel for each kind of weighting in a block, by its label."""
    found = {o.label: o for o in inside.operations if o.kind == "weighting"}
    fill = OPERATOR_FILLS["weighting"]
    return {label: panel(label, (), inside_of_weighting(o), fill) for label, o in found.items()}


def _examples(nodes: Sequence[Node]) -> Iterator[Example]:
    """Yield for each kind of block a node with the fewest maps, of the most common form among those."""
    for block in dict.fromkeys(node.block for node in nodes if node.block != GATHER):
        found = [(node, inside_of(node.wired, node.leaves, sorted(node.read))) for node in nodes if node.block == block]
        maps = [len(inside.inputs) + len(inside.outputs) for _, inside in found]
        few = [each for each, count in zip(found, maps, strict=True) if count == min(maps)]
        forms = Counter(inside.form for _, inside in few)
        node, inside = max(few, key=lambda each: forms[each[1].form])
        yield Example(block, node, inside, sum(other.form == inside.form for _, other in found), len(found))


def packed(panels: Sequence[Picture], width: float) -> Picture:
    """Return panels side by side within a width, in their order, or in an order found by swaps if that saves height."""
    in_order = _placed(panels, width)
    sizes: tuple[Callable[[Picture], float], ...] = (
        lambda part: -part.height,
        lambda part: -part.width,
        lambda part: -part.width * part.height,
    )
    starts = [list(panels), *(sorted(panels, key=size) for size in sizes)]
    best = min((_swapped(start, width) for start in starts), key=_height)
    chosen = best if _height(best) < 0.9 * _height(in_order) else in_order
    return joined(part.moved(x, y) for x, y, part in chosen)


def _swapped(order: list[Picture], width: float) -> Placed:
    """Return the lowest packing found by swapping panels pair by pair."""
    best = _placed(order, width)
    for _ in range(3):
        for i, j in combinations(range(len(order)), 2):
            order[i], order[j] = order[j], order[i]
            tried = _placed(order, width)
            if _height(tried) < _height(best):
                best = tried
            else:
                order[i], order[j] = order[j], order[i]
    return best


def _placed(panels: Sequence[Picture], width: float) -> Placed:
    """Place each panel as high as possible."""
    placed: Placed = []
    for part in panels:
        lefts = [0.0, *(x + other.width + BETWEEN for x, _, other in placed)]
        spots = [(_drop(placed, x, part), x) for x in lefts if x == 0 or x + part.width <= width]
        y, x = min(spots)
        placed.append((x, y, part))
    return placed


def _height(placed: Placed) -> float:
    return max((part.height + y for _, y, part in placed), default=0)


def _drop(placed: Placed, x: float, part: Picture) -> float:
    """Return the smallest free y for a panel whose left side is at x."""
    under = [
        y + other.height + BETWEEN
        for left, y, other in placed
        if left < x + part.width + BETWEEN and x < left + other.width + BETWEEN
    ]
    return max(under, default=0.0)
