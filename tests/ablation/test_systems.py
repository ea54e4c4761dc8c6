"""Studies of systems: each printed row of Tables 3, 4, 5 and 8, and of the descendants, with its verdict or its reason."""

import csv
from pathlib import Path

import pytest
from helpers.paths import REPOSITORY
from helpers.sample_records import run_of

from archlab.ablation.counted_systems import CountedSystem, counted_systems
from archlab.ablation.load import load_study
from archlab.ablation.report import study_tables
from archlab.ablation.row import Row
from archlab.ablation.study import networks
from archlab.ablation.system_claims import judged_claims
from archlab.ablation.systems import Discrepancies, System, Systems, SystemsClaim
from archlab.core.errors import InputError
from archlab.report import tables

TABLES = {
    "table3": "table3_coco_val.csv",
    "table4": "table4_coco_testdev.csv",
    "table5": "table5_mpii_val.csv",
    "table8": "table8_cityscapes.csv",
}
NOT_REPRODUCED = {
    ("table3", "8-stage Hourglass", "params"),
    ("table3", "8-stage Hourglass", "flops"),
    ("table3", "CPN (ResNet-50)", "flops"),
    ("table3", "DY-MobileNetV2 1x", "params"),
    ("table3", "DY-MobileNetV2 1x", "flops"),
    ("table3", "DY-ReLU 1x (MobileNetV2)", "params"),
    ("table3", "DY-ReLU 1x (MobileNetV2)", "flops"),
    ("table3", "SimpleBaseline (ResNet-50)", "flops"),
    ("table3", "HRNetV1-W32", "flops"),
    ("table4", "SimpleBaseline (ResNet-152)", "flops"),
    ("table4", "MobileNetV2 1x", "params"),
    ("table8", "ICNet", "flops"),
    ("table8", "BiSeNetV1 A", "params"),
    ("table8", "BiSeNetV1 A", "flops"),
    ("table8", "BiSeNetV1 B", "params"),
    ("table8", "BiSeNetV1 B", "flops"),
    ("table8", "DFANet A'", "params"),
    ("table8", "DFANet A'", "flops"),
    ("table8", "ShelfNet", "flops"),
    ("table8", "BiSeNetV2 Small", "flops"),
    ("table8", "MobileNet V2 0.5", "flops"),
    ("table8", "HRNet-W16", "params"),
    ("table8", "FasterSeg", "flops"),
    ("table8", "Lite-HRNet-18", "flops"),
    ("table8", "Lite-HRNet-30", "flops"),
}


HEAVY = {
    "hourglass_8", "cpn_r50", "simple_baseline_r50", "hrnet_w32", "hrnet_w48", "dy_mobilenet_v2", "dy_relu_mobilenet_v2",
}  # fmt: skip


def systems(name: str) -> Systems:
    loaded = load_study(name)
    assert isinstance(loaded, Systems)
    return loaded


def size(shape: tuple[int, int] | None) -> str:
    return "x".join(map(str, shape or ()))


def printed(system: System) -> dict[str, str]:
    """The row as the table prints it."""
    costs = {name: cost.printed for name, cost in system.costs.items()}
    pretrained = {True: "Y", False: "N", None: ""}[system.pretrained]
    values = {"group": system.group, "model": system.name, "backbone": system.backbone, "pretrain": pretrained}
    values |= {"input": size(system.input), "resolution": size(system.input)}
    return values | {"params_m": costs.get("params", ""), "gflops": costs.get("flops", "")}


@pytest.mark.parametrize(("name", "file"), TABLES.items())
def test_a_study_of_systems_carries_every_row_that_the_paper_prints(shared: Path, name: str, file: str) -> None:
    with (shared / "paper" / "tables" / file).open(encoding="utf-8") as stream:
        lines = list(csv.DictReader(stream))
    study = systems(name)
    assert len(study.rows) == len(lines)
    for row, line in zip(study.rows, lines, strict=True):
        found = printed(row)
        costs = {key: value.strip("*") for key, value in line.items() if key in found}
        assert {key: found[key] for key in costs} == costs
        scores = {key: float(value) for key, value in line.items() if key not in found and value}
        assert row.scores == scores, row.name


@pytest.mark.parametrize("name", [*TABLES, "descendants"])
def test_every_row_has_a_verdict_by_rule_or_the_reason_why_it_is_only_quoted(name: str) -> None:
    study = systems(name)
    records = study_tables(study, []).records
    differ = set()
    for row, record in zip(study.rows, records, strict=True):
        verdicts = {key: record[f"{key}_verdict"] for key in row.costs}
        if not row.spec:
            assert row.reason, row.name
            assert set(verdicts.values()) <= {"published only"}, row.name
        for key, verdict in verdicts.items():
            if verdict == "differs":
                assert row.costs[key].reason, (row.name, key)
                differ.add((name, row.label, key))
    assert differ == {each for each in NOT_REPRODUCED if each[0] == name}


def test_counts_stand_at_each_rows_own_input_and_outputs() -> None:
    records = {(r["system"], r["input"]): r for r in study_tables(systems("table5"), []).records}
    assert records["MobileNetV2 1x", "256x256"]["counted_paper"] == 2_115_289_088  # known of public code
    assert records["Lite-HRNet-30", "256x256"]["counted_params"] == 1_763_676
    (small,) = (r for r in study_tables(systems("table8"), []).records if r["system"] == "MobileNet V3-Small")
    assert (small["input"], small["counted_input"]) == ("512x1024", "1024x2048")
    assert small["counted_fvcore"] == 2_857_172_736


def test_parameters_with_auxiliary_outputs_are_judged_where_the_print_has_them() -> None:
    (cpn,) = (r for r in study_tables(systems("table3"), []).records if r["system"] == "CPN")
    assert (cpn["counted_params"], cpn["auxiliary_params"]) == (26_589_538, 421_000)
    assert (cpn["params_rule"], cpn["params_verdict"]) == ("training_params, 10⁶", "reproduced")


def test_light_rows_are_trained_once_each_and_heavy_ones_when_asked() -> None:
    light = [row.spec for row in networks(systems("table3"))]
    assert light == ["mobilenet_v2", "shufflenet_v2", "small_hrnet_w16", "lite_hrnet_18", "lite_hrnet_30"]
    every = [row.spec for row in networks(systems("table3"), heavy=True)]
    assert set(every) - set(light) == HEAVY
    assert len(every) == len(set(every))


def test_measured_rows_say_that_they_are_trained_from_scratch() -> None:
    made = study_tables(systems("table5"), [run_of("lite_hrnet_18")])
    measured = made.tables[-1]
    at = [column.name for column in measured.columns].index("Pre-training")
    assert (measured.rows[0][0].text, measured.rows[0][at].text) == ("Lite-HRNet-18", "from scratch")
    assert [record["recipe"] for record in made.records if "recipe" in record] == ["quick"]


def test_scores_of_another_task_are_left_out_though_the_graph_is_the_same() -> None:
    """Lite-HRNet-18 for segmentation, put out as a pose network's input and outputs, is the pose network's graph."""
    runs = [run_of("lite_hrnet_18"), run_of("lite_hrnet_30")]
    assert any("Scores: recipe quick" in table.heading for table in study_tables(systems("table5"), runs).tables)
    assert not any("Scores: recipe" in table.heading for table in study_tables(systems("table8"), runs).tables)


def test_a_label_names_the_backbone_where_the_name_does_not() -> None:
    labels = [System(name, backbone=backbone).label for name, backbone in
              (("Lite-HRNet", "Lite-HRNet-18"), ("MobileNetV2 1x", "MobileNetV2"), ("CPN", "ResNet-50"), ("A", ""))]  # fmt: skip
    assert labels == ["Lite-HRNet-18", "MobileNetV2 1x", "CPN (ResNet-50)", "A"]
    assert System("CPN", backbone="ResNet-50", spec="cpn_r50").row == Row("CPN (ResNet-50)", "cpn_r50")


def wrong(tmp_path: Path, rows: str) -> list[tuple[int, str]]:
    path = tmp_path / "systems.yaml"
    path.write_text(f"kind: systems\ntitle: t\nsource: s\nscores: {{ap: AP}}\nrows:\n{rows}")
    with pytest.raises(InputError) as error:
        load_study(path)
    return [(problem.line, problem.field) for problem in error.value.problems]


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ("{name: a}", "rows.reason"),
        ("{name: a, spec: lite_hrnet_18, input: [256, 192], reason: why}", "rows.reason"),
        ("{name: a, spec: lite_hrnet_18}", "rows.input"),
        ("{name: a, spec: lite_hrnet_18, counted: [256, 192]}", "rows.counted_reason"),
        ("{name: a, spec: lite_hrnet_18, input: [256, 192], flops: {printed: '1'}}", "rows.flops.counter"),
        ("{name: a, reason: why, params: {printed: many}}", "printed"),
        ("{name: a, reason: why, params: {printed: 1.5}}", "rows[0].params.printed"),
        ("{name: a, reason: why, scores: {app: 1}}", "rows.scores"),
    ],
)
def test_a_row_that_cannot_be_judged_is_refused_with_its_line(tmp_path: Path, row: str, field: str) -> None:
    ((line, named),) = wrong(tmp_path, f"- {row}\n")
    assert (line, named.rpartition(".")[2]) == (6, field.rpartition(".")[2])


@pytest.fixture(scope="module")
def page() -> tables.TableSet:
    return study_tables(load_study("discrepancies"), [])


def test_the_page_of_discrepancies_lists_every_figure_that_differs_and_every_quoted_system(
    page: tables.TableSet,
) -> None:
    study = load_study("discrepancies")
    assert isinstance(study, Discrepancies)
    assert set(study.studies) == {"table2", *TABLES, "table6", "table7", "descendants"}
    assert all(each["reason"] for each in page.records)
    differ = {(each["source"][-1], each["system"]) for each in page.records if each["verdict"] == "differs"}
    assert {(name[-1], system) for name, system, _ in NOT_REPRODUCED} <= differ
    assert {("6", "Naive Lite-HRNet-18"), ("6", "Wider Naive Lite-HRNet-18")} <= differ
    figures, quoted, remarks = page.tables
    assert len(figures.rows) == len(page.records)
    assert len(quoted.rows) == sum(not row.spec for name in (*TABLES, "descendants") for row in systems(name).rows)
    assert {"Lite-HRNet, Table 2", "Lite-HRNet, section 4.1"} <= {row[0].text for row in remarks.rows}


def test_the_committed_page_of_discrepancies_is_that_of_the_studies(page: tables.TableSet) -> None:
    committed = (REPOSITORY / "reports" / "discrepancies.md").read_text(encoding="utf-8")
    assert committed == tables.markdown(page)


# Section, better, worse, figure of every statement that the paper's own scores or our counts contradict.
CONTRADICTED = {
    ("table3", "Lite-HRNet-30", "DY-MobileNetV2 1x", "ap"),
    ("table3", "Lite-HRNet-30", "DY-ReLU 1x (MobileNetV2)", "ap"),
    ("table4", "Lite-HRNet-30", "Small HRNet (HRNet-W16)", "params"),
    ("table8", "Lite-HRNet-18", "BiSeNetV1 B", "miou_test"),
    ("table8", "Lite-HRNet-18", "ShelfNet", "miou_test"),
    ("table8", "Lite-HRNet-18", "MobileNeXt", "miou_val"),
}


@pytest.mark.parametrize("name", TABLES)
def test_every_statement_about_systems_is_held_to_the_print_and_to_our_counts(name: str) -> None:
    study = systems(name)
    found = list(judged_claims(study, counted_systems(study, [])))
    against = {(name, each.better, each.worse, each.claim.figure) for each in found if each.verdict == "does not hold"}
    assert against == {each for each in CONTRADICTED if each[0] == name}
    assert all(each.figures for each in found)
    assert all(each.claim.place in ("section 4.2", "section 4.4") for each in found)


def test_a_claim_takes_the_row_of_its_input_and_a_comparable_pair_may_differ_a_little() -> None:
    rows = (
        System("A", input=(4, 4), scores={"ap": 1.0}, reason="quoted"),
        System("A", input=(8, 8), scores={"ap": 5.0}, reason="quoted"),
        System("B", input=(8, 8), scores={"ap": 4.0}, reason="quoted"),
    )
    claims = [SystemsClaim(("A",), ("B",), "ap", "s", "p", **more) for more in
              ({}, {"input": (8, 8)}, {"input": (8, 8), "within": 0.5}, {"input": (8, 8), "within": 1.0},
               {"input": (4, 4)})]  # fmt: skip
    study = Systems("systems", "t", "s", rows, {"ap": "AP"}, claims=tuple(claims))
    found = [each.verdict for each in judged_claims(study, [CountedSystem(row) for row in rows])]
    assert found == ["does not hold", "holds", "does not hold", "holds", "no figure"]


def test_a_claim_about_an_unknown_row_or_figure_is_refused_with_its_line(tmp_path: Path) -> None:
    rows = "- {name: a, reason: why}\n"
    claim = "- {better: [a], worse: [%s], figure: %s, sentence: s, place: p}\n"
    found = wrong(tmp_path, rows + "claims:\n" + claim % ("b", "ap") + claim % ("a", "app"))
    assert found == [(8, "claims.worse"), (9, "claims.figure")]
