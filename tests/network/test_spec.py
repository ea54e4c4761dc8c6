"""Networks' files: what a user gets wrong is said with file, line, field, rule and the nearest name, all at once."""

from __future__ import annotations

import pytest

import archlab
from archlab import InputError
from archlab.core import builtin
from archlab.network.load import load_at, load_text

GOOD = """\
version: 1
input: [3, 64, 64]
outputs: 5
stem: {block: shuffle_stem, width: 32}
stages:
  width: 16
  modules: [1, 2]
  unit: conditional_channel_weighting
  transition: transition
  fusion: fusion
head: iterative_head
"""


@pytest.fixture
def said(tmp_path):
    """The problems of a file, without its folder."""

    def problems(text, name="net.yaml", **fields):
        path = tmp_path / name
        path.write_text(text)
        with pytest.raises(InputError) as caught:
            archlab.assemble(archlab.load(path, **fields))
        return [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems]

    return problems


def load(tmp_path, text):
    (tmp_path / "net.yaml").write_text(text)
    return archlab.load(tmp_path / "net.yaml")


def test_a_good_file_loads(tmp_path):
    spec = load(tmp_path, GOOD)
    assert (spec.name, spec.input, spec.outputs) == ("net", (3, 64, 64), 5)


WRONG = {
    "an unknown field": ("  width: 16\n", "  widht: 16\n", "net.yaml:6:3: stages.widht: unknown field (did you mean 'width'?)"),
    "a wrong type": ("width: 16", "width: wide", "net.yaml:6:10: stages.width"),
    "a bad width": ("width: 16", "width: 0", "net.yaml:6:10: stages.width"),
    "an odd width": ("width: 16", "width: 15", "conditional_channel_weighting: a width of 15 has no halves"),
    "an unknown block": ("unit: conditional_channel_weighting", "unit: conditional_channel_weighing",
                         "net.yaml:8:9: stages.unit: no block is called 'conditional_channel_weighing' (did you mean 'conditional_"),
    "an unknown argument": ("fusion: fusion", "fusion: {block: fusion, sums: plain}",
                            "net.yaml:10:27: stages.fusion.sums: unknown field (did you mean 'sum'?)"),
    "a choice that is none": ("fusion: fusion", "fusion: {block: fusion, sum: plane}", "net.yaml:10:32: stages.fusion.sum"),
    "too few widths": ("width: 16", "width: [16, 32]", "net.yaml:6:10: stages.width: "),
    "too few units": ("unit: conditional_channel_weighting", "unit: [shuffle_block]",
                      "net.yaml:8:9: stages.unit: "),
    "an argument of another block": ("unit: conditional_channel_weighting", "unit: {block: shuffle_block, ratio: 3}",
                                     "stages.unit.ratio: unknown field"),
    "a repeated key": ("outputs: 5", "outputs: 5\noutputs: 6", "net.yaml:4:1: outputs: repeated key, first at line 3"),
    "a number as text": ("outputs: 5", "outputs: '5'", "net.yaml:3:10: outputs"),
    "no head": ("head: iterative_head\n", "", "`stages:` needs a `head:`"),
    "another version": ("version: 1", "version: 2", "net.yaml:1:10: version"),
    "no version": ("version: 1\n", "", "version"),
    "both forms": ("head: iterative_head", "head: iterative_head\nnodes: {a: {block: conv, width: 3}}",
                   "a network has either `stages:` or `nodes:`"),
    "a tab": ("  width: 16", "\twidth: 16", "net.yaml:6:1: YAML syntax"),
    "a python tag": ("outputs: 5", "outputs: !!python/object/apply:os.system ['true']", "tags such as"),
}  # fmt: skip


@pytest.mark.parametrize(("good", "wrong", "expected"), WRONG.values(), ids=WRONG)
def test_a_mistake_is_named_where_it_stands(good, wrong, expected, said):
    assert good in GOOD
    found = said(GOOD.replace(good, wrong))
    assert any(expected in problem for problem in found), found
    assert all(problem.startswith("net.yaml:") for problem in found), found


def test_all_problems_of_a_file_are_said_at_once(said):
    text = GOOD.replace("unit: conditional_channel_weighting", "unit: ccw").replace("fusion: fusion", "fusion: fusoin")
    assert len(said(text.replace("head: iterative_head", "head: {block: finest, x: 1}"))) == 3


NODES = "version: 1\ninput: [3, 64, 64]\nnodes:\n  a: {block: conv, width: 8}\n"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "b: {block: conv, width: 8, from: aa}",
            "net.yaml:5:36: nodes.b.from: no node is called 'aa' (did you mean 'a'?)",
        ),
        ("b: {block: conv, width: 8, from: 3}", "net.yaml:5:36: nodes.b.from"),
        ("b: {block: add, from: []}", "nodes.b.from: a node reads at least one other"),
        ("b: {block: conv, width: 8, repeat: 0}", "net.yaml:5:38: nodes.b.repeat"),
        ("b: {width: 8}", "nodes.b: expected a block's name"),
        ("b: conv", "nodes.b.width: missing"),
        ("b.c: {block: conv, width: 8}", "nodes.b.c: a node's name is letters, digits and _"),
        ("last: {block: conv, width: 8}", "net.yaml:5:3: nodes.last: a node's name"),
        ("b: {block: conv}", "net.yaml:5:6: nodes.b.width: missing"),
    ],
)
def test_a_nodes_mistake_is_named_where_it_stands(line, expected, said):
    found = said(f"{NODES}  {line}\n")
    assert any(expected in problem for problem in found), found


def test_an_output_that_is_no_node_is_named(said):
    assert "output: no node is called 'z' (known: a)" in said(NODES + "output: z\n")[0]


def test_a_node_reads_the_one_above_and_the_last_copy_of_a_repeated_one(tmp_path):
    graph = archlab.assemble(
        load(tmp_path, NODES + "  b: {block: conv, width: 8, repeat: 2}\n  c: {block: add, from: [b, a]}\n")
    )
    named = {node.name: [graph.source_name(ref) for ref in node.inputs] for node in graph.nodes}
    assert named == {"a": ["input"], "b.0": ["a"], "b.1": ["b.0"], "c": ["b.1", "a"], "last": ["c"]}


def test_units_and_widths_may_differ_by_stage_and_branch(tmp_path):
    text = GOOD.replace("width: 16", "width: [[8, 12], [10, 20, 30]]").replace("unit: conditional_channel_weighting",
        "unit: [shuffle_block, [inverted_residual, {block: shuffle_block, pointwise: 0}, basic_block]]")  # fmt: skip
    graph = archlab.assemble(load(tmp_path, text))
    nodes = {node.name: node for node in graph.nodes}
    assert nodes["stage2.module0.unit1"].block == "shuffle_block"
    assert nodes["stage3.module1.unit0.branch0"].block == "inverted_residual"
    assert nodes["stage3.module1.fusion"].out_shapes == ((10, 16, 16), (20, 8, 8), (30, 4, 4))
    assert archlab.build(load(tmp_path, text)) is not None


def test_a_variant_extends_a_file_beside_it_and_blocks_are_replaced_whole(tmp_path):
    (tmp_path / "mine.yaml").write_text(GOOD)
    spec = load(tmp_path, "version: 1\nextends: mine\nstages: {unit: {block: shuffle_block, pointwise: 0}}\n")
    assert {node.block for node in spec.nodes if "unit" in node.name} == {"shuffle_block"}
    narrow = load(tmp_path, "version: 1\nextends: lite_hrnet_18\nstages: {width: 20}\n")
    assert dict(narrow.nodes[1].arguments)["widths"] == (20, 40)


def test_extending_goes_two_levels_and_a_missing_parent_is_named(tmp_path, said):
    (tmp_path / "first.yaml").write_text(GOOD)
    for name, parent in (("second", "first"), ("third", "second"), ("round", "round")):
        (tmp_path / f"{name}.yaml").write_text(f"version: 1\nextends: {parent}\n")
    archlab.load(tmp_path / "third.yaml")
    (deep,) = said("version: 1\nextends: third\n")
    assert deep.startswith("second.yaml:2:10: extends: ")
    assert "third.yaml extends second.yaml" in deep
    assert said("version: 1\nextends: fisrt\n")[0].startswith("net.yaml:2:10: extends: no network is called 'fisrt'")
    assert "no network is called 'round'" in said((tmp_path / "round.yaml").read_text(), "round.yaml")[0]


def test_a_repeated_key_in_the_extended_file_is_named_there(tmp_path, said):
    (tmp_path / "first.yaml").write_text(GOOD + "outputs: 7\n")
    assert said("version: 1\nextends: first\n") == ["first.yaml:12:1: outputs: repeated key, first at line 3, column 1"]


def test_a_mistake_in_the_extended_file_is_named_there_and_one_in_the_variant_here(tmp_path, said):
    (tmp_path / "first.yaml").write_text(GOOD.replace("width: 16", "width: -1"))
    found = said("version: 1\nextends: first\nouputs: 3\n")
    assert [line.split(":")[:2] for line in found] == [["first.yaml", "6"], ["net.yaml", "3"]]


def test_fields_are_overridden_by_path_or_by_their_last_name():
    by_name = archlab.load("lite_hrnet_18_spatial_only", spatial_ratio=4)
    by_path = archlab.load("lite_hrnet_18_spatial_only", **{"stages.unit.spatial_ratio": 4})
    assert archlab.spec_hash(by_name) == archlab.spec_hash(by_path)
    assert round(archlab.cost(by_name).params / 1e6, 3) == 0.995  # known of the released code's ratio


def test_a_field_that_is_not_there_or_not_alone_is_refused():
    with pytest.raises(InputError, match=r"no field 'spatial_rati'.*did you mean 'spatial_ratio'"):
        archlab.load("lite_hrnet_18", spatial_rati=4)
    with pytest.raises(InputError, match=r"field 'kernel' is ambiguous: nodes\.stem\.kernel, "):
        archlab.load("skip_pose_net", kernel=5)
    with pytest.raises(InputError, match="input: expected"):
        archlab.load("lite_hrnet_18", input=(256, 192))


def test_a_height_and_a_width_keep_the_channels_that_the_file_states():
    assert load_at("lite_hrnet_18", (128, 96)).input == (3, 128, 96)


def test_a_number_written_5e_4_is_a_number(tmp_path):
    spec = load(tmp_path, GOOD + "initialisation: {weights: normal, std: 5e-4}\n")
    assert spec.initialisation.std == 0.0005


def test_a_spec_written_out_is_the_same_network(tmp_path):
    for name in ("small_hrnet_w16", "lite_hrnet_30", "mobilenet_v2"):
        spec = archlab.load(name, input=(3, 128, 96), outputs=3)
        again = load(tmp_path, spec.to_yaml())
        assert archlab.spec_hash(again) == archlab.spec_hash(spec)
        assert "extends" not in spec.to_yaml()


def test_every_variant_of_the_paper_takes_2_to_12_lines_and_has_a_version():
    files = [p for p in builtin.folder("search_spaces").glob("lite_hrnet/*.yaml") if p.stem not in ("base", "space")]
    assert len(files) >= 12
    for path in files:
        lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
        assert 2 <= len(lines) <= 12, path
        assert lines[:2] == ["version: 1", "extends: base"], path


@pytest.mark.parametrize("path", ["nowhere.yaml", "folder/nothing.yaml"])
def test_a_missing_file_is_named(path):
    with pytest.raises(InputError) as caught:
        archlab.load(path)
    assert str(caught.value) == f"{path}: no such network file"


def test_a_text_is_read_like_a_file_and_names_itself_in_problems(tmp_path):
    spec = load_text(GOOD, "seventh", outputs=3, modules=[1, 1])
    (tmp_path / "seventh.yaml").write_text(GOOD)
    assert spec == archlab.load(tmp_path / "seventh.yaml", outputs=3, modules=[1, 1])
    assert (spec.name, spec.outputs) == ("seventh", 3)
    with pytest.raises(InputError) as caught:
        load_text(GOOD.replace("width: 16", "width: 0"), "seventh")
    assert [(p.file, p.line, p.column, p.field) for p in caught.value.problems] == [("seventh", 6, 10, "stages.width")]


def test_a_text_extends_a_built_in_network_and_no_file_of_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(GOOD)
    text = "version: 1\nextends: lite_hrnet_18\nstages: {width: 20}\n"
    assert archlab.spec_hash(load_text(text, "x")) == archlab.spec_hash(
        archlab.load("lite_hrnet_18", **{"stages.width": 20})
    )
    with pytest.raises(InputError) as caught:
        load_text(text.replace("lite_hrnet_18", "mine"), "x")
    assert [(p.file, p.line, p.field) for p in caught.value.problems] == [("x", 2, "extends")]
