import csv
from pathlib import Path

import pytest
from helpers.refused import refused

from archlab.ablation import study
from archlab.ablation.load import distinct_rows, load_ablation, load_study, study_names
from archlab.ablation.scatter import published_flops
from archlab.core import builtin
from archlab.core.errors import InputError

FIGURES = ("params_m", "coco_mflops", "ap", "ap50", "ap75", "ar", "mpii_mflops", "pckh")


def printed(shared: Path, name: str) -> list[dict[str, str]]:
    with (shared / "paper" / "tables" / name).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def number(text: str) -> float | None:
    return float(text) if text else None


@pytest.mark.parametrize(
    ("name", "file"), [("table6", "table6_ccw_vs_1x1.csv"), ("table7", "table7_spatial_vs_multires.csv")]
)
def test_an_ablation_carries_the_figures_that_the_paper_prints(shared: Path, name: str, file: str) -> None:
    expected = printed(shared, file)
    rows = load_study(name).rows
    assert [row.name for row in rows] == [line["model"] for line in expected]
    for row, line in zip(rows, expected, strict=True):
        assert [getattr(row.published, figure) for figure in FIGURES] == [number(line[figure]) for figure in FIGURES]


def test_the_figure_carries_the_points_that_the_paper_draws(shared: Path) -> None:
    rows = {row.name: row.published for row in load_study("figure4").rows}
    for panel, task, score in (("a", "coco", "ap"), ("b", "mpii", "pckh")):
        points = [line for line in printed(shared, "figure4_points.csv") if line["panel"] == panel]
        assert [point["model"] for point in points] == list(rows)
        for point in points:
            flops = published_flops(rows[point["model"]], task)
            assert flops is not None
            assert f"{flops / 2**30:.2f}" == point["gflops"], point
            assert getattr(rows[point["model"]], score) == float(point["score"])


COVERED = {
    "table1_structure.csv", "table2_unit_complexity.csv", "table3_coco_val.csv", "table4_coco_testdev.csv",
    "table5_mpii_val.csv", "table6_ccw_vs_1x1.csv", "table7_spatial_vs_multires.csv", "table8_cityscapes.csv",
    "figure4_points.csv", "section43_text.csv",
}  # fmt: skip
"""The printed tables that a test of this folder compares row by row with a study."""


def test_no_printed_table_is_left_out(shared: Path) -> None:
    assert {path.name for path in (shared / "paper" / "tables").glob("*.csv")} == COVERED


def test_the_sentences_of_section_43_are_claims_of_the_campaign(shared: Path) -> None:
    order, alike = [line["value"] for line in printed(shared, "section43_text.csv")]
    assert (order, alike) == ("similar accuracy", "about 0.3 AP lower")
    campaign = load_study("campaign_lsp")
    assert isinstance(campaign, study.Campaign)
    found = [
        (each.better, each.worse, each.within is None)
        for each in campaign.further.claims
        if each.place == "section 4.3"
    ]
    assert found == [
        ("lite_hrnet_18", "lite_hrnet_18_spatial_first", False),
        ("lite_hrnet_18", "lite_hrnet_18_two_spatial", True),
        ("lite_hrnet_18", "lite_hrnet_18_two_cross", True),
    ]
    assert [row.spec for row in load_study("section43").rows] == ["lite_hrnet_18", *(worse for _, worse, _ in found)]


def test_the_structure_study_carries_the_printed_lines(shared: Path) -> None:
    lines = printed(shared, "table1_structure.csv")
    loaded = load_study("table1")
    assert isinstance(loaded, study.Structure)
    layers = [line for line in lines if line["layer"] != "total"]
    assert len(loaded.layers) == len(layers) == 8
    for layer, line in zip(loaded.layers, layers, strict=True):
        found = (layer.layer, layer.operator, " ".join(f"{r}x" for r in layer.resolutions))
        assert found == (line["layer"], line["operator"], line["branches"])
        assert " ".join(map(str, layer.channels)) == line["channels"]
        numbers = (layer.repeat, *layer.modules)
        assert numbers == tuple(int(line[key]) for key in ("repeat", "modules_18", "modules_30"))
    flops, params = lines[-2:]
    assert [row.published.mpii_mflops for row in loaded.rows] == [
        float(flops["modules_18"]),
        float(flops["modules_30"]),
    ]
    assert [row.published.params_m for row in loaded.rows] == [float(params["modules_18"]), float(params["modules_30"])]


def test_the_unit_study_carries_the_printed_formulas(shared: Path) -> None:
    lines = printed(shared, "table2_unit_complexity.csv")
    loaded = load_study("table2")
    assert isinstance(loaded, study.UnitComplexity)
    found = [(f.name, f.single_resolution, f.cross_resolution, f.mflops) for f in loaded.formulas]
    assert found == [
        (
            line["unit"],
            line["single_resolution"] == "yes",
            line["cross_resolution"] == "yes",
            float(line["example_mflops"]),
        )
        for line in lines
    ]


def test_tables_6_and_7_name_nine_networks_in_all() -> None:
    rows = distinct_rows(load_ablation(name) for name in ("table6", "table7"))
    assert len(rows) == len({row.spec for row in rows}) == 9


def test_a_published_figure_stands_in_one_file_only() -> None:
    folder = builtin.folder("studies")
    for name, kept in (("table7", 2), ("figure4", 2), ("table1", 0)):
        text = (folder / f"{name}.yaml").read_text(encoding="utf-8")
        assert text.count("published:") == kept, name


def test_every_study_that_travels_with_the_package_loads() -> None:
    assert {"table1", "table2", "table6", "table7", "figure4"} <= set(study_names())
    for name in study_names():
        assert load_study(name).name == name


def problems(folder: Path, text: str) -> str:
    (folder / "mine.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_study(folder / "mine.yaml")
    return str(caught.value)


def test_all_problems_of_a_study_are_named_with_their_places(tmp_path: Path) -> None:
    text = """\
kind: ablation
title: Mine
source: Here
rows:
  - {name: A, spec: a, published: {app: 1.0}}
  - {name: B, spec: b, published: {ap: high}}
  - {spec: c}
  - {name: D, spec: d, notes: {pckh: none is published}}
  - {name: E}
"""
    found = problems(tmp_path, text)
    for line, word in ((5, "did you mean 'ap'"), (6, "a number")):
        assert any(f"mine.yaml:{line}:" in each and word in each for each in found.splitlines()), found
    sound = text.replace("app: 1.0", "ap: 1.0").replace("high", "2.0")
    found = problems(tmp_path, sound)
    for line, word in ((7, "rows.name"), (8, "pckh")):
        assert any(f"mine.yaml:{line}:" in each and word in each for each in found.splitlines()), found


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("kind: abblation", "did you mean 'ablation'"),
        (
            "title: no kind",
            "ablation, campaign, discrepancies, drawing, predictions, scatter, structure, systems, unit_complexity",
        ),
        ("kind: [ablation]", "mine.yaml:1:"),
    ],
)
def test_a_wrong_kind_is_refused_with_the_known_ones(tmp_path: Path, line: str, word: str) -> None:
    assert word in problems(tmp_path, f"{line}\nsource: Here\nrows: []\n")


@pytest.mark.parametrize(
    ("same_as", "word"),
    [
        ("other/no_such", "no row of other has the spec 'no_such'"),
        ("othr/a", "did you mean 'other'"),
        ("other", "'other'"),
        ("other/a, name: A", "same_as"),
    ],
)
def test_a_row_that_is_the_same_as_none_is_refused(tmp_path: Path, same_as: str, word: str) -> None:
    head = "kind: ablation\ntitle: T\nsource: S\nrows:\n"
    (tmp_path / "other.yaml").write_text(head + "  - {name: A, spec: a, published: {ap: 1.0}}\n", encoding="utf-8")
    found = problems(tmp_path, head + f"  - {{same_as: {same_as}}}\n")
    assert word in found
    assert "mine.yaml:5:" in found


def test_a_row_is_taken_over_from_the_study_beside_it(tmp_path: Path) -> None:
    head = "kind: ablation\ntitle: T\nsource: S\nrows:\n"
    (tmp_path / "other.yaml").write_text(head + "  - {name: A, spec: icnet, published: {ap: 1.0}}\n", encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(head + "  - {same_as: other/icnet}\n", encoding="utf-8")
    assert load_study(tmp_path / "mine.yaml").rows == load_study(tmp_path / "other.yaml").rows


def test_a_spec_named_by_its_path_is_found_beside_the_study(tmp_path: Path) -> None:
    (tmp_path / "net.yaml").write_text("version: 1\nextends: lite_hrnet_18\n", encoding="utf-8")
    text = "kind: ablation\ntitle: T\nsource: S\nrows:\n  - {name: A, spec: net.yaml}\n"
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    assert load_study(tmp_path / "mine.yaml").rows[0].spec == str(tmp_path / "net.yaml")


def test_only_an_ablation_is_trained() -> None:
    with pytest.raises(InputError) as caught:
        load_ablation("table1")
    (problem,) = caught.value.problems
    assert problem.field == "study"
    assert "structure" in problem.message


def test_an_unknown_study_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError, match="did you mean 'table6'"):
        load_study("tabel6")


# Extending a campaign


def test_the_campaign_on_photographs_judges_the_rows_and_claims_of_the_campaign() -> None:
    base, made = load_study("campaign"), load_study("campaign_lsp")
    assert isinstance(base, study.Campaign)
    assert isinstance(made, study.Campaign)
    assert (made.rows, made.claims, made.reference) == (base.rows, base.claims, base.reference)
    assert [each.spec for each in made.controls] == [each.spec for each in base.controls]
    assert (made.recipe, made.metric, made.reference_ap) == ("lsp_96", "pck", None)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("kind: campaign\nextends: campain\n", 2),
        ("kind: campaign\nextends: [campaign]\n", 2),
        ("extends: mine\nkind: campaign\n", 1),
        ("extends: second\nkind: campaign\n", 1),
    ],
    ids=["unknown", "a list", "itself", "two levels"],
)
def test_a_campaign_extends_one_other_in_its_folder(tmp_path: Path, text: str, line: int) -> None:
    (tmp_path / "campaign.yaml").write_text("kind: campaign\n", encoding="utf-8")
    (tmp_path / "second.yaml").write_text("extends: campaign\nkind: campaign\n", encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_study(tmp_path / "mine.yaml")
    (problem,) = caught.value.problems
    assert (problem.file, problem.line, problem.field) == (str(tmp_path / "mine.yaml"), line, "extends")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("kind: ablation\nrows:\n- {name: A, spec: lite_hrnet_18}\n- {name: B, spec: lite_hrnet_19}\n", 6),
        ("kind: systems\nrows:\n- {name: A, reason: why}\n- {name: B, spec: lite_hrnet_19, input: [64, 64]}\n", 6),
        ("kind: drawing\nparts:\n- spec: lite_hrnet_19\n", 5),
        ("kind: predictions\nspec: lite_hrnet_19\n", 4),
    ],
)
def test_a_network_that_is_unknown_is_named_at_its_line(tmp_path: Path, text: str, line: int) -> None:
    (tmp_path / "mine.yaml").write_text("title: t\nsource: s\n" + text)
    with refused("lite_hrnet_19", file=tmp_path / "mine.yaml", line=line, field="spec"):
        load_study(tmp_path / "mine.yaml")
