"""Measured time in tables and plots: by canonical hash, with the machine, the gaps and Kendall's tau in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers.paths import REPOSITORY
from helpers.refused import refused

from archlab.ablation.latency import networks_of
from archlab.ablation.load import load_study
from archlab.ablation.report import study_panels, study_tables
from archlab.ablation.timed import Timing, read_timing, taus, timed_panel
from archlab.cli.app import main
from archlab.report.pareto import Panel, Point
from archlab.report.scatter_plot import figure

RECORDS = REPOSITORY / "reports" / "latency"
_, NETWORKS = networks_of("table6")
TIMES = {each.graph.hash: 10.0 + i for i, each in enumerate(NETWORKS[1:])}
TIMING = Timing(TIMES, "a machine")


def test_a_table_of_costs_has_the_milliseconds_of_each_row_or_says_that_there_is_no_record() -> None:
    made = study_tables(load_study("table6"), (), timing=TIMING)  # type: ignore[arg-type]
    costs = made.tables[0]
    assert (made.name, costs.columns[-1].group, costs.columns[-1].name) == (
        "table6_latency",
        "Milliseconds",
        "COCO 256×192",
    )
    assert [row[-1].text for row in costs.rows] == ["no record", *(f"{time:.1f}" for time in TIMES.values())]
    assert [record["coco_milliseconds"] for record in made.records] == [None, *TIMES.values()]
    assert any("a machine" in line for line in costs.caption)
    assert any("No network has a record of time at MPII 256×256." in line for line in costs.caption)
    assert any("n = 6." in line and "published AP" in line for line in costs.caption)


def test_systems_are_timed_each_at_its_own_input() -> None:
    _, systems = networks_of("table3")
    times = {each.graph.hash: float(i) for i, each in enumerate(systems)}
    made = study_tables(load_study("table3"), (), timing=Timing(times, "a machine"))  # type: ignore[arg-type]
    assert [row[-1].text for row in made.tables[0].rows] == [f"{i:.1f}" for i in range(len(systems))]
    assert [record["milliseconds"] for record in made.records] == [float(i) for i in range(len(systems))]


def test_tau_compares_multiply_adds_and_time_with_the_score_over_the_rows_with_all_three() -> None:
    rows = [(1.0, "a", 3.0), (2.0, "b", 2.0), (3.0, "c", 1.0), (9.0, "none", 9.0), (9.0, "d", None)]
    timing = Timing({"a": 9.0, "b": 8.0, "c": 7.0, "d": 1.0}, "a machine")
    assert taus("AP", rows, timing) == (
        "Kendall's tau with AP: multiply-adds -1.00 (-1.00 to -1.00), time 1.00 (1.00 to 1.00), n = 3."
    )
    assert taus("AP", rows[:2], timing) == ""


def test_a_panel_has_time_for_its_axis_and_names_those_without_a_record() -> None:
    points = (Point("fast", 4e8, 60.0, hash="a"), Point("slow", 2e8, 70.0, hash="b"), Point("quoted", 1e8, 50.0))
    timed = timed_panel(Panel("t", "r", "AP", points, measured=False), Timing({"a": 3.0, "b": 30.0}, "a machine"))
    assert [(each.label, each.cost) for each in timed.points] == [("fast", 3.0), ("slow", 30.0)]
    assert [each.label for each in timed.front] == ["fast", "slow"]
    assert timed.remark.splitlines() == ["r", "Time on a machine.", "No record of time: quoted."]
    (ax,) = figure([timed]).axes
    assert ax.get_xlabel() == "milliseconds, batch 1"
    assert ax.get_xlim()[0] < 3 < 30 < ax.get_xlim()[1] < 100


def test_panels_without_any_record_are_left_out_with_a_note(capsys: pytest.CaptureFixture[str]) -> None:
    (panel,) = study_panels(load_study("figure4"), (), timing=TIMING)  # type: ignore[arg-type]
    assert panel.title == "(a) Published: COCO val, 256×192"
    assert {each.label for each in panel.points} == {"Wider Naive Lite-HRNet-18", "Lite-HRNet-18", "Lite-HRNet-30"}
    assert "No record of time: MobileNetV2, ShuffleNetV2 and Small HRNet-W16." in panel.remark
    assert "Published: MPII val, 256×256" in capsys.readouterr().err


def test_the_session_with_the_fewest_threads_is_read_unless_another_is_named() -> None:
    one, two = read_timing(RECORDS), read_timing(RECORDS, runtime="folded", threads=2)
    assert ("1 thread" in one.place, "eager" in one.place) == (True, True)
    assert ("2 threads" in two.place, "folded" in two.place) == (True, True)
    lite = next(each.graph.hash for each in NETWORKS if each.label == "Lite-HRNet-18")
    assert one.milliseconds[lite] != two.milliseconds[lite]


def test_a_record_that_does_not_fit_is_refused_with_what_there_is(tmp_path: Path) -> None:
    file = next(RECORDS.glob("*.json"))
    with refused("no session in tensorrt", "1 thread in eager/folded", file=file, field="--latency"):
        read_timing(RECORDS, runtime="tensorrt")
    with refused("no record of latency", file=tmp_path, field="--latency"):
        read_timing(tmp_path)
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text(file.read_text())
    with refused("2 records", file=tmp_path, field="--latency"):
        read_timing(tmp_path)


def test_the_command_writes_files_of_their_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["report", "table6", "--reports", str(tmp_path), "--json"]
    assert main([*words, "--cost", "latency", "--latency", str(RECORDS)]) == 0
    names = ["table6_latency.md", "table6_latency.csv", "table6_latency.tex"]
    assert [Path(path).name for path in json.loads(capsys.readouterr().out)] == names
    assert main([*words, "--runtime", "folded"]) == 2
    assert "--runtime: says which time is shown" in capsys.readouterr().err
    assert main(["report", "table1", "figure1", "--reports", str(tmp_path), "--cost", "latency",
                 "--latency", str(RECORDS)]) == 2  # fmt: skip
    assert "shows no costs by time" in capsys.readouterr().err


def test_without_a_time_nothing_is_added() -> None:
    plain = study_tables(load_study("table6"), ())  # type: ignore[arg-type]
    timed = study_tables(load_study("table6"), (), timing=TIMING)  # type: ignore[arg-type]
    assert plain.name == "table6"
    assert [row[:-1] for row in timed.tables[0].rows] == [*plain.tables[0].rows]
