"""The plain sum as an option: every `fusion` block of a network is given it, however the file says the block."""

from __future__ import annotations

from pathlib import Path

import pytest

import archlab
from archlab.core import builtin
from archlab.network.load import plain_fusion

STAGES = """\
version: 1
input: [3, 64, 64]
outputs: 5
stem: {block: shuffle_stem, width: 32}
stages:
  width: 16
  modules: [1, 2]
  unit: conditional_channel_weighting
  transition: transition
  fusion: %s
head: iterative_head
"""
NODES = """\
version: 1
input: [3, 64, 64]
outputs: 5
nodes:
  fine: {block: conv, width: 8, stride: 4}
  both: {block: transition, widths: [8, 16]}
  exchange: %s
  left: {block: fusion, from: both, repeat: 2, down: dense}
  right: {block: no_fusion, from: both}
  end: {block: finest, from: exchange}
  other: {block: finest, from: left}
  sum: {block: add, from: [end, other]}
"""
PLUGIN = """\
def fusion_of_mine(g, xs, *, sum: str = "released"):
    return list(xs)

BLOCKS = {"fusion_of_mine": fusion_of_mine}
"""


def load(folder: Path, text: str, **given: object) -> archlab.Spec:
    (folder / "net.yaml").write_text(text)
    return archlab.load(folder / "net.yaml", **given)  # type: ignore[arg-type]


def sums(spec: archlab.Spec) -> dict[str, str]:
    """Node name -> its sum, of the fusions."""
    return {node.name: dict(node.arguments).get("sum", "") for node in spec.nodes if node.block == "fusion"}


@pytest.mark.parametrize(
    "fusion",
    [
        "fusion",
        "{block: fusion, down: dense}",
        "{block: fusion, sum: released}",
        "[fusion, {block: fusion, down: dense}]",
        "[no_fusion, fusion]",
    ],
)
def test_every_fusion_of_the_stages_sums_plainly_and_keeps_its_other_arguments(tmp_path: Path, fusion: str) -> None:
    spec = load(tmp_path, STAGES % fusion)
    plain = plain_fusion(spec)
    assert set(sums(spec).values()) == {"released"}
    assert set(sums(plain).values()) == {"plain"}
    assert [node.name for node in plain.nodes] == [node.name for node in spec.nodes]
    for before, after in zip(spec.nodes, plain.nodes, strict=True):
        assert dict(after.arguments) | {"sum": ""} == dict(before.arguments) | {"sum": ""}
    assert archlab.spec_hash(plain) != archlab.spec_hash(spec)


@pytest.mark.parametrize("exchange", ["fusion", "{block: fusion}", "{block: fusion, from: both}"])
def test_every_fusion_among_nodes_sums_plainly(tmp_path: Path, exchange: str) -> None:
    spec = load(tmp_path, NODES % exchange)
    plain = plain_fusion(spec)
    assert sums(plain) == {"exchange": "plain", "left.0": "plain", "left.1": "plain"}
    assert [node.inputs for node in plain.nodes] == [node.inputs for node in spec.nodes]
    assert archlab.spec_hash(plain) != archlab.spec_hash(spec)


def test_a_fusion_as_unit_or_head_sums_plainly_too(tmp_path: Path) -> None:
    text = STAGES.replace("unit: conditional_channel_weighting", "unit: fusion")
    spec = load(tmp_path, text.replace("head: iterative_head", "head: [fusion, iterative_head]") % "no_fusion")
    assert set(sums(plain_fusion(spec)).values()) == {"plain"}
    assert {name.rsplit(".")[-1] for name in sums(spec)} == {"unit0", "unit1", "head"}


@pytest.mark.parametrize("name", ["skip_pose_net", "lite_hrnet_18_no_fusion", "small_hrnet_w16"])
def test_a_network_without_fusions_or_with_plain_ones_stays_as_it_is(name: str) -> None:
    spec = archlab.load(name)
    assert plain_fusion(spec) == spec


@pytest.mark.parametrize("name", ["lite_hrnet_18", "naive_lite_hrnet_18"])
def test_the_file_that_is_written_says_the_plain_sum(tmp_path: Path, name: str) -> None:
    spec = archlab.load(name, input=(3, 128, 96), outputs=16)
    plain = plain_fusion(spec)
    again = load(tmp_path, plain.to_yaml())
    assert (again.input, again.outputs) == ((3, 128, 96), 16)
    assert archlab.spec_hash(again) == archlab.spec_hash(plain) != archlab.spec_hash(spec)
    assert archlab.spec_hash(plain) == archlab.spec_hash(
        archlab.load(name, input=(3, 128, 96), outputs=16, **{"stages.fusion.sum": "plain"})
    )


def test_the_plain_sum_costs_what_the_released_one_does_and_less_than_its_execution_twice() -> None:
    """f_i0 is evaluated once and doubled, and to double is not counted. Executed as released, each f_i0 is twice there."""
    spec = archlab.load("lite_hrnet_18")
    assert archlab.cost(plain_fusion(spec)) == archlab.cost(spec)
    twice = archlab.load("lite_hrnet_18", **{"stages.fusion.doubled": "twice"})
    saved = archlab.cost(twice).flops["fvcore"] - archlab.cost(plain_fusion(twice)).flops["fvcore"]

    def separable(width: int, to: int, pixels: int) -> int:
        """Depthwise 3x3 and 1x1, each with a norm, at which fvcore counts 2 an element."""
        return (width * (9 + 2) + to * (width + 2)) * pixels

    eighth, sixteenth, last = 32 * 24, 16 * 12, 8 * 6  # of 256x192
    f10 = separable(40, 80, eighth)
    f20 = separable(40, 40, eighth) + separable(40, 160, sixteenth)
    f30 = separable(40, 40, eighth) + separable(40, 40, sixteenth) + separable(40, 320, last)
    assert saved == 2 * f10 + 4 * (f10 + f20) + 2 * (f10 + f20 + f30) == 46_767_360


def test_the_blocks_of_a_plug_in_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "plug_in_with_a_fusion.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(str(tmp_path))
    text = STAGES % "[fusion, {block: fusion_of_mine, sum: released}]"
    spec = load(tmp_path, text, plugin=["plug_in_with_a_fusion"])
    plain = plain_fusion(spec)
    found = {(node.block, dict(node.arguments)["sum"]) for node in plain.nodes if "fusion" in node.name}
    assert found == {("fusion", "plain"), ("fusion_of_mine", "released")}


def test_every_shipped_network_takes_it() -> None:
    names = set(builtin.names("search_spaces", "*/*.yaml")) - {"base", "space"}
    assert len(names) >= 15
    for name in names:
        assert set(sums(plain_fusion(archlab.load(name))).values()) <= {"plain"}


def test_a_recipe_with_plain_fusion_trains_that_network_and_its_runs_are_found(tmp_path: Path) -> None:
    """A run of it is of another setting than one that sums as the file says; both are known by the row's name."""

    from helpers import tiny
    from helpers.training import train

    from archlab.ablation.load import load_ablation
    from archlab.ablation.rows import match_runs
    from archlab.training.recipe import in_recipe, recipe_hash
    from archlab.training.runs import read_record

    (tmp_path / "net.yaml").write_text(
        (STAGES % "fusion").replace("[1, 2]", "[1]").replace("outputs: 5", "outputs: 17")
    )
    (tmp_path / "one.yaml").write_text("kind: ablation\ntitle: T\nsource: S\nrows:\n  - {name: Mine, spec: net.yaml}\n")
    spec, root = archlab.load(tmp_path / "net.yaml"), tiny.make_data(tmp_path)
    recipes = [tiny.RECIPE.changed(iterations=2, fusion=fusion) for fusion in ("spec", "plain")]
    runs = [train(spec, recipe, root, out=tmp_path / "runs") for recipe in recipes]
    records = [read_record(run) for run in runs]
    assert recipe_hash(recipes[0]) == recipe_hash(tiny.RECIPE.changed(iterations=2)) != recipe_hash(recipes[1])
    assert [record.spec_hash for record in records] == [archlab.spec_hash(s) for s in (spec, plain_fusion(spec))]
    assert "sum: plain" in (runs[1] / "spec.yaml").read_text()
    assert in_recipe(in_recipe(spec, recipes[1]), recipes[1]) == plain_fusion(spec)
    loaded = load_ablation(tmp_path / "one.yaml")
    (row,) = match_runs(loaded.rows, records)
    assert [(setting.recipe_hash, measured.runs) for setting, measured in row.measured.items()] == [
        (recipe_hash(recipe), (record,)) for recipe, record in zip(recipes, records, strict=True)
    ]
