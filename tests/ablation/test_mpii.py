"""Reports of a run on MPII: tables and plots have PCKh where COCO's have AP."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from helpers import tiny
from helpers.mpii_folder import write_split
from helpers.sample_records import record, write_records
from helpers.training import train

import archlab
from archlab.ablation.load import load_study
from archlab.ablation.measured import summary
from archlab.ablation.records import read_records
from archlab.ablation.report import study_tables, write_report
from archlab.ablation.rows import match_runs
from archlab.ablation.scatter import panels
from archlab.ablation.study import Ablation, Scatter
from archlab.report import tables
from archlab.tasks import find_task
from archlab.tasks.pose.data import coco
from archlab.training.recipe import load_recipe
from archlab.training.runs import read_record

STUDY = """\
kind: ablation
title: One small network
source: Nowhere
rows:
  - {name: Tiny, spec: tiny.yaml, published: {pckh: 80.0}}
  - {name: Skips, spec: skip_pose_net}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of a few steps on synthetic people in MPII's layout, validated on the way."""
    folder = tmp_path_factory.mktemp("mpii")
    people = tiny.make_data(folder)
    for split, ours in (("train2017", "train"), ("val2017", "valid")):
        write_split(folder / "mpii", ours, coco.load_people(people, split, aspect=1.0))
    recipe = load_recipe("mpii_256x256")
    small = recipe.changed(input=(64, 64), epochs=2, batch=4, eval_batch=6, workers=0, threads=1, log_every=1, validate_every=1,
        schedule=replace(recipe.schedule, decay="constant", milestones=()),
    )  # fmt: skip
    return train(tiny.make_spec(folder, outputs=16), small, folder / "mpii", out=folder / "runs")


def test_the_tables_of_mpii_have_pckh_and_no_empty_columns_of_coco(run: Path, tmp_path: Path) -> None:
    done = read_record(run)
    (tmp_path / "two.yaml").write_text(STUDY)
    tiny.make_spec(tmp_path)
    two = load_study(tmp_path / "two.yaml")
    records = read_records(write_records(tmp_path / "records", done))
    made = study_tables(two, records)  # type: ignore[arg-type]
    (_, scores) = made.tables
    measured = [column.name for column in scores.columns if column.group.startswith("Measured")]
    assert measured == ["PCKh@0.5", "PCKh@0.1", "PCK"]
    figures = done.scores["ground_truth_boxes"]
    shown = [f"{figures[name]:.1f}" for name in ("mean_weighted", "mean_weighted_threshold_0.10", "pck")]
    assert [cell.text for cell in scores.rows[0]] == ["Tiny", "1", *shown, "80.0"]
    assert [cell.text for cell in scores.rows[1]] == ["Skips", "-", "-", "-", "-", "-"]
    assert scores.rows[2][0].text == "Mean pose, no network"
    caption = " ".join(scores.caption)
    meanings = {metric.key: f"{metric.heading}: {metric.meaning}." for metric in find_task("pose").metrics}
    assert all(meanings[key] in caption for key in ("mean_weighted", "mean_weighted_threshold_0.10", "pck"))
    assert "OKS" not in caption
    (line, _) = csv.DictReader(io.StringIO(tables.comma_separated(made)))
    assert float(line["ground_truth_boxes_mean_weighted"]) == figures["mean_weighted"]
    assert "ground_truth_boxes_AP" not in line
    assert summary(done) == f"PCKh@0.5 {shown[0]}, PCK {shown[2]}, {done.seconds:.0f} s"
    assert len(write_report(two, tmp_path / "records", tmp_path / "out")) == 3


def test_a_run_without_the_mat_has_pck_alone(run: Path, tmp_path: Path) -> None:
    whole = read_record(run)
    done = replace(whole, scores={"ground_truth_boxes": {"pck": 12.0}}, baseline={"mean_pose": {"pck": 15.0}})
    (tmp_path / "two.yaml").write_text(STUDY)
    tiny.make_spec(tmp_path)
    made = study_tables(load_study(tmp_path / "two.yaml"), [done])  # type: ignore[arg-type]
    assert [c.name for c in made.tables[1].columns if c.group.startswith("Measured")] == ["PCK"]
    assert "PCKh" not in " ".join(made.tables[1].caption)


def test_the_plot_has_panels_of_mpii_beside_those_of_coco_lettered_in_turn(run: Path, tmp_path: Path) -> None:
    # a setting with one network has no panel
    (tmp_path / "two.yaml").write_text(
        STUDY.replace("{name: Skips, spec: skip_pose_net}", "{name: Again, spec: tiny.yaml}")
    )
    tiny.make_spec(tmp_path)
    loaded, figure = load_study(tmp_path / "two.yaml"), load_study("figure4")
    assert isinstance(loaded, Ablation)
    assert isinstance(figure, Scatter)
    done = read_record(run)
    coco_hash = next(iter(match_runs(loaded.rows, [done])[0].counted.values())).hash
    other = record("tiny", coco_hash, input=(3, 256, 192), samples=9000)
    made = panels(figure, match_runs(loaded.rows, [done, other]))
    assert [(panel.title[:3], panel.y_label) for panel in made[2:]] == [
        ("(c)", "AP"), ("(d)", "PCK@0.1"), ("(e)", "PCKh@0.5"), ("(f)", "PCK@0.1"),
    ]  # fmt: skip
    assert made[4].points[0].score == done.scores["ground_truth_boxes"]["mean_weighted"]


@pytest.mark.parametrize(("kind", "shown"), [("mpii", False), ("synthetic full", True)])
def test_a_campaign_page_is_not_upset_by_a_record_without_ap(run: Path, tmp_path: Path, kind: str, shown: bool) -> None:
    """It leaves out runs on MPII, and shows others with the figures that they have."""
    done = read_record(run)
    known = archlab.spec_hash(archlab.load("lite_hrnet_18", input=done.input, outputs=16))
    reference = replace(record("lite_hrnet_18", known, input=done.input, outputs=16), scores=done.scores)
    data = done.data | {"kind": kind}
    records = write_records(tmp_path / "records", replace(reference, data=data, baseline=done.baseline))
    page = write_report("campaign", records, tmp_path / "out")[0].read_text(encoding="utf-8")
    assert ("64×64" in page) == shown
    assert "nan" not in page.lower()
