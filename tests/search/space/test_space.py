"""Spaces: what a file can say, what a user gets wrong in it, and the way from a spec back to its point."""

from __future__ import annotations

import re
from random import Random

import pytest

import archlab
from archlab.core.errors import InputError
from archlab.search.space.points import sample
from archlab.search.space.space import find, load_space, names

GOOD = """\
version: 1
base: net
vary:
  width: {field: nodes.a.width, choices: [8, 16]}
  kind: {field: nodes.b, choices: {residual: inverted_residual, shuffle: {block: shuffle_block}}}
  expansion: {field: nodes.b.expansion, from: 1, to: 6, when: {kind: residual}}
limits:
  params: {max: 1.0e+6}
"""
NET = """\
version: 1
input: [3, 32, 32]
nodes:
  a: {block: conv, width: 8, stride: 4}
  b: {block: inverted_residual}
  mid: {block: conv, width: 8, repeat: [{}, {}]}
"""


def load(tmp_path, text=GOOD, net=NET):
    (tmp_path / "net.yaml").write_text(net)
    (tmp_path / "some.yaml").write_text(text)
    return load_space(tmp_path / "some.yaml")


def said(tmp_path, text):
    with pytest.raises(InputError) as caught:
        load(tmp_path, text)
    return [str(problem).replace(f"{tmp_path}/", "") for problem in caught.value.problems]


def test_a_good_space_loads_and_its_points_are_networks(tmp_path):
    space = load(tmp_path)
    assert (space.name, [p.name for p in space.parameters]) == ("some", ["width", "kind", "expansion"])
    assert [p.ordered for p in space.parameters] == [True, False, True]
    spec = space.spec(space.point({"width": 16, "kind": "residual", "expansion": 2}), "mine")
    assert spec.name == "mine"
    assert [dict(node.arguments).get("expansion") for node in spec.nodes] == [None, 2, None, None, None]
    assert dict(spec.nodes[0].arguments)["width"] == 16


WRONG = {
    "a path that matches nothing": ("nodes.a.width", "nodes.aa.width", "some.yaml:4:10: vary.width: 'nodes.aa.width' matches nothing"),
    "a star on no list": ("nodes.a.width", "nodes.a.*", "some.yaml:4:10: vary.width: 'nodes.a.*' matches nothing"),
    "no choice": ("[8, 16]", "[]", "some.yaml:4:42: vary.choices: expected a list or mapping of at least one choice"),
    "one label twice": ("[8, 16]", "[8, 8]", "some.yaml:4:10: vary.width: two choices have the same label"),
    "a condition on an absent field": ("when: {kind: residual}", "when: {kinds: residual}",
                                       "some.yaml:6:64: vary.expansion.when: no parameter above is called 'kinds' (did you mean 'kind'?)"),
    "a condition on a later field": ("choices: [8, 16]", "choices: [8, 16], when: {kind: shuffle}",
                                     "some.yaml:4:58: vary.width.when: no parameter above is called 'kind'"),
    "an unknown label": ("kind: residual}", "kind: residuall}",
                         "some.yaml:6:70: vary.expansion.when: 'kind' has no choice 'residuall' (did you mean 'residual'?)"),
    "an unknown limit": ("  params: {max", "  parms: {max", "some.yaml:8:3: limits.parms: no cost is called 'parms' (did you mean 'params'?)"),
    "a least above the most": ("{max: 1.0e+6}", "{min: 9, max: 5}", "some.yaml:8:11: limits: `min`, 9, is above `max`, 5"),
    "a limit of nothing": ("{max: 1.0e+6}", "{}", "some.yaml:8:11: limits: "),
    "an unknown argument in a choice": ("{block: shuffle_block}", "{block: shuffle_block, pointwse: 1}",
                                        "some.yaml:5:97: nodes.b.pointwse: unknown field (did you mean 'pointwise'?)"),
    "an unknown block in a choice": ("residual: inverted_residual", "residual: inverted_residul", "some.yaml:5:46: nodes.b: no block is called 'inverted_residul'"),
    "an argument that a block has not": ("when: {kind: residual}", "when: {kind: shuffle}", "nodes.b.expansion: unknown field"),
    "a value that is out of range": ("[8, 16]", "[8, 0]", "some.yaml:4:46: nodes.a.width: must be at least 1"),
    "another base": ("base: net", "base: nett", "some.yaml:2:7: base: no network is called 'nett'"),
    "from above to": ("from: 1, to: 6", "from: 6, to: 1", "vary.to: `to`, 1, is below `from`, 6"),
    "from without to": ("from: 1, to: 6", "from: 1", "vary.choices: "),
    "neither field nor length": ("field: nodes.a.width, ", "", "vary.field: "),
    "the length of no list": ("{field: nodes.a.width, choices: [8, 16]}", "{length: nodes.a, choices: [1]}",
                              "some.yaml:4:10: vary.width.length: 'nodes.a' is no list"),
    "a length beyond the list": ("{field: nodes.a.width, choices: [8, 16]}", "{length: nodes.mid.repeat, from: 1, to: 3}",
                                 "some.yaml:4:10: vary.width.length: lengths must be 1 to 2"),
    "an unknown field": ("from: 1, to: 6", "from: 1, too: 6", "unknown field (did you mean 'to'?)"),
    "a single choice of everything": (GOOD[GOOD.index("  width:"):GOOD.index("limits:")], "  width: {field: nodes.a.width, choices: [8]}\n",
                                      "some.yaml:3:1: vary: nothing varies"),
    "nothing that varies": (GOOD[GOOD.index("vary:"):GOOD.index("limits:")], "vary: {}\n", "some.yaml:3:7: vary: must be of length 1 or more"),
}  # fmt: skip


@pytest.mark.parametrize(("good", "wrong", "expected"), WRONG.values(), ids=WRONG)
def test_a_mistake_is_named_where_it_stands(good, wrong, expected, tmp_path):
    assert good in GOOD
    found = said(tmp_path, GOOD.replace(good, wrong, 1))
    assert any(expected in problem for problem in found), found
    assert all(problem.startswith("some.yaml:") for problem in found), found


def test_all_problems_of_a_space_are_said_at_once(tmp_path):
    text = GOOD.replace("nodes.a.width", "nodes.aa.width").replace("{kind: ", "{kinds: ").replace("params:", "parms:")
    assert len(said(tmp_path, text)) == 3
    text = GOOD.replace("[8, 16]", "[0, -1]").replace("inverted_residual,", "inverted_residul,")
    assert len(said(tmp_path, text)) == 3


def places(tmp_path, text, net=NET):
    with pytest.raises(InputError) as caught:
        load(tmp_path, text, net)
    return [(each.file.removeprefix(f"{tmp_path}/"), each.line, each.field) for each in caught.value.problems]


def test_mistakes_of_many_kinds_in_a_space_are_as_many_lines_in_the_order_of_the_file(tmp_path):
    text = """\
version: 1
base: net
vary:
  width: {field: nodes.aa.width, choices: [8, 16]}
  kind: {field: nodes.b, choice: [inverted_residual]}
  expansion: {field: nodes.b.expansion, from: 1, to: 6, when: {kind: residual}}
  kernel: {field: nodes.a.kernel, choices: [3, 5], when: {widht: 8}}
title: 5
limits: {parms: {max: 1}, params: {max: many}}
"""
    assert places(tmp_path, text) == [
        ("some.yaml", 4, "vary.width"),
        ("some.yaml", 5, "vary.kind.choice"),
        ("some.yaml", 7, "vary.kernel.when"),
        ("some.yaml", 8, "title"),
        ("some.yaml", 9, "limits.parms"),
        ("some.yaml", 9, "limits.params.max"),
    ]


def test_a_wrong_limit_hides_no_wrong_choice_and_a_wrong_base_no_wrong_limit(tmp_path):
    text = GOOD.replace("[8, 16]", "[8, 0]").replace("params:", "parms:")
    assert places(tmp_path, text) == [("some.yaml", 4, "nodes.a.width"), ("some.yaml", 8, "limits.parms")]
    text = GOOD.replace("base: net", "base: nett").replace("params:", "parms:")
    assert places(tmp_path, text) == [("some.yaml", 2, "base"), ("some.yaml", 8, "limits.parms")]


def test_a_step_that_does_not_meet_the_end_stops_before_it(tmp_path):
    space = load(tmp_path, GOOD.replace("from: 1, to: 6", "from: 1, to: 6, step: 2"))
    assert space.parameters[2].labels == (1, 3, 5)


def test_a_space_of_the_folders_one_name_is_called_like_its_folder_also_by_a_relative_path(tmp_path, monkeypatch):
    (tmp_path / "mine").mkdir()
    load(tmp_path / "mine")
    (tmp_path / "mine" / "some.yaml").rename(tmp_path / "mine" / "space.yaml")
    monkeypatch.chdir(tmp_path / "mine")
    assert [load_space(path).name for path in ("space.yaml", "./space.yaml", "../mine/space.yaml")] == ["mine"] * 3


def test_an_unknown_space_is_named_with_the_nearest():
    with pytest.raises(InputError, match=r"no space is called 'hybird' \(did you mean 'hybrid'"):
        find("hybird")
    assert set(names()) >= {"lite_hrnet", "hybrid"}


def test_wrong_labels_are_said_at_once(tmp_path):
    with pytest.raises(InputError) as caught:
        load(tmp_path).point({"widht": 8, "width": 9, "kind": "shuffle"})
    assert [problem.field for problem in caught.value.problems] == ["widht", "width"]


def test_several_fields_vary_as_one(tmp_path):
    space = load(
        tmp_path, "version: 1\nbase: net\nvary:\n  width: {field: [nodes.a.width, nodes.mid.width], choices: [8, 24]}\n"
    )
    spec = space.spec((1,))
    assert [dict(node.arguments).get("width") for node in spec.nodes if node.block == "conv"] == [24, 24, 24]
    assert space.point_of(spec) == (1,)


def test_copies_vary_tied_or_untied_and_in_number(tmp_path):
    text = ("version: 1\nbase: net\nvary:\n  depth: {length: nodes.mid.repeat, from: 1, to: 2}\n"
            "  kernel: {field: nodes.mid.repeat.*.kernel, choices: [1, 3], tied: false}\n")  # fmt: skip
    space = load(tmp_path, text)
    two = space.spec(space.point({"depth": 2, "kernel.0": 1, "kernel.1": 3}))
    kernels = {node.name: dict(node.arguments)["kernel"] for node in two.nodes if node.name.startswith("mid")}
    assert kernels == {"mid.0": 1, "mid.1": 3}
    one = space.spec(space.point({"depth": 1, "kernel.0": 1}))
    assert [node.name for node in one.nodes if node.name.startswith("mid")] == ["mid"]
    assert space.labels(space.point_of(one)) == {"depth": 1, "kernel.0": 1}


@pytest.mark.parametrize("name", ["lite_hrnet", "hybrid"])
def test_a_shipped_spaces_point_is_a_file_that_reads_back_as_the_point(name, tmp_path):
    space, random = load_space(name), Random(1)
    for _ in range(60):
        point = sample(space, random)
        spec = space.spec(point)
        assert space.point(space.labels(point)) == space.point_of(spec) == point
    (tmp_path / "net.yaml").write_text(spec.to_yaml())
    again = archlab.load(tmp_path / "net.yaml")
    assert archlab.spec_hash(again) == archlab.spec_hash(spec)
    assert space.point_of(again) == point


@pytest.mark.parametrize("name", ["lite_hrnet", "hybrid"])
def test_lite_hrnet_18_as_it_is_written_is_a_point_of_both_spaces(name):
    space, spec = load_space(name), archlab.load("lite_hrnet_18")
    point = space.point_of(spec)
    assert archlab.spec_hash(space.spec(point)) == archlab.spec_hash(spec)


def test_a_spec_outside_is_refused_with_the_field_and_its_line(tmp_path):
    space = load_space("lite_hrnet")
    with pytest.raises(
        InputError, match=r"lite_hrnet_30.yaml:\d+:\d+: stages.modules.1: 8 is no choice of 'modules.1'"
    ):
        space.point_of(archlab.load("lite_hrnet_30"))
    with pytest.raises(InputError) as caught:
        space.point_of(archlab.load("naive_lite_hrnet_18"))
    assert all(re.match(r".*naive_lite_hrnet_18.yaml:\d+:\d+: stages", str(each)) for each in caught.value.problems)
    with pytest.raises(InputError, match="head: differs from the network of the space 'lite_hrnet'"):
        space.point_of(archlab.load("lite_hrnet_18", head="finest"))
    with pytest.raises(InputError, match="input: differs"):
        space.point_of(archlab.load("lite_hrnet_18", input=(3, 128, 96)))


def test_the_size_of_images_is_the_callers_where_it_does_not_vary(tmp_path):
    space = load_space("lite_hrnet", input=(3, 64, 64), outputs=5)
    spec = space.spec(sample(space, Random(0)))
    assert (spec.input, spec.outputs) == ((3, 64, 64), 5)
    varied = "version: 1\nbase: lite_hrnet_18\nvary:\n  size: {field: input, choices: [[3, 64, 64], [3, 128, 96]]}\n"
    (tmp_path / "sizes.yaml").write_text(varied)
    space = load_space(tmp_path / "sizes.yaml", input=(3, 256, 192))
    assert [space.spec((i,)).input for i in (0, 1)] == [(3, 64, 64), (3, 128, 96)]
