"""Intervals over samples and seeds, against loops, formulas and coverage."""

from __future__ import annotations

import numpy as np
import pytest

from archlab.report import bootstrap
from archlab.report.bootstrap import (
    difference,
    error_over_seeds,
    holm,
    mean_figure,
    order_agreement,
    resampled,
)
from archlab.report.seed_error import SeedError
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


def alike(*shares: float) -> dict[int, Ratio]:
    """Return runs in which all people score alike, so that only seeds have a variance."""
    return {seed: Ratio.of(np.full(50, share)) for seed, share in enumerate(shares)}


def test_without_a_spread_over_people_the_interval_is_students() -> None:
    """Shares of 0.40, 0.50, 0.55 and 0.65 against 0.50: the mean +- t(3, 0.975) s / sqrt(4), with t = 3.182."""
    shares = np.array([0.40, 0.50, 0.55, 0.65])
    found = difference(alike(*shares), alike(0.5, 0.5, 0.5, 0.5))
    assert found is not None
    half = 3.182 * 100 * shares.std(ddof=1) / 2
    assert found.mean == pytest.approx(2.5)
    assert (found.low, found.high) == (pytest.approx(2.5 - half, rel=0.05), pytest.approx(2.5 + half, rel=0.05))
    mean = mean_figure(alike(*shares))
    assert mean is not None
    assert (mean.mean, mean.high) == (pytest.approx(52.5), pytest.approx(52.5 + half, rel=0.05))


def test_other_networks_share_the_error_over_seeds() -> None:
    """Interactions of +-1 in four networks by two seeds: s = sqrt(8 / 3), three degrees of freedom, t = 3.182."""
    networks = [alike(0.41, 0.44), alike(0.49, 0.56), alike(0.51, 0.54), alike(0.59, 0.66)]
    error = error_over_seeds(networks)
    assert error is not None
    assert (error.deviation, error.freedom) == (pytest.approx(np.sqrt(8 / 3)), 3)
    found = difference(networks[3], networks[0], error)
    assert found is not None
    assert found.mean == pytest.approx(20)
    assert found.high - found.mean == pytest.approx(3.182 * np.sqrt(8 / 3) * np.sqrt(2 / 2), rel=0.05)
    one = difference({0: networks[3][0]}, {0: networks[0][0]}, error)  # one seed has the error of the others'
    assert one is not None
    assert one.high - one.mean == pytest.approx(3.182 * np.sqrt(8 / 3) * np.sqrt(2), rel=0.05)


@pytest.mark.parametrize("spread", [0.0, 0.02])
def test_equal_networks_are_told_apart_as_rarely_as_stated_with_two_seeds(monkeypatch, spread: float) -> None:
    """At p < 0.05, 5 of 100 pairs. More than 10 have a probability of 1 %."""
    monkeypatch.setattr(bootstrap, "RESAMPLES", 2000)
    bootstrap._counts.cache_clear()
    random = np.random.default_rng(3)
    wrong = 0
    for _ in range(100):
        people = random.uniform(-0.2, 0.2, 200)
        networks = [runs(random, [*random.normal(0.5, spread, 2)], people) for _ in range(6)]
        found = difference(networks[0], networks[1], error_over_seeds(networks))
        assert found is not None
        wrong += found.p < 0.05
    bootstrap._counts.cache_clear()
    assert wrong <= 10


def test_a_clear_difference_has_the_smallest_p_and_its_margin_is_tested_from_both_sides(people) -> None:
    random = np.random.default_rng(0)
    found = difference(runs(random, [0.6, 0.6], people), runs(random, [0.4, 0.4], people), SeedError(0.5, 12))
    assert found is not None
    assert found.p == pytest.approx(2 / (bootstrap.RESAMPLES + 1))
    assert found.p_beyond(50) < 0.001
    assert found.p_beyond(5) > 0.99
    same = difference(runs(random, [0.5, 0.5], people), runs(random, [0.5, 0.5], people), SeedError(0.5, 12))
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
