"""Scores against published pairs, real people with perfect heat-maps, and figures derived by hand."""

import copy
import json

import numpy as np
import pytest
from helpers.coco_folder import document, write
from helpers.refused import refused

from archlab.tasks.pose.data.coco import annotation_file, load_people
from archlab.tasks.pose.data.crops import affine, map_joints
from archlab.tasks.pose.decode import decode
from archlab.tasks.pose.keypoints import COCO
from archlab.tasks.pose.metrics.coco import (
    FIGURES,
    mean_oks,
    mean_pose,
    pck,
    predict_mean_pose,
    restricted,
    results_from,
    score_coco,
)
from archlab.tasks.pose.targets import gaussian_targets, sigma_for


@pytest.mark.parametrize("name", ["published", "jitter"])
def test_known_answers_come_out_to_the_last_digit(shared, name):
    folder = shared / "data" / "known_answer" / f"coco_keypoints_{name}"
    truth = {"published": folder / "gt.json", "jitter": annotation_file(shared / "data" / "coco", "val2017")}[name]
    expected = json.loads((folder / "expected.json").read_text())["pycocotools_2.0.11"]
    scores = score_coco(truth, json.loads((folder / "results.json").read_text()))
    assert scores == {name: 100 * expected[name.replace("M", "m").replace("L", "l")] for name in FIGURES}


def perfect(people, size_hw):
    """What a network would give that has learnt its targets by heart."""
    height, width = size_hw
    points, heights = [], []
    for i in range(len(people)):
        matrix = affine(people.centers[i], people.scales[i], 0, (width, height))
        joints = map_joints(people.joints[i], people.visible[i], matrix)
        maps, _ = gaussian_targets(joints, people.visible[i], (width // 4, height // 4), sigma=sigma_for(height))
        found, height_of = decode(maps[None], people.centers[i : i + 1], people.scales[i : i + 1])
        points.append(found[0])
        heights.append(height_of[0])
    return np.stack(points), np.stack(heights)


@pytest.mark.parametrize("size_hw", [(256, 192), (384, 288)])
def test_perfect_heat_maps_of_real_people_score_above_95(shared, size_hw):
    root = shared / "data" / "coco"
    people = load_people(root, "val2017", aspect=0.75)
    points, heights = perfect(people, size_hw)
    scores = score_coco(annotation_file(root, "val2017"), results_from(people, points, heights))
    assert scores["AP"] > 95
    assert mean_oks(people, points).figure > 95
    assert pck(people, points).figure > 99


def test_the_mean_pose_of_real_people_scores_next_to_nothing(shared):
    root = shared / "data" / "coco"
    people = load_people(root, "val2017", aspect=0.75)
    points = predict_mean_pose(people, mean_pose(load_people(root, "train2017", aspect=0.75)))
    scores = score_coco(annotation_file(root, "val2017"), results_from(people, points, np.ones(points.shape[:2])))
    assert scores["AP"] < 0.5
    assert 10 < pck(people, points).figure < 40


@pytest.fixture
def root(tmp_path):
    return write(tmp_path, document(4))


@pytest.fixture
def people(root):
    return load_people(root, "val2017", aspect=0.75)


def test_the_truth_scores_a_hundred_and_no_large_people_are_none(root, people):
    # Areas are 900, below COCO's medium range (32^2 to 96^2): APM and APL have nothing to find.
    results = results_from(people, people.joints, np.ones((4, 17)))
    scores = score_coco(annotation_file(root, "val2017"), results)
    expected = dict.fromkeys(FIGURES, pytest.approx(100.0)) | dict.fromkeys(("APM", "APL", "ARM", "ARL"), None)
    assert scores == expected
    json.dumps(scores, allow_nan=False)


def test_no_results_score_zero(root):
    scores = score_coco(annotation_file(root, "val2017"), [])
    assert scores["AP"] == scores["AR"] == 0
    assert scores["APL"] is None


def test_scoring_changes_neither_annotations_nor_results_and_prints_nothing(people, capfd):
    results = results_from(people, people.joints, np.ones((4, 17)))
    annotations = document(4)
    before = copy.deepcopy((annotations, results))
    score_coco(annotations, results)
    assert (annotations, results) == before
    assert capfd.readouterr() == ("", "")


def test_results_for_unknown_images_are_refused(root, people):
    results = [r | {"image_id": 55} for r in results_from(people, people.joints, np.ones((4, 17)))]
    with refused(1, [55]):
        score_coco(annotation_file(root, "val2017"), results)


def test_annotations_without_crowd_flag_and_count_are_completed(people):
    annotations = document(4)
    for annotation in annotations["annotations"]:
        del annotation["iscrowd"], annotation["num_keypoints"]
    assert score_coco(annotations, results_from(people, people.joints, np.ones((4, 17))))["AP"] == pytest.approx(100)


def test_a_part_of_a_set_is_scored_by_its_own_annotations(root, people):
    part = people.subset([2])
    results = results_from(part, part.joints, np.ones((1, 17)))
    whole = annotation_file(root, "val2017")
    assert score_coco(whole, results)["AR"] == pytest.approx(25)
    assert score_coco(restricted(whole, part), results)["AR"] == pytest.approx(100)


def test_other_keypoints_are_scored_with_their_own_spreads(tmp_path):
    content = document(1)
    content["categories"] = [{"id": 1, "keypoints": ["nose", "tail"], "skeleton": []}]
    content["annotations"][0]["keypoints"] = [20, 10, 2, 30, 40, 2]
    people = load_people(write(tmp_path, content), "val2017", aspect=0.75)
    results = results_from(people, people.joints, np.ones((1, 2)))
    assert score_coco(content, results, sigmas=people.layout.sigmas)["AP"] == pytest.approx(100)


def test_a_result_has_its_rescored_instance_no_box_and_only_the_best_of_doubles(root):
    box = {"image_id": 1, "category_id": 1, "bbox": [5.0, 5.0, 30.0, 40.0], "score": 0.5}
    twice = write(root, document(4), detections=[box, box | {"score": 0.9}, box | {"image_id": 0}])
    people = load_people(twice, "val2017", aspect=0.75, boxes="detector")
    points = np.tile(np.arange(34.0).reshape(17, 2), (3, 1, 1))
    results = results_from(people, points, np.full((3, 17), 0.5))
    assert [(r["image_id"], r["score"]) for r in results] == [(0, 0.25), (1, 0.45)]
    assert set(results[0]) == {"image_id", "category_id", "keypoints", "score"}
    assert results[0]["keypoints"][:6] == [0, 1, 0.5, 2, 3, 0.5]
    assert len(results_from(people, points, np.full((3, 17), 0.5), soft_nms=True)) == 3


def test_results_of_nobody_are_none(people):
    nobody = people.subset([])
    assert results_from(nobody, np.zeros((0, 17, 2)), np.zeros((0, 17))) == []


def test_pck_is_the_share_of_labelled_joints_within_a_tenth_of_the_longer_side(people):
    # Boxes are 29 x 39, so 3.9 pixels; five labelled joints a person.
    points = people.joints.copy()
    nose, hip, ankle = (COCO.names.index(name) for name in ("nose", "left_hip", "left_ankle"))
    points[0, nose] += (3.8, 0)
    points[1, nose] += (3.0, 3.0)
    points[2, hip] += (0, 4.0)
    points[3, ankle] += 1000  # not labelled
    assert pck(people, points).figure == pytest.approx(100 * 18 / 20)


def test_mean_oks_is_over_people(people):
    points = people.joints.copy()
    points[0] += 1e6
    assert mean_oks(people, points).figure == pytest.approx(75)


def test_the_mean_pose_is_the_mean_place_in_the_box(people):
    pose = mean_pose(people.subset([0, 2]))
    nose, ankle = COCO.names.index("nose"), COCO.names.index("left_ankle")
    np.testing.assert_allclose(pose[nose], [(13 - 10) / 29, (8 - 5) / 39])  # noses at 12 and 14
    assert pose[ankle].tolist() == [0.5, 0.5]
    np.testing.assert_allclose(predict_mean_pose(people, pose)[3, nose], (13, 8))
