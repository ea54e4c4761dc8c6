"""Rank correlations: by hand, against scipy, and their intervals."""

import math

import numpy as np
import pytest
from scipy import stats

from archlab.report.correlation import RESAMPLES, Correlation, kendall, spearman

BOTH = [spearman, kendall]
SCIPY = {spearman: stats.spearmanr, kendall: stats.kendalltau}


def value(found: Correlation | None) -> float:
    assert found
    return found.value


def related(n: int, seed: int, *, rho: float = 0.6, steps: float = 0) -> tuple[list[float], list[float]]:
    """Pairs of normal numbers with that correlation, rounded to steps so that some are tied."""
    xs, ys = np.random.default_rng(seed).multivariate_normal([0, 0], [[1, rho], [rho, 1]], size=n).T
    if steps:
        xs, ys = np.round(xs / steps) * steps, np.round(ys / steps) * steps
    return xs.tolist(), ys.tolist()


# Values


def test_values_are_those_counted_by_hand() -> None:
    """1 2 3 4 and 1 2 4 3: rho = 1 - 6 * 2 / (4 * 15) = 0.8; five pairs agree and one does not: tau = 4 / 6."""
    assert value(spearman((1, 2, 3, 4), (1, 2, 4, 3))) == pytest.approx(0.8)
    assert value(kendall((1, 2, 3, 4), (1, 2, 4, 3))) == pytest.approx(4 / 6)
    assert value(spearman((1, 20, 300), (3, 2, 1))) == pytest.approx(-1)


@pytest.mark.parametrize("how", BOTH)
@pytest.mark.parametrize("steps", [0, 0.7])
def test_values_are_scipys_with_ties_and_without(how, steps) -> None:
    for seed in range(5):
        xs, ys = related(25, seed, steps=steps)
        assert (len(set(xs)) < 25) == bool(steps)
        assert value(how(xs, ys)) == pytest.approx(SCIPY[how](xs, ys).statistic)


@pytest.mark.parametrize("how", BOTH)
def test_fewer_than_three_or_equal_values_have_no_correlation_and_what_is_no_number_is_left_out(how) -> None:
    assert how((1, 2), (1, 2)) is None
    assert how((1, 2, math.nan), (1, 2, 3)) is None
    assert how((1, 1, 1, 1), (1, 2, 3, 4)) is None
    assert how((1, math.nan, 2, 3, 4, math.inf), (1, 9, 2, 4, 3, 0)) == how((1, 2, 3, 4), (1, 2, 4, 3))


# Intervals


@pytest.mark.parametrize("how", BOTH)
def test_the_interval_is_that_of_resampled_candidates(how) -> None:
    """The same resamples drawn one by one and given to scipy; in some of them all are equal."""
    xs, ys = related(5, 3, steps=0.5)
    counts = np.random.default_rng(8).multinomial(5, [0.2] * 5, size=RESAMPLES)
    values = []
    for row in counts:
        drawn_x, drawn_y = np.repeat(xs, row), np.repeat(ys, row)
        if len(set(drawn_x)) > 1 and len(set(drawn_y)) > 1:
            values.append(SCIPY[how](drawn_x, drawn_y).statistic)
    assert 0 < len(values) < RESAMPLES
    found = how(xs, ys, seed=8)
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(values, [0.025, 0.975])))


def test_of_a_hundred_intervals_some_95_hold_the_truth() -> None:
    """Of normal numbers tau = 2 / pi asin(rho). With p = 0.95, 200 draws below 0.88 or all of them have p < 1e-4."""
    truth = 2 / math.pi * math.asin(0.6)
    intervals = [kendall(*related(40, seed), seed=seed) for seed in range(200)]
    held = sum(found is not None and found.low <= truth <= found.high for found in intervals)
    assert 0.88 * 200 <= held < 200


@pytest.mark.parametrize("how", BOTH)
def test_more_candidates_have_a_narrower_interval_and_one_seed_one_answer(how) -> None:
    few, many = how(*related(30, 1)), how(*related(300, 1))
    assert few.high - few.low > 2 * (many.high - many.low)
    assert how(*related(30, 1)) == few
    assert how(*related(30, 1), seed=1) != few
    assert (few.n, many.n) == (30, 300)
