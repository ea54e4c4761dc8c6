"""What predicts a study's trained score: its pairs, their order, and how many candidates are enough."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from archlab.report.correlation import Correlation, spearman
from archlab.search.report.correlations import Pairing, rank_correlations
from archlab.search.results import Candidate, Objective, Outcome, Result, Rung


def value(found: Correlation | None) -> float:
    assert found
    return found.value


def candidate(number: int, ap: float, *, outcome: Outcome = "complete", **given: object) -> Candidate:
    macs = 1e6 * (1 + number % 7)
    return Candidate(
        number, f"c{number}", outcome, f"{number:032x}", {}, {"params": 1e5 + number, "macs": macs}, {"ap": ap, "macs": macs},
        ({"ap": ap / 2 + number % 3}, {"ap": ap}), "version: 1\n", 60.0, 60.0 * number,
        **{"proxies": {"synflow": 10.0**ap, "zen": math.nan if number == 1 else -ap}, **given},
    )  # fmt: skip


def result(*candidates: Candidate) -> Result:
    objectives = (Objective("macs", "minimize"), Objective("ap", "maximize"), Objective("pck", "maximize"))
    rungs = (Rung("quick", 1000, (128, 96)), Rung("full", 9000, (128, 96)))
    return Result("s", "S", "space", 9, "recipe", "random", objectives, rungs, (), candidates, (), len(candidates), "quick",
                  "cpu", 1, {}, "2026-01-01", "archlab search s", "f")  # fmt: skip


SCORES = [31.0, 44.0, 28.0, 50.0, 39.0]


def by_name(found: tuple[Pairing, ...]) -> dict[str, Pairing]:
    return {pairing.name: pairing for pairing in found}


def test_a_studys_correlations_are_with_the_first_maximised_score_at_the_last_rung() -> None:
    given = result(*(candidate(i, ap) for i, ap in enumerate(SCORES)))
    found = rank_correlations(given)
    assert [(p.kind, p.name, p.against, p.n, p.enough) for p in found] == [
        ("proxy", "synflow", "ap at full", 5, False),
        ("proxy", "zen", "ap at full", 4, False),
        ("cost", "params", "ap at full", 5, False),
        ("cost", "macs", "ap at full", 5, False),
        ("rung", "ap at quick", "ap at full", 5, False),
    ]
    values = {name: value(pairing.kendall) for name, pairing in by_name(found).items()}
    assert (values["synflow"], values["zen"]) == (1, -1)
    assert values["params"] == pytest.approx(stats.kendalltau(range(5), SCORES).statistic)
    lower = [ap / 2 + i % 3 for i, ap in enumerate(SCORES)]
    assert by_name(found)["ap at quick"].spearman == spearman(lower, SCORES)


def test_only_candidates_that_were_trained_to_the_end_count_and_no_references() -> None:
    complete = [candidate(i, ap) for i, ap in enumerate(SCORES)]
    stopped = [candidate(9, 99.0, outcome="stopped"), candidate(10, 99.0, outcome="failed")]
    given = result(*complete)
    more = replace(given, candidates=(*complete, *stopped), references=(candidate(11, 1.0),))
    assert rank_correlations(more) == rank_correlations(given)


def test_two_candidates_have_a_row_without_a_correlation() -> None:
    found = rank_correlations(result(candidate(0, 30.0), candidate(2, 40.0)))
    assert len(found) == 5
    assert {(p.n, p.enough, p.spearman, p.kendall) for p in found} == {(2, False, None, None)}


def test_enough_are_thirty_for_proxies_and_costs_and_twelve_for_rungs() -> None:
    scores = np.random.default_rng(0).permutation(31).tolist()
    pairs = [(30, n) for n in (29, 30)] + [(12, n) for n in (11, 12)]
    for limit, n in pairs:
        found = by_name(rank_correlations(result(*(candidate(i + 2, float(s)) for i, s in enumerate(scores[:n])))))
        names = ["synflow", "macs"] if limit == 30 else ["ap at quick"]
        assert {found[name].enough for name in names} == {n >= limit}


def test_every_pair_of_seeds_is_compared_by_the_candidates_that_have_both() -> None:
    def seeds(i: int, ap: float) -> dict[str, dict[str, float]]:
        return {"0": {"ap": ap}, "1": {"ap": -ap}} | ({"2": {"ap": ap + 1}} if i else {})

    given = result(*(candidate(i, ap, seeds=seeds(i, ap)) for i, ap in enumerate(SCORES)))
    found = [(p.name, p.against, p.n, value(p.kendall)) for p in rank_correlations(given) if p.kind == "seed"]
    assert found == [("seed 0", "seed 1", 5, -1), ("seed 0", "seed 2", 4, 1), ("seed 1", "seed 2", 4, -1)]


def test_a_study_that_maximises_nothing_or_has_trained_nothing_has_no_correlation_to_show() -> None:
    given = result(*(candidate(i, ap) for i, ap in enumerate(SCORES)))
    assert rank_correlations(replace(given, objectives=(Objective("macs", "minimize"),))) == ()
    assert [p.kind for p in rank_correlations(result())] == ["rung"]
