"""Drawings: nothing overlaps, every edge and shape is there, folding says what it folds, the SVG is sound."""

import itertools
import os
import random
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import matplotlib
import pytest
from helpers.paths import REPOSITORY
from helpers.refused import refused
from PIL import ImageFont

import archlab
from archlab.ablation.report import write_report
from archlab.blocks import registry
from archlab.blocks.wiring import wire
from archlab.core import builtin
from archlab.counting import count as counting
from archlab.report.drawing import draw, draw_block, draw_parts
from archlab.report.drawing.across import Spacing
from archlab.report.drawing.flow import flow_of, shape_text
from archlab.report.drawing.fold import fold, unfolded
from archlab.report.drawing.inside import inside_of, inside_of_weighting
from archlab.report.drawing.layered import Cell, Pin, arrange, columns
from archlab.report.drawing.overview import WIDTH, _layout, choose, overview
from archlab.report.drawing.palette import BLOCK_FILLS, FILLS, PLAIN, TINTS, WHITE, block_fills
from archlab.report.drawing.picture import GREY, INK, Box, Line, Picture, Text, text_width, total
from archlab.report.drawing.routing import route
from archlab.report.drawing.sheet import sheet

BUILT_IN = sorted(set(builtin.names("search_spaces", "*/*.yaml")) - {"base", "space"})

BRANCHES = """
version: 1
stem: {block: shuffle_stem, width: 32}
stages:
  width: [24, 40, 72]
  modules: [2, 1]
  unit:
    - [{block: conv, width: 24}, {block: inverted_residual, expansion: 2}]
    - [basic_block, shuffle_block, {block: conv, width: 72, kernel: 1}]
  transition: transition
  fusion: {block: fusion, sum: plain}
head: concat_head
"""
PARALLEL = """
version: 1
nodes:
  stem: {block: conv, from: input, width: 8, stride: 4, kernel: 5}
  one: {block: conv, from: stem, width: 8, kernel: 1}
  three: {block: conv, from: stem, width: 8, kernel: 3}
  five: {block: conv, from: stem, width: 8, kernel: 5}
  pool: {block: max_pool, from: stem, stride: 1}
  join: {block: concat, from: [pool, five, one, three, stem]}
"""
EXCHANGE = """
version: 1
nodes:
  fine: {block: conv, from: input, width: 16, stride: 4}
  coarse: {block: conv, from: fine, width: 16, stride: 2}
  down: {block: conv, from: fine, width: 16, stride: 2}
  up: {block: deconv, from: coarse, width: 16}
  fine_too: {block: add, from: [fine, up, fine]}
  coarse_too: {block: add, from: [down, coarse]}
  lift: {block: upsample, from: coarse_too}
  last_sum: {block: add, from: [lift, up, fine_too, fine]}
"""
LONG = (
    """
version: 1
nodes:
  stem: {block: conv, from: input, width: 8, stride: 2}
  a_very_long_name_for_a_node_indeed_that_goes_on: {block: conv, width: 1000, stride: 2}
"""
    + "".join(f"  n{i}: {{block: conv, width: {8 + 4 * i}}}\n" for i in range(24))
    + """
  stem_too: {block: conv, from: stem, width: 4, stride: 2}
  join: {block: concat, from: [n23, n3, stem_too]}
"""
)
PAIRS = """
version: 1
nodes:
  stem: {block: conv, from: input, width: 16, stride: 4}
""" + "".join(f"  a{i}: {{block: inverted_residual}}\n  b{i}: {{block: conv, width: 16}}\n" for i in range(6))
MIXED = """
version: 1
nodes:
  stem: {block: conv, from: input, width: 16, stride: 2}
  half: {block: inverted_residual, width: 24, stride: 2}
  quarter: {block: inverted_residual, repeat: 3}
  gather_all: {block: concat_head, from: [stem, half, quarter]}
  weigh: {block: conditional_channel_weighting, from: [gather_all, quarter]}
  fuse: {block: fusion, from: [weigh]}
  head: {block: iterative_head, from: fuse}
  side: {block: concat, from: [stem, head, gather_all]}
  pool: {block: max_pool, from: side}
"""
WRITTEN = {
    "branches": BRANCHES, "parallel": PARALLEL, "exchange": EXCHANGE, "long": LONG, "pairs": PAIRS, "mixed": MIXED,
}  # fmt: skip


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    for name, text in WRITTEN.items():
        (folder / f"{name}.yaml").write_text(text)
    return Made(lambda name: archlab.assemble(archlab.load(folder / f"{name}.yaml" if name in WRITTEN else name)))


@pytest.fixture(scope="module")
def sheets(graphs):
    return Made(lambda name: sheet(graphs[name], counting.cost(graphs[name])))


class Made(dict):
    """Values by name, each made when it is first asked for."""

    def __init__(self, make):
        self.make = make

    def __missing__(self, name):
        self[name] = self.make(name)
        return self[name]


IN_SHORT = {"lite_hrnet_18", "swiftnet_rn18"}
SHIPPED = [name if name in IN_SHORT else pytest.param(name, marks=pytest.mark.slow) for name in BUILT_IN]
ALL = [*SHIPPED, *WRITTEN]


# --- what may not happen in a picture ---------------------------------------------------------------------------


def rectangle(box: Box):
    return box.x, box.y, box.right, box.bottom


def meet(a, b, slack=0.01):
    return a[0] < b[2] - slack and b[0] < a[2] - slack and a[1] < b[3] - slack and b[1] < a[3] - slack


def within(a, b, slack=0.01):
    return a[0] >= b[0] - slack and a[1] >= b[1] - slack and a[2] <= b[2] + slack and a[3] <= b[3] + slack


def segments(line: Line):
    return list(itertools.pairwise(line.points))


def cuts(segment, box, inset=0.6):
    """Whether a segment goes through the inside of a rectangle (Liang and Barsky's clipping)."""
    (x0, y0), (x1, y1) = segment
    left, top, right, bottom = box[0] + inset, box[1] + inset, box[2] - inset, box[3] - inset
    low, high = 0.0, 1.0
    for step, room_before, room_after in ((x1 - x0, x0 - left, right - x0), (y1 - y0, y0 - top, bottom - y0)):
        if step == 0:
            if room_before < 0 or room_after < 0:
                return False
            continue
        a, b = sorted((-room_before / step, room_after / step))
        low, high = max(low, a), min(high, b)
    return low < high


def run_together(one, other, least=2.0):
    """Whether two straight pieces lie along each other, or so close that they look it."""
    for axis in (0, 1):
        flat = all(abs(s[0][axis] - s[1][axis]) < 1e-9 for s in (one, other))
        if flat and abs(one[0][axis] - other[0][axis]) < least:
            a, b = (sorted((s[0][1 - axis], s[1][1 - axis])) for s in (one, other))
            if a[0] < b[1] - 0.01 and b[0] < a[1] - 0.01:
                return True
    return False


def faults(picture: Picture):
    """Everything that overlaps and may not, or lies outside."""
    solid = [box for box in picture.boxes if box.role in ("block", "terminal")]
    framed = [box for box in picture.boxes if box.role == "panel" and box.stroke != "none"]
    holders = [box for box in picture.boxes if box.role in ("block", "terminal", "chip")]
    outer = [line for line in picture.lines if not line.inner]
    page = (0, 0, picture.width, picture.height)
    for a, b in itertools.combinations(solid, 2):
        if meet(rectangle(a), rectangle(b)):
            yield f"boxes {a} and {b}"
    for a, b in itertools.combinations(framed, 2):
        if meet(rectangle(a), rectangle(b)):
            yield f"panels {a} and {b}"
    for box in picture.boxes:
        if not within(rectangle(box), page):
            yield f"outside: {box}"
        if any(
            meet(rectangle(box), rectangle(f)) and not within(rectangle(box), rectangle(f)) for f in framed if f != box
        ):
            yield f"across a panel's edge: {box}"
    extents = [(text, text.extent) for text in picture.texts]
    for (a, one), (b, other) in itertools.combinations(extents, 2):
        if meet(one, other):
            yield f"texts {a.string!r} and {b.string!r}"
    for text, extent in extents:
        if not within(extent, page):
            yield f"outside: {text}"
        touched = [box for box in (*holders, *framed) if meet(rectangle(box), extent)]
        if not all(within(extent, rectangle(box)) for box in touched):
            yield f"text over an edge: {text}"
        if any(cuts(segment, extent, 0.2) for line in picture.lines for segment in segments(line)):
            yield f"line through text: {text}"
    for line in outer:
        if any(cuts(segment, rectangle(box)) for segment in segments(line) for box in solid):
            yield f"line through a box: {line}"
        if not all(0 <= x <= page[2] and 0 <= y <= page[3] for x, y in line.points):
            yield f"outside: {line}"
        if line.arrow and line.net != "others out" and not on_an_edge(line.points[-1], solid):
            yield f"arrow to nowhere: {line}"
    for line in picture.lines:
        if line.inner and sum(all(inside(p, rectangle(box)) for p in line.points) for box in solid) != 1:
            yield f"sign leaves its box: {line}"
    for a, b in itertools.combinations(outer, 2):
        if a.net != b.net and any(run_together(s, t) for s in segments(a) for t in segments(b)):
            yield f"lines run together: {a} and {b}"


def inside(point, box):
    return box[0] - 0.01 <= point[0] <= box[2] + 0.01 and box[1] - 0.01 <= point[1] <= box[3] + 0.01


def on_an_edge(point, boxes):
    return any(inside(point, rectangle(box)) and not strictly(point, rectangle(box)) for box in boxes)


def strictly(point, box):
    return box[0] + 0.01 < point[0] < box[2] - 0.01 and box[1] + 0.01 < point[1] < box[3] - 0.01


@pytest.mark.parametrize("name", ALL)
def test_nothing_overlaps(sheets, name):
    assert list(faults(sheets[name])) == []


def test_the_fault_finder_finds_each_kind_of_fault():
    box, other = Box(10, 10, 40, 20, WHITE), Box(45, 20, 40, 20, WHITE)
    across = Line(((0, 15), (90, 15)), "a")
    for boxes, lines, texts, word in [
        ((box, other), (), (), "boxes"),
        ((box,), (across,), (), "line through a box"),
        ((), (across, Line(((20, 15.5), (60, 15.5)), "b")), (), "run together"),
        ((), (across,), (Text(10, 18, "words"),), "line through text"),
        ((box,), (), (Text(30, 24, "a long text"),), "over an edge"),
        ((), (), (Text(10, 18, "one"), Text(12, 20, "two")), "texts"),
        ((box,), (Line(((80, 50), (70, 50)), "a", arrow=True),), (), "nowhere"),
        ((), (Line(((20, 15), (80, 15)), "a", inner=True),), (), "sign"),
        ((Box(90, 10, 40, 20, WHITE),), (), (), "outside"),
    ]:
        assert any(word in fault for fault in faults(Picture(100, 60, boxes, lines, texts))), word


def test_random_layouts_keep_their_lines_apart():
    """Two hundred random graphs of cells over random rows: the layout engine alone, without the words."""
    for seed in range(200):
        rng = random.Random(seed)
        plan = arrange(random_cells(rng))
        labels = {net.name: (40.0, 11.0) for net in plan.nets if rng.random() < 0.6}
        layout = route(plan, labels, Spacing())
        boxes = tuple(Box(c.u0, c.v0, c.u1 - c.u0, c.v1 - c.v0, WHITE) for c in layout.cells)
        lines = tuple(Line(way.points, way.net, arrow=True) for way in layout.wires)
        found = list(faults(Picture(layout.length + 1, layout.breadth + 1, boxes, lines)))
        assert found == [], (seed, found)
        for u, v in layout.labels.values():
            words = (u, v - 11, u + 40, v)
            assert not any(meet(words, rectangle(box)) for box in boxes), seed
            assert not any(cuts(segment, words, 0) for line in lines for segment in segments(line)), seed
        for cell, box in zip(plan.cells, layout.cells, strict=True):
            assert box.u1 - box.u0 == pytest.approx(cell.length)
        read = sum(len(cell.inputs) for cell in plan.cells)
        assert len(layout.wires) == read > 0


def random_cells(rng):
    spans, inputs, outputs = [], [], []
    rows_of = {}
    for i in range(rng.randint(3, 14)):
        first = rng.randint(0, 3)
        last = min(3, first + rng.choice([0, 0, 0, 1, 2]))
        reads = rng.sample(sorted(rows_of), min(len(rows_of), rng.choice([1, 1, 1, 2, 3])))
        nets = [f"{i}:{k}" for k in range(rng.choice([1, 1, 2]))]
        spans.append((first, last))
        inputs.append([Pin(net, rows_of[net]) for net in reads])
        rows_of |= {net: rng.randint(first, last) for net in nets}
        outputs.append([Pin(net, rows_of[net]) for net in nets])
    makers = {pin.net: i for i, pins in enumerate(outputs) for pin in pins}
    placed = columns(spans, [[makers[pin.net] for pin in pins] for pins in inputs])
    return [
        Cell(column, span, rng.choice([20.0, 60.0]), max(44.0, 12.0 * len(ins) + 10), tuple(ins), tuple(outs))
        for column, span, ins, outs in zip(placed, spans, inputs, outputs, strict=True)
    ]


# --- what must be there -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_every_edge_of_the_graph_is_a_line_between_its_two_boxes(graphs, name):
    graph = graphs[name]
    flow = flow_of(graph, unfolded(graph), counting.cost(graph))
    layout = _layout(flow, ())[1]
    drawn = set()
    for line in layout.wires:
        source, target = flow.pieces[line.source], flow.pieces[line.target]
        ref = tuple(map(int, line.net.split(":")))
        assert ref in source.outputs
        assert ref in target.inputs
        assert line.points[0][0] == layout.cells[line.source].u1
        assert line.points[-1][0] == layout.cells[line.target].u0
        drawn.add((ref, target.step.index if target.step else "output"))
    assert drawn == expected_edges(graph)


def expected_edges(graph):
    """(where from, which node reads it), nodes that only gather maps seen through."""

    def through(ref):
        gathers = ref[0] >= 0 and graph.nodes[ref[0]].block == "gather"
        return through(graph.nodes[ref[0]].inputs[ref[1]]) if gathers else ref

    edges = {(through(graph.output), "output")}
    for i, node in enumerate(graph.nodes):
        if node.block != "gather":
            edges |= {(through(ref), i) for _, ref in node.reads}
    return edges


@pytest.mark.parametrize("name", ALL)
def test_every_shape_stands_in_the_drawing(graphs, name):
    graph = graphs[name]
    cost = counting.cost(graph)
    words = {text.string for text in overview(graph, cost, choose(graph, cost)).texts}
    shapes = {node.out_shapes[k] for node in graph.nodes for k in node.read} | {graph.input}
    assert {shape_text(shape) for shape in shapes} <= words


@pytest.mark.parametrize("name", ALL)
def test_copies_that_are_folded_away_are_counted(graphs, name):
    graph = graphs[name]
    whole = unfolded(graph)
    for singles in (False, True):
        drawn = fold(whole, singles=singles)
        nodes = 0
        for step in drawn.steps:
            times = step.count
            for repeat in drawn.repeats:
                times *= repeat.count if step.index in repeat.members else 1
            nodes += times
        assert nodes == len(whole.steps)


def test_lite_hrnet_18_folds_to_two_four_and_two_modules(graphs):
    graph = graphs["lite_hrnet_18"]
    drawn = choose(graph, counting.cost(graph)).drawn
    assert [repeat.count for repeat in drawn.repeats] == [2, 4, 2]
    assert [(step.node.block, step.count) for step in drawn.steps if step.count > 1] == [
        ("conditional_channel_weighting", 2)
    ] * 3


def test_a_repeated_group_is_folded_only_where_nothing_runs_past_it(graphs, tmp_path):
    assert [repeat.count for repeat in fold(unfolded(graphs["pairs"]), singles=True).repeats] == [6]
    (tmp_path / "skip.yaml").write_text(PAIRS + "  sum: {block: add, from: [b5, stem]}\n")
    skip = archlab.assemble(archlab.load(tmp_path / "skip.yaml"))
    assert fold(unfolded(skip), singles=True).repeats == ()
    (tmp_path / "tap.yaml").write_text(PAIRS + "  sum: {block: add, from: [b5, b3]}\n")
    tap = archlab.assemble(archlab.load(tmp_path / "tap.yaml"))
    assert [repeat.count for repeat in fold(unfolded(tap), singles=True).repeats] == [4]


@pytest.mark.parametrize("name", ALL)
def test_a_drawing_is_no_wider_than_a_page(sheets, name):
    assert sheets[name].width <= WIDTH + 40


def test_broken_nets_end_and_begin_at_the_same_letter(graphs):
    graph = graphs["skip_pose_net"]
    flows = choose(graph, counting.cost(graph)).flows
    assert len(flows) > 1
    sent = [(p.lines[0][0], p.inputs) for f in flows for p in f.pieces if not p.step and not p.outputs][:-1]
    got = [(p.lines[0][0], p.outputs) for f in flows for p in f.pieces if not p.step and not p.inputs][1:]
    assert sorted(sent) == sorted(set(got))
    assert len(sent) == 3


def test_stages_carry_their_shares(graphs, sheets):
    words = [text.string for text in sheets["lite_hrnet_18"].texts]
    cost = counting.cost(graphs["lite_hrnet_18"])
    for stage in ("stage 2", "stage 3", "stage 4"):
        count = cost.stages[stage.replace(" ", "")]
        assert words[words.index(stage) + 1] == f"{100 * count.params / cost.params:.1f} % params"
        assert words[words.index(stage) + 2] == f"{100 * count.paper / cost.flops['paper']:.1f} % FLOPs"
    facts = next(word for word in words if word.startswith("input 3x256x192"))
    assert "1,130,769 parameters" in facts
    assert "205.2 MFLOPs (paper's counter" in facts
    assert "219.3 MFLOPs (fvcore" in facts


# --- insides ----------------------------------------------------------------------------------------------------


def labels(block, shapes, **arguments):
    function = registry.blocks()[block]
    wired = wire(function, tuple(shapes), registry.takes_many(function), tuple(sorted(arguments.items())))
    return inside_of(wired, wired.leaves, range(len(wired.outputs)))


def test_the_shuffle_block_reads_like_figure_1a():
    assert [operation.label for operation in labels("shuffle_block", [(40, 8, 8)]).operations] == [
        "channel split", "1x1 Conv, BN, ReLU", "3x3 DWConv, BN", "1x1 Conv, BN, ReLU", "concat", "channel shuffle",
    ]  # fmt: skip


@pytest.mark.parametrize("branches", [2, 3, 4])
def test_conditional_channel_weighting_reads_like_figure_1b(branches):
    shapes = [(40 * 2**s, 64 >> s, 48 >> s) for s in range(branches)]
    inside = labels("conditional_channel_weighting", shapes)
    assert [(operation.label, operation.others) for operation in inside.operations] == [
        ("channel split", False), ("H: cross-resolution weighting", True), ("3x3 DWConv, BN", False),
        ("F: spatial weighting", False), ("concat", False), ("channel shuffle", False),
    ]  # fmt: skip
    assert len(inside.inputs) == len(inside.outputs) == 1


def test_the_weightings_have_insides_of_their_own():
    inside = labels("conditional_channel_weighting", [(40, 64, 48), (80, 32, 24)])
    cross, spatial = (inside_of_weighting(o) for o in inside.operations if o.kind == "weighting")
    assert [operation.label for operation in cross.operations] == [
        "average pool to 32x24", "concat", "1x1 Conv, BN, ReLU", "1x1 Conv, BN, sigmoid", "channel split",
        "nearest resize to 64x48", "multiply", "multiply",
    ]  # fmt: skip
    assert (len(cross.inputs), len(cross.outputs)) == (2, 2)
    assert [operation.label for operation in spatial.operations] == [
        "global average pool", "1x1 Conv, bias, ReLU", "1x1 Conv, bias, sigmoid", "multiply",
    ]  # fmt: skip


def test_every_leaf_of_a_block_stands_in_one_operation_of_its_inside(graphs):
    for name in ("small_hrnet_w16", "skip_pose_net", "naive_lite_hrnet_18"):
        for node in graphs[name].nodes:
            inside = inside_of(node.wired, node.leaves, node.read)
            if len(inside.inputs) == len(node.reads):
                held = [leaf.outputs for operation in inside.operations for leaf in operation.leaves]
                assert sorted(held) == sorted(leaf.outputs for leaf in node.leaves)


def squeeze(g, x):
    with g.scope("squeeze"):
        weights = g.act(g.conv(g.global_pool(x), x.channels, bias=True), "hsigmoid")
        y = g.multiply(x, weights)
    return g.conv_norm(y, 8, act="hswish", name="mix")


def test_a_users_block_on_several_maps_is_shown_on_one_of_them():
    wired = wire(squeeze, ((8, 16, 16), (4, 8, 8)), False, ())
    inside = inside_of(wired, wired.leaves, (0, 1))
    assert [(operation.label, operation.kind, operation.others) for operation in inside.operations] == [
        ("squeeze", "weighting", False), ("1x1 Conv, BN, h-swish", "conv", False)
    ]  # fmt: skip
    own = inside_of_weighting(inside.operations[0])
    assert [o.label for o in own.operations] == ["global average pool", "1x1 Conv, bias, h-sigmoid", "multiply"]


def test_a_doubled_term_of_the_released_fusion_is_marked(sheets):
    assert sum(text.string == "2×" for text in sheets["lite_hrnet_18"].texts) == 2
    assert not any(text.string == "2×" for text in sheets["small_hrnet_w16"].texts)


@pytest.mark.parametrize("name", ALL)
def test_each_kind_of_block_is_shown_from_inside(graphs, sheets, name):
    strips = [box for box in sheets[name].boxes if box.role == "chip" and box.height > 20]
    kinds = {node.block for node in graphs[name].nodes if node.block != "gather"}
    assert len(strips) >= len(kinds)


def test_each_weighting_is_shown_from_inside(sheets):
    words = [text.string for text in sheets["lite_hrnet_18"].texts if text.bold]
    assert {"H: cross-resolution weighting", "F: spatial weighting", "conditional channel weighting"} <= set(words)


@pytest.mark.parametrize("block", sorted(registry.blocks()))
def test_any_block_can_be_drawn_alone(block):
    function = registry.blocks()[block]
    arguments = {"width": 16} if "width" in registry.keywords(function) else {}
    arguments |= {"widths": (8, 16, 32)} if "widths" in registry.keywords(function) else {}
    arguments |= {"windows": ((8, 6, 4, 3),)} if "windows" in registry.keywords(function) else {}
    arguments |= {"outputs": 17} if "outputs" in registry.keywords(function) else {}
    arguments |= {"hidden": 4} if block == "sandglass" else {}
    same = ("add", "aggregated_levels", "concat", "feature_fusion", "guided_aggregation", "summed_maps")
    shapes = ((8, 64, 48), (8, 64, 48)) if block in same else ((8, 64, 48), (16, 32, 24))
    shapes = shapes * 3 if block == "aggregated_levels" else shapes
    many = registry.takes_many(function)
    wired = wire(function, shapes if many else shapes[:1], many, tuple(sorted(arguments.items())))
    svg = draw_block(wired, block)
    words = [element.text for element in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]
    assert block in words
    assert ("16x32x24" if block == "lr_aspp" else "8x64x48") in words  # which passes its fine map on unchanged


# --- the document -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_the_svg_is_valid_and_accessible(graphs, name):
    svg = draw(graphs[name])
    root = ElementTree.fromstring(svg)
    space = "{http://www.w3.org/2000/svg}"
    assert root.tag == f"{space}svg"
    x, y, width, height = map(float, root.get("viewBox").split())
    assert (x, y) == (0, 0)
    assert min(width, height) > 100
    assert name in root.findtext(f"{space}title")
    assert "parameters" in root.findtext(f"{space}desc")
    assert {element.tag.removeprefix(space) for element in root.iter()} == {
        "svg", "title", "desc", "rect", "path", "text"
    }  # fmt: skip
    ground = root.find(f"{space}rect")
    assert (ground.get("width"), ground.get("fill")) == (root.get("width"), "#ffffff")
    assert "nan" not in svg
    assert "inf" not in svg.replace("info", "")


def test_names_are_escaped(tmp_path):
    path = tmp_path / 'a<b>&"c\x01.yaml'
    path.write_text(PARALLEL)
    root = ElementTree.fromstring(draw(archlab.assemble(archlab.load(path))))
    assert 'a<b>&"c' in root.findtext("{http://www.w3.org/2000/svg}title")


def test_the_committed_drawing_is_what_is_drawn_now(graphs):
    """`archlab build lite_hrnet_18 --draw reports/lite_hrnet_18.svg` makes it again."""
    committed = REPOSITORY / "reports" / "lite_hrnet_18.svg"
    assert committed.read_text(encoding="utf-8") == draw(graphs["lite_hrnet_18"])


def test_chosen_parts_are_the_named_blocks_from_inside_or_the_block_graph():
    graph = archlab.assemble(archlab.load("lite_hrnet_18"))
    unit = draw_parts([(graph, ["conditional_channel_weighting"])], "A unit")
    assert "as in lite_hrnet_18, stage2.module0.unit0" in unit
    assert "H: cross-resolution" in unit
    assert "iterative head" not in unit
    whole = draw_parts([(graph, ())], "A graph")
    assert "stage 4" in whole
    assert "as in" not in whole


def test_every_wrong_block_of_a_drawing_is_named_with_its_line(tmp_path):
    part = "  - spec: lite_hrnet_18\n    blocks: [fusion, fussion, transition]\n"
    (tmp_path / "parts.yaml").write_text(f"kind: drawing\ntitle: t\nsource: s\nparts:\n{part}{part}")
    with refused("fussion", "did you mean 'fusion'", line=6, field="parts.blocks") as caught:
        write_report(tmp_path / "parts.yaml", tmp_path, tmp_path)
    assert [problem.line for problem in caught.value.problems] == [6, 8]


@pytest.mark.parametrize("name", ["figure1", "figure2"])
def test_the_committed_figures_are_what_is_drawn_now(name, tmp_path):
    picture, drawing = write_report(name, tmp_path, tmp_path)
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert drawing.read_text(encoding="utf-8") == (REPOSITORY / "reports" / f"{name}.svg").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_drawing_is_the_same_in_every_process(graphs):
    code = "import archlab, sys; from archlab.report.drawing import draw; " \
           "sys.stdout.write(draw(archlab.assemble(archlab.load('lite_hrnet_18'))))"  # fmt: skip
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONIOENCODING": "utf-8"}
        made = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
        assert made.stdout.decode() == draw(graphs["lite_hrnet_18"])


def test_drawing_imports_neither_torch_nor_matplotlib():
    code = "import archlab, sys; from archlab.report.drawing import draw; " \
           "draw(archlab.assemble(archlab.load('skip_pose_net'))); " \
           "sys.exit(bool({'torch', 'matplotlib', 'cv2', 'optuna'} & set(sys.modules)))"  # fmt: skip
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_ink_stands_out_from_every_fill():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert all(contrast(INK, fill) >= 7 for fill in FILLS)


@pytest.mark.parametrize("name", ALL)
def test_text_stands_out_from_what_is_under_it(sheets, name):
    picture = sheets[name]
    for text in picture.texts:
        under = [box for box in picture.boxes if meet(rectangle(box), text.extent)]
        assert text.colour in (INK, GREY)
        assert all(contrast(text.colour, box.fill) >= 4.5 for box in under)


def test_a_kind_of_block_has_one_colour_whatever_is_drawn_with_it():
    assert set(BLOCK_FILLS) == set(registry.blocks())
    assert block_fills(["mine", "conv"]) == {
        "mine": block_fills(["yours", "mine"])["mine"],
        "conv": BLOCK_FILLS["conv"],
    }
    assert block_fills(reversed(list(BLOCK_FILLS))) == BLOCK_FILLS
    assert set(block_fills(f"block{i}" for i in range(200)).values()) == set(TINTS)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_kinds_in_a_network_differ_in_colour(graphs, name):
    graph = graphs[name].training or graphs[name]
    fills = block_fills({node.block for node in graph.nodes} - {"gather"})
    tinted = [fill for fill in fills.values() if fill != PLAIN]
    assert len(set(tinted)) == len(tinted)


@pytest.mark.parametrize("name", ALL)
def test_no_text_of_the_file_lies_on_another(graphs, name):
    """The texts as the SVG places them."""
    space = "{http://www.w3.org/2000/svg}"
    extents = [
        Text(
            float(each.get("x")), float(each.get("y")), each.text, float(each.get("font-size")),
            bold=each.get("font-weight") == "bold", anchor=each.get("text-anchor", "start"),
        ).extent
        for each in ElementTree.fromstring(draw(graphs[name])).iter(f"{space}text")
    ]  # fmt: skip
    assert len(extents) > 20
    assert [pair for pair in itertools.combinations(extents, 2) if meet(*pair)] == []


@pytest.mark.parametrize("bold", [False, True])
def test_no_text_is_wider_than_its_extent(sheets, bold):
    """Held to the real DejaVu Sans, the widest of the usual system fonts."""
    file = Path(matplotlib.get_data_path()) / "fonts" / "ttf" / f"DejaVuSans{'-Bold' if bold else ''}.ttf"
    font = ImageFont.truetype(str(file), 1000)
    for char in map(chr, range(32, 127)):
        assert font.getlength(char) / 1000 <= text_width(char, 1, bold=bold)
    for text in sheets["lite_hrnet_18"].texts:
        if text.bold == bold:
            real = font.getlength(text.string) / 1000 * text.size
            assert real <= text_width(text.string, text.size, bold=bold) <= 1.25 * real + 0.8 * text.size


def test_lengths_add_up_alike_in_every_python():
    """From left to right, each step rounded: ten times 0.1, which is one if rounded once."""
    assert total([0.1] * 10) == 0.9999999999999999
    assert total(iter(())) == 0
