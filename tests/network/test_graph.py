"""The graph: shapes, order, pruning, and a hash that sees what is computed and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import archlab
from archlab import InputError


def net(tmp_path, nodes, name="net.yaml", **top):
    lines = ["version: 1", "input: [3, 32, 32]", "outputs: 4", *(f"{k}: {v}" for k, v in top.items()), "nodes:"]
    path = tmp_path / name
    path.write_text("\n".join([*lines, *(f"  {line}" for line in nodes)]) + "\n")
    return archlab.load(path)


BASE = [
    "a: {block: conv, width: 8, stride: 2}",
    "b: {block: inverted_residual, from: a}",
    "c: {block: add, from: [a, b]}",
]

SAME = {
    "names and comments": ["x: {block: conv, width: 8, stride: 2}  # first", "y: {block: inverted_residual, from: x}",
                           "z: {block: add, from: [x, y]}"],
    "order of declaration": [BASE[2], BASE[1], "a: {block: conv, width: 8, stride: 2, from: input}"],
    "defaults written out": ["a: {block: conv, from: input, width: 8, kernel: 3, stride: 2, groups: 1, norm: batch, act: relu}",
                             "b: {block: inverted_residual, from: a, width: 8, expansion: 6}", BASE[2]],
    "an unread node": [*BASE[:2], "idle: {block: conv, width: 3, from: a}", BASE[2]],
}  # fmt: skip
DIFFERENT = {
    "a width": ["a: {block: conv, width: 9, stride: 2}", *BASE[1:]],
    "an operator": ["a: {block: conv, width: 8, stride: 2, act: relu6}", *BASE[1:]],
    "the order of inputs": [*BASE[:2], "c: {block: concat, from: [a, b]}"],
    "a connection": [*BASE[:2], "c: {block: add, from: [b, b]}"],
}  # fmt: skip


@pytest.mark.parametrize("nodes", SAME.values(), ids=SAME)
def test_the_hash_does_not_see(nodes, tmp_path):
    output = "z" if "z:" in nodes[-1] else "c"
    assert archlab.spec_hash(net(tmp_path, nodes, "x.yaml", output=output)) == archlab.spec_hash(net(tmp_path, BASE))


@pytest.mark.parametrize("nodes", DIFFERENT.values(), ids=DIFFERENT)
def test_the_hash_sees(nodes, tmp_path):
    assert archlab.spec_hash(net(tmp_path, nodes, "x.yaml")) != archlab.spec_hash(net(tmp_path, BASE))


def test_the_hash_sees_the_order_of_concatenated_inputs(tmp_path):
    one = net(tmp_path, [*BASE[:2], "c: {block: concat, from: [a, b]}"], "1.yaml")
    other = net(tmp_path, [*BASE[:2], "c: {block: concat, from: [b, a]}"], "2.yaml")
    assert archlab.spec_hash(one) != archlab.spec_hash(other)


def test_one_node_read_twice_differs_from_two_equal_nodes(tmp_path):
    stem = "a: {block: conv, width: 8, stride: 2}"
    shared = [stem, "b: {block: conv, width: 8, from: a}", "c: {block: conv, width: 8, from: b}",
              "d: {block: conv, width: 8, from: b}", "e: {block: add, from: [c, d]}"]  # fmt: skip
    twins = [
        *shared[:2],
        "b2: {block: conv, width: 8, from: a}",
        shared[2],
        "d: {block: conv, width: 8, from: b2}",
        shared[4],
    ]
    one, two = net(tmp_path, shared, "1.yaml"), net(tmp_path, twins, "2.yaml")
    assert archlab.spec_hash(one) != archlab.spec_hash(two)
    assert archlab.cost(one).params < archlab.cost(two).params


def test_which_of_two_equal_nodes_is_read_by_whom_makes_no_difference_but_how_often_does(tmp_path):
    def reads(*sources):
        heads = [f"r{i}: {{block: conv, width: 8, from: {s}}}" for i, s in enumerate(sources)]
        both = ["a: {block: conv, width: 8, from: input}", "b: {block: conv, width: 8, from: a}",
                "b2: {block: conv, width: 8, from: a}"]  # fmt: skip
        names = ", ".join(f"r{i}" for i in range(len(sources)))
        text = "-".join(sources)
        return archlab.spec_hash(net(tmp_path, [*both, *heads, f"z: {{block: add, from: [{names}]}}"], f"{text}.yaml"))

    assert reads("b", "b", "b2") == reads("b2", "b2", "b")
    assert reads("b", "b", "b2") != reads("b", "b2", "b2")


def test_the_two_forms_of_one_network_have_one_hash(tmp_path):
    stages = """
version: 1
input: [3, 64, 64]
outputs: 4
stem: {block: shuffle_stem, width: 32}
stages: {width: 8, modules: [2], unit: conditional_channel_weighting, transition: transition, fusion: {block: fusion, sum: plain}}
head: iterative_head
"""
    nodes = """
version: 1
input: [3, 64, 64]
outputs: 4
nodes:
  s: {block: shuffle_stem, width: 32}
  t: {block: transition, widths: [8, 16]}
  u: {block: conditional_channel_weighting, repeat: 2}
  f: {block: fusion, sum: plain}
  v: {block: conditional_channel_weighting, repeat: 2}
  g: {block: fusion, sum: plain}
  h: {block: iterative_head}
"""
    (tmp_path / "stages.yaml").write_text(stages)
    (tmp_path / "nodes.yaml").write_text(nodes)
    one, other = (archlab.load(tmp_path / f"{name}.yaml") for name in ("stages", "nodes"))
    assert archlab.spec_hash(one) == archlab.spec_hash(other)
    assert archlab.cost(one).flops == archlab.cost(other).flops


def test_a_ratio_that_rounds_to_the_same_width_is_the_same_network():
    def hashed(ratio):
        return archlab.spec_hash(archlab.load("lite_hrnet_18_spatial_only", spatial_ratio=ratio))

    assert hashed(11) != hashed(10)  # 20 // 11 = 1, 20 // 10 = 2
    # widths 20, 40, 80, 160: floor by 90 and by 100 gives 1 (at least), 1, 1, 1 either way
    assert hashed(90) == hashed(100)


@pytest.mark.parametrize(
    "change", [{"input": (3, 256, 256)}, {"outputs": 16}, {"std": 0.01}, {"modules": [2, 4, 3]}, {"sum": "plain"}]
)
def test_input_outputs_initialisation_and_structure_are_in_the_hash(change):
    assert archlab.spec_hash(archlab.load("lite_hrnet_18", **change)) != archlab.spec_hash(
        archlab.load("lite_hrnet_18")
    )


def test_the_hash_is_stable_across_processes():
    code = "import archlab; print(archlab.spec_hash(archlab.load('lite_hrnet_18')))"
    made = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                       env={**os.environ, "PYTHONHASHSEED": seed}).stdout.strip()
        for seed in ("1", "2")
    }  # fmt: skip
    assert made == {archlab.spec_hash(archlab.load("lite_hrnet_18"))}


def test_all_variants_of_the_paper_differ():
    from archlab.core import builtin

    names = set(builtin.names("search_spaces", "*/*.yaml")) - {"base", "space"}
    assert len({archlab.spec_hash(archlab.load(name)) for name in names}) == len(names) >= 14


def problems(tmp_path, nodes, **top):
    with pytest.raises(InputError) as caught:
        archlab.assemble(net(tmp_path, nodes, **top))
    return [str(p).split("net.yaml:", 1)[-1] for p in caught.value.problems]


def test_a_cycle_is_refused_with_its_path(tmp_path):
    found = problems(
        tmp_path,
        [
            "a: {block: conv, width: 8, from: input}",
            "b: {block: add, from: [a, c]}",
            "c: {block: conv, width: 8, from: b}",
        ],
    )
    assert len(found) == 1
    assert "circle: b <- c <- b" in found[0] or "circle: c <- b <- c" in found[0]


def test_maps_that_do_not_fit_are_refused_with_their_shapes_and_the_line(tmp_path):
    nodes = [
        "a: {block: conv, width: 8}",
        "b: {block: conv, width: 8, stride: 2, from: a}",
        "c: {block: add, from: [a, b]}",
    ]
    assert problems(tmp_path, nodes) == ["7:6: c: add: maps to be added differ in shape: 8x32x32, 8x16x16"]


def test_every_node_that_does_not_fit_is_named_at_once(tmp_path):
    nodes = ["a: {block: conv, width: 7}", "b: {block: shuffle_block, from: a}", "c: {block: conv, width: 8, groups: 2, from: a}",
             "d: {block: add, from: [b, c]}"]  # fmt: skip
    found = problems(tmp_path, nodes)
    assert len(found) == 2
    assert "6:6: b: shuffle_block: a width of 7 has no halves: it must be even" in found[0]
    assert "c: conv: 7 and 8 channels do not divide into 2 groups" in found[1]


def test_a_map_too_small_for_its_block_is_refused(tmp_path):
    # 32 halves to 1 in five steps; no convolution makes less of it, but a window larger than the map does.
    nodes = [
        "a: {block: conv, width: 8, stride: 32}",
        "b: {block: deconv, width: 8, from: a}",
        "c: {block: max_pool, kernel: 4, stride: 2, from: a}",
        "d: {block: concat, from: [b, c]}",
    ]
    assert "a map of 8x1x1 is too small for a 4x4 max pool" in problems(tmp_path, nodes)[0]


def test_a_network_that_ends_in_several_maps_is_refused(tmp_path):
    found = problems(tmp_path, ["a: {block: conv, width: 8, stride: 4}", "b: {block: transition, widths: [8, 16]}"])
    assert "must end in one map of 4 channels, but ends in 4x8x8, 4x4x4" in found[0]


@pytest.mark.parametrize("size", [(3, 250, 192), (3, 256, 190), (3, 16, 32)])
def test_an_input_that_is_no_multiple_of_32_is_refused_with_the_reason(size):
    with pytest.raises(InputError, match=r"must be multiples of 32, so that the maps of 4 resolutions fit"):
        archlab.load("lite_hrnet_18", input=size)


def test_odd_sizes_pass_where_nothing_is_joined(tmp_path):
    path = tmp_path / "net.yaml"
    path.write_text("version: 1\ninput: [3, 251, 187]\nnodes:\n  a: {block: conv, width: 8, stride: 2}\n")
    assert archlab.cost(archlab.load(path)).nodes[-1].out_shapes == ((17, 126, 94),)


def test_an_input_that_nothing_reads_has_no_reference(tmp_path):
    nodes = [
        "a: {block: conv, width: 4, stride: 2}",
        "b: {block: conv, width: 4, from: a}",
        "c: {block: finest, from: [a, b]}",
    ]
    graph = archlab.assemble(net(tmp_path, nodes))
    finest = {node.name: node for node in graph.nodes}["c"]
    assert finest.inputs == ((0, 0), None)
    assert finest.reads == ((0, (0, 0)),)
    assert graph.unread == ("b",)
    assert {node.name: node.inputs for node in archlab.cost(graph).nodes}["c"] == ("a",)


def test_a_graph_is_built_counted_and_hashed_like_its_spec_and_assembled_once(monkeypatch):
    from archlab.network import graph as graphs

    spec = archlab.load("lite_hrnet_18", input=(3, 64, 64))
    graph = archlab.assemble(spec)
    expected = archlab.cost(spec), archlab.spec_hash(spec)
    monkeypatch.setattr(graphs, "lay_out", None)
    assert (archlab.cost(graph), archlab.spec_hash(graph)) == expected
    assert archlab.build(graph).graph is graph
