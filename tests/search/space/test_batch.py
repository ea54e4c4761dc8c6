"""Points counted together: vectors, one network at a time, and its operators give one cost."""

from __future__ import annotations

from random import Random

import pytest

import archlab
from archlab.blocks import BLOCKS, registry
from archlab.blocks.wiring import Map, Maps, Wiring, WiringError
from archlab.counting.fast import tally
from archlab.search.space.batch import BatchCounter
from archlab.search.space.gate import Gate, check, check_many
from archlab.search.space.points import enumerate_points, sample
from archlab.search.space.space import load_space

SPACES = ["lite_hrnet", "hybrid"]


def compared(name, count, whole):
    """Compare the counts of random points; the whole network is assembled for each `whole`-th."""
    space, random = load_space(name), Random(0)
    points = [sample(space, random) for _ in range(count)]
    found = BatchCounter(space).counts(points)
    assert None not in found
    for i, (point, cost) in enumerate(zip(points, found, strict=True)):
        spec = space.spec(point)
        assert cost == tally(spec)[0], space.labels(point)
        if i % whole == 0:
            assert cost == archlab.cost(spec).total, space.labels(point)


@pytest.mark.parametrize("name", SPACES)
def test_random_points_of_a_space_have_one_cost_by_vectors_by_sums_and_by_operators(name):
    compared(name, 100, whole=4)


@pytest.mark.slow
@pytest.mark.parametrize("name", SPACES)
def test_thousands_of_points_of_a_space_have_one_cost_by_vectors_by_sums_and_by_operators(name):
    compared(name, 2000, whole=1)


def by_steps(g: Wiring, xs: Maps, *, width: int, parts: int = 1, hidden: int = 4, most: int = 64) -> list[Map]:
    """Compares, counts up to, divides by, names by and refuses widths: all that a block may do with a number."""
    made = []
    for x in xs:
        if x.channels > most:
            raise WiringError(f"{x.channels} channels are above {most}")
        y = x
        for i in range(parts):
            y = g.act(g.conv(y, max(2, min(width, x.channels) // 2), name=f"part{i}_{width}"), "relu")
        table = {4: 8, 8: 16} if hidden > 6 else {}
        y = g.conv_norm(y, table.get(width, hidden + parts), name="mix")
        made.append(g.conv(y, x.channels, bias=width % 3 == 0))
    return made


STAGES = """\
version: 1
input: [3, 64, 64]
outputs: 5
stem: {block: shuffle_stem, width: 16}
stages: {width: WIDTH, modules: [1, 2], repeat: 1, unit: UNIT, transition: transition, fusion: FUSION}
head: HEAD
"""
VARIED = """\
  stem: {field: stem.width, choices: [8, 16, 12]}
  modules: {field: stages.modules.*, from: 1, to: 2, tied: false}
"""


def make(tmp_path, monkeypatch, vary, *, width="[[8, 16], [8, 16, 32]]", unit="shuffle_block", fusion="fusion",
         head="iterative_head"):  # fmt: skip
    monkeypatch.setattr(registry, "blocks", lambda plugin=(): {**BLOCKS, "by_steps": by_steps})
    net = STAGES.replace("WIDTH", width).replace("UNIT", unit).replace("FUSION", fusion).replace("HEAD", head)
    (tmp_path / "net.yaml").write_text(net)
    (tmp_path / "some.yaml").write_text(f"version: 1\nbase: net\nvary:\n{VARIED}{vary}")
    return load_space(tmp_path / "some.yaml")


CASES = {
    "a block that does all it may": (
        {"unit": "{block: by_steps, width: 8}"},
        "  width: {field: stages.unit.width, choices: [4, 6, 8]}\n  parts: {field: stages.unit.parts, from: 1, to: 3}\n"
        "  hidden: {field: stages.unit.hidden, choices: [4, 8]}\n  most: {field: stages.unit.most, choices: [16, 64]}\n",
        True,
    ),
    "odd widths, which have no halves": (
        {}, "  width: {field: stages.width.1.*, choices: [8, 9, 16], tied: false}\n", True,
    ),
    "one width for all branches": ({"width": "8"}, "  width: {field: stages.width, choices: [8, 12]}\n", False),
    "a width a branch": ({"width": "[8, 16, 32]"}, "  width: {field: stages.width.*, choices: [8, 12], tied: false}\n", False),
    "heads that read some maps": (
        {"fusion": "no_fusion"},
        "  fusion: {field: stages.fusion, choices: [fusion, no_fusion, {block: fusion, doubled: twice}]}\n"
        "  head: {field: head, choices: [finest, concat_head, iterative_head]}\n", False,
    ),
    "units that change widths": (
        {"unit": "[[{block: basic_block, width: 8}, basic_block], shuffle_block]"},
        "  width: {field: stages.unit.0.0.width, choices: [8, 24, 16]}\n", False,
    ),
    "a head of several layers": (
        {"head": "[finest, {block: conv, width: 8}]"},
        "  kernel: {field: head.1.kernel, choices: [1, 3, 5]}\n  width: {field: head.1.width, choices: [4, 8]}\n", False,
    ),
    "an input that varies": ({}, "  height: {field: input.1, choices: [64, 96]}\n", False),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "vary", "refuses"), CASES.values(), ids=CASES)
def test_every_point_of_a_small_space_is_checked_together_as_it_is_by_itself(
    tmp_path, monkeypatch, fields, vary, refuses
):
    space = make(tmp_path, monkeypatch, vary, **fields)
    points = list(enumerate_points(space))
    together = check_many(BatchCounter(space), points)
    alone = [check(space, point) for point in points]
    assert [(f.cost, f.excess, f.refused) for f in together] == [(f.cost, f.excess, f.refused) for f in alone]
    assert any(f.refused for f in alone) == refuses
    assert len({f.cost for f in alone}) > 4


def test_points_are_counted_by_vectors_where_widths_and_numbers_vary(tmp_path, monkeypatch):
    space = make(tmp_path, monkeypatch, "  width: {field: stages.width.1.*, choices: [8, 16], tied: false}\n")
    counter = BatchCounter(space)
    points = list(enumerate_points(space))
    assert None not in counter.counts(points)
    assert len(counter.places.specs) < len(points) / 4


def test_a_gate_passes_many_points_as_it_passes_each():
    space, random = load_space("lite_hrnet"), Random(0)
    points = [sample(space, random) for _ in range(150)]
    points += points[:20]
    one, many = Gate(space), Gate(space)
    each = [found.point for point in points if (found := one.passes(point))]
    assert [found.point for found in many.pass_many(points)] == each
    assert (many.tried, many.passed, many.repeated, many.reasons) == (one.tried, one.passed, one.repeated, one.reasons)
    assert many.repeated > 0
    assert set(many.reasons) == {"params", "macs"}


def test_what_is_checked_ahead_is_what_is_drawn():
    space = load_space("lite_hrnet")
    ahead, random = Gate(space), Random(7)
    found = [ahead.sample(random).point for _ in range(40)]
    by_hand, other = Gate(space), Random(7)
    drawn = []
    while len(drawn) < 40:
        if new := by_hand.passes(sample(space, other)):
            drawn.append(new.point)
    assert found == drawn
    assert (ahead.tried, random.getstate()) == (by_hand.tried, other.getstate())
