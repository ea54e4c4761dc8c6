"""The commands that look at a space or at what a search found: what they print, write, and refuse."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from helpers import search_study
from helpers.search_results import make_result
from helpers.search_study import check_exact

import archlab
from archlab import yamlio
from archlab.cli.app import main
from archlab.core import builtin
from archlab.network.differences import Difference, differences
from archlab.search import candidates as reading
from archlab.search import run as explore
from archlab.search.load import load_search
from archlab.search.options import open_search
from archlab.search.recovery import outcome
from archlab.search.report import text
from archlab.search.report.analysis import analyse
from archlab.search.report.estimates import front, known
from archlab.search.report.payload import payload
from archlab.search.results import Result, write_result
from archlab.search.space.gate import Gate
from archlab.search.space.points import size
from archlab.search.space.sample import choices, sample
from archlab.search.space.space import METRICS, load_space
from archlab.tasks.pose.synthetic import generate

SMALL = """\
version: 1
title: Four networks
base: lite_hrnet_18
vary:
  ratio: {field: stages.unit.ratio, choices: [4, 8]}
  sum: {field: stages.fusion.sum, choices: [released, plain]}
"""


@pytest.fixture(scope="module")
def result() -> Result:
    return make_result(40)


@pytest.fixture(scope="module")
def file(result: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("searches") / "result.json"
    write_result(result, path)
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    (tmp_path / "small.yaml").write_text(SMALL, encoding="utf-8")
    return tmp_path / "small.yaml"


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([str(each) for each in arguments]) == 0
    return str(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([str(each) for each in arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return str(err)


@pytest.mark.parametrize("space", ["lite_hrnet", pytest.param("hybrid", marks=pytest.mark.slow)])
def test_sample_prints_distinct_networks_within_the_limits_an_object_a_line(
    space: str, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = said(capsys, "sample", space, "-n", 12, "--json").splitlines()
    made = [json.loads(line) for line in lines]
    assert len({each["hash"] for each in made}) == len({each["name"] for each in made}) == 12
    loaded = load_space(space)
    for each in made:
        assert set(each) == {"name", "hash", "params", "flops", "activations", "point", "spec"}
        point = loaded.point(each["point"])
        assert loaded.spec(point).document.plain() == each["spec"]
        cost = archlab.cost(loaded.spec(point))
        assert (each["params"], each["flops"], each["activations"]) == (cost.params, cost.flops, cost.activations)
        assert all(band.excess(METRICS[name](cost.total)) == 0 for name, band in loaded.limits.items())


def test_sample_says_the_same_for_the_same_seed_and_another_thing_for_another(
    capsys: pytest.CaptureFixture[str],
) -> None:
    first, again, other = (
        said(capsys, "sample", "lite_hrnet", "-n", 4, "--seed", seed, "--json") for seed in (3, 3, 4)
    )
    assert first == again
    assert not set(first.splitlines()) & set(other.splitlines())


def test_sample_says_how_large_the_space_is_and_what_share_passed(capsys: pytest.CaptureFixture[str]) -> None:
    main(["sample", "lite_hrnet", "-n", "3", "--limit", "macs=1e8..1.5e8"])
    out, err = capsys.readouterr()
    assert "points; limits: params at most 2e+06, macs 1e+08 to 1.5e+08" in err
    assert "candidates passed (" in err
    assert "Around Lite-HRNet" in out
    assert out.count("lite_hrnet_") == 3
    assert "modules" in out


def test_a_limit_of_the_command_line_stands_in_place_of_the_spaces(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "sample", "lite_hrnet", "-n", 5, "--limit", "macs=..9e7", "--limit", "params=5e5..", "--json")
    for each in map(json.loads, lines.splitlines()):
        assert each["flops"]["fvcore"] <= 9e7
        assert each["params"] >= 5e5


def test_sample_counts_at_the_input_and_outputs_that_it_is_given(capsys: pytest.CaptureFixture[str]) -> None:
    given = ["--input", "128x96", "--outputs", 16, "--limit", "macs=..7e7"]
    made = json.loads(said(capsys, "sample", "lite_hrnet", "-n", 1, *given, "--json"))
    assert (made["spec"]["input"], made["spec"]["outputs"]) == ([3, 128, 96], 16)


def test_sample_takes_a_search_for_its_space_limits_and_input(capsys: pytest.CaptureFixture[str]) -> None:
    search = load_search("lite_hrnet_quick")
    made = [json.loads(line) for line in said(capsys, "sample", "lite_hrnet_quick", "-n", 3, "--json").splitlines()]
    for each in made:
        assert each["spec"]["input"] == [3, *search.recipe.input]
        assert search.form.limits["macs"].excess(each["flops"]["fvcore"]) == 0
    told = refused(capsys, "sample", "lite_hrnet_quick", "--input", "64x64", "--outputs", 3)
    assert [line.split(":")[1] for line in told.splitlines()] == [" --input", " --outputs"]


def test_a_bar_on_the_terminal_keeps_no_line_from_a_file(tmp_path: Path) -> None:
    terminal, end = pty.openpty()
    command = [sys.executable, "-m", "archlab", "sample", "lite_hrnet", "-n", "3", "--json"]
    made = subprocess.run(command, stdout=subprocess.PIPE, stderr=end, cwd=tmp_path, check=True)
    os.close(end)
    assert len([json.loads(line) for line in made.stdout.splitlines()]) == 3
    assert b"3 of 3 candidates passed" in os.read(terminal, 10_000)
    os.close(terminal)


@pytest.mark.slow
def test_what_sample_writes_is_a_variant_that_build_takes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = json.loads(said(capsys, "sample", "hybrid", "-n", 1, "--out", tmp_path / "some", "--json"))
    (path,) = (tmp_path / "some").iterdir()
    assert path.name == f"{made['name']}.yaml"
    assert path.read_text().startswith("# A random network of the space hybrid: ")
    built = json.loads(said(capsys, "build", path, "--json"))
    assert {key: built[key] for key in ("name", "hash", "params", "flops", "activations")} == {
        key: made[key] for key in ("name", "hash", "params", "flops", "activations")
    }


def test_a_space_that_runs_out_prints_what_it_has_and_says_so(small: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", str(small), "-n", "5", "--json"]) == 2
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 4
    assert "all 4 that do are taken" in err


def test_limits_that_nothing_meets_are_told_with_the_nearest_miss(
    small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, "sample", small, "-n", 1, "--limit", "macs=..1e6")
    assert "none of 4 candidates passes; the nearest miss" in said


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["lite_hrnt"], "did you mean 'lite_hrnet'"),
        (["nowhere.yaml"], "nowhere.yaml: no such search space"),
        (["lite_hrnet", "--limit", "mac=..1e8"], "did you mean 'macs'"),
        (["lite_hrnet", "--limit", "macs=1e8"], "expected COST=LEAST..MOST"),
        (["lite_hrnet", "--limit", "macs=a..b"], "expected a number"),
        (["lite_hrnet", "--limit", "macs=1e8..", "--limit", "macs=..3e8"], "macs is limited twice"),
        (["lite_hrnet", "--limit", "macs=.."], "`min`, `max`"),
        (["lite_hrnet", "--limit", "macs=3e8..1e8"], "above `max`"),
    ],
)
def test_a_mistake_in_what_to_sample_is_told(
    arguments: list[str], word: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert word in refused(capsys, "sample", *arguments)


def test_networks_of_one_hash_are_sampled_once(small: Path) -> None:
    # Without any weighting its ratio means nothing: three points, one network.
    unit = "{block: conditional_channel_weighting, before: none, after: none}"
    vary = "{ratio: {field: stages.unit.ratio, choices: [4, 8, 16]}}"
    text = f"version: 1\nbase: lite_hrnet_18\nset: {{stages: {{unit: {unit}}}}}\nvary: {vary}\n"
    small.write_text(text, encoding="utf-8")
    space = load_space(small)
    assert size(space) == 3
    found = sample(Gate(space, exact=True), 3, seed=1)
    assert next(found).count == archlab.cost(space.spec((0,))).total
    with pytest.raises(archlab.InputError, match="no further network passes"):
        next(found)


def test_choices_are_shown_by_what_varies() -> None:
    point = {"stem": 32, "modules.0": 2, "modules.1": 4, "ratio.1": 8}
    names = ["stem", "modules.0", "modules.1", "ratio.0", "ratio.1", "never.0"]
    assert choices(names, point) == {"stem": "32", "modules": "2 4", "ratio": "- 8"}


def test_best_is_the_front_or_the_best_by_one_figure(
    result: Result, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = json.loads(said(capsys, "best", file, "--json"))
    assert [each["number"] for each in made] == [candidate.number for candidate in front(result)]
    for key, sign in (("pck", -1), ("macs", 1), ("mean_oks", -1), ("params", 1)):
        found = [
            each["number"] for each in json.loads(said(capsys, "best", file, "--objective", key, "-n", 4, "--json"))
        ]
        held = {c.number: sign * of.mean for c in result.complete if (of := known(c, key))}
        assert found == sorted(held, key=lambda number: (held[number], number))[:4]


def test_the_front_is_a_table_with_its_references_and_the_spread_over_seeds(
    result: Result, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = said(capsys, "best", file)
    lines = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert "the front (PCK@0.1 up, multiply-adds down)" in out
    for candidate in (*front(result), *result.references):
        name = candidate.name if candidate in result.references else str(candidate.number)
        assert candidate.hash[:8] in lines[name]
        assert f"{candidate.cost['macs'] / 1e6:,.1f}" in lines[name]
        assert ("±" in lines[name]) == (len(candidate.seeds) > 1)
    assert sum("±" in line for line in lines.values()) > 1


def test_best_of_a_search_without_a_complete_trial_says_so(
    result: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped = tuple(c for c in result.candidates if c.outcome != "complete")
    write_result(replace(result, candidates=stopped), tmp_path / "result.json")
    assert "No trial has been trained to the end yet." in said(capsys, "best", tmp_path)
    assert said(capsys, "best", tmp_path, "--json") == "[]\n"


@pytest.mark.parametrize("outcome", ["complete", "stopped", "failed"])
def test_show_says_what_became_of_a_trial_and_prints_its_network(
    outcome: str, result: Result, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    candidate = next(c for c in result.candidates if c.outcome == outcome)
    out = said(capsys, "show", file, candidate.number)
    assert out.rstrip("\n").endswith(candidate.spec.rstrip("\n"))
    assert candidate.hash in out
    assert {"complete": "trained to the end", "stopped": "stopped at a rung (", "failed": "NaN at step 12"}[
        outcome
    ] in out
    made = json.loads(said(capsys, "show", file, candidate.number, "--json"))
    assert [rung["scores"] for rung in made["rungs"]] == [dict(scores) for scores in candidate.rungs]
    assert made["spec"] == reading.spec_of(candidate).document.plain()
    assert (made["outcome"], made["reason"]) == (outcome, candidate.reason)


def test_best_names_the_trial_of_the_reports_headline(
    result: Result, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    number = max(front(result), key=lambda c: known(c, "pck").mean).number  # type: ignore[union-attr]
    assert f"is number {number}: " in text.lead(analyse(result))
    made = json.loads(said(capsys, "show", file, "best", "--json"))
    assert (made["number"], made["on_front"], made["run"]) == (number, True, None)
    assert said(capsys, "export", file, "best") == said(capsys, "export", file, number)
    compared = json.loads(said(capsys, "compare", file, "best", "lite_hrnet_18", "--json"))
    assert compared["a"]["number"] == number
    assert payload(analyse(result), {})["chosen"] == f"c{number}"


def test_show_prints_the_scores_of_every_seed(result: Result, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    candidate = next(c for c in result.candidates if len(c.seeds) == 3)
    out = said(capsys, "show", file, candidate.number)
    for seed, scores in candidate.seeds.items():
        (line,) = [line for line in out.splitlines() if f"the same, seed {seed} " in line]
        assert f"{scores['pck']:.1f}" in line
    assert "mean over seeds" in out
    assert "±" in out


def test_what_export_writes_is_a_variant_of_the_trials_hash(
    result: Result, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for candidate in result.candidates[:12]:
        path = tmp_path / f"{candidate.number}.yaml"
        assert said(capsys, "export", file, candidate.number, "--out", path) == ""
        assert archlab.spec_hash(archlab.load(path)) == candidate.hash
        assert path.read_text().startswith(f"# Trial {candidate.number} of the search lite_hrnet_quick, 2026-11-23: ")
        assert path.read_text() == said(capsys, "export", file, candidate.number)
    best = front(result)[-1]
    assert f"PCK@0.1 {known(best, 'pck').mean:.1f}" in said(capsys, "export", file, best.number)  # type: ignore[union-attr]
    built = json.loads(said(capsys, "build", path, "--json"))
    assert (built["hash"], built["params"]) == (candidate.hash, candidate.cost["params"])


def test_no_line_of_an_exported_comment_can_become_part_of_the_network(result: Result) -> None:
    hostile = replace(result, study="mine\nstem: nothing", recipe="a\r\nb")
    text = reading.as_variant(hostile, result.candidates[0])
    comment = text.removesuffix(result.candidates[0].spec)
    assert all(line.startswith("# ") for line in comment.splitlines())


def test_compare_names_the_fields_in_which_two_trials_differ(
    result: Result, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = result.candidates[0], next(c for c in result.candidates if c.hash != result.candidates[0].hash)
    made = json.loads(said(capsys, "compare", file, a.number, b.number, "--json"))
    assert (made["a"]["hash"], made["b"]["hash"]) == (a.hash, b.hash)
    assert made["fields"] == [vars(each) for each in differences(reading.spec_of(a), reading.spec_of(b))]
    out = said(capsys, "compare", file, a.number, b.number)
    assert all(each["field"] in out for each in made["fields"])
    assert f"{100 * (b.cost['macs'] / a.cost['macs'] - 1):+.1f} %".replace("-", "−") in out


def test_compare_takes_a_network_by_name_or_file_and_knows_a_reference_by_its_hash(
    result: Result, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = json.loads(said(capsys, "compare", file, "lite_hrnet_18", "lite_hrnet_30", "--json"))
    assert made["a"]["values"]["pck"] == pytest.approx(known(result.references[0], "pck").mean)  # type: ignore[union-attr]
    assert "values" not in made["b"]
    assert made["fields"] == [
        {"field": "stages.modules.0", "a": 2, "b": 3},
        {"field": "stages.modules.1", "a": 4, "b": 8},
        {"field": "stages.modules.2", "a": 2, "b": 3},
    ]
    at = archlab.load("lite_hrnet_30", input=(3, *result.rungs[-1].input))
    assert made["b"]["cost"]["macs"] == archlab.cost(at).flops["fvcore"]
    said(capsys, "export", file, 3, "--out", tmp_path / "mine.yaml")
    out = said(capsys, "compare", file, 3, tmp_path / "mine.yaml")
    assert "the same network" in out


def test_compare_needs_no_search_for_two_networks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = json.loads(said(capsys, "compare", "lite_hrnet_18", "lite_hrnet_30", "--searches", tmp_path, "--json"))
    assert [made[side]["cost"]["params"] for side in "ab"] == [1_130_769, 1_763_717]
    assert len(made["fields"]) == 3
    assert "1.131" in said(capsys, "compare", "lite_hrnet_18", "lite_hrnet_30")
    assert main(["compare", "lite_hrnet_18", "7"]) == 2
    assert "STUDY: name a search before the trial 7" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ({"stages.width": 40}, {"stages.width": [40, 80, 160, 320]}, []),
        ({}, {"stages.unit": ["conditional_channel_weighting"] * 3}, []),
        ({}, {"stages.unit.ratio": 8, "stages.fusion.sum": "released", "stages.repeat": [2, 2, 2]}, []),
        ({}, {"stages.unit.ratio": 4}, [(f"stages.unit.{i}.ratio", 8, 4) for i in range(3)]),
        ({}, {"stages.width": [40, 80, 168, 320]}, [("stages.width.1.2", 160, 168), ("stages.width.2.2", 160, 168)]),
        ({}, {"outputs": 16}, [("outputs", 17, 16)]),
        (
            {"stages.unit": ["shuffle_block", "shuffle_block", "shuffle_block"]},
            {"stages.unit": ["shuffle_block", "basic_block", {"block": "shuffle_block", "pointwise": 0}]},
            [
                ("stages.unit.1.block", "shuffle_block", "basic_block"),
                ("stages.unit.1.pointwise", 2, None),
                ("stages.unit.1.stride", None, 1),
                ("stages.unit.1.act_layers", None, 1),
                ("stages.unit.1.act", None, "relu"),
                ("stages.unit.2.pointwise", 2, 0),
            ],
        ),
    ],
)
def test_fields_are_compared_by_what_they_mean(
    a: dict[str, Any], b: dict[str, Any], expected: list[tuple[str, Any, Any]]
) -> None:
    found = differences(archlab.load("lite_hrnet_18", **a), archlab.load("lite_hrnet_18", **b))
    assert found == [Difference(*each) for each in expected]


def test_networks_written_as_nodes_are_compared_node_by_node(tmp_path: Path) -> None:
    a = archlab.load("skip_pose_net")
    node = next(name for name, each in yamlio.to_plain(a.document)["nodes"].items() if "width" in each)
    width = yamlio.to_plain(a.document)["nodes"][node]["width"]
    b = archlab.load("skip_pose_net", **{f"nodes.{node}.width": width + 8})
    assert differences(a, b) == [Difference(f"nodes.{node}.width", width, width + 8)]


def test_a_node_that_is_called_like_a_block_is_no_block(tmp_path: Path) -> None:
    nodes = "nodes: {conv: {block: conv, width: 8, kernel: 3}, more: {block: basic_block}}"
    for name in ("conv", "more"):
        (tmp_path / f"{name}.yaml").write_text(f"version: 1\n{nodes}\noutput: {name}\n", encoding="utf-8")
    a, b = (archlab.load(tmp_path / f"{name}.yaml") for name in ("conv", "more"))
    assert differences(a, b) == [Difference("output", "conv", "more")]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["show", "{file}", "99"], "no finished trial '99': 40 are finished, 0 to 39"),
        (["show", "{file}", "lite_hrnet_18"], "no finished trial 'lite_hrnet_18'"),
        (["export", "{file}", "40"], "0 to 39"),
        (["export", "{file}", "4", "--out", "mine.txt"], "mine.txt: --out: the file's name must end in .yaml"),
        (["compare", "{file}", "4", "77"], "no finished trial '77'"),
        (["compare", "{file}", "4", "lite_hrnet_81"], "did you mean 'lite_hrnet_18'"),
        (["best", "{file}", "--objective", "pkc"], "did you mean 'pck'"),
        (["best", "nowhere.json"], "nowhere.json: no such search result"),
        (["best", "lite_hrnet_qick"], "did you mean 'lite_hrnet_quick'"),
        (["best", "lite_hrnet_quick"], "searches/lite_hrnet_quick: this search has no study; `archlab search "),
        (["best", "."], "result.json: no such search result"),
    ],
)  # fmt: skip
def test_a_mistake_in_what_to_look_at_is_told_and_leaves_nothing_behind(
    arguments: list[str],
    word: str,
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert word in refused(capsys, *(each.format(file=file) for each in arguments))
    assert list(tmp_path.iterdir()) == []


def contents(tiny: search_study.Tiny) -> dict[str, object]:
    """All that a search has in its folder; of the journal, into which Optuna may write that it was opened, the trials."""
    files = {str(path): path.read_bytes() for path in tiny.out.rglob("*") if path.is_file() and path != tiny.journal}
    return {**files, "trials": tiny.opened().get_trials(), "attributes": tiny.opened().user_attrs}


def test_the_report_of_a_search_is_written_again_next_to_its_result(
    result: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_result(replace(result, candidates=result.candidates[:4], references=()), tmp_path / "result.json")
    for named in (tmp_path, tmp_path / "result.json"):
        written = [Path(line) for line in said(capsys, "report", named).splitlines()]
        assert {path.name for path in written} >= {"search.html", "search.md", "candidates.csv", "front.csv"}
        assert all(path.parent == tmp_path and path.is_file() for path in written)
    assert "none.json" in refused(capsys, "report", tmp_path / "none.json")


def test_a_study_is_looked_at_without_its_result_and_without_being_changed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = search_study.make(tmp_path, search_study.people(tmp_path))
    assert explore.worker(tiny.options(trials=3)) == 0
    capsys.readouterr()
    before = contents(tiny)
    where = [tiny.study, "--searches", tiny.out]  # no data is needed, nor generated
    monkeypatch.chdir(tmp_path)
    numbers = [each["number"] for each in json.loads(said(capsys, "best", *where, "--json"))]
    trials = {trial.number: trial for trial in check_exact(tiny.opened(), 3)}
    assert set(numbers) <= {number for number, trial in trials.items() if outcome(trial) == "complete"}
    assert numbers
    for number, trial in trials.items():
        made = json.loads(said(capsys, "show", *where, number, "--json"))
        assert made["hash"] == trial.user_attrs["candidate"]["hash"]
        assert made["outcome"] == outcome(trial)
    said(capsys, "export", *where, numbers[0], "--out", tmp_path / "best.yaml")
    assert archlab.spec_hash(archlab.load(tmp_path / "best.yaml")) == trials[numbers[0]].user_attrs["candidate"]["hash"]
    assert contents(tiny) == before
    assert not (tmp_path / "data").exists()
    other = generate(tmp_path / "others", level="quick", train=7, val=2, seed=4)
    assert "begun with another data" in refused(capsys, "best", *where, "--data", other)


def test_a_study_whose_file_has_changed_says_where_its_result_still_is(
    result: Result, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = search_study.make(tmp_path, search_study.people(tmp_path))
    where = [tiny.study, "--searches", tiny.out, "--data", tiny.data]
    assert f"{tiny.out / 'tiny'}: this search has no study" in refused(capsys, "best", *where)
    open_search(tiny.options())
    assert "No trial has been trained to the end yet." in said(capsys, "best", *where)
    write_result(result, tiny.out / "tiny" / "result.json")
    tiny.write("tiny.yaml", ("pck: maximize", "mean_oks: maximize"))
    told = refused(capsys, "best", *where)
    assert "begun with another objectives" in told
    assert f"{tiny.out / 'tiny' / 'result.json'}: " in told
    assert "the front" in said(capsys, "best", tiny.out / "tiny")


def test_searches_are_listed_among_the_studies_and_spaces_by_themselves(capsys: pytest.CaptureFixture[str]) -> None:
    made = json.loads(said(capsys, "list", "--json"))
    assert {"lite_hrnet", "hybrid"} <= set(made["spaces"])
    assert "lite_hrnet_quick" in made["studies"]
    out = said(capsys, "list", "studies")
    assert "search: Around Lite-HRNet on quick synthetic people" in out
    assert "search: Spatial" not in out
    assert "Hybrids of seven kinds of units" in said(capsys, "list", "spaces")


@pytest.mark.parametrize("command", ["ablate", "report"])
def test_a_search_is_not_trained_as_rows_of_a_table(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    place = builtin.find("lite_hrnet_quick", "studies", "*.yaml", "study")
    assert f"{place}:2:7: kind: lite_hrnet_quick is a search: `archlab search` runs it" in refused(
        capsys, command, "lite_hrnet_quick"
    )


def test_a_dry_run_of_a_search_prints_what_is_resolved_and_left_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    made = json.loads(said(capsys, "search", "lite_hrnet_quick", "--trials", 5, "--dry-run", "--json"))
    search = load_search("lite_hrnet_quick")
    assert made["trials"] == {"total": 5, "finished": 0, "left": 5}
    assert made["recipe"]["iterations"] == search.recipe.iterations
    assert made["space"]["size"] == size(search.space)
    assert made["data"] == {"folder": "data/quick-2400-200-1", "exists": False}
    assert yaml.safe_load(said(capsys, "search", "lite_hrnet_quick", "--trials", 5, "--dry-run")) == made
    assert list(tmp_path.iterdir()) == []


def test_a_search_says_in_json_what_it_has_found_and_how_far_it_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = search_study.make(tmp_path, search_study.people(tmp_path))
    assert explore.worker(tiny.options(trials=3)) == 0
    capsys.readouterr()
    where = [tiny.study, "--searches", tiny.out, "--data", tiny.data, "--trials"]
    before = contents(tiny)
    assert json.loads(said(capsys, "search", *where, 4, "--dry-run", "--json"))["trials"]["left"] == 1
    assert contents(tiny) == before
    made = json.loads(said(capsys, "search", *where, 3, "--json"))
    assert made["folder"] == str(tiny.out / "tiny")
    assert (made["trials"]["asked"], made["trials"]["finished"]) == (3, 3)
    assert made["front"] == json.loads(said(capsys, "best", tiny.out / "tiny", "--json"))
