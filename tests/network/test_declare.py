"""All problems of a network's file at once: independent mistakes are a line each, what follows from one is not told."""

from __future__ import annotations

import pytest

import archlab
from archlab import InputError
from archlab.network.load import load_text


@pytest.fixture
def told(tmp_path):
    """(file, line, column, field) of the problems of files; the last one is loaded."""

    def problems(*texts, **fields):
        for name, text in texts:
            (tmp_path / name).write_text(text)
        with pytest.raises(InputError) as caught:
            archlab.assemble(archlab.load(tmp_path / texts[-1][0], **fields))
        return [(p.file.removeprefix(f"{tmp_path}/"), p.line, p.column, p.field) for p in caught.value.problems]

    return problems


def places(found):
    return [each[1:] for each in found]


STAGES = """\
version: 1
colour: red
input: [3, 64, 64]
outputs: five
stem: {block: shuffle_stem, width: 32}
stages:
  width: 15
  modules: [1, 2]
  unit: conditional_channel_weighting
  transition: {block: transition, convolutions: dense}
  fusion: [fusion, fusoin]
head: iterative_head
"""


def test_five_mistakes_of_five_kinds_in_stages_are_five_lines_in_the_order_of_the_file(told):
    text = STAGES.replace("transition: {block: transition, convolutions: dense}", "transition: transition").replace(
        "head: iterative_head", "head: {block: finest, kind: sum}"
    )
    assert told(("net.yaml", text)) == [
        ("net.yaml", 2, 1, "colour"),
        ("net.yaml", 4, 10, "outputs"),
        ("net.yaml", 9, 9, "stage2.module0.unit0"),
        ("net.yaml", 11, 20, "stages.fusion"),
        ("net.yaml", 12, 23, "head.kind"),
    ]


NODES = """\
version: 1
input: [3, 64, 64]
outputs: 4
title: Five
nodes:
  a: {block: conv, width: 7}
  b: {block: shuffle_block, from: a}
  c: {block: conv, width: eight, from: a}
  d: {block: convv, width: 8, from: a}
  e: {block: conv, width: 8, colour: red, from: a}
  f: {block: add, from: [a, c, d]}
"""


def test_five_mistakes_of_five_kinds_in_nodes_are_five_lines_in_the_order_of_the_file(told):
    assert places(told(("net.yaml", NODES))) == [
        (4, 1, "title"),
        (7, 6, "b"),
        (8, 27, "nodes.c.width"),
        (9, 14, "nodes.d"),
        (10, 30, "nodes.e.colour"),
    ]


def test_mistakes_of_a_variant_and_of_what_it_extends_come_together(told):
    variant = """\
version: 1
extends: first
initialisation: {std: small}
stages:
  unit: {block: conditional_channel_weighting, before: sideways}
  fusion: {sum: plane}
hed: finest
"""
    base = STAGES.replace("outputs: five", "outputs: 5").replace("[fusion, fusoin]", "fusion")
    base = base.replace("width: 32", "width: 30").replace(
        "{block: transition, convolutions: dense}", "[transition, trans]"
    )
    assert told(("first.yaml", base), ("net.yaml", variant)) == [
        ("first.yaml", 2, 1, "colour"),
        ("first.yaml", 5, 36, "stem.width"),
        ("first.yaml", 10, 28, "stages.transition"),
        ("net.yaml", 3, 23, "initialisation.std"),
        ("net.yaml", 5, 56, "stages.unit.before"),
        ("net.yaml", 6, 17, "stages.fusion.sum"),
        ("net.yaml", 7, 1, "hed"),
    ]


GOOD = STAGES.replace("colour: red\n", "").replace("outputs: five", "outputs: 5").replace("width: 15", "width: 16").replace(
    "{block: transition, convolutions: dense}", "transition").replace("[fusion, fusoin]", "fusion")  # fmt: skip
ALONE = {
    "a type hides no block": ("modules: [1, 2]", "modules: [1, two]", [(7, 16, "stages.modules.1")]),
    "an unknown name is not also missing": ("width: 16", "widht: 16", [(6, 3, "stages.widht")]),
    "a misspelt form is not also missing": ("stages:", "stagse:", [(5, 1, "stagse")]),
    "a misspelt head is not also missing": ("head:", "hed:", [(11, 1, "hed")]),
    "a wrong width makes no transition wrong": ("width: 16", "width: [16, 0, 32]", [(6, 15, "stages.width.1")]),
    "widths for other stages": ("width: 16", "width: [15, 31]", [(6, 10, "stages.width")]),
    "an input that fits no stage": ("input: [3, 64, 64]", "input: [3, 70, 64]", [(2, 8, "input")]),
    "no stages": ("modules: [1, 2]", "modules: []", [(7, 12, "stages.modules")]),
    "no widths": ("width: 16", "width: []", [(6, 10, "stages.width")]),
    "stages that are no mapping": (GOOD[GOOD.index("stages:") : GOOD.index("head:")], "stages: 3\n", [(5, 9, "stages")]),
    "outputs of another type, with a last layer of a fixed width": (
        "outputs: 5", "outputs: 5.5\nlast: {block: conv, width: 5}", [(3, 10, "outputs")]),
    "a block between": ("stem: {block: shuffle_stem, width: 32}", "stem: [shuffle_stem, {block: convv, width: 7}]",
                        [(4, 30, "stem")]),
    "an argument that decides the shape": ("stem: {block: shuffle_stem, width: 32}",
                                           "stem: [{block: conv, width: 8, stride: x}, max_pool]", [(4, 40, "stem.stride")]),
    "an argument that may be misspelt": ("stem: {block: shuffle_stem, width: 32}",
                                         "stem: [{block: conv, width: 8, strid: 2}, max_pool]", [(4, 32, "stem.strid")]),
}  # fmt: skip


@pytest.mark.parametrize(("good", "wrong", "expected"), ALONE.values(), ids=ALONE)
def test_one_mistake_is_one_line(good, wrong, expected, told):
    assert good in GOOD
    assert places(told(("net.yaml", GOOD.replace(good, wrong)))) == expected


INDEPENDENT = {
    "a type and a block behind it": (
        {"modules: [1, 2]": "modules: [1, two]", "fusion: fusion": "fusion: fusoin", "unit: cond": "unit: [cond, cond] # "},
        [(7, 16, "stages.modules.1"), (8, 10, "stages.unit"), (8, 16, "stages.unit"), (10, 11, "stages.fusion")]),
    "an input that fits no stage and an odd width": (
        {"input: [3, 64, 64]": "input: [3, 70, 64]", "width: 16": "width: 15"},
        [(2, 8, "input"), (8, 9, "stage2.module0.unit0")]),
    "a surplus entry": ({"fusion: fusion": "fusion: [fusion, no_fusion, fusoin]"},
                        [(10, 11, "stages.fusion"), (10, 31, "stages.fusion")]),
    "widths of a wrong number and a block": (
        {"width: 16": "width: [16]", "transition: transition": "transition: [transition, trans]"},
        [(6, 10, "stages.width"), (9, 28, "stages.transition")]),
    "a branch of a unit, and too few of another": (
        {"unit: conditional_channel_weighting": "unit: [[shuffle_block, shuffel], [basic_block, basic_block]]"},
        [(8, 26, "stages.unit"), (8, 36, "stages.unit")]),
    "a first stage that does not fit and a second that has an unknown block": (
        {"width: 16": "width: 15", "unit: conditional_channel_weighting": "unit: [shuffle_block, shuffel]"},
        [(8, 10, "stage2.module0.unit0"), (8, 25, "stages.unit")]),
    "both forms, each with a mistake": (
        {"head: iterative_head": "head: [iterative_hed]\nnodes: {a: {block: convv}}"},
        [(1, 1, "stages"), (11, 8, "head"), (12, 20, "nodes.a")]),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "expected"), INDEPENDENT.values(), ids=INDEPENDENT)
def test_independent_mistakes_are_a_line_each(changes, expected, told):
    text = GOOD
    for good, wrong in changes.items():
        assert good in text
        text = text.replace(good, wrong)
    assert places(told(("net.yaml", text))) == expected


AMONG_NODES = {
    "a copy's mistake and its readers": (
        ["a: {block: conv, width: 7}", "b: {block: conv, width: 8, repeat: none}", "c: {block: shuffle_block, from: b}",
         "d: {block: shuffle_block, from: a}"],
        [(5, 38, "nodes.b.repeat"), (7, 6, "d")]),
    "an unknown source": (
        ["a: {block: conv, width: 7}", "b: {block: add, from: [a, z]}", "c: shuffle_block", "d: {block: shuffle_block, from: a}"],
        [(5, 25, "nodes.b.from"), (7, 6, "d")]),
    "two circles and a shape": (
        ["a: {block: add, from: [b, input]}", "b: {block: conv, width: 8, from: a}", "c: {block: add, from: [d, b]}",
         "d: {block: conv, width: 8, from: c}", "e: {block: shuffle_block, from: input}", "f: {block: add, from: [a, e]}"],
        [(5, 6, "nodes.b.from"), (7, 6, "nodes.d.from"), (8, 6, "e")]),
    "names": (
        ["input: {block: conv, width: 7}", "b: {block: shuffle_block, from: input}", "b.c: {block: conv, widht: 8}",
         "last: {block: shuffle_block, from: [b]}"],
        [(4, 3, "nodes.input"), (6, 3, "nodes.b.c"), (6, 22, "nodes.b.c.widht"), (7, 3, "nodes.last")]),
    "an odd unread node and a network that ends in other widths": (
        ["a: {block: conv, width: 7}", "b: {block: shuffle_block, from: a}", "c: {block: conv, width: 8, from: a}"],
        [(5, 6, "b"), (99, 7, "output")]),
}  # fmt: skip


@pytest.mark.parametrize(("nodes", "expected"), AMONG_NODES.values(), ids=AMONG_NODES)
def test_what_a_mistake_hides_is_not_wired(nodes, expected, told):
    last = "last: {block: conv, width: 3}\n" if expected[-1][2] == "output" else ""
    text = "version: 1\ninput: [3, 64, 64]\nnodes:\n" + "".join(f"  {each}\n" for each in nodes) + last
    line = len(text.splitlines())
    assert places(told(("net.yaml", text))) == [(line if at == 99 else at, *rest) for at, *rest in expected]


def test_a_wrong_override_hides_no_mistake_of_the_file(told):
    found = told(
        ("net.yaml", GOOD.replace("fusion: fusion", "fusion: fusoin")), spatial_rati=3, **{"stages.unit.3.x": 1}
    )
    assert [(file, line, field) for file, line, _, field in found] == [
        ("", 0, "spatial_rati"),
        ("", 0, "stages.unit.3"),
        ("net.yaml", 10, "stages.fusion"),
    ]


def test_a_file_without_mistakes_gives_what_it_gave():
    assert archlab.assemble(load_text(GOOD, "net")).nodes[-1].out_shapes == ((5, 16, 16),)
