import json
import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from helpers.sample_records import QUICK, record, scores, write_records

import archlab
from archlab.ablation import captions, rows, study
from archlab.ablation import csv as flat
from archlab.ablation import measured as ablation
from archlab.ablation.records import keep_records, read_records
from archlab.ablation.study import Row
from archlab.core.errors import InputError

HASHES = {"lite": "a" * 32, "naive": "b" * 32}
LITE, NAIVE = Row("Lite", "lite"), Row("Naive", "naive")


def counter(
    spec: str, fields: Mapping[str, Any], input: tuple[int, ...], outputs: int, fusion: str = "spec"
) -> rows.Count:
    """Counts of two networks that need no file: a hash each, and sizes that follow the input's."""
    pixels = math.prod(input[1:])
    return rows.Count(HASHES[spec], 1000 + outputs, 10 * pixels, 12 * pixels, pixels)


def gather(*records: Any) -> list[rows.Reported]:
    return rows.gather([LITE, NAIVE], records, counter)


# Printed figures that no count gives, each with a note in its study.
UNREACHED = {
    ("Naive Lite-HRNet-18", "params_m"),
    ("Wider Naive Lite-HRNet-18", "mpii_mflops"),
    ("Lite-HRNet-18 (CCW only w/ multi-resolution weights)", "params_m"),
    ("Lite-HRNet-18 (CCW only w/ multi-resolution weights)", "coco_mflops"),
}


def test_every_printed_cost_but_the_noted_ones_is_our_count_rounded() -> None:
    reported = rows.gather(study.rows_to_train(map(study.load_ablation, ("table6", "table7"))), [])
    found = ablation.disagreements(reported)
    assert {(row.name, figure) for row, figure in found} == UNREACHED
    assert all(row.notes[figure] for row, figure in found)


def test_a_row_is_counted_at_the_sizes_and_outputs_of_both_data_sets() -> None:
    (row,) = rows.gather([Row("Lite-HRNet-18", "lite_hrnet_18")], [])
    assert (row.coco.params, row.coco.paper) == (1_130_769, 215_202_112)  # known of the released code
    assert (row.mpii.params, row.mpii.paper) == (1_130_728, 286_710_400)


def test_fields_of_a_row_change_what_is_counted() -> None:
    (row,) = rows.gather([Row("F with ratio 4", "lite_hrnet_18_spatial_only", {"spatial_ratio": 4})], [])
    assert round(row.coco.params / 1e6, 3) == 0.995  # known of the released code's ratio
    assert (f"{row.coco.paper / 2**20:.2f}", f"{row.mpii.paper / 2**20:.2f}") == ("190.71", "254.06")


def test_the_mean_and_the_sample_deviation_are_taken_over_seeds() -> None:
    runs = [record("lite", HASHES["lite"], seed=seed, pck=pck) for seed, pck in ((1, 50.0), (2, 52.0), (3, 57.0))]
    row, other = gather(*runs)
    (measured,) = row.measured.values()
    spread = measured.score("ground_truth_boxes", "pck")
    assert spread is not None
    assert spread.mean == pytest.approx(53.0)
    assert spread.deviation == pytest.approx(math.sqrt((9 + 1 + 16) / 2))
    assert spread.n == 3
    assert other.measured == {}


def test_one_seed_has_no_deviation_and_an_undefined_score_is_left_out() -> None:
    row, _ = gather(record("lite", HASHES["lite"]))
    (measured,) = row.measured.values()
    assert measured.score("ground_truth_boxes", "pck") == rows.Spread(50.0, None, 1)
    assert measured.score("ground_truth_boxes", "APM") is None
    assert measured.score("detector_boxes", "AP") is None


def test_a_run_belongs_to_the_row_of_its_graph_whatever_it_was_called() -> None:
    renamed = record("mine", HASHES["naive"])
    changed_since = record("lite", "c" * 32)
    lite, naive = gather(renamed, changed_since)
    assert not lite.measured
    assert [run.spec for measured in naive.measured.values() for run in measured.runs] == ["mine"]


def test_a_run_that_failed_or_still_goes_on_is_not_measured() -> None:
    lite, _ = gather(record("lite", HASHES["lite"], state="failed"), record("lite", HASHES["lite"], state="running"))
    assert not lite.measured


def test_runs_of_other_recipes_data_or_sizes_are_never_averaged() -> None:
    others = [
        {},
        {"recipe_hash": "r2" * 8},
        {"data": QUICK | {"fingerprint": "d2" * 8}},
        {"input": (3, 256, 192)},
        {"outputs": 16},
    ]
    lite, _ = gather(*(record("lite", HASHES["lite"], **other) for other in others))
    assert len(lite.measured) == len(others)


def test_of_two_records_of_one_seed_the_later_stands() -> None:
    early = record("lite", HASHES["lite"], date="2026-01-01", pck=10.0)
    late = record("lite", HASHES["lite"], date="2026-02-01", pck=70.0)
    for order in ((early, late), (late, early)):
        lite, _ = gather(*order)
        (measured,) = lite.measured.values()
        assert [run.date for run in measured.runs] == ["2026-02-01"]


def test_the_setting_with_the_most_training_comes_first() -> None:
    short = record("lite", HASHES["lite"], recipe="quick", samples=100)
    long = record("naive", HASHES["naive"], recipe="gpu", recipe_hash="r9" * 8, samples=9000)
    assert [setting.recipe for setting in rows.settings(gather(short, long))] == ["gpu", "quick"]


@pytest.mark.parametrize(
    ("value", "published", "same"),
    [(205.233, 205.2, True), (0.760, 0.7, False), (203.412, 203.5, False), (1.25, 1.3, True)],
)
def test_rounding_decides_whether_a_printed_figure_is_ours(value: float, published: float, same: bool) -> None:
    assert rows.rounds_to(value, published) is same


def test_flat_records_hold_full_precision_and_one_line_for_each_setting() -> None:
    reported = gather(record("lite", HASHES["lite"]), record("lite", HASHES["lite"], recipe_hash="r2" * 8, seed=7))
    lines = flat.flat(reported, rows.settings(reported))
    assert [(line["model"], line.get("seeds")) for line in lines] == [("Lite", "1"), ("Lite", "7"), ("Naive", None)]
    assert lines[0]["coco_paper_flops"] == 12 * 256 * 192
    assert lines[0]["ground_truth_boxes_pck"] == 50.0
    assert lines[0]["published_ap"] is None


def caption(*records: Any) -> str:
    reported = gather(*records)
    return " ".join(captions.scores_caption(reported, rows.settings(reported)[0]))


def test_the_caption_says_on_what_by_what_and_when_it_was_measured() -> None:
    said = caption(*(record("lite", HASHES["lite"], seed=seed, date=f"2026-01-0{seed}") for seed in (1, 2)))
    for part in (
        "Data: synthetic quick, 1,000 people to train on and 200 to score",
        "Recipe: quick",
        "128×96",
        "5,000 training samples each",
        "Seeds: 1, 2; mean ± sample standard deviation",
        "cpu: a processor (2 threads)",
        "Date: 2026-01-01 to 2026-01-02",
        "Not trained: Naive.",
        "80 s a run",
        "This scale ranks nothing",
    ):
        assert part in said, part


def test_only_the_quick_level_is_said_to_rank_nothing() -> None:
    full = QUICK | {"kind": "synthetic full"}
    said = caption(record("lite", HASHES["lite"], data=full), record("naive", HASHES["naive"], data=full))
    assert "ranks nothing" not in said
    assert "One seed shows no spread" in said
    assert "Not trained" not in said


def test_unequal_training_is_not_called_equal() -> None:
    said = caption(record("lite", HASHES["lite"], samples=100), record("naive", HASHES["naive"], samples=200))
    assert "100 training samples to 200" in said
    assert "each" not in said.split("Recipe")[1].split(".")[0]


def test_a_summary_has_its_scores_and_seconds() -> None:
    assert ablation.summary(record("lite", HASHES["lite"], seed=4)) == "AP 20.0, OKS 40.0, PCK 50.0, 80 s"
    only_detector = record("lite", HASHES["lite"], scores={"detector_boxes": scores(33.0)})
    assert "PCK 33.0" in ablation.summary(only_detector)


def test_records_are_read_as_they_were_kept(tmp_path: Path) -> None:
    made = [record("lite", HASHES["lite"], seed=seed) for seed in (2, 1)]
    for each in made:
        (tmp_path / "runs" / each.fingerprint).mkdir(parents=True)
        each.write(tmp_path / "runs" / each.fingerprint)
    kept = keep_records((tmp_path / "runs" / each.fingerprint for each in made), tmp_path / "records")
    assert [path.stem for path in kept] == [each.fingerprint for each in made]
    assert read_records(tmp_path / "records") == sorted(made, key=lambda each: each.seed)


def test_no_folder_of_records_is_no_records(tmp_path: Path) -> None:
    assert read_records(tmp_path / "none") == []


def test_every_file_that_is_no_record_is_named(tmp_path: Path) -> None:
    write_records(tmp_path, record("lite", HASHES["lite"]))
    (tmp_path / "cut.json").write_text('{"format": 1', encoding="utf-8")
    (tmp_path / "list.json").write_text("[1]", encoding="utf-8")
    future = json.loads(next(tmp_path.glob("lite*.json")).read_text(encoding="utf-8")) | {"format": 99}
    (tmp_path / "future.json").write_text(json.dumps(future), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_records(tmp_path)
    assert sorted(Path(problem.file).name for problem in caught.value.problems) == [
        "cut.json",
        "future.json",
        "list.json",
    ]


def test_reports_never_import_torch() -> None:
    code = (
        "import sys; from pathlib import Path; from archlab.ablation import report, study\n"
        "from archlab.ablation import rows\n"
        "report.document(study.load('table6'), []), report.document(study.load('table1'), [])\n"
        "assert not {'torch', 'cv2', 'optuna', 'pycocotools', 'matplotlib'} & set(sys.modules), sorted(sys.modules)"
    )
    import subprocess

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_hash_that_rows_are_matched_by_is_the_networks_own() -> None:
    count = rows.count("lite_hrnet_18", {}, (3, 128, 96), 17)
    assert count.hash == archlab.spec_hash(archlab.load("lite_hrnet_18", input=(3, 128, 96)))
