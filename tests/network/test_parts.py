"""Parts: a group of nodes that is named once and used many times gives the network of its nodes written out."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.refused import refused

import archlab
from archlab.network.load import load_text, plain_fusion

HEAD = "version: 1\ninput: [3, 32, 32]\noutputs: 5\n"
NETWORK = f"""\
{HEAD}\
parts:
  up:
    lateral: {{block: conv, from: input.1, width: 8, kernel: 1}}
    larger: {{block: resize, from: input}}
    sum: {{block: add, from: [larger, lateral]}}
    blend: {{block: basic_block, repeat: [{{}}, {{stride: 1}}]}}
nodes:
  half: {{block: conv, width: 8, stride: 2}}
  quarter: {{block: conv, width: 8, stride: 2}}
  eighth: {{block: conv, width: 8, stride: 2}}
  up4: {{part: up, from: [eighth, quarter]}}
  up2: {{part: up, from: [up4, half], blend: {{block: conv, width: 4}}}}
"""
WRITTEN_OUT = f"""\
{HEAD}\
nodes:
  a: {{block: conv, width: 8, stride: 2}}
  b: {{block: conv, width: 8, stride: 2}}
  c: {{block: conv, width: 8, stride: 2}}
  d: {{block: conv, from: b, width: 8, kernel: 1}}
  e: {{block: resize, from: [c, b]}}
  f: {{block: add, from: [e, d]}}
  g: {{block: basic_block, repeat: 2}}
  h: {{block: conv, from: a, width: 8, kernel: 1}}
  i: {{block: resize, from: [g, a]}}
  j: {{block: add, from: [i, h]}}
  k: {{block: conv, width: 4}}
"""


def graph(text: str = NETWORK, **fields: object) -> archlab.Graph:
    return archlab.assemble(load_text(text, "net", **fields))


def test_it_is_the_network_of_its_nodes_written_out() -> None:
    assert graph().hash == graph(WRITTEN_OUT).hash
    names = ["half", "quarter", "eighth", "up4.lateral", "up4.larger", "up4.sum", "up4.blend.0", "up4.blend.1"]
    assert [node.name for node in graph().nodes[:8]] == names
    assert {node.stage for node in graph().nodes} == {"half", "quarter", "eighth", "up4", "up2", "last"}


def test_a_node_in_a_part_is_read_by_its_full_name() -> None:
    inner = f"{NETWORK}  other: {{block: conv, from: up4.sum, width: 3}}\n"
    assert graph(inner).hash == graph(f"{WRITTEN_OUT}  l: {{block: conv, from: f, width: 3}}\n").hash
    assert graph(f"{NETWORK}output: up4.lateral\n").hash == graph(f"{WRITTEN_OUT}output: d\n").hash


def test_copies_of_a_part_follow_each_other_and_each_may_differ() -> None:
    parts = f"{HEAD}parts: {{two: {{a: {{block: conv, width: 6}}, b: {{block: conv, width: 6}}}}}}\nnodes:\n"
    copies = graph(f"{parts}  x: {{part: two, repeat: [{{}}, {{b: {{width: 7}}}}]}}\n  y: {{block: conv, width: 4}}\n")
    assert [node.name for node in copies.nodes] == ["x.0.a", "x.0.b", "x.1.a", "x.1.b", "y", "last"]
    assert [node.out_shapes[0][0] for node in copies.nodes] == [6, 6, 6, 7, 4, 5]
    widths = "".join(f"  n{i}: {{block: conv, width: {width}}}\n" for i, width in enumerate((6, 6, 6, 7, 4)))
    assert copies.hash == graph(f"{HEAD}nodes:\n{widths}").hash


def test_fields_are_overridden_in_a_part_for_all_its_uses_and_in_a_use_for_it_alone(tmp_path: Path) -> None:
    def kernels(network: archlab.Graph) -> list[int]:
        return [dict(node.arguments)["kernel"] for node in network.nodes if node.name.endswith("lateral")]

    assert kernels(graph(**{"parts.up.lateral.kernel": 3})) == [3, 3]
    assert kernels(graph(**{"nodes.up2.lateral.kernel": 3})) == [1, 3]
    (tmp_path / "base.yaml").write_text(NETWORK)
    (tmp_path / "variant.yaml").write_text("version: 1\nextends: base\nparts: {up: {lateral: {kernel: 5}}}\n")
    variant = archlab.load(tmp_path / "variant.yaml")
    assert kernels(archlab.assemble(variant)) == [5, 5]
    (tmp_path / "again.yaml").write_text(variant.to_yaml())
    assert archlab.assemble(archlab.load(tmp_path / "again.yaml")).hash == archlab.assemble(variant).hash


def test_plain_fusion_reaches_into_parts() -> None:
    text = f"""{HEAD}parts: {{exchange: {{a: {{block: fusion, from: input}}}}}}
nodes:
  stem: {{block: shuffle_stem, width: 16}}
  two: {{block: transition, widths: [8, 16]}}
  x: {{part: exchange}}
  head: {{block: finest}}
"""
    written = text.replace("x: {part: exchange}", "x: {block: fusion, sum: plain}").replace(
        "{block: fusion, from: input}", "fusion"
    )
    plain = plain_fusion(load_text(text, "net"))
    assert archlab.assemble(plain).hash == graph(written).hash != graph(text).hash


MISTAKES = [
    ("part: up, from: [up4", "part: upp, from: [up4", 15, "nodes.up2.part"),
    ("blend: {block: conv, width: 4}", "blende: {width: 4}", 15, "nodes.up2.blende"),
    ("blend: {block: conv, width: 4}", "blend: {block: conv, widht: 4}", 15, "nodes.up2.blend.widht"),
    ("from: input.1, width: 8, kernel: 1", "from: input.1, width: 8, kernle: 1", 6, "parts.up.lateral.kernle"),
    ("from: input.1", "from: input.2", 6, "parts.up.lateral.from"),
    ("from: input.1", "from: quarter", 6, "parts.up.lateral.from"),
    ("sum: {block: add", "last: {block: add", 8, "parts.up.last"),
    ("sum: {block: add, from: [larger, lateral]}", "sum: {part: up}", 8, "parts.up.sum"),
    ("from: [eighth, quarter]", "from: eighth", 6, "parts.up.lateral.from"),
    ("{block: basic_block, repeat: [{}, {stride: 1}]}", "{block: basic_block, repeat: 0}", 9, "parts.up.blend.repeat"),
    ("width: 8, kernel: 1", "width: 7, kernel: 1", 8, "up4.sum"),
]  # fmt: skip


@pytest.mark.parametrize(("good", "wrong", "line", "field"), MISTAKES, ids=[f"{m[3]} {m[2]}" for m in MISTAKES])
def test_a_mistake_has_its_line_and_field(good: str, wrong: str, line: int, field: str) -> None:
    assert good in NETWORK
    with refused(file="net", line=line, field=field) as caught:
        graph(NETWORK.replace(good, wrong))
    assert len(set(map(str, caught.value.problems))) == len(caught.value.problems)


def test_an_empty_part_and_parts_of_a_high_resolution_network_are_refused() -> None:
    with refused(line=5, field="nodes.x.part"):
        graph(f"{HEAD}nodes:\n  x: {{part: a}}\nparts: {{a: {{}}}}\n")
    with refused(field="parts"):
        archlab.load("lite_hrnet_18", parts={"a": {"b": {"block": "conv", "width": 3}}})


def test_swiftnet_is_written_in_some_forty_lines() -> None:
    text = archlab.network.load.find("swiftnet_rn18").read_text()
    assert len(text.splitlines()) < 40
