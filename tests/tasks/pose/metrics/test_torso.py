"""PCK of the torso against answers worked by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from archlab.tasks.pose.data.coco import People
from archlab.tasks.pose.data.lsp import JOINTS
from archlab.tasks.pose.keypoints import layout_from_names
from archlab.tasks.pose.metrics.torso import torso_lengths, torso_pck

HIP, SHOULDER, HEAD = (JOINTS.index(name) for name in ("right_hip", "left_shoulder", "head_top"))


def people(count: int) -> People:
    """People whose torso is 30 wide and 40 high, so 50 long; all other joints lie at the hip."""
    joints = np.zeros((count, 14, 2), np.float32) + 100
    joints[:, SHOULDER] += (30, 40)
    ones: dict[str, Any] = {name: np.ones(count) for name in ("areas", "scores")}
    ids: dict[str, Any] = {name: np.arange(count) for name in ("image_index", "image_ids", "annotation_ids")}
    boxes = np.tile([90.0, 90.0, 60.0, 60.0], (count, 1))
    return People(
        (Path("x.jpg"),) * count, boxes=boxes, centers=boxes[:, :2], scales=boxes[:, :2], joints=joints,
        visible=np.full((count, 14), 2), layout=layout_from_names(JOINTS, ()), **ones, **ids,
    )  # fmt: skip


def moved(truth: People, joint: int, pixels: float, person: int = 0) -> np.ndarray[Any, Any]:
    found = truth.joints.astype(np.float64).copy()
    found[person, joint, 0] += pixels
    return found


def figures(truth, found, **options) -> dict[str, float | None]:
    return {key: ratio.figure for key, ratio in torso_pck(truth, found, **options).items()}


def test_a_joint_counts_within_a_fifth_of_the_torso() -> None:
    truth = people(1)
    assert torso_lengths(truth).tolist() == [50.0]
    near, far = figures(truth, moved(truth, HEAD, 10.0)), figures(truth, moved(truth, HEAD, 10.01))
    assert (near["pck_torso"], near["pck_torso_head_top"]) == (100.0, 100.0)
    assert far["pck_torso"] == pytest.approx(100 * 13 / 14)
    assert (far["pck_torso_head_top"], far["pck_torso_neck"]) == (0.0, 100.0)


def test_people_without_a_torso_and_joints_without_a_label_are_left_out() -> None:
    truth = people(3)
    truth.visible[1, HIP] = 0
    truth.visible[2, HEAD] = 0
    assert np.isnan(torso_lengths(truth)).tolist() == [False, True, False]
    found = moved(truth, HEAD, 99.0)
    found[1] += 99  # a person who does not count
    found[2, HEAD] += 99  # a joint that does not count
    scores = figures(truth, found)
    assert torso_pck(truth, found)["pck_torso"].wholes.tolist() == [14, 0, 13]
    assert scores["pck_torso"] == pytest.approx(100 * 26 / 27)
    assert scores["pck_torso_head_top"] == 0.0


def test_where_both_ends_are_one_place_there_is_no_torso_and_without_people_no_score() -> None:
    truth = people(1)
    truth.joints[0, SHOULDER] = truth.joints[0, HIP]
    assert np.isnan(torso_lengths(truth)).all()
    assert set(figures(truth, truth.joints).values()) == {None}


def test_the_threshold_can_be_chosen() -> None:
    truth = replace(people(1))
    assert figures(truth, moved(truth, HEAD, 24.9), threshold=0.5)["pck_torso"] == 100.0
