"""OKS-NMS of a whole set against that of each image, which is tested against the plain loop."""

from __future__ import annotations

import numpy as np
import pytest

from archlab.tasks.pose.keypoints import COCO
from archlab.tasks.pose.metrics.nms import suppress_doubles
from archlab.tasks.pose.metrics.oks import oks_nms


def drawn(seed, joints=17):
    """People of several images in any order, some nearly the same, many with equal scores."""
    random = np.random.default_rng(seed)
    count = int(random.integers(1, 120))
    images = random.choice([3, 7, 8, 40], count)
    bases = random.uniform(0, 200, (5, joints, 2))
    spread = random.choice([0.2, 1.0, 4.0], (count, 1, 1))
    points = bases[random.integers(0, 5, count)] + random.normal(0, 1, (count, joints, 2)) * spread
    scores = random.integers(0, 10, count) / 10 if seed % 2 else random.random(count)
    return images, points.astype(np.float32), scores, random.uniform(2e3, 4e4, count)


def image_by_image(images, points, scores, areas, sigmas, threshold):
    kept = []
    for image in np.unique(images):
        rows = np.flatnonzero(images == image)
        kept += rows[oks_nms(points[rows], scores[rows], areas[rows], sigmas, threshold=threshold)].tolist()
    return kept


@pytest.mark.parametrize("threshold", [0.5, 0.9, 0.97, 1.0, 0.0])
def test_a_whole_set_keeps_what_its_images_keep(threshold):
    for seed in range(40):
        people = drawn(seed)
        kept = suppress_doubles(*people, COCO.sigmas, threshold=threshold)
        assert kept.tolist() == image_by_image(*people, COCO.sigmas, threshold), seed


def test_the_drawn_sets_have_doubles_to_drop_and_chains_of_them():
    shares = [len(suppress_doubles(*drawn(seed), COCO.sigmas)) / len(drawn(seed)[0]) for seed in range(40)]
    assert min(shares) < 0.5 < max(shares)
    # b is like a and c, which are unlike each other: a drops b, and so nothing drops c.
    points = np.zeros((3, 17, 2))
    points[:, :, 0] = np.array([0.0, 4.0, 8.0])[:, None]
    chain = (np.zeros(3, int), points, np.array([0.9, 0.8, 0.7]), np.full(3, 1e4), (0.07,) * 17)
    assert suppress_doubles(*chain, threshold=0.95).tolist() == [0, 2]


def test_people_of_three_joints_are_told_apart_too():
    for seed in range(40):
        people = drawn(seed, joints=3)
        kept = suppress_doubles(*people, (0.1, 0.05, 0.2))
        assert kept.tolist() == image_by_image(*people, (0.1, 0.05, 0.2), 0.9), seed


def test_nobody_is_kept_of_nobody():
    empty = np.zeros(0)
    assert suppress_doubles(empty.astype(int), np.zeros((0, 17, 2)), empty, empty, COCO.sigmas).tolist() == []
