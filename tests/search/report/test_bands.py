from typing import Any

import numpy as np
import pytest

from archlab.search.report.bands import IN_A_BAND, bootstrap, edf, equal_count_bands
from archlab.search.report.importance import LEAST, as_text, grouped, importances


def test_the_distribution_is_the_share_that_scores_at_least_so_much() -> None:
    steps = edf([30.0, 10.0, 20.0, 20.0])
    assert [(s.score, s.share.value) for s in steps] == [(10, 1.0), (20, 0.75), (30, 0.25)]


def test_the_intervals_of_a_share_are_the_binomials() -> None:
    # Binomial(10, 1/2): P(X <= 1) = 11/1024 < 0.025 <= 56/1024 = P(X <= 2); P(X <= 7) = 968/1024 < 0.975 <= P(X <= 8).
    half = edf([0.0] * 5 + [1.0] * 5)[1].share
    assert (half.low, half.value, half.high) == (0.2, 0.5, 0.8)
    assert edf([5.0, 5.0])[0].share.low == 1.0


def test_bands_hold_equally_many_in_the_order_of_cost() -> None:
    costs = [float(c) for c in range(20, 0, -1)]
    bands = equal_count_bands(costs, costs)
    assert [(b.low, b.high, b.n) for b in bands] == [(1, 7, 7), (8, 14, 7), (15, 20, 6)]
    assert [(b.median.value, b.best.value) for b in bands] == [(4, 7), (11, 14), (17.5, 20)]
    assert all(b.median.low <= b.median.value <= b.median.high for b in bands)
    assert all(b.best.low <= b.best.high == b.best.value for b in bands)


def test_few_candidates_make_one_band_and_none_make_none() -> None:
    assert [b.n for b in equal_count_bands([1.0, 2.0], [1.0, 2.0])] == [2]
    assert equal_count_bands([], []) == []
    assert len(equal_count_bands(range(1000), range(1000))) == 5
    assert IN_A_BAND * 2 == 12
    assert [len(equal_count_bands(range(n), range(n))) for n in (11, 12)] == [1, 2]


def test_the_bootstrap_of_a_mean_agrees_with_its_standard_error_and_repeats() -> None:
    values = np.random.default_rng(3).normal(size=400)
    found = bootstrap(values, np.mean)
    error = 1.96 * values.std() / 20
    assert (found.low, found.high) == pytest.approx((values.mean() - error, values.mean() + error), abs=0.02)
    assert bootstrap(values, np.mean) == found


def points(n: int, seed: int = 0) -> tuple[list[dict[str, Any]], np.ndarray]:
    """A parameter that makes half of the variance, one that makes none, and one that a third does not have."""
    rng = np.random.default_rng(seed)
    made = [{"strong": int(rng.integers(2)), "idle": str(rng.integers(4)), "one": "same"} for _ in range(n)]
    for point in made:
        if rng.random() < 0.66:
            point["sometimes"] = [int(rng.integers(2)), 8]
    return made, np.array([2.0 * p["strong"] + rng.normal() for p in made])


def test_a_parameter_that_makes_half_of_the_variance_is_given_half() -> None:
    found = {
        each.parameter: each for each in importances(*points(400), ["idle", "strong", "one", "sometimes", "unknown"])
    }
    assert next(iter(found)) == "strong"
    assert "one" not in found
    assert "unknown" not in found
    # Var(2 Bernoulli(1/2)) = 1 beside noise of variance 1.
    assert found["strong"].share.value == pytest.approx(0.5, abs=0.06)
    assert found["strong"].share.low < 0.5 < found["strong"].share.high
    assert abs(found["idle"].share.value) < 0.02
    assert {level.value for level in found["sometimes"].levels} == {"inactive", "[0, 8]", "[1, 8]"}
    assert found["strong"].levels[0].value == "1"
    assert sum(level.n for level in found["strong"].levels) == 400


def test_the_share_is_the_analysis_of_variance_by_hand() -> None:
    # Groups of 10: means 1 and 3 about 2, each value 1 off its mean: SS between 20, within 20, total 40; k - 1 = 1 of
    # within / (n - k) = 20 / 18: (20 - 20/18) / 40.
    y = [0.0, 2.0] * 5 + [2.0, 4.0] * 5
    found = importances([{"a": i // 10} for i in range(20)], y, ["a"])
    assert found[0].share.value == pytest.approx((20 - 20 / 18) / 40)
    assert [(level.value, level.n, level.mean) for level in found[0].levels] == [("1", 10, 3.0), ("0", 10, 1.0)]


def test_intervals_of_an_idle_parameter_hold_zero_and_are_not_pushed_up_by_resampling() -> None:
    found = [importances(*points(40, seed), ["idle"])[0].share for seed in range(20)]
    assert sum(share.low <= 0 <= share.high for share in found) >= 18
    assert abs(np.mean([share.value for share in found])) < 0.05


def test_too_few_candidates_or_equal_scores_give_no_importance() -> None:
    made, y = points(LEAST)
    assert importances(made, y, ["strong"])
    assert importances(made[:-1], y[:-1], ["strong"]) == []
    assert importances(made, np.ones(LEAST), ["strong"]) == []


def test_a_parameter_with_a_value_of_its_own_for_every_candidate_is_left_out() -> None:
    _, y = points(40)
    assert importances([{"name": f"n{i}"} for i in range(40)], y, ["name"]) == []


def test_many_numbers_are_read_as_ranges_of_equal_count() -> None:
    assert grouped([1, 2, None, True, [1, 2.5]]) == ["1", "2", "inactive", "true", "[1, 2.5]"]
    names = grouped(list(range(100)))
    assert list(dict.fromkeys(names)) == ["0 to 19", "20 to 39", "40 to 59", "60 to 79", "80 to 99"]
    assert grouped([*range(6), None])[-1] == "inactive"
    assert as_text({"block": "basic_block", "ratio": 0.25}) == "{block: basic_block, ratio: 0.25}"
