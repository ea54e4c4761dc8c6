import csv
import itertools
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from helpers.sample_records import QUICK, record, write_records

import archlab
from archlab.ablation import study as studies
from archlab.ablation.campaign import cost as campaign_cost
from archlab.ablation.campaign.page import flat
from archlab.ablation.campaign.text import can_judge, over_people
from archlab.ablation.campaign.verdicts import Judged, claim_p, judge, shown, verdict
from archlab.ablation.captions import TOO_SMALL_TO_RANK
from archlab.ablation.estimate import rates
from archlab.ablation.load import distinct_rows, load_ablation, load_study
from archlab.ablation.report import write_report
from archlab.ablation.row import Published, Row
from archlab.ablation.rows import CountedNetwork, Setting, count_network, match_runs, settings_of
from archlab.ablation.study import Campaign, Claim, Control
from archlab.core.errors import InputError
from archlab.counting.rules import Count
from archlab.report.bootstrap import Difference, holm
from archlab.report.statistics import Interval, agreement, interval
from archlab.tasks.terms import Ratio, Scored, Terms
from archlab.training.recipe import load_recipe, recipe_hash
from archlab.training.runs import AtBudget, Record

FULL = {**QUICK, "kind": "synthetic full", "val_people": 6000}
T2 = 4.302652729696142  # the 97.5 % quantile of Student's t with 2 degrees of freedom, from a printed table: 4.303

# Statistics


def test_a_mean_of_three_seeds_has_students_interval() -> None:
    """60, 61, 62: s = 1, so the half width is 4.303 / sqrt(3) = 2.484."""
    found = interval([60.0, 61.0, 62.0])
    assert found
    assert (found.mean, found.n) == (61.0, 3)
    assert found.low == pytest.approx(61 - T2 / math.sqrt(3))
    assert found.high == pytest.approx(61 + T2 / math.sqrt(3))


def test_two_seeds_have_the_wide_interval_of_one_degree_of_freedom() -> None:
    """50 and 52: s = sqrt(2), so the half width is 12.706 * sqrt(2) / sqrt(2)."""
    found = interval([50.0, 52.0])
    assert found
    assert found.high == pytest.approx(51 + 12.706, abs=1e-3)


def test_one_seed_has_no_interval_and_no_seed_no_mean() -> None:
    assert interval([60.0]) == Interval(60.0, None, None, 1)
    assert interval([]) is None


@pytest.mark.parametrize(
    ("ys", "tau", "p"),
    [
        ((1, 2, 3), 1.0, 2 / 6),  # of six orders, this one and its reverse are as far from 0
        ((3, 2, 1), -1.0, 2 / 6),
        ((1, 3, 2), 1 / 3, 1.0),  # two pairs of three agree; every order of three is at least as far
    ],
)
def test_tau_counts_agreeing_less_disagreeing_pairs(ys: tuple[int, ...], tau: float, p: float) -> None:
    found = agreement((1, 2, 3), ys)
    assert found
    assert (found.tau, found.p, found.n) == (pytest.approx(tau), pytest.approx(p), 3)


def test_tau_b_leaves_out_pairs_that_are_tied() -> None:
    """x = 1 1 2 3, y = 1 2 2 3: four pairs agree, none disagrees, five are untied in each: 4 / 5."""
    found = agreement((1, 1, 2, 3), (1, 2, 2, 3))
    assert found
    assert found.tau == pytest.approx(0.8)
    assert agreement((1, 1), (1, 2)) is None
    assert agreement((1,), (2,)) is None


def test_the_permutation_test_is_scipys_exact_one_where_nothing_is_tied() -> None:
    from scipy.stats import kendalltau

    ours, theirs = (20.0, 22.0, 29.0, 16.0, 26.0, 24.0, 21.0), (65.7, 62.5, 63.6, 61.3, 63.0, 64.8, 67.2)
    found, exact = agreement(ours, theirs), kendalltau(ours, theirs, method="exact")
    assert found
    assert found.tau == pytest.approx(float(exact.statistic))
    assert found.p == pytest.approx(float(exact.pvalue))


def test_many_things_are_shuffled_and_not_all_their_orders_tried() -> None:
    found = agreement(range(12), range(12))
    assert found
    assert found.tau == 1.0
    assert 0 < found.p < 1e-3


# Verdicts

CLAIM = Claim(better="a", worse="b", sentence="a is better", place="here")
NEAR = replace(CLAIM, within=1.0)


@pytest.mark.parametrize(
    ("claim", "found", "expected"),
    [
        (CLAIM, Interval(2.0, 0.5, 3.5, 3), "held"),
        (CLAIM, Interval(-2.0, -3.5, -0.5, 3), "not held"),
        (CLAIM, Interval(2.0, -0.5, 4.5, 3), "undecided"),
        (CLAIM, Interval(2.0, None, None, 1), "undecided"),
        (CLAIM, None, "not measured"),
        (NEAR, Interval(0.1, -0.9, 0.9, 3), "held"),
        (NEAR, Interval(0.5, -0.5, 1.5, 3), "undecided"),
        (NEAR, Interval(2.0, 1.2, 2.8, 3), "not held"),
        (NEAR, Interval(-2.0, -2.8, -1.2, 3), "not held"),
    ],
)
def test_a_claim_is_judged_by_its_whole_interval(claim: Claim, found: Interval | None, expected: str) -> None:
    assert verdict(claim, found) == expected


def test_a_scale_that_ranks_nothing_decides_nothing() -> None:
    assert verdict(CLAIM, Interval(2.0, 0.5, 3.5, 3), ranks=False) == "undecided"
    control = Control("small", "s", 3.0, "below")
    assert shown(control, Interval(-9.0, -9.5, -8.5, 3), ranks=False) == "undecided"


@pytest.mark.parametrize(
    ("side", "found", "expected"),
    [
        ("below", Interval(-3.0, -4.0, -2.0, 3), "shown"),
        ("below", Interval(-2.9, -3.0, -2.8, 3), "not shown"),
        ("below", Interval(-4.0, -9.0, 1.0, 3), "not shown"),
        ("below", Interval(4.0, 3.0, 5.0, 3), "not shown"),
        ("above", Interval(3.0, 2.0, 4.0, 3), "shown"),
        ("above", Interval(-3.0, -4.0, -2.0, 3), "not shown"),
        ("above", Interval(3.0, None, None, 1), "undecided"),
        ("above", None, "not measured"),
    ],
)
def test_a_control_is_shown_by_its_margin_and_on_its_side_of_zero(
    side: str, found: Interval | None, expected: str
) -> None:
    assert shown(Control("c", "c", 3.0, side), found) == expected  # type: ignore[arg-type]


# A whole campaign, by hand

AP = {  # by seed 1, 2, 3
    "ref": (60.0, 61.0, 62.0),
    "good": (63.0, 64.0, 65.1),  # minus ref: 3, 3, 3.1
    "bad": (57.0, 61.0, 61.0),  # minus ref: -3, 0, -1
    "narrow": (55.0, 56.1, 57.0),  # minus ref: -5, -4.9, -5
}
STUDY = Campaign(
    kind="campaign",
    title="By hand",
    source="Nowhere",
    rows=(
        Row("Reference", "ref", published=Published(ap=50.0)),
        Row("Good", "good", published=Published(ap=52.0)),
        Row("Bad", "bad", published=Published(ap=51.0)),
    ),
    reference="ref",
    controls=(Control("Narrow", "narrow", 3.0, "below"),),
    claims=(
        Claim("good", "ref", "good beats the reference", "here"),
        Claim("bad", "ref", "bad beats the reference", "here"),
        Claim("bad", "good", "bad beats good", "here"),
    ),
)


def judged(
    data: dict[str, object] = FULL, missing: tuple[tuple[str, int], ...] = (), **ap: tuple[float, ...]
) -> Judged:
    records = [
        record(spec, spec, seed=seed, ap=value, data=data)
        for spec, values in (AP | ap).items()
        for seed, value in enumerate(values, 1)
        if (spec, seed) not in missing
    ]
    rows = match_runs(studies.networks(STUDY), records, lambda spec, *_: CountedNetwork(spec, Count(1, 1, 1, 1)))
    (setting,) = settings_of(rows)
    return judge(STUDY, rows, setting)


def test_differences_are_of_runs_of_one_seed() -> None:
    """good - ref: 3, 3, 3.1; mean 3.0333, s = 0.05774, so the half width is 4.303 * 0.05774 / sqrt(3) = 0.1434."""
    good = judged().line("good")
    assert good.difference
    assert good.difference.mean == pytest.approx(9.1 / 3)
    assert good.difference.low == pytest.approx(9.1 / 3 - 0.1434, abs=1e-4)
    assert good.score
    assert good.score.high is not None
    assert good.score.high > 66  # by seeds unpaired it reaches far


def test_a_seed_that_one_network_lacks_is_left_out_of_its_differences_only() -> None:
    found = judged(missing=(("good", 3),))
    good, bad = found.line("good"), found.line("bad")
    assert good.difference
    assert good.difference.n == 2
    assert good.difference.mean == pytest.approx(3.0)
    assert bad.difference
    assert bad.difference.n == 3


def test_claims_are_held_not_held_and_undecided() -> None:
    """bad - ref: -3, 0, -1 straddles zero. bad - good: -6, -3, -4.1; mean -4.367, s = 1.518: -8.1 to -0.6."""
    found = judged()
    assert [each.verdict for each in found.claims] == ["held", "undecided", "not held"]
    assert [each.printed for each in found.claims] == [2.0, 1.0, -1.0]


def test_the_order_of_rows_is_held_against_the_papers_without_the_controls() -> None:
    """Ours: bad < ref < good; the paper's: ref < bad < good. Two pairs of three agree."""
    order = judged().order
    assert order
    assert (order.n, order.tau) == (3, pytest.approx(1 / 3))


def test_a_control_without_its_margin_says_that_nothing_can_be_judged() -> None:
    assert judged().can_judge is True
    assert "Narrow" not in can_judge(judged())
    narrow = judged(narrow=(58.0, 59.1, 60.0))
    assert narrow.can_judge is False
    assert "Narrow" in can_judge(narrow)
    assert judged(missing=tuple(itertools.product(["narrow"], [1, 2, 3]))).can_judge is None


def test_the_quick_scale_decides_nothing_with_however_many_seeds() -> None:
    found = judged(QUICK)
    assert {each.verdict for each in found.claims} == {"undecided"}
    assert found.can_judge is None


def test_the_figures_at_full_precision_tell_rows_controls_claims_and_the_order() -> None:
    lines = flat(judged())
    assert [line["kind"] for line in lines] == ["row"] * 3 + ["control"] + ["claim"] * 3 + ["order"]
    assert lines[3]["verdict"] == "shown"
    assert lines[0]["score_by_seed"] == "1:60.0 2:61.0 3:62.0"
    assert lines[-1]["tau"] == pytest.approx(1 / 3)


# The page


CAMPAIGN = """\
kind: campaign
title: Two and a control
source: Nowhere
recipe: {recipe}
seeds: [1, 2]
reference: lite_hrnet_18
reference_ap: [45, 80]
rows:
  - {{name: Eighteen, spec: lite_hrnet_18, published: {{ap: 64.8}}}}
  - {{name: Thirty, spec: lite_hrnet_30, published: {{ap: 67.2}}}}
controls:
  - {{name: Narrow, spec: lite_hrnet_18_c20, at_least: 3, side: below}}
claims:
  - {{better: lite_hrnet_30, worse: lite_hrnet_18, sentence: deeper is better, place: Table 6}}
"""


@pytest.fixture
def campaign(tmp_path: Path) -> Path:
    (tmp_path / "mine.yaml").write_text(CAMPAIGN.format(recipe="gpu"), encoding="utf-8")
    return tmp_path / "mine.yaml"


def run(spec: str, seed: int, ap: float, recipe: str = "gpu"):
    loaded = load_recipe(recipe)
    size = (3, *loaded.input)
    return record(
        spec, archlab.spec_hash(archlab.load(spec, input=size)), seed=seed, ap=ap, recipe=recipe, input=size,
        recipe_hash=recipe_hash(loaded), data=FULL if recipe == "gpu" else QUICK,
    )  # fmt: skip


def page(campaign: Path, *runs) -> str:
    folder = write_records(campaign.parent / "records", *runs)
    paths = write_report(str(campaign), folder, campaign.parent / "out")
    plots = ["mine_budgets.png", "mine_budgets.svg"] if any(run.budgets for run in runs) else []
    assert [path.name for path in paths] == ["mine.md", "mine.csv", *plots]
    return paths[0].read_text(encoding="utf-8")


def status(text: str) -> str:
    """What stands between the title and the first heading: how far the campaign is."""
    return text.split("\n## ")[0].split("\n\n", 2)[2]


def line(text: str, start: str) -> str:
    """The one line that starts so."""
    (found,) = [each for each in text.splitlines() if each.startswith(start)]
    return found


def numbers(text: str) -> list[float]:
    return [float(found.replace(",", "")) for found in re.findall(r"\b\d[\d,]*(?:\.\d+)?", text)]


def test_a_campaign_that_was_not_run_says_so_and_how_to_run_it(campaign: Path) -> None:
    text = page(campaign)
    assert "6 runs (3 networks, seeds 1 and 2, recipe `gpu`)" in status(text)
    assert "archlab ablate mine --recipe gpu --seeds 1,2 --reuse-records" in text
    assert "## Scores" not in text


def test_records_of_the_small_scale_rank_nothing_and_leave_the_campaign_waiting(campaign: Path) -> None:
    text = page(campaign, *(run(spec, 1, 20.0, "quick") for spec in ("lite_hrnet_18", "lite_hrnet_30")))
    assert "6 runs (3 networks, seeds 1 and 2, recipe `gpu`)" in status(text)
    assert TOO_SMALL_TO_RANK in status(text)
    assert "| undecided |" in text
    assert " held |" not in text
    assert "Not measured: Narrow." in text


def test_a_campaign_half_run_is_already_compared_and_says_what_is_left(campaign: Path) -> None:
    specs = {"lite_hrnet_18": 60.0, "lite_hrnet_30": 62.0, "lite_hrnet_18_c20": 55.0}
    text = page(campaign, *(run(spec, 1, ap) for spec, ap in specs.items()))
    assert numbers(status(text))[:2] == [3, 6]
    assert "Narrow" in status(text)  # one seed does not decide whether the control is shown
    assert [cell.strip() for cell in line(text, "| “deeper is better").split("|")[4:10]] == [
        "+2.4",
        "+2.0",
        "-",
        "-",
        "1",
        "undecided",
    ]
    assert "3 runs of 1,280,000 samples, " in text


def test_a_campaign_wholly_run_is_judged(campaign: Path) -> None:
    specs = {"lite_hrnet_18": (60.0, 61.0), "lite_hrnet_30": (62.0, 63.1), "lite_hrnet_18_c20": (55.0, 56.1)}
    runs = [run(spec, seed, ap[seed - 1]) for spec, ap in specs.items() for seed in (1, 2)]
    text = page(campaign, *runs, run("lite_hrnet_18", 1, 20.0, "quick"))
    assert numbers(status(text))[0] == 6
    assert "1 claim" in status(text)
    assert "1 held" in status(text)
    assert "archlab ablate" not in text  # nothing is left to run
    assert numbers(line(text, "Eighteen has")) == [60.5, 45, 80]
    assert "within" in line(text, "Eighteen has")
    assert TOO_SMALL_TO_RANK not in text  # the small runs are in the CSV only
    with (campaign.parent / "out" / "mine.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    (deeper,) = [line for line in lines if line["name"] == "Thirty" and line["recipe"] == "gpu"]
    assert float(deeper["difference"]) == pytest.approx(2.05)
    assert {line["recipe"] for line in lines} == {"gpu", "quick"}


def test_a_reference_that_finds_the_data_too_easy_and_too_few_people_are_named(campaign: Path) -> None:
    runs = [replace(run("lite_hrnet_18", seed, 90.0 + seed), data={**FULL, "val_people": 500}) for seed in (1, 2)]
    text = page(campaign, *runs)
    assert numbers(line(text, "Eighteen has")) == [91.5, 45, 80]
    assert "outside" in line(text, "Eighteen has")
    assert numbers(line(text, "Scored on")) == [500, 4000]


def budgets(run, *aps: float):
    """The run with AP at 8,000, 16,000, ... samples; the last is its own."""
    at = [AtBudget(8000 * 2**i, 8000 * 2**i, {"ground_truth_boxes": {"AP": ap}}) for i, ap in enumerate(aps)]
    return replace(run, budgets=tuple(at), scores=at[-1].scores)


def test_runs_with_budgets_give_curves_and_say_from_where_on_the_order_is_stable(campaign: Path) -> None:
    """At 8,000 samples two of three pairs are in the order of 32,000, so tau is 1/3; at 16,000 all are."""
    aps = {
        "lite_hrnet_18": (20.0, 50.0, 60.0),
        "lite_hrnet_30": (10.0, 52.0, 62.0),
        "lite_hrnet_18_c20": (5.0, 45.0, 55.0),
    }
    runs = [
        budgets(run(spec, seed, 0.0), *(ap + seed for ap in found)) for spec, found in aps.items() for seed in (1, 2)
    ]
    text = page(campaign, *runs)
    assert "(mine_budgets.svg)" in text
    table = [[cell.strip() for cell in each.split("|")[1:5]] for each in text.splitlines()]
    cells = [each for each in table if each[:1] in (["8,000"], ["16,000"])]
    assert cells == [["8,000", "3", "1, 2", "+0.33"], ["16,000", "3", "1, 2", "+1.00"]]
    assert numbers(line(text, "From 16,000 samples"))[:2] == [16000, 0.7]
    with (campaign.parent / "out" / "mine.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    points = [each for each in lines if each["kind"] == "budget" and each["name"] == "Thirty"]
    assert [(each["samples"], float(each["score"]), each["score_by_seed"]) for each in points] == [
        ("8000", 11.5, "1:11.0 2:12.0"), ("16000", 53.5, "1:53.0 2:54.0"), ("32000", 63.5, "1:63.0 2:64.0"),
    ]  # fmt: skip
    orders = [each for each in lines if each["kind"] == "order by budget"]
    assert [float(each["tau"]) for each in orders] == pytest.approx([1 / 3, 1])


def test_an_order_that_still_changes_is_not_called_stable(campaign: Path) -> None:
    aps = {"lite_hrnet_18": (50.0, 60.0), "lite_hrnet_30": (40.0, 62.0), "lite_hrnet_18_c20": (45.0, 55.0)}
    text = page(campaign, *(budgets(run(spec, 1, 0.0), *found) for spec, found in aps.items()))
    assert numbers(line(text, "The order is not yet stable"))[:2] == [8000, 16000]


def test_runs_of_the_same_recipe_on_other_data_are_none_of_the_campaigns(campaign: Path) -> None:
    wanted = campaign_cost.wanted(load_study(campaign))  # type: ignore[arg-type]
    ours = run("lite_hrnet_18", 1, 60.0)
    assert wanted.fits(Setting.of(ours))
    assert not wanted.fits(Setting.of(replace(ours, data={**FULL, "kind": "coco"})))
    assert len(wanted.left([ours])) == 5


def test_runs_of_another_task_are_none_of_the_campaigns_though_the_graph_is_the_same(campaign: Path) -> None:
    ours = [run(spec, 1, ap) for spec, ap in {"lite_hrnet_18": 60.0, "lite_hrnet_30": 62.0}.items()]
    streets = {"kind": "synthetic streets", "fingerprint": "s1" * 20, "train_pictures": 600, "val_pictures": 100}
    other = replace(ours[0], task="segmentation", recipe="quick_streets", recipe_hash="s2" * 8, data=streets, seed=7,
                    scores={"label_size": {"mIoU": 20.0}}, baseline={}, budgets=())  # fmt: skip
    judged = [line for line in page(campaign, *ours, other).splitlines() if line.startswith("## ")]
    assert any("recipe gpu" in line for line in judged)
    assert not any("streets" in line for line in judged)


def test_the_estimate_is_activations_times_samples_at_the_rate_of_finished_runs() -> None:
    """Two records of 1e6 activations and 5,000 samples in 80 s each: 6.25e7 a second."""
    (rate,) = rates([record("a", "a"), record("b", "b"), record("c", "c", state="failed")])
    assert (rate.runs, rate.per_second) == (2, pytest.approx(6.25e7))
    assert campaign_cost.traffic_seconds(campaign_cost.STEP_ACTIVATIONS * 4.3e3) == pytest.approx(1.0)
    assert archlab.cost(archlab.load("lite_hrnet_18")).activations == campaign_cost.STEP_ACTIVATIONS


# The study that is shipped


def test_the_campaign_is_the_rows_of_tables_6_and_7_with_people_enough_to_judge_by() -> None:
    study = load_study("campaign")
    assert isinstance(study, Campaign)
    tables = [load_ablation(name) for name in ("table6", "table7")]
    assert {row.spec for row in study.rows} == {row.spec for row in distinct_rows(tables)}
    assert {row.spec: row for row in study.rows} == {row.spec: row for row in distinct_rows(tables)}
    margins = {each.spec: (each.at_least, each.side) for each in study.controls}
    assert margins == {
        "lite_hrnet_18_c20": (3.0, "below"),
        "lite_hrnet_18_c80": (1.5, "above"),
        "lite_hrnet_18_no_fusion": (5.0, "below"),
        "lite_hrnet_18_one_module": (8.0, "below"),
    }
    recipe = load_recipe(study.recipe)
    assert study.seeds == (1, 2, 3)
    assert recipe.input == (256, 192)
    assert recipe.iterations  # equal samples
    assert recipe.options.data
    assert recipe.options.data.level == "full"
    assert recipe.options.data.val * 2.5 >= study.val_people >= 4000


def test_every_claim_is_a_difference_that_the_paper_prints() -> None:
    study = load_study("campaign")
    assert isinstance(study, Campaign)
    ap = {row.spec: row.published.ap or 0.0 for row in study.rows}
    for claim in study.claims:
        printed = ap[claim.better] - ap[claim.worse]
        assert abs(printed) <= claim.within if claim.within else printed > 0, claim


def test_the_claims_are_the_papers_words(shared: Path) -> None:
    """The text has each formula twice, so numbers are compared by the words around them."""
    text = " ".join((shared / "paper" / "lite-hrnet.txt").read_text(encoding="utf-8").split())
    study = load_study("campaign")
    assert isinstance(study, Campaign)
    for claim in study.claims:
        runs = [part for part in claim.sentence.replace("1x1", "#").split(" ") if part]
        plain = [" ".join(group) for plain, group in itertools.groupby(runs, lambda w: w.isalpha()) if plain]
        assert all(words in text for words in plain), (claim.sentence, [w for w in plain if w not in text])


def test_the_controls_change_what_they_say() -> None:
    def params(name: str) -> int:
        return archlab.cost(archlab.load(name)).params

    ends = [node for node in archlab.assemble(archlab.load("lite_hrnet_18_no_fusion")).nodes if "fusion" in node.name]
    assert [(node.block, node.leaves) for node in ends] == [("no_fusion", ())] * 8
    assert params("lite_hrnet_18_c20") < params("lite_hrnet_18") < params("lite_hrnet_18_c80")
    assert archlab.spec_hash(archlab.load("lite_hrnet_18_one_module")) == archlab.spec_hash(
        archlab.load("lite_hrnet_18", **{"stages.modules": [1, 1, 1]})
    )


def test_a_campaigns_mistakes_are_named_where_they_stand(tmp_path: Path) -> None:
    text = CAMPAIGN.format(recipe="gpu").replace("better: lite_hrnet_30", "better: lite_hrnet_31")
    (tmp_path / "mine.yaml").write_text(text.replace("reference: lite_hrnet_18", "reference: lite"), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_study(tmp_path / "mine.yaml")
    made = [(problem.field, problem.message) for problem in caught.value.problems]
    assert "mine.yaml:14:" in str(caught.value)
    assert any(field == "claims.better" and "'lite_hrnet_30'?" in message for field, message in made), made
    assert any(field == "reference" and "'lite'" in message for field, message in made), made


def test_runs_that_round_differently_are_named_below_the_scores(campaign: Path) -> None:
    alike = [run("lite_hrnet_18", seed, 60.0) for seed in (1, 2)]
    other = replace(run("lite_hrnet_30", 1, 62.0), threads=1)
    before, after = page(campaign, *alike).splitlines(), page(campaign, *alike, other).splitlines()
    both = "cpu: a processor (1 thread) and cpu: a processor (2 threads)"
    assert not any(both in line for line in before)
    assert sum(both in line for line in after) == 2  # with the dates, and on its own


# People and seeds together


def resampled_records(study: Campaign, shares: dict[str, float], **given: object) -> list[Record]:
    """Return two seeds of each network, with the hits of 400 people at two budgets; at the first all are alike."""
    random = np.random.default_rng(0)
    ease = random.uniform(-0.2, 0.2, 400)
    made = []
    for spec, share in shares.items():
        for seed in (1, 2):
            budgets = []
            for budget, mean in ((8000, 0.4), (16000, share + 0.001 * seed)):
                hits = random.binomial(14, np.clip(mean + ease, 0, 1))
                terms = Terms("people", {"pck": Ratio.of(hits, np.full(400, 14))})
                plain = Scored({}, {"ground_truth_boxes": terms}).with_terms()["terms"]
                scores = {"AP": 10.0, "pck": terms.ratios["pck"].figure}
                budgets.append(AtBudget(budget, budget, {"ground_truth_boxes": scores}, plain))
            made.append(
                record(
                    spec, spec, seed=seed, data=FULL, budgets=tuple(budgets), scores=budgets[-1].scores, samples=16000,
                    **{"device": "cpu: a processor", **given},
                )
            )  # fmt: skip
    return made


SHARES = {"ref": 0.5, "good": 0.56, "bad": 0.503, "narrow": 0.4}
BY_PCK = replace(STUDY, metric="pck")


def judge_records(study: Campaign, records: list[Record], budget: int | None = None) -> Judged:
    rows = match_runs(studies.networks(study), records, lambda spec, *_: CountedNetwork(spec, Count(1, 1, 1, 1)))
    (setting,) = settings_of(rows)
    return judge(study, rows, setting, budget)


def test_where_records_hold_people_claims_are_judged_over_seeds_and_people() -> None:
    found = judge_records(BY_PCK, resampled_records(BY_PCK, SHARES))
    assert found.people == 400
    good, unclear, worse = found.claims
    assert [each.verdict for each in found.claims] == ["held", "undecided", "not held"]
    assert isinstance(good.difference, Difference)
    assert good.difference.mean == pytest.approx(6.0, abs=1.5)
    assert good.p is not None
    assert unclear.p is not None
    assert [each.p for each in found.claims] == holm([each.difference.p for each in found.claims])
    assert good.p < 0.05 < unclear.p
    assert worse.difference
    assert worse.difference.mean < 0
    assert found.controls[0].shown == "shown"
    assert found.agreement is not None
    assert found.agreement.low <= found.agreement.value == found.order.tau


def test_the_same_runs_are_judged_at_a_smaller_budget() -> None:
    found = judge_records(BY_PCK, resampled_records(BY_PCK, SHARES), 8000)
    assert {each.verdict for each in found.claims} == {"undecided"}
    assert found.line("good").score.mean == pytest.approx(40, abs=2)


def test_runs_of_two_models_of_cpu_are_not_paired() -> None:
    here = resampled_records(BY_PCK, {"ref": 0.5, "narrow": 0.4})
    there = resampled_records(BY_PCK, {"good": 0.56, "bad": 0.5}, device="cpu: another")
    found = judge_records(BY_PCK, [*here, *there])
    assert found.line("good").score is not None
    assert found.line("good").difference is None
    assert found.claims[0].verdict == "not measured"
    assert found.claims[2].difference is not None


def test_runs_that_were_scored_on_other_people_are_not_paired() -> None:
    records = resampled_records(BY_PCK, SHARES)
    last = records[0].budgets[-1]
    other = last.terms["ground_truth_boxes"] | {"samples": "others"}
    changed = replace(last, terms={"ground_truth_boxes": other})
    records[0] = replace(records[0], budgets=(records[0].budgets[0], changed))
    found = judge_records(BY_PCK, records)
    pairs = [found.line("good").difference, found.claims[2].difference]  # with the reference, and without it
    assert [pair.n for pair in pairs if pair] == [1, 2]


def test_a_record_with_damaged_terms_is_noted_and_its_run_is_not_paired(capsys) -> None:
    records = resampled_records(BY_PCK, SHARES)
    last = records[0].budgets[-1]
    broken = last.terms["ground_truth_boxes"] | {"ratios": {"pck": ["u1:!!", "u1:"]}}
    changed = replace(last, terms={"ground_truth_boxes": broken})
    records[0] = replace(records[0], budgets=(records[0].budgets[0], changed))
    found = judge_records(BY_PCK, records)
    assert "terms.ground_truth_boxes" in capsys.readouterr().err
    good = found.line("good").difference
    assert good
    assert good.n == 1


def test_one_seed_has_intervals_over_people_and_decides_nothing() -> None:
    found = judge_records(BY_PCK, [each for each in resampled_records(BY_PCK, SHARES) if each.seed == 1])
    assert found.error is None
    assert [(each.verdict, each.p) for each in found.claims] == [("undecided", None)] * 3
    assert found.controls[0].shown == "undecided"
    good = found.line("good").difference
    assert good
    assert good.low is not None
    assert 0 < good.low < 6 < good.high


def test_with_one_seed_the_intervals_over_people_are_counted() -> None:
    differences = [Interval(1.0, 0.5, 1.5, 1), Interval(1.0, -0.5, 2.5, 1), Interval(-1.0, -1.5, -0.5, 1)]
    assert numbers(over_people([*differences, differences[0]], "people")) == [2, 4, 1]


def test_a_pair_with_one_seed_is_judged_by_the_error_of_the_networks_with_two() -> None:
    """Three networks with two seeds leave (3 - 1) (2 - 1) degrees of freedom, and a fourth with one seed none."""
    records = [each for each in resampled_records(BY_PCK, SHARES) if (each.spec, each.seed) != ("narrow", 2)]
    found = judge_records(BY_PCK, records)
    assert found.error
    assert found.error.freedom == 2
    control = found.controls[0]
    assert control.difference
    assert (control.difference.n, control.shown) == (1, "shown")


def test_claims_that_are_not_measured_yet_count_in_the_correction() -> None:
    shares = {"ref": 0.5, "good": 0.62, "narrow": 0.4}
    found = judge_records(BY_PCK, resampled_records(BY_PCK, shares))
    assert [each.verdict for each in found.claims] == ["held", "not measured", "not measured"]
    good = found.claims[0]
    assert good.raw_p
    assert good.p == pytest.approx(3 * good.raw_p)
    assert [each.p for each in found.claims[1:]] == [None, None]


def test_a_comparable_pair_is_held_inside_its_margin_and_not_held_outside() -> None:
    """bad - ref is about 0.3 with an interval of some points, bad - good about -12."""
    claims = tuple(replace(STUDY.claims[i], within=within) for i, within in ((1, 20.0), (2, 1.0), (1, 1.0)))
    found = judge_records(replace(BY_PCK, claims=claims), resampled_records(BY_PCK, SHARES | {"good": 0.62}))
    assert [each.verdict for each in found.claims] == ["held", "not held", "undecided"]
    for each in found.claims:
        assert isinstance(each.difference, Difference)
        assert claim_p(each.claim, each.difference) == each.raw_p
    assert found.claims[2].raw_p > 0.05


def test_the_measured_ap_of_a_claim_stands_next_to_the_judged_figure() -> None:
    records = resampled_records(BY_PCK, SHARES)
    for number, each in enumerate(records):
        if each.spec == "good":
            last = each.budgets[-1]
            scores = {"ground_truth_boxes": last.scores["ground_truth_boxes"] | {"AP": 12.0 + each.seed}}
            records[number] = replace(each, budgets=(each.budgets[0], replace(last, scores=scores)), scores=scores)
    claim = judge_records(BY_PCK, records).claims[0]
    assert claim.ap
    assert claim.ap.mean == pytest.approx(3.5)


def test_a_campaign_judges_a_figure_of_its_task() -> None:
    with pytest.raises(InputError) as caught:
        judge_records(replace(STUDY, metric="pkc"), resampled_records(BY_PCK, SHARES))
    assert caught.value.problems[0].field == "metric"


def test_the_page_of_photographs_shows_claims_by_budget(tmp_path: Path) -> None:
    study = load_study("campaign_lsp")
    assert isinstance(study, Campaign)
    counted = {row.spec: count_network(row.spec, row.fields, (3, 96, 96), 14) for row in studies.networks(study)[:3]}
    made = resampled_records(study, dict.fromkeys(counted, 0.5))
    for each in made:
        own = {"recipe_hash": recipe_hash(load_recipe("lsp_96")), "recipe": "lsp_96", "outputs": 14}
        budgets = tuple(replace(point, budget=6 * point.budget) for point in each.budgets)
        own |= {"spec_hash": counted[each.spec].hash, "input": (3, 96, 96), "data": {**FULL, "kind": "lsp"}}
        fitted = replace(each, budgets=budgets, **own)
        write_records(tmp_path / "records", fitted)
    write_records(
        tmp_path / "records", record("lite_hrnet_18", fitted.spec_hash, data=QUICK, outputs=14, input=(3, 96, 96))
    )
    write_report(study, tmp_path / "records", tmp_path)
    page = (tmp_path / "campaign_lsp.md").read_text(encoding="utf-8")
    cells = {row[0]: row[1:] for each in page.splitlines() if (row := [c.strip() for c in each.split("|")[1:-1]])}
    claim = cells["Naive Lite-HRNet-18 − Small HRNet-W16"]  # the table by budget is the last that has it
    assert len(claim) == 2
    assert re.fullmatch(r"[+−]?\d\.\d \([+−]?\d\.\d to [+−]?\d\.\d\)", claim[0])
    assert cells["Lite-HRNet-18, no fusion"][-1] == "not measured"  # in the table of controls, not in that by budget
    assert numbers(line(page, "Of 23 claims"))[0] == 23
    assert numbers(line(page, "The same trainings at"))[:3] == [48000, 2, 21]
    assert numbers(line(page, "p: two-sided"))[-1] == 23
    waiting = line(page, "Not in these tables")
    assert all(row.name in waiting and row.name not in cells for row in study.further.rows)
    assert numbers(waiting)[-1] == 10
    assert {96000, 400, 10000, 2} <= {*numbers(line(page, "Intervals (recipe"))}  # 2 degrees of freedom
    assert numbers(line(page, "A network saw"))[0] == 96000
    assert "--data DATA" in page
    assert "GPU" not in page
    assert "synthetic" not in page
    with (tmp_path / "campaign_lsp.csv").open(encoding="utf-8") as file:
        claims = [line for line in csv.DictReader(file) if line["kind"] == "claim"]
    assert len(claims) == len(study.all_claims)
    assert [bool(line["p_holm"]) for line in claims][:2] == [True, True]
