"""Gaussian targets and the loss against a plain loop and figures derived by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from archlab.tasks.pose.targets import gaussian_targets, joints_mse, sigma_for

MAP = (48, 64)  # width, height


def one(x, y, *, visible=2, sigma=2.0):
    maps, weights = gaussian_targets(np.array([[x, y]], np.float32), np.array([visible]), MAP, sigma=sigma)
    return maps[0], float(weights[0, 0])


def test_the_peak_is_one_at_the_rounded_pixel():
    target, weight = one(41.9, 82.0)  # 10.475 + 0.5 -> 10; 20.5 + 0.5 -> 21
    assert weight == 1
    assert np.unravel_index(target.argmax(), target.shape) == (21, 10)
    assert target[21, 10] == 1
    assert target[21, 11] == pytest.approx(math.exp(-1 / 8))
    assert target[22, 12] == pytest.approx(math.exp(-5 / 8))


def test_the_bump_is_cut_to_a_square_of_three_sigma():
    target, _ = one(96, 128)
    assert np.argwhere(target > 0).min(axis=0).tolist() == [26, 18]
    assert np.argwhere(target > 0).max(axis=0).tolist() == [38, 30]
    assert (target > 0).sum() == 13**2
    assert (one(96, 128, sigma=3.0)[0] > 0).sum() == 19**2


@pytest.mark.parametrize(
    ("x", "weight", "filled"),
    [
        (-4.0, 1, True),
        (-30.0, 1, False),  # int(-7.5 + 0.5) = -7: the square ends at pixel -1, and the released code keeps its weight
        (-34.0, 0, False),  # -8
        (48 * 4 + 21.9, 1, True),  # int(53.975) = 53: the square begins at pixel 47
        (48 * 4 + 22.0, 0, False),  # 54
    ],
)
def test_a_joint_outside_counts_as_long_as_its_square_touches_the_map(x, weight, filled):
    target, found = one(x, 100)
    assert found == weight
    assert bool(target.any()) is filled


def test_an_unlabelled_joint_has_no_bump_and_no_weight():
    target, weight = one(40, 40, visible=0)
    assert weight == 0
    assert not target.any()
    assert one(40, 40, visible=1)[1] == 1


def test_sigma_is_three_at_384_rows():
    assert (sigma_for(256), sigma_for(384)) == (2.0, 3.0)


@given(st.floats(-60, 260), st.floats(-60, 330))
def test_the_map_is_what_a_plain_loop_paints(x, y):
    x, y = float(np.float32(x)), float(np.float32(y))
    target, _ = one(x, y)
    cx, cy = int(x / 4 + 0.5), int(y / 4 + 0.5)
    for row in range(max(cy - 8, 0), min(cy + 9, 64)):
        for column in range(max(cx - 8, 0), min(cx + 9, 48)):
            near = abs(row - cy) <= 6 and abs(column - cx) <= 6
            expected = math.exp(-((row - cy) ** 2 + (column - cx) ** 2) / 8) if near else 0.0
            assert target[row, column] == pytest.approx(expected, abs=1e-7)


def test_the_loss_is_the_mean_over_everything_with_weightless_joints_counted():
    # 2 joints of 2 x 2: the first off by 1, 0, 0, 2; the second has weight 0. (1 + 4) / 8
    predicted = torch.tensor([[[[1.0, 0.0], [0.0, 2.0]], [[9.0, 9.0], [9.0, 9.0]]]])
    weight = torch.tensor([[[1.0], [0.0]]])
    assert joints_mse(predicted, torch.zeros(1, 2, 2, 2), weight).item() == pytest.approx(5 / 8)
