"""PCKh against a published hourglass's figures, and figures derived by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from helpers.refused import refused
from scipy.io import savemat

from archlab.tasks.pose.data.mpii import MPII
from archlab.tasks.pose.metrics.pckh import (
    GROUPS,
    MAT_JOINTS,
    HeadTruth,
    pckh,
    pckh_figures,
    read_predictions,
    read_truth,
    write_predictions,
)


@pytest.fixture(scope="module")
def published(shared):
    folder = shared / "data" / "known_answer" / "mpii_pckh"
    truth = read_truth(shared / "data" / "mpii" / "annotations" / "mpii_gt_val.mat")
    return (
        truth,
        read_predictions(folder / "hg_s2_b1_preds.mat", 2958),
        json.loads((folder / "hg_s2_b1_expected.json").read_text()),
    )


def test_a_published_hourglass_scores_as_published(published):
    truth, points, expected = published
    figures = pckh_figures(points, truth)
    computed = expected["computed"]
    for name in GROUPS:
        assert figures[name] == pytest.approx(computed[name.capitalize()], rel=1e-14)
        assert abs(figures[name] - expected["published"][name.capitalize()]) < 0.0051
    assert figures["mean_weighted"] == pytest.approx(computed["Mean_weighted_by_joint_count"], rel=1e-14)
    assert figures["mean_plain"] == pytest.approx(computed["Mean_plain_over_14_joints"], rel=1e-14)
    assert figures["mean_weighted_threshold_0.10"] == pytest.approx(
        computed["Mean@0.1_weighted_by_joint_count"], rel=1e-14
    )
    by_joint = dict(zip(MPII.names, MAT_JOINTS, strict=True))
    assert figures["joints"] == {
        name: pytest.approx(expected["per_joint_16"][by_joint[name]], rel=1e-14) for name in MPII.names
    }


def test_the_threshold_that_is_printed_as_a_tenth_is_another(published):
    truth, points, _ = published
    figures = pckh_figures(points, truth)
    assert figures["mean_weighted_threshold_0.11"] > figures["mean_weighted_threshold_0.10"] + 3


def test_counting_pixels_from_0_would_score_otherwise(published):
    """protocol.md: the known answer counts from 1; one pixel more gives 87.497 for 87.299."""
    truth, points, _ = published
    assert pckh_figures(points + 1, truth)["mean_weighted"] == pytest.approx(87.497, abs=5e-4)


def people(count=2):
    """People whose head sizes are 30 pixels: boxes of 30 x 40, 0.6 of the diagonal."""
    return HeadTruth(np.full((count, 16, 2), 100.0), np.ones((count, 16), dtype=bool), np.full(count, 30.0))


def test_a_joint_is_found_within_half_a_head_and_no_further():
    points = np.full((2, 16, 2), 100.0)
    points[0, 9] += (9.0, 12.0)  # 15 pixels, exactly half a head
    points[1, 9] += (9.0, 12.1)
    assert pckh(points, people())[9] == 50
    assert pckh(points, people(), threshold=0.51)[9] == 100


def test_the_means_differ_in_how_they_weigh_joints_and_leave_out_pelvis_and_thorax():
    truth = people(4)
    truth.visible[1:, 0] = False  # one right ankle is labelled, of all other joints four
    points = np.full((4, 16, 2), 100.0)
    points[:, 0] += 1000
    points[:, [6, 7]] += 1000
    figures = pckh_figures(points, truth)
    assert figures["mean_weighted"] == pytest.approx(100 * 52 / 53)
    assert figures["mean_plain"] == pytest.approx(100 * 13 / 14)
    assert figures["ankle"] == 50
    assert figures["joints"]["pelvis"] == figures["joints"]["right_ankle"] == 0


def test_what_nobody_shows_is_none():
    truth = people()
    truth.visible[:, [0, 5]] = False
    figures = pckh_figures(truth.joints, truth)
    assert figures["ankle"] is figures["joints"]["left_ankle"] is None
    assert figures["mean_plain"] == 100
    assert figures["mean_weighted"] == pytest.approx(100)
    truth.visible[:] = False
    assert pckh_figures(truth.joints, truth)["mean_weighted"] is None
    json.dumps(figures, allow_nan=False)


def test_a_prediction_that_is_no_number_is_a_miss():
    points = np.full((2, 16, 2), 100.0)
    points[0, 9] = np.nan
    assert pckh(points, people())[9] == 50


def test_our_keypoints_are_written_counting_from_1(tmp_path):
    points = np.random.default_rng(0).random((5, 16, 2)).astype(np.float32)
    write_predictions(tmp_path / "new" / "pred.mat", points)
    np.testing.assert_array_equal(read_predictions(tmp_path / "new" / "pred.mat", 5), points + np.float32(1))


def contents(**changes):
    head = np.zeros((2, 2, 3))
    head[1] = [[30.0] * 3, [40.0] * 3]
    held = {
        "dataset_joints": np.array([MAT_JOINTS], dtype=object),
        "jnt_missing": np.zeros((16, 3), dtype=np.uint8),
        "pos_gt_src": np.ones((16, 2, 3)),
        "headboxes_src": head,
    }
    return {name: value for name, value in (held | changes).items() if value is not None}


def test_heads_are_sized_by_the_diagonal_of_their_box_and_missing_joints_are_not_visible(tmp_path):
    missing = np.zeros((16, 3), dtype=np.uint8)
    missing[4, 2] = 1
    points = np.arange(96.0).reshape(16, 2, 3)
    savemat(tmp_path / "gt.mat", contents(jnt_missing=missing, pos_gt_src=points))
    truth = read_truth(tmp_path / "gt.mat")
    np.testing.assert_allclose(truth.head_sizes, 0.6 * 50)
    assert np.argwhere(~truth.visible).tolist() == [[2, 4]]
    assert truth.joints[2, 15].tolist() == points[15, :, 2].tolist()


@pytest.mark.parametrize(
    ("changes", "values"),
    [
        ({"jnt_missing": None}, ["`jnt_missing`"]),
        ({"pos_gt_src": None, "pos_gt": np.ones((16, 2, 3))}, ["`pos_gt_src`", "'pos_gt'"]),
        ({"headboxes_src": np.ones((2, 2, 4))}, ["headboxes_src", "2 x 2 x 3", "2 x 2 x 4"]),
        ({"headboxes_src": np.ones((2, 2, 3))}, ["headboxes_src", [0, 1, 2]]),
        ({"pos_gt_src": np.ones((17, 2, 3))}, ["pos_gt_src", "16 x 2 x 3", "17 x 2 x 3"]),
        ({"dataset_joints": np.array([["nose", *MAT_JOINTS[1:]]], dtype=object)}, ["dataset_joints", "rank, rkne"]),
    ],
)
def test_a_wrong_ground_truth_is_refused_with_the_reason(tmp_path, changes, values):
    savemat(tmp_path / "gt.mat", contents(**changes))
    with refused(*values) as raised:
        read_truth(tmp_path / "gt.mat")
    assert {problem.file for problem in raised.value.problems} == {str(tmp_path / "gt.mat")}


@pytest.mark.parametrize(
    ("variables", "values"),
    [
        ({"preds": np.zeros((4, 16, 2))}, ["preds", "4 people", 3]),
        ({"preds": np.zeros((3, 17, 2))}, ["preds", "3 x 16 x 2", "3 x 17 x 2"]),
        ({"pred": np.zeros((3, 16, 2))}, ["`preds`", "'pred'"]),
        ({"preds": np.full((3, 16, 2), "x", dtype=object)}, ["preds", "object"]),
    ],
)
def test_wrong_predictions_are_refused_with_the_reason(tmp_path, variables, values):
    savemat(tmp_path / "pred.mat", variables)
    with refused(*values, file=tmp_path / "pred.mat"):
        read_predictions(tmp_path / "pred.mat", 3)


def test_damaged_and_newer_files_are_refused_with_the_reason(tmp_path, shared):
    whole = (shared / "data" / "mpii" / "annotations" / "mpii_gt_val.mat").read_bytes()
    newer = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(400)
    files = {"cut.mat": whole[:200_000], "empty.mat": b"", "text.mat": b"not a matrix\n" * 40, "new.mat": newer}
    values = {"new.mat": ["7.3", "-v7"]}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        with refused(*values.get(name, ()), file=tmp_path / name):
            read_truth(tmp_path / name)
    with refused("'cut.mat'", file=tmp_path / "cut_.mat"):
        read_truth(tmp_path / "cut_.mat")
