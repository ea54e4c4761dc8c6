"""OKS, rescoring and OKS-NMS against figures derived by hand and the loop of the reference."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archlab.tasks.pose.keypoints import COCO
from archlab.tasks.pose.metrics.oks import oks, oks_nms, rescore


def test_one_joint_by_hand():
    # Nose: 2 sigma = 0.052; d = 5.2, area 10000: e = 27.04 / 0.002704 / 10000 / 2 = 0.5
    found = oks(np.array([[13.0, 14.8]]), np.array([[13.0, 20.0]]), 10000.0, COCO.sigmas[:1])
    assert found == pytest.approx(math.exp(-0.5))


def test_only_labelled_joints_count():
    truth = np.zeros((17, 2))
    predicted = truth.copy()
    predicted[0] = (0.0, 5.2)
    predicted[5:] = 1e6
    visible = np.array([2, 1, 0, 0, 0] + [0] * 12)
    assert oks(predicted, truth, 10000.0, COCO.sigmas, visible) == pytest.approx((math.exp(-0.5) + 1) / 2)
    assert oks(predicted, truth, 10000.0, COCO.sigmas, np.zeros(17)) == 0


@given(st.integers(0, 10**6), st.floats(1, 1e5))
def test_oks_is_one_for_the_same_symmetric_and_falls_with_distance(seed, area):
    random = np.random.default_rng(seed)
    one, other = random.uniform(0, 300, (2, 17, 2))
    assert oks(one, one, area, COCO.sigmas) == 1
    assert oks(one, other, area, COCO.sigmas) == oks(other, one, area, COCO.sigmas)
    assert oks(one, one + (other - one) * 2, area, COCO.sigmas) <= oks(one, other, area, COCO.sigmas) <= 1


def test_an_instance_is_scored_by_its_box_and_its_keypoints_above_a_fifth():
    maxvals = np.array([[0.1, 0.2, 0.3, 0.5], [0.2, 0.1, 0.0, -1.0]])
    np.testing.assert_allclose(rescore(np.array([0.8, 0.9]), maxvals), [0.8 * 0.4, 0.0])


def plain_oks(g, d, area_g, area_d):
    """The reference's loop for one pair."""
    total = 0.0
    for k, sigma in enumerate(COCO.sigmas):
        square = (d[k][0] - g[k][0]) ** 2 + (d[k][1] - g[k][1]) ** 2
        total += math.exp(-(square / (2 * sigma) ** 2 / ((area_g + area_d) / 2 + np.spacing(1)) / 2))
    return total / len(COCO.sigmas)


def plain_nms(keypoints, scores, areas, threshold):
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    keep = []
    while order:
        best = order.pop(0)
        keep.append(best)
        order = [i for i in order if plain_oks(keypoints[best], keypoints[i], areas[best], areas[i]) <= threshold]
    return keep


def plain_soft_nms(keypoints, scores, areas, threshold, limit):
    left = dict(enumerate(scores))
    keep = []
    while left and len(keep) < limit:
        best = max(left, key=lambda i: left[i])
        del left[best]
        keep.append(best)
        for i in left:
            likeness = plain_oks(keypoints[best], keypoints[i], areas[best], areas[i])
            left[i] *= math.exp(-(likeness**2) / threshold)
    return keep


def crowd(seed, people):
    """Several people, some nearly the same."""
    random = np.random.default_rng(seed)
    bases = random.uniform(0, 200, (3, 17, 2))
    keypoints = bases[random.integers(0, 3, people)] + random.normal(
        0, random.choice([0.5, 3.0, 10.0]), (people, 17, 2)
    )
    return keypoints, random.uniform(0.1, 1, people), random.uniform(2e3, 4e4, people)


@pytest.mark.parametrize("seed", range(12))
def test_suppression_is_what_the_plain_loop_keeps(seed):
    keypoints, scores, areas = crowd(seed, 25)
    keep = oks_nms(keypoints, scores, areas, COCO.sigmas)
    assert keep.tolist() == plain_nms(keypoints, scores, areas, 0.9)


def test_the_crowds_of_these_tests_have_doubles_to_drop_and_others_to_keep():
    kept = [len(oks_nms(*crowd(seed, 25), COCO.sigmas)) for seed in range(12)]
    assert min(kept) == 3
    assert max(kept) > 15


@pytest.mark.parametrize("seed", range(12))
def test_soft_suppression_is_what_the_plain_loop_keeps(seed):
    keypoints, scores, areas = crowd(seed, 25)
    keep = oks_nms(keypoints, scores, areas, COCO.sigmas, soft=True)
    assert keep.tolist() == plain_soft_nms(keypoints, scores, areas, 0.9, 20)
    assert len(keep) == 20


def test_what_is_exactly_as_like_as_the_threshold_is_kept():
    keypoints = np.zeros((2, 17, 2))
    scores, areas = np.array([0.9, 0.8]), np.array([1e4, 1e4])
    assert oks_nms(keypoints, scores, areas, COCO.sigmas, threshold=1.0).tolist() == [0, 1]
    assert oks_nms(keypoints, scores, areas, COCO.sigmas, threshold=0.999).tolist() == [0]


def test_nobody_is_kept_of_nobody():
    assert oks_nms(np.zeros((0, 17, 2)), np.zeros(0), np.zeros(0), COCO.sigmas).tolist() == []
