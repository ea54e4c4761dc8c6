"""The two-way bootstrap, against loops, formulas and coverage."""

from __future__ import annotations

import numpy as np
import pytest

from archlab.report import bootstrap
from archlab.report.bootstrap import difference, holm, mean_figure, order_agreement, resampled
from archlab.tasks.terms import Ratio


def runs(random: np.random.Generator, shares: list[float], people: np.ndarray, joints: int = 14) -> dict[int, Ratio]:
    """Return runs whose people are hit with a run's share plus each person's own ease."""
    return {
        seed: Ratio.of(random.binomial(joints, np.clip(share + people, 0, 1)), np.full(len(people), joints))
        for seed, share in enumerate(shares, start=1)
    }


@pytest.fixture
def people() -> np.ndarray:
    return np.random.default_rng(5).uniform(-0.2, 0.2, 300)


def test_the_mean_is_that_of_the_figures_over_common_seeds(people) -> None:
    random = np.random.default_rng(0)
    first, second = runs(random, [0.5, 0.6, 0.7], people), runs(random, [0.4, 0.5], people)
    found = difference(first, second)
    assert found is not None
    expected = np.mean([first[seed].figure - second[seed].figure for seed in (1, 2)])
    assert found.mean == pytest.approx(expected)
    assert (found.n, found.samples) == (2, 300)
    assert difference(first, {9: second[1]}) is None


def test_resamples_are_those_of_a_loop(people) -> None:
    run = runs(np.random.default_rng(0), [0.5], people)[1]
    random = np.random.default_rng(0)
    found = resampled([run, run])
    assert found.shape == (bootstrap.RESAMPLES, 2)
    for row in found[:5]:
        drawn = random.integers(0, len(people), len(people))
        assert row.tolist() == pytest.approx([100 * run.parts[drawn].sum() / run.wholes[drawn].sum()] * 2)


def test_over_one_seed_the_interval_is_the_standard_error_over_people(people) -> None:
    random = np.random.default_rng(0)
    first, second = runs(random, [0.5], people), runs(random, [0.45], people)
    found = difference(first, second)
    assert found is not None
    each = 100 * (first[1].parts - second[1].parts) / 14
    assert found.high - found.low == pytest.approx(2 * 1.96 * each.std() / np.sqrt(len(each)), rel=0.05)


def test_a_spread_over_seeds_widens_the_interval_to_its_standard_error() -> None:
    """People who all score alike have no variance, so that only seeds are left."""
    shares = np.array([0.40, 0.50, 0.55, 0.65])
    first = {seed: Ratio.of(np.full(50, share)) for seed, share in enumerate(shares)}
    second = {seed: Ratio.of(np.full(50, 0.5)) for seed in range(4)}
    found = difference(first, second)
    assert found is not None
    error = 100 * shares.std(ddof=1) / 2
    assert found.resamples.std() == pytest.approx(error, rel=0.03)
    assert mean_figure(first).mean == pytest.approx(100 * shares.mean())


def test_equal_networks_are_told_apart_about_as_rarely_as_stated() -> None:
    random = np.random.default_rng(3)
    wrong = 0
    for _ in range(60):
        people = random.uniform(-0.2, 0.2, 200)
        shares = random.normal(0.5, 0.02, (2, 4))
        found = difference(runs(random, [*shares[0]], people), runs(random, [*shares[1]], people))
        wrong += found.p < 0.05
    assert wrong <= 10  # 5 % of 60 are 3; four seeds are few, so the test is somewhat too eager


def test_a_clear_difference_has_the_smallest_p_and_its_margin_is_tested_from_both_sides(people) -> None:
    random = np.random.default_rng(0)
    found = difference(runs(random, [0.6, 0.6], people), runs(random, [0.4, 0.4], people))
    assert found is not None
    assert found.p == pytest.approx(2 / (bootstrap.RESAMPLES + 1))
    assert found.p_beyond(50) < 0.001
    assert found.p_beyond(5) > 0.99
    same = difference(runs(random, [0.5, 0.5], people), runs(random, [0.5, 0.5], people))
    assert same is not None
    assert same.p > 0.05
    assert same.p_beyond(5) < 0.01


def test_holm_gives_the_values_of_a_hand_calculation() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_the_order_of_clearly_different_networks_agrees_in_every_resample(people) -> None:
    random = np.random.default_rng(0)
    networks = [runs(random, [share, share], people) for share in (0.3, 0.5, 0.7)]
    found = order_agreement(networks, [1.0, 2.0, 3.0])
    assert found is not None
    assert (found.value, found.low, found.high, found.n) == (1.0, 1.0, 1.0, 3)
    close = [*networks, runs(random, [0.705, 0.705], people)]
    wider = order_agreement(close, [1.0, 2.0, 3.0, 4.0])
    assert wider is not None
    assert wider.low < wider.high == 1.0
    assert order_agreement(networks[:1], [1.0]) is None
    assert order_agreement([{1: networks[0][1]}, {2: networks[1][2]}], [1.0, 2.0]) is None
