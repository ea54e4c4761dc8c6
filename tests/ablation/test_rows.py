import math
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from helpers.sample_records import QUICK, record, run_of, scores

import archlab
from archlab.ablation import captions, rows
from archlab.ablation import csv as flat
from archlab.ablation import measured as ablation
from archlab.ablation.load import distinct_rows, load_ablation
from archlab.ablation.report import study_tables
from archlab.ablation.row import PAPER_INPUTS, CountedInput, Published, Row
from archlab.counting.rules import Count
from archlab.report import machines as machine_notes
from archlab.tasks import find_task

HASHES = {"lite": "a" * 32, "naive": "b" * 32}
LITE, NAIVE = Row("Lite", "lite"), Row("Naive", "naive")


def counter(
    spec: str, fields: Mapping[str, Any], input: tuple[int, ...], outputs: int, fusion: str = "spec"
) -> rows.CountedNetwork:
    """Counts of two networks that need no file: a hash each, and sizes that follow the input's."""
    pixels = math.prod(input[1:])
    return rows.CountedNetwork(HASHES[spec], Count(1000 + outputs, 10 * pixels, 12 * pixels, pixels))


def match(*records: Any) -> list[rows.Reported]:
    return rows.match_runs([LITE, NAIVE], records, counter)


# Printed figures that no count gives, each with a note in its study.
UNREACHED = {
    ("Naive Lite-HRNet-18", "params_m"),
    ("Wider Naive Lite-HRNet-18", "mpii_mflops"),
    ("Lite-HRNet-18 (CCW only w/ multi-resolution weights)", "params_m"),
    ("Lite-HRNet-18 (CCW only w/ multi-resolution weights)", "coco_mflops"),
}


def test_every_printed_cost_but_the_noted_ones_is_our_count_rounded() -> None:
    reported = rows.match_runs(distinct_rows(map(load_ablation, ("table6", "table7"))), [])
    found = ablation.disagreements(reported)
    assert {(row.name, figure) for row, figure in found} == UNREACHED
    assert all(row.notes[figure] for row, figure in found)


def test_a_row_is_counted_at_the_sizes_and_outputs_of_both_data_sets() -> None:
    (row,) = rows.match_runs([Row("Lite-HRNet-18", "lite_hrnet_18")], [])
    coco, mpii = (row.counted[at].count for at in PAPER_INPUTS)
    assert (coco.params, coco.paper) == (1_130_769, 215_202_112)  # known of the released code
    assert (mpii.params, mpii.paper) == (1_130_728, 286_710_400)


def test_fields_of_a_row_change_what_is_counted() -> None:
    (row,) = rows.match_runs([Row("F with ratio 4", "lite_hrnet_18_spatial_only", {"spatial_ratio": 4})], [])
    coco, mpii = (row.counted[at].count for at in PAPER_INPUTS)
    assert round(coco.params / 1e6, 3) == 0.995  # known of the released code's ratio
    assert (f"{coco.paper / 2**20:.2f}", f"{mpii.paper / 2**20:.2f}") == ("190.71", "254.06")


def test_the_mean_and_the_sample_deviation_are_taken_over_seeds() -> None:
    runs = [record("lite", HASHES["lite"], seed=seed, pck=pck) for seed, pck in ((1, 50.0), (2, 52.0), (3, 57.0))]
    row, other = match(*runs)
    (measured,) = row.measured.values()
    spread = measured.score("ground_truth_boxes", "pck")
    assert spread is not None
    assert spread.mean == pytest.approx(53.0)
    assert spread.deviation == pytest.approx(math.sqrt((9 + 1 + 16) / 2))
    assert spread.n == 3
    assert other.measured == {}


def test_one_seed_has_no_deviation_and_an_undefined_score_is_left_out() -> None:
    row, _ = match(record("lite", HASHES["lite"]))
    (measured,) = row.measured.values()
    assert measured.score("ground_truth_boxes", "pck") == rows.Spread(50.0, None, 1)
    assert measured.score("ground_truth_boxes", "APM") is None
    assert measured.score("detector_boxes", "AP") is None


def test_a_run_belongs_to_the_row_of_its_graph_whatever_it_was_called() -> None:
    renamed = record("mine", HASHES["naive"])
    changed_since = record("lite", "c" * 32)
    lite, naive = match(renamed, changed_since)
    assert not lite.measured
    assert [run.spec for measured in naive.measured.values() for run in measured.runs] == ["mine"]


def test_a_run_that_failed_or_still_goes_on_is_not_measured() -> None:
    lite, _ = match(record("lite", HASHES["lite"], state="failed"), record("lite", HASHES["lite"], state="running"))
    assert not lite.measured


def test_runs_of_other_recipes_data_or_sizes_are_never_averaged() -> None:
    others = [
        {},
        {"recipe_hash": "r2" * 8},
        {"data": QUICK | {"fingerprint": "d2" * 8}},
        {"input": (3, 256, 192)},
        {"outputs": 16},
    ]
    lite, _ = match(*(record("lite", HASHES["lite"], **other) for other in others))
    assert len(lite.measured) == len(others)


def test_a_run_at_an_input_that_a_network_does_not_take_is_another_networks() -> None:
    (row,) = rows.match_runs([Row("ICNet", "icnet")], [record("lite", HASHES["lite"], input=(3, 128, 96))],
                             counted_at=[CountedInput("Input", (3, 1025, 2049), 19)])  # fmt: skip
    assert not row.measured


def test_of_two_records_of_one_seed_the_later_stands() -> None:
    early = record("lite", HASHES["lite"], date="2026-01-01", pck=10.0)
    late = record("lite", HASHES["lite"], date="2026-02-01", pck=70.0)
    for order in ((early, late), (late, early)):
        lite, _ = match(*order)
        (measured,) = lite.measured.values()
        assert [run.date for run in measured.runs] == ["2026-02-01"]


def test_the_setting_with_the_most_training_comes_first() -> None:
    short = record("lite", HASHES["lite"], recipe="quick", samples=100)
    long = record("naive", HASHES["naive"], recipe="gpu", recipe_hash="r9" * 8, samples=9000)
    assert [setting.recipe for setting in rows.settings_of(match(short, long))] == ["gpu", "quick"]


@pytest.mark.parametrize(
    ("value", "published", "same"),
    [(205.233, 205.2, True), (0.760, 0.7, False), (203.412, 203.5, False), (1.25, 1.3, True)],
)
def test_rounding_decides_whether_a_printed_figure_is_ours(value: float, published: float, same: bool) -> None:
    printed = Published(coco_mflops=published).cost("coco_mflops")
    assert printed
    assert printed.meets(value) is same


def test_flat_records_hold_full_precision_and_one_line_for_each_setting() -> None:
    reported = match(record("lite", HASHES["lite"]), record("lite", HASHES["lite"], recipe_hash="r2" * 8, seed=7))
    lines = flat.flat(reported, rows.settings_of(reported))
    assert [(line["model"], line.get("seeds")) for line in lines] == [("Lite", "1"), ("Lite", "7"), ("Naive", None)]
    assert lines[0]["coco_paper_flops"] == 12 * 256 * 192
    assert lines[0]["ground_truth_boxes_pck"] == 50.0
    assert lines[0]["published_ap"] is None


def caption(*records: Any) -> list[str]:
    """The caption's sentences."""
    reported = match(*records)
    (setting, *_) = rows.settings_of(reported)
    return list(captions.scores_caption(reported, setting, find_task("pose").metrics))


@pytest.mark.parametrize(
    ("data", "small"),
    [
        ("synthetic quick", True),
        ("synthetic streets", True),
        ("synthetic full", False),
        ("lsp", False),
        ("camvid", False),
    ],
)
def test_data_that_is_too_small_to_rank_networks(data: str, small: bool) -> None:
    assert captions.too_small_to_rank(data) is small


def test_the_caption_holds_data_recipe_seeds_machine_and_dates() -> None:
    made = caption(*(record("lite", HASHES["lite"], seed=seed, date=f"2026-01-0{seed}") for seed in (1, 2)))
    data, runs = made[:2]
    for value in ("synthetic quick", "1,000", "200", "d1d1d1d1", "quick (r1r1r1r1)", "128×96", "5,000"):
        assert value in data, value
    for value in ("1, 2", "cpu: a processor (2 threads)", "80 s", "2026-01-01 to 2026-01-02"):
        assert value in runs, value
    assert any("Naive" in line for line in made[2:])
    assert captions.TOO_SMALL_TO_RANK in made


def test_only_the_quick_level_is_too_small_to_rank() -> None:
    full = QUICK | {"kind": "synthetic full"}
    made = caption(record("lite", HASHES["lite"], data=full), record("naive", HASHES["naive"], data=full))
    assert captions.TOO_SMALL_TO_RANK not in made
    assert len(made) == 3  # data, runs, and that one seed shows no spread
    assert not any("Lite" in line or "Naive" in line for line in made)


def test_the_caption_of_unequal_training_has_both_numbers_of_samples() -> None:
    made = caption(record("lite", HASHES["lite"], samples=100), record("naive", HASHES["naive"], samples=200))
    assert re.findall(r"(\d+) training samples( to \d+| each)?", made[0]) == [("100", " to 200")]


def test_a_summary_has_its_scores_and_seconds() -> None:
    assert ablation.summary(record("lite", HASHES["lite"], seed=4)) == "AP 20.0, OKS 40.0, PCK 50.0, 80 s"
    only_detector = record("lite", HASHES["lite"], scores={"detector_boxes": scores(33.0)})
    assert "PCK 33.0" in ablation.summary(only_detector)


def test_reports_never_import_torch() -> None:
    code = (
        "import sys; from archlab.ablation import load, report\n"
        "report.study_tables(load.load_study('table6'), []), report.study_tables(load.load_study('table1'), [])\n"
        "assert not {'torch', 'cv2', 'optuna', 'pycocotools', 'matplotlib'} & set(sys.modules), sorted(sys.modules)"
    )
    import subprocess

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_hash_that_rows_are_matched_by_is_the_networks_own() -> None:
    count = rows.count_network("lite_hrnet_18", {}, (3, 128, 96), 17)
    assert count.hash == archlab.spec_hash(archlab.load("lite_hrnet_18", input=(3, 128, 96)))


MIXED: list[tuple[dict[str, Any], dict[str, Any], list[str]]] = [
    ({}, {}, []),
    ({"threads": 1}, {}, ["cpu: a processor (1 thread)", "cpu: a processor (2 threads)"]),
    ({"device": "cpu: another"}, {}, ["cpu: another (2 threads)", "cpu: a processor (2 threads)"]),
    ({"device": "cuda: a card", "threads": 4}, {"device": "cuda: a card"}, []),
    ({"device": "cuda: a card"}, {"device": "cuda: b card"}, ["cuda: a card (2 threads)", "cuda: b card (2 threads)"]),
]


@pytest.mark.parametrize(("one", "other", "machines"), MIXED)
def test_the_caption_names_machines_that_round_differently(
    one: dict[str, Any], other: dict[str, Any], machines: list[str]
) -> None:
    runs = (record("lite", HASHES["lite"], **one), record("naive", HASHES["naive"], **other))
    assert machine_notes.round_alike(runs) is (not machines)
    noted = machine_notes.mixture(runs)
    assert len(noted) == bool(machines)
    assert all(machine in line for line in noted for machine in machines)
    assert all(line in caption(*runs) for line in noted)


def test_a_table_is_of_one_task_though_one_graph_serves_two() -> None:
    streets = {
        "task": "segmentation",
        "data": {"kind": "streets", "fingerprint": "e2" * 8, "train_pictures": 600, "val_pictures": 9},
    }
    of_streets = [record(name, hash, samples=9000, **streets) for name, hash in HASHES.items()]
    of_people = [record(name, hash) for name, hash in HASHES.items()]
    found = rows.match_runs([LITE, NAIVE], [*of_streets, *of_people], counter, task="pose")
    assert [setting.task for setting in rows.compared(found)] == ["pose"]
    assert all(len(row.measured) == 1 for row in found)
    found = rows.match_runs([LITE, NAIVE], of_streets, counter, task="pose")  # a study that states no recipe
    assert [setting.task for setting in rows.settings_of(found)] == ["segmentation"]


def test_an_ablation_shows_the_task_of_its_recipe() -> None:
    runs = [run_of("lite_hrnet_18"), run_of("lite_hrnet_30")]
    streets = {"kind": "streets", "fingerprint": "e2" * 8, "train_pictures": 600, "val_pictures": 9}
    others = [
        replace(each, task="segmentation", data=streets, samples=9000, scores={"pictures": {"miou": 1.0}})
        for each in runs
    ]
    headings = [table.heading for table in study_tables(load_ablation("table6"), [*runs, *others]).tables]
    assert headings == ["Cost", "Scores: recipe quick, synthetic quick"]
