"""The lines of a hash: runs put together from plans are what a plain walk over all leaves gives."""

from __future__ import annotations

from random import Random

import pytest
from torch import Tensor, nn

import archlab
from archlab.blocks import BLOCKS, registry
from archlab.blocks.wiring import Map, Maps, Wiring
from archlab.network.canonical import canonical_lines
from archlab.network.graph import origin, output_value
from archlab.search.space.points import sample
from archlab.search.space.space import load_space


def plain(graph):
    """Number leaves one at a time, depth first, inputs in order."""
    makers = {(i, v): leaf for i, node in enumerate(graph.nodes) for leaf in node.leaves for v in leaf.outputs}
    numbers, layers, lines = {}, {}, []

    def name(value):
        return (-1, 0) if value[0] < 0 else (value[0], makers[value].outputs[0])

    def described(node, leaf):
        layer = layers.setdefault((node, leaf.scope or leaf.outputs[0]), len(layers))
        read = [origin(graph, (node, value)) for value in leaf.inputs]
        which = [0 if value[0] < 0 else value[1] - name(value)[1] for value in read]
        inputs = [(numbers[name(value)], k) for value, k in zip(read, which, strict=True)]
        choices = sorted(
            (key, f"{v.__module__}:{v.__qualname__}" if isinstance(v, type) else v) for key, v in leaf.arguments
        )
        return f"{leaf.kind} {layer} {choices!r} {leaf.out_shapes} {inputs}"

    stack = [output_value(graph)]
    while stack:
        value = stack.pop()
        if name(value) in numbers:
            continue
        leaf = makers.get(value)
        waiting = [origin(graph, (value[0], v)) for v in leaf.inputs] if leaf else []
        if missing := [each for each in waiting if name(each) not in numbers]:
            stack += [value, *reversed(missing)]
            continue
        numbers[name(value)] = len(numbers)
        lines.append(described(value[0], leaf) if leaf else "image")
    return lines


def as_made(graph):
    return "\n".join(canonical_lines(graph)).split("\n")


@pytest.mark.parametrize("name", ["lite_hrnet", "hybrid"])
def test_random_networks_have_the_lines_of_a_plain_walk(name):
    space, random = load_space(name), Random(0)
    for _ in range(25):
        graph = archlab.assemble(space.spec(sample(space, random)))
        assert as_made(graph) == plain(graph)


@pytest.mark.parametrize("network", archlab.list_networks())
def test_shipped_networks_have_the_lines_of_a_plain_walk(network):
    name = network if isinstance(network, str) else network.name
    graph = archlab.assemble(archlab.load(name))
    assert as_made(graph) == plain(graph)


def crossed(g: Wiring, xs: Maps) -> list[Map]:
    """Inputs that are read out of order, passed through and read twice, a layer shared by maps, and two outputs."""
    first, second = xs
    joined = g.concat(second, first, second)
    left, right = g.split(joined, [first.channels, 2 * second.channels])
    made = [g.act(left, shared="act"), g.act(g.conv(right, 4), shared="act")]
    return [made[1], first, made[0]]


class Labelled(nn.Module):
    """A module with an argument of any type."""

    def __init__(self, label: object) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return x


CROSSED = """\
version: 1
input: [3, 64, 64]
nodes:
  a: {block: conv, width: 6}
  b: {block: conv, width: 8, from: input}
  c: {block: crossed, from: [a, b]}
  d: {block: concat, from: [c, b]}
  e: {block: labelled, label: "50%d (%s)"}
"""


def test_inputs_out_of_order_shared_layers_and_maps_passed_through_have_the_lines_of_a_plain_walk(
    tmp_path, monkeypatch
):
    table = {**BLOCKS, "crossed": crossed, "labelled": registry.as_block(Labelled)}
    monkeypatch.setattr(registry, "blocks", lambda plugin=(): table)
    (tmp_path / "net.yaml").write_text(CROSSED)
    graph = archlab.assemble(archlab.load(tmp_path / "net.yaml"))
    lines = as_made(graph)
    assert lines == plain(graph)
    assert lines.count("image") == 1
    assert len({line.split()[1] for line in lines if line.startswith("relu ")}) == 3  # of a, of b, and one shared


def test_a_network_of_thousands_of_blocks_has_a_hash(tmp_path):
    text = "version: 1\ninput: [3, 32, 32]\nnodes: {a: {block: conv, width: 4, repeat: REPEAT}}\n"
    (tmp_path / "long.yaml").write_text(text.replace("REPEAT", "900"))
    graph = archlab.assemble(archlab.load(tmp_path / "long.yaml"))
    assert as_made(graph) == plain(graph)


def test_a_list_is_an_argument_of_a_block_and_a_mapping_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "blocks", lambda plugin=(): {**BLOCKS, "labelled": registry.as_block(Labelled)})
    text = "version: 1\ninput: [3, 32, 32]\nnodes:\n  a: {block: labelled, label: [1, [2, x]]}\n"
    (tmp_path / "net.yaml").write_text(text)
    assert archlab.load(tmp_path / "net.yaml").nodes[0].arguments == (("label", (1, (2, "x"))),)
    for label in ("{x: 1}", "[1, {x: 1}]"):
        (tmp_path / "net.yaml").write_text(text.replace("[1, [2, x]]", label))
        with pytest.raises(archlab.InputError) as caught:
            archlab.load(tmp_path / "net.yaml")
        (problem,) = caught.value.problems
        assert (problem.field, problem.line) == ("nodes.a.label", 4)


def test_equal_numbers_of_other_types_are_other_networks(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "blocks", lambda plugin=(): {**BLOCKS, "labelled": registry.as_block(Labelled)})
    text = "version: 1\ninput: [3, 32, 32]\nnodes: {a: {block: conv, width: 4}, b: {block: labelled, label: LABEL}}\n"
    graphs = []
    for label in ("1", "1.0", "true", "[1, 2]", "[1.0, 2]"):
        (tmp_path / "net.yaml").write_text(text.replace("LABEL", label))
        graphs.append(archlab.assemble(archlab.load(tmp_path / "net.yaml")))
    assert len({graph.hash for graph in graphs}) == len(graphs)
    assert all(as_made(graph) == plain(graph) for graph in graphs)
