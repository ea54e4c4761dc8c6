import csv
import io
import re
from pathlib import Path

import pytest
from helpers.sample_records import record, run_of
from helpers.tables import cells

import archlab
from archlab.ablation import scatter
from archlab.ablation.captions import NOT_TRAINED, PUBLISHED
from archlab.ablation.load import load_ablation, load_study
from archlab.ablation.measured import summary
from archlab.ablation.report import reported_rows, study_tables
from archlab.report import tables
from archlab.report.tables import TableSet
from archlab.training.runs import Record


def table6(*records: Record) -> TableSet:
    loaded = load_ablation("table6")
    return study_tables(loaded, records)


def test_csv_of_an_ablation_keeps_counts_to_the_unit() -> None:
    lines = list(csv.DictReader(io.StringIO(tables.comma_separated(table6(run_of("lite_hrnet_18"))))))
    (lite,) = [line for line in lines if line["spec"] == "lite_hrnet_18"]
    assert (lite["coco_paper_flops"], lite["mpii_paper_flops"]) == ("215202112", "286710400")
    assert (lite["published_ap"], lite["ground_truth_boxes_AP"], lite["seeds"]) == ("64.8", "20.0", "1")


@pytest.mark.parametrize("width", [60, 80, 120, 200])
def test_the_terminal_form_keeps_to_its_width_where_single_groups_fit(width: int) -> None:
    text = tables.terminal(table6(run_of("lite_hrnet_18")).tables[:1], max(width, 90)).plain
    assert max(map(len, text.splitlines())) <= max(width, 90)
    assert text.count("Lite-HRNet-30") >= 1


def test_a_table_too_wide_for_the_terminal_repeats_its_names() -> None:
    document = table6(run_of("lite_hrnet_18"))
    narrow, wide = (tables.terminal(document.tables[:1], width).plain for width in (90, 250))
    assert narrow.count("Small HRNet-W16") > wide.count("Small HRNet-W16") == 1


def test_costs_stand_beside_the_printed_ones_with_their_difference() -> None:
    document = table6()
    coco = "MFLOPs, COCO 256×192"
    assert cells(document, "Cost", coco, "as paper, 2²⁰")["Lite-HRNet-18"] == "205.23"
    assert cells(document, "Cost", coco, "printed")["Lite-HRNet-18"] == "205.2"
    assert cells(document, "Cost", coco, "diff.")["Lite-HRNet-18"] == "+0.03"
    assert cells(document, "Cost", "MFLOPs, MPII 256×256", "diff.")["Wider Naive Lite-HRNet-18"] == "−4.12"
    assert cells(document, "Cost", "Parameters, 10⁶", "diff.")["Naive Lite-HRNet-18"] == "+0.060"
    assert re.findall(r"(\d+) of the (\d+)", document.tables[0].caption[0]) == [("19", "21")]


def test_misprints_are_remarked_on_where_they_stand() -> None:
    table = table6().tables[0]
    remarked = {row[0].text: cell.text for row in table.rows for cell in row if cell.note}
    assert remarked == {"Naive Lite-HRNet-18": "0.7", "Wider Naive Lite-HRNet-18": "418.7"}


def test_published_scores_stand_in_columns_of_their_own() -> None:
    document = table6(run_of("lite_hrnet_18", seed=1, pck=50.0), run_of("lite_hrnet_18", seed=2, pck=51.0))
    measured = "Measured, ground-truth boxes"
    assert cells(document, "Scores", measured, "PCK")["Lite-HRNet-18"] == "50.5 ± 0.7"
    assert cells(document, "Scores", measured, "AP")["Lite-HRNet-18"] == "20.0 ± 0.0"
    assert cells(document, "Scores", "", "seeds")["Lite-HRNet-18"] == "2"
    assert cells(document, "Scores", "Published, COCO val", "AP")["Lite-HRNet-18"] == "64.8"
    groups = {column.group for column in document.tables[1].columns}
    assert groups == {"", measured, "Published, COCO val", "Published, MPII val"}


def test_published_scores_of_streets_name_their_own_data_set() -> None:
    document = study_tables(load_ablation("camvid"), [])
    found = cells(document, "Scores", "Published, Cityscapes val", "mIoU")
    assert found == {"Small HRNet-W16": "68.6", "Lite-HRNet-18": "73.8", "MobileNetV2 0.5": "68.6"}


def test_a_row_without_a_run_shows_a_dash_and_is_listed() -> None:
    document = table6(run_of("lite_hrnet_18"))
    found = cells(document, "Scores", "Measured, ground-truth boxes", "PCK")
    assert [name for name, text in found.items() if text != "-"] == ["Lite-HRNet-18", "Mean pose, no network"]
    (line,) = [line for line in document.tables[1].caption if line.startswith("Not trained:")]
    assert "Small HRNet-W16" in line
    assert "Lite-HRNet-18," not in line.replace("Naive Lite-HRNet-18,", "")


def test_the_mean_pose_is_what_there_is_to_beat() -> None:
    found = cells(table6(run_of("lite_hrnet_18")), "Scores", "Measured, ground-truth boxes", "PCK")
    assert found["Mean pose, no network"] == "15.0"


def test_scores_in_detector_boxes_have_columns_only_where_there_are_any() -> None:
    both = run_of("lite_hrnet_18")
    both.scores["detector_boxes"] = dict(both.scores["ground_truth_boxes"], AP=17.0)
    document = table6(both)
    assert cells(document, "Scores", "Measured, detector boxes", "AP")["Lite-HRNet-18"] == "17.0"
    assert cells(document, "Scores", "Measured, detector boxes", "AP")["Mean pose, no network"] == "-"


def test_each_setting_has_a_table_of_its_own() -> None:
    document = table6(run_of("lite_hrnet_18"), run_of("lite_hrnet_30", recipe="gpu", recipe_hash="r7" * 8))
    headings = [table.heading for table in document.tables]
    assert headings == ["Cost", "Scores: recipe gpu, synthetic quick", "Scores: recipe quick, synthetic quick"]


def test_a_setting_of_one_row_is_left_out_if_another_compares_rows() -> None:
    both = [run_of(name) for name in ("lite_hrnet_18", "lite_hrnet_30")]
    document = table6(*both, run_of("lite_hrnet_18", recipe="gpu", recipe_hash="r7" * 8))
    assert [table.heading for table in document.tables] == ["Cost", "Scores: recipe quick, synthetic quick"]
    assert {line["recipe"] for line in document.records if "recipe" in line} == {"quick"}


def test_without_runs_the_table_says_that_nothing_was_trained() -> None:
    document = table6()
    assert document.tables[1].caption == (NOT_TRAINED, PUBLISHED)
    assert all("Measured" not in column.group for column in document.tables[1].columns)


def test_measured_and_published_scores_are_said_not_to_compare() -> None:
    assert PUBLISHED in table6(run_of("lite_hrnet_18")).tables[1].caption


def test_a_study_without_published_figures_has_no_columns_for_them(tmp_path: Path) -> None:
    text = "kind: ablation\ntitle: T\nsource: S\nrows:\n  - {name: Mine, spec: lite_hrnet_18}\n"
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    document = study_tables(load_study(tmp_path / "mine.yaml"), [run_of("lite_hrnet_18")])
    heads = [f"{column.group} {column.name}" for table in document.tables for column in table.columns]
    assert not [head for head in heads if "ublished" in head or "printed" in head or "diff" in head]
    assert "ublished" not in tables.markdown(document)


DOTS = """
from archlab.tasks.metrics import Metric, View

class Dots:
    name, unit = "dots", "pictures"
    metrics = (Metric("error", "count_error", "counting error", "error", direction="minimize", digits=2),
               Metric("exact", "exact", "exact counts", unit="percent", uses=frozenset({"table"})))
    views = (View("all"),)
    baselines = {"mean": "the mean count"}

TASKS = {"dots": Dots()}
"""


def test_networks_of_another_task_are_reported_by_its_own_metrics_and_at_their_own_input(tmp_path: Path) -> None:
    (tmp_path / "dots.py").write_text(DOTS)
    (tmp_path / "dots.yaml").write_text(
        "kind: ablation\ntitle: T\nsource: S\nrows:\n  - {name: Mine, spec: skip_pose_net}\n"
    )
    network = archlab.load("skip_pose_net", input=(3, 64, 64), outputs=3)
    given = {
        "task": "dots",
        "input": (3, 64, 64),
        "outputs": 3,
        "data": {"kind": "drawn dots", "fingerprint": "f" * 16, "train_pictures": 40, "val_pictures": 8},
        "baseline": {"mean": {"count_error": 2.5, "exact": 12.5}},
    }
    runs = [
        record("skip_pose_net", archlab.spec_hash(network), seed=seed, **given,
               scores={"all": {"count_error": 1.0 + seed, "exact": 50.0}})
        for seed in (1, 3)
    ]  # fmt: skip
    plugin = [str(tmp_path / "dots.py")]
    made = study_tables(load_study(tmp_path / "dots.yaml"), runs, plugin=plugin)  # type: ignore[arg-type]
    cost, scores = made.tables
    assert [(column.group, column.name) for column in scores.columns[2:]] == [
        ("Measured", "error"),
        ("Measured", "exact counts"),
    ]
    assert [cell.text for cell in scores.rows[0]] == ["Mine", "2", "3.00 ± 1.41", "50.0 ± 0.0"]
    assert [cell.text for cell in scores.rows[1]] == ["Mean count, no network", "-", "2.50", "12.5"]
    assert {column.group for column in cost.columns[2:]} == {"MFLOPs, Training input 64×64"}
    assert all(value in scores.caption[0] for value in ("drawn dots", "40 pictures", "8"))
    (line,) = made.records
    assert line["training_input_params"] == archlab.cost(network).params
    assert (line["all_count_error"], round(line["all_count_error_sd"], 3)) == (3.0, 1.414)
    assert summary(runs[0], plugin).startswith("error 2.00")
    (panel,) = scatter.panels(
        load_study(tmp_path / "dots.yaml"), reported_rows(load_ablation(tmp_path / "dots.yaml"), runs, plugin), plugin
    )  # type: ignore[arg-type]
    assert (panel.y_label, panel.direction, [point.score for point in panel.points]) == (
        "counting error",
        "minimize",
        [3.0],
    )
