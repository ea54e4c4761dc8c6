"""The tally: what counting gives for the assembled graph, to the unit, without a leaf."""

from __future__ import annotations

from random import Random

import pytest
import torch
from torch import nn

import archlab
from archlab.blocks import BLOCKS, registry
from archlab.blocks.wiring import Map, Maps, Wiring
from archlab.core import builtin
from archlab.core.errors import InputError
from archlab.counting.count import cost
from archlab.counting.fast import tally
from archlab.network.graph import assemble
from archlab.search.space.points import sample
from archlab.search.space.space import load_space

NETWORKS = sorted(set(builtin.names("search_spaces", "*/*.yaml")) - {"base", "space"})


def same(spec: archlab.Spec) -> bool:
    return tally(spec)[0] == cost(assemble(spec)).total


@pytest.mark.parametrize("name", NETWORKS)
def test_a_shipped_network_tallies_as_it_counts(name):
    assert same(archlab.load(name))


@pytest.mark.parametrize("fields", [{"doubled": "twice"}, {"head": "finest"}, {"head": "concat_head"},
                                    {"sum": "plain"}, {"head": "finest", "doubled": "twice"}], ids=str)  # fmt: skip
def test_what_is_evaluated_twice_or_never_read_tallies_as_it_counts(fields):
    spec = archlab.load("lite_hrnet_18", **fields)
    assert same(spec)
    assert tally(spec)[0] != tally(archlab.load("lite_hrnet_18"))[0] or fields == {"sum": "plain"}


@pytest.mark.parametrize("name", ["lite_hrnet", "hybrid"])
def test_hundreds_of_unseen_points_of_the_spaces_tally_as_they_count(name):
    space, random = load_space(name), Random(0)
    specs = [space.spec(sample(space, random)) for _ in range(150)]
    assert [spec for spec in specs if not same(spec)] == []
    assert len({tally(spec)[0] for spec in specs}) == 150


class Doubled(nn.Module):
    """One convolution called twice."""

    def __init__(self, in_channels: int, kernel: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, in_channels, kernel, padding=kernel // 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(nn.functional.relu(self.conv(x)))


def tangled(g: Wiring, xs: Maps, *, idle: int = 3) -> list[Map]:
    """Layers shared by scopes of one name and across maps, work that nothing needs, and an input passed through."""
    made = []
    for x in xs:
        with g.scope("own"):
            y = g.act(g.conv(x, x.channels), shared="act")
            made.append(g.act(g.norm(y), shared="act"))
        g.conv(x, idle)
    y = g.act(g.part(shared_within, made[0]), shared="all")
    return [g.act(y, shared="all"), *made[1:], xs[0]]


def shared_within(g: Wiring, x: Map) -> Map:
    """A part whose activation is one layer with that of its block."""
    return g.act(g.conv(x, 5), shared="all")


def read(tmp_path, monkeypatch, text):
    table = {**BLOCKS, "doubled": registry.as_block(Doubled), "tangled": tangled}
    monkeypatch.setattr(registry, "blocks", lambda plugin=(): table)
    (tmp_path / "net.yaml").write_text("version: 1\ninput: [3, 64, 64]\n" + text)
    return archlab.load(tmp_path / "net.yaml")


NODES = {
    "modules and copies": "nodes: {a: {block: conv, width: 6, stride: 4}, b: {block: doubled, repeat: 2}, "
    "c: {block: doubled, repeat: [{}, {kernel: 5}, basic_block]}, d: {block: add, from: [a, c]}}",
    "shared layers, all read": "nodes: {a: {block: conv, width: 6}, b: {block: conv, width: 6, from: a}, "
    "c: {block: tangled, from: [a, b]}, d: {block: concat, from: c}}",
    "shared layers, some read": "nodes: {a: {block: transition, widths: [6, 8], from: input}, b: {block: tangled}, "
    "c: {block: finest}}",
    "blocks of one map on several": "nodes: {a: {block: transition, widths: [6, 8, 10]}, b: {block: basic_block}, "
    "c: {block: inverted_residual}, d: {block: concat_head}}",
    "blocks of one map, one read": "nodes: {a: {block: transition, widths: [6, 8, 10]}, b: {block: basic_block}, "
    "d: {block: finest}}",
    "a node that nothing reads": "nodes: {a: {block: conv, width: 6}, idle: {block: conv, width: 99}, "
    "b: {block: conv, width: 4, from: a}}",
}  # fmt: skip


@pytest.mark.parametrize("text", NODES.values(), ids=NODES)
def test_a_nodes_network_tallies_as_it_counts(text, tmp_path, monkeypatch):
    spec = read(tmp_path, monkeypatch, text)
    assert same(spec)
    assert tally(spec)[0].params > 0


def test_what_does_not_fit_is_said_as_in_the_graph(tmp_path, monkeypatch):
    spec = read(
        tmp_path,
        monkeypatch,
        "nodes: {a: {block: conv, width: 7}, b: shuffle_block, c: {block: conv, width: 4, groups: 3}}",
    )
    said = []
    for make in (tally, assemble):
        with pytest.raises(InputError) as caught:
            make(spec)
        said.append(str(caught.value))
    assert said[0] == said[1]
    assert "a width of 7 has no halves" in said[0]


def test_a_weighting_of_one_map_alone_is_built_and_runs():
    units = [["conditional_channel_weighting", "shuffle_block"]]
    spec = archlab.load("lite_hrnet_18", input=(3, 64, 64), **{"stages.modules": [1], "stages.unit": units})
    assert same(spec)
    assert archlab.build(spec).eval()(torch.zeros(1, 3, 64, 64)).shape == (1, 17, 16, 16)
