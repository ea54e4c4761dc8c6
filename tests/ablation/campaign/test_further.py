"""Further rows of a campaign: when they are run, where they are defined, and what is shown of them before they are."""

import csv
from pathlib import Path

import pytest
from helpers.paths import REPOSITORY
from helpers.refused import refused
from helpers.sample_records import record, write_records
from helpers.tables import pipe_rows

import archlab
from archlab.ablation.campaign import cost
from archlab.ablation.load import load_ablation, load_study
from archlab.ablation.plan import AblationOptions, plan_ablation
from archlab.ablation.records import read_records
from archlab.ablation.report import write_report
from archlab.ablation.row import Published, Row
from archlab.ablation.study import Campaign, networks

CAMPAIGN = """\
kind: campaign
title: t
source: s
recipe: smoke
reference: skip_pose_net
rows: [{name: Skips, spec: skip_pose_net}]
controls: [{name: Small, spec: skip_pose_net, fields: {nodes.coarse_more.kernel: 3}, at_least: 1, side: below}]
further:
  rows:
    - same_as: systems/lite_hrnet_18
  claims:
    - {better: skip_pose_net, worse: lite_hrnet_18, sentence: s, place: p}
"""
SYSTEMS = """\
kind: systems
title: t
source: s
scores: {ap: AP, apm: APM}
rows:
  - {name: Only quoted, reason: no code}
  - name: Lite-HRNet
    backbone: Lite-HRNet-18
    spec: lite_hrnet_18
    input: [256, 192]
    params: {printed: '1.1'}
    flops: {printed: '0.20', counter: paper, unit: 2^30}
    scores: {ap: 64.8, apm: 62.1}
  - {name: Lite-HRNet, backbone: Lite-HRNet-18, spec: lite_hrnet_18, input: [384, 288], scores: {ap: 67.6}}
"""


def campaign(path: str | Path = "campaign_lsp") -> Campaign:
    loaded = load_study(path)
    assert isinstance(loaded, Campaign)
    return loaded


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    (tmp_path / "systems.yaml").write_text(SYSTEMS)
    (tmp_path / "mine.yaml").write_text(CAMPAIGN)
    return tmp_path / "mine.yaml"


def test_further_rows_are_run_after_two_seeds_of_the_campaigns_own(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(mine.parent)
    planned = plan_ablation([mine], AblationOptions(allow_dirty=True))
    found = [(job.row.name, job.seed) for job in planned.jobs]
    assert found == [
        ("Skips", 1), ("Small", 1), ("Skips", 2), ("Small", 2),
        ("Lite-HRNet-18", 1), ("Lite-HRNet-18", 2),
        ("Skips", 3), ("Small", 3), ("Lite-HRNet-18", 3),
    ]  # fmt: skip


def test_a_row_of_systems_brings_the_figures_that_an_ablation_can_carry(mine: Path) -> None:
    (row,) = campaign(mine).further.rows
    assert row == Row("Lite-HRNet-18", "lite_hrnet_18", published=Published(params_m=1.1, coco_gflops=0.20, ap=64.8))


def test_further_rows_and_claims_join_the_tables_when_they_are_measured(mine: Path) -> None:
    def first_cells(*specs: str) -> tuple[set[str], str]:
        runs = [
            record(each, archlab.spec_hash(archlab.load(each, input=(3, 64, 64))), input=(3, 64, 64)) for each in specs
        ]
        page = write_report(mine, write_records(mine.parent / "records", *runs), mine.parent)[0].read_text(
            encoding="utf-8"
        )
        return {row[0] for row in pipe_rows(page)}, page

    cells, page = first_cells("skip_pose_net")
    assert "Skips" in cells
    assert not {"Lite-HRNet-18", "“s”"} & cells
    assert "until measured: Lite-HRNet-18, and 1 claim" in page
    assert "the 4 runs of 2 networks" in page
    cells, page = first_cells("skip_pose_net", "lite_hrnet_18")
    assert {"Skips", "Lite-HRNet-18", "“s”"} <= cells
    assert "until measured" not in page


def test_what_is_wrong_in_further_rows_and_claims_is_named_with_its_line(mine: Path) -> None:
    rows = CAMPAIGN.partition("  claims:")[0]
    for wrong in ("lite_hrnet", "Only quoted"):
        mine.write_text(rows.replace("systems/lite_hrnet_18", f"systems/{wrong}"))
        with refused(wrong, line=10, field="rows.same_as"):
            load_study(mine)
    mine.write_text(CAMPAIGN.replace("worse: lite_hrnet_18", "worse: lite"))
    with refused("lite", line=12, field="claims.worse"):
        load_study(mine)


def test_the_campaign_on_photographs_adds_section_43_and_light_systems_to_the_first_26_runs() -> None:
    study = campaign()
    assert (len(study.rows), len(study.controls), study.seeds) == (9, 4, (1, 2, 3))
    named = [row.spec for row in study.further.rows]
    assert named[:3] == [row.spec for row in load_ablation("section43").rows if row.heavy]
    assert named[3:6] == ["mobilenet_v2", "shufflenet_v2", "mobilenet_v3_large"]
    assert {spec.rpartition("_")[0] for spec in named[6:]} == {"dite_hrnet", "sx_hrnet", "px_hrnet", "hf_hrnet"}
    assert not {row.spec for row in networks(load_ablation("section43"))} & set(named)  # trained with --rows all


def test_the_committed_runs_are_those_of_the_campaign() -> None:
    study = campaign()
    wanted = cost.wanted(
        Campaign("campaign", "t", "s", study.rows[7:8], "lite_hrnet_18", study.controls, recipe="lsp_96")
    )
    left = wanted.left(read_records(REPOSITORY / "reports" / "records"))
    assert len(wanted.runs) - len(left) >= 3


def test_printed_differences_of_pckh_are_those_of_table_5(shared: Path) -> None:
    with (shared / "paper" / "tables" / "table5_mpii_val.csv").open(encoding="utf-8") as stream:
        printed = {line["model"]: float(line["pckh"]) for line in csv.DictReader(stream)}
    names = {"mobilenet_v2": "MobileNetV2 1x", "mobilenet_v3_large": "MobileNetV3 1x", "small_hrnet_w16": "Small HRNet-W16",
             "lite_hrnet_18": "Lite-HRNet-18", "lite_hrnet_30": "Lite-HRNet-30"}  # fmt: skip
    claims = [claim for claim in campaign().all_claims if claim.pckh is not None]
    assert len(claims) == 4
    for claim in claims:
        assert claim.pckh == pytest.approx(printed[names[claim.better]] - printed[names[claim.worse]]), claim


def test_claims_on_further_rows_are_the_papers_words(shared: Path) -> None:
    """The text has each formula twice, so words are compared, in order, without their numbers."""
    text = " ".join((shared / "paper" / "lite-hrnet.txt").read_text(encoding="utf-8").split())
    for claim in campaign().further.claims:
        for part in claim.sentence.split("[...]"):
            words = [word for word in part.split() if word.isalpha()]
            assert all(word in text for word in words), claim.sentence
