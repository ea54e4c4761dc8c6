"""A search's result as tables: a row a candidate, the front's in its order, and what a file gives back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from helpers.refused import refused
from helpers.search_results import make_result

from archlab.search.report import estimates
from archlab.search.report.write import rewrite_search, write_search
from archlab.search.results import Result, read_result, write_result


@pytest.fixture(scope="module")
def result() -> Result:
    return make_result(32)


def test_a_table_has_a_row_for_every_candidate_with_scores_costs_and_choices(result: Result) -> None:
    table = result.table()
    assert table["number"].tolist() == [candidate.number for candidate in result.candidates]
    for (_, row), candidate in zip(table.iterrows(), result.candidates, strict=True):
        assert (row["name"], row["outcome"], row["hash"]) == (candidate.name, candidate.outcome, candidate.hash)
        assert {name: row[name] for name in candidate.cost} == dict(candidate.cost)
        assert {name: row[f"point.{name}"] for name in candidate.point} == {
            n: str(v) for n, v in candidate.point.items()
        }
        score = estimates.known(candidate, "pck")
        assert row["pck"] == score.mean if score else row.isna()["pck"]


def test_a_table_has_the_references_below_where_they_are_asked_for(result: Result) -> None:
    names = [reference.name for reference in result.references]
    table = result.table(references=True)
    assert table["name"].tolist() == [candidate.name for candidate in result.candidates] + names
    assert table.loc[table["kind"] == "reference", "name"].tolist() == names


def test_the_front_is_in_the_order_of_the_last_objective_with_the_intervals_over_seeds(result: Result) -> None:
    front = result.front()
    assert front["number"].tolist() == [candidate.number for candidate in estimates.front(result)]
    assert front["macs"].is_monotonic_increasing
    several = front["seeds"] > 1
    assert several.any()
    assert (front.loc[several, "pck_low"] < front.loc[several, "pck"]).all()
    assert list(front.columns) == list(result.table().columns)


def test_a_front_without_members_is_an_empty_table_with_its_columns(result: Result) -> None:
    none = replace(result, candidates=tuple(c for c in result.candidates if c.outcome != "complete"))
    assert len(none.front()) == 0
    assert list(none.front().columns) == list(none.table().columns)


def test_a_report_written_again_from_its_result_is_the_same_to_the_byte(tmp_path: Path) -> None:
    small = make_result(5)
    whole = {name: int(value) for name, value in small.candidates[0].cost.items() if float(value).is_integer()}
    first = replace(small.candidates[0], cost={**small.candidates[0].cost, **whole})
    small = replace(small, candidates=(first, *small.candidates[1:]))
    folder = tmp_path / "made"
    write_result(small, folder / "result.json")
    assert read_result(folder / "result.json").candidates[0].cost == first.cost
    assert {type(v) for v in read_result(folder / "result.json").candidates[0].cost.values()} == {int, float}
    written = {path: path.read_bytes() for path in write_search(small, folder)}
    for path in written:
        path.unlink()
    assert {path: path.read_bytes() for path in rewrite_search(folder)} == written
    assert {path: path.read_bytes() for path in rewrite_search(folder / "result.json")} == written


@pytest.mark.slow
def test_a_report_names_the_machines_that_round_differently_and_a_file_holds_them_only_then(tmp_path: Path) -> None:
    alike = make_result(5)
    machines = ("cpu: a processor (1 thread)", "cpu: another (2 threads)")
    for name, result in (("alike", alike), ("mixed", replace(alike, machines=machines))):
        write_result(result, tmp_path / name / "result.json")
        assert read_result(tmp_path / name / "result.json") == result
        write_search(result, tmp_path / name)
    assert "machines" not in json.loads((tmp_path / "alike" / "result.json").read_text())
    for file in ("search.md", "search.html"):
        text = {name: (tmp_path / name / file).read_text() for name in ("alike", "mixed")}
        assert [text["alike"].count(machine) for machine in machines] == [0, 0]
        assert [text["mixed"].count(machine) for machine in machines] == [2, 2]  # among the facts and the limits


@pytest.mark.parametrize("name", ["objectives", "rungs"])
def test_a_result_without_objectives_or_rungs_is_refused(name: str, result: Result, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_result(result, path)
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: []}))
    with refused("missing", file=path, field=name):
        read_result(path)
