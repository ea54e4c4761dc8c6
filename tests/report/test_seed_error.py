"""The error over seeds, by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from archlab.report.seed_error import SeedError, seed_error


def test_two_networks_have_the_variance_of_their_differences() -> None:
    """Differences 1, 3, 2: their variance is 1, half of which is of one run."""
    found = seed_error([{1: 51.0, 2: 54.0, 3: 52.0}, {1: 50.0, 2: 51.0, 3: 50.0}])
    assert found is not None
    assert (found.deviation, found.freedom) == (pytest.approx(math.sqrt(1 / 2)), 2)


def test_a_seed_that_all_networks_gain_from_is_no_error_of_differences() -> None:
    networks = [{1: 50.0, 2: 53.0}, {1: 60.0, 2: 63.0}, {1: 40.0, 2: 43.0}]
    paired, unpaired = seed_error(networks), seed_error(networks, paired=False)
    assert paired is not None
    assert unpaired is not None
    assert (paired.deviation, paired.freedom) == (pytest.approx(0, abs=1e-9), 2)
    assert (unpaired.deviation, unpaired.freedom) == (pytest.approx(math.sqrt(4.5)), 3)


def test_missing_runs_leave_fewer_degrees_of_freedom() -> None:
    """Five of six runs, three networks and two seeds: one of two degrees is left, from the two whole networks."""
    found = seed_error([{1: 50.0, 2: 52.0}, {1: 60.0, 2: 60.0}, {1: 70.0}])
    assert found is not None
    assert (found.deviation, found.freedom) == (pytest.approx(1.0), 1)


def test_one_seed_or_one_network_has_no_error() -> None:
    assert seed_error([{1: 50.0}, {1: 60.0}, {1: 55.0}]) is None
    assert seed_error([{1: 50.0, 2: 60.0}]) is None
    assert seed_error([]) is None


def test_draws_are_students_t_and_independent() -> None:
    """The 97.5 % quantile at four degrees of freedom is 2.776; over two seeds a mean errs by deviation / sqrt(2)."""
    drawn = SeedError(3.0, 4).draws((100_000, 2), seeds=2)
    assert np.quantile(drawn[:, 0], 0.975) == pytest.approx(2.776 * 3 / math.sqrt(2), rel=0.03)
    apart = drawn[:, 0] - drawn[:, 1]
    assert np.quantile(apart, 0.975) == pytest.approx(2.776 * 3, rel=0.03)
