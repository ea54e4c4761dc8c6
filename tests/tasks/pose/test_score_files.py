"""Scoring result files: known answers through the files, keypoints of one's own, and wrong files."""

from __future__ import annotations

import json

import numpy as np
import pytest
from helpers.mpii_folder import write_truth
from helpers.refused import refused

from archlab.core.errors import InputError
from archlab.tasks.pose.keypoints import COCO
from archlab.tasks.pose.metrics.coco_ap import FIGURES
from archlab.tasks.pose.metrics.pckh import GROUPS, write_predictions
from archlab.tasks.pose.score_files import score_coco, score_mpii


@pytest.mark.parametrize("name", ["published", "jitter"])
def test_known_coco_answers_come_out_to_the_last_digit(shared, name):
    folder = shared / "data" / "known_answer" / f"coco_keypoints_{name}"
    subset = shared / "data" / "coco" / "annotations" / "person_keypoints_val2017.json"
    scores = score_coco({"published": folder / "gt.json", "jitter": subset}[name], folder / "results.json")
    expected = json.loads((folder / "expected.json").read_text())["pycocotools_2.0.11"]
    assert scores == {name: 100 * expected[name.replace("M", "m").replace("L", "l")] for name in FIGURES}


def test_the_known_mpii_answer_comes_out(shared):
    predictions = shared / "data" / "known_answer" / "mpii_pckh" / "hg_s2_b1_preds.mat"
    scores = score_mpii(shared / "data" / "mpii" / "annotations" / "mpii_gt_val.mat", predictions)
    assert scores["mean_weighted"] == pytest.approx(87.29898516783763, rel=1e-14)
    assert scores["mean_plain"] == pytest.approx(86.75749932222796, rel=1e-14)
    assert list(GROUPS) == list(scores)[:7]
    json.dumps(scores, allow_nan=False)


def write(path, content):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def document(names=None, count=17):
    points = [c for k in range(count) for c in (10.0 + 3 * k, 20.0 + 5 * k, 2)]
    person = {"id": 1, "image_id": 7, "category_id": 1, "bbox": [0, 0, 60, 120], "area": 4000.0, "keypoints": points}
    category = {"id": 1} if names is None else {"id": 1, "keypoints": names}
    result = {"image_id": 7, "category_id": 1, "keypoints": points, "score": 1.0}
    return {"images": [{"id": 7}], "annotations": [person], "categories": [category]}, [result]


@pytest.mark.parametrize(("names", "count"), [(None, 17), (list(COCO.names), 17), (["nose", "tail", "left_ear"], 3)])
def test_keypoints_are_those_that_the_annotations_name(tmp_path, names, count):
    truth, results = document(names, count)
    results[0]["keypoints"] = [value + 1 for value in results[0]["keypoints"]]
    scores = score_coco(write(tmp_path / "gt.json", truth), write(tmp_path / "results.json", results))
    assert list(scores) == list(FIGURES)
    assert scores["AP50"] == pytest.approx(100)
    assert scores["APL"] is None


def test_categories_without_keypoints_are_left_out_if_others_name_some(tmp_path):
    truth, results = document(["nose", "tail", "left_ear"], 3)
    alone = score_coco(write(tmp_path / "gt.json", truth), write(tmp_path / "results.json", results))
    truth["categories"].insert(0, {"id": 5, "name": "ball"})
    truth["annotations"].append({"id": 9, "image_id": 7, "category_id": 5, "bbox": [1, 2, 3, 4]})
    assert score_coco(write(tmp_path / "gt.json", truth), tmp_path / "results.json") == alone


@pytest.mark.parametrize("value", ["0", 2, None, [0]])
def test_a_crowd_is_0_or_1(tmp_path, value):
    truth, results = document()
    truth["annotations"].append(truth["annotations"][0] | {"id": 2, "iscrowd": value})
    with refused("annotations[1]", "`iscrowd` must be 0 or 1", repr(value), file=tmp_path / "gt.json"):
        score_coco(write(tmp_path / "gt.json", truth), write(tmp_path / "results.json", results))


def test_spreads_that_are_given_are_used(tmp_path):
    truth, results = document(["a", "b", "c"], 3)
    results[0]["keypoints"] = [value + 5 for value in results[0]["keypoints"]]
    files = write(tmp_path / "gt.json", truth), write(tmp_path / "results.json", results)
    assert score_coco(*files, sigmas=(1.0,) * 3)["AP"] == pytest.approx(100)
    assert score_coco(*files, sigmas=(0.001,) * 3)["AP"] == 0


def test_a_wrong_file_is_named_with_the_reason(tmp_path):
    truth, results = document()
    good, found = write(tmp_path / "gt.json", truth), write(tmp_path / "results.json", results)
    other = document(["a", "b"], 2)[0]
    two = truth | {"categories": [{"id": 1, "keypoints": ["a"]}, {"id": 2, "keypoints": ["b"]}]}
    cases = [
        (tmp_path / "gt.jsn", found, "gt.jsn: no such file .did you mean 'gt.json'"),
        (good, tmp_path / "none.json", "none.json: no such file"),
        (good, write(tmp_path / "cut.json", '[{"image_id": 7'), r"cut.json:1:16: not JSON"),
        (good, good, "gt.json: results are a list"),
        (found, found, "results.json: an annotation file is an object"),
        (good, write(tmp_path / "stray.json", [results[0] | {"image_id": 8}]), r"stray.json: .*1 images .*\[8\]"),
        (write(tmp_path / "other.json", other), found, r"results.json: results\[0\]: `keypoints` must be 6 finite"),
        (write(tmp_path / "empty.json", truth | {"images": []}), found, "empty.json: `images` is empty"),
        (write(tmp_path / "two.json", two), found, "two.json: categories with different keypoints"),
        (write(tmp_path / "odd.json", truth | {"categories": [{"id": 1, "keypoints": "abc"}]}), found, "odd.json: `keypoints`"),
    ]  # fmt: skip
    for labels, predictions, said in cases:
        with pytest.raises(InputError, match=said):
            score_coco(labels, predictions)


def test_predictions_of_other_people_are_refused(tmp_path):
    points = np.full((3, 16, 2), 50.0)
    write_truth(tmp_path / "gt.mat", points, np.ones((3, 16), dtype=bool), np.full(3, 20.0))
    write_predictions(tmp_path / "pred.mat", points)
    assert score_mpii(tmp_path / "gt.mat", tmp_path / "pred.mat")["mean_plain"] == 100
    write_predictions(tmp_path / "pred.mat", points[:2])
    with refused("2 people", 3, file=tmp_path / "pred.mat"):
        score_mpii(tmp_path / "gt.mat", tmp_path / "pred.mat")
    with refused("`dataset_joints`", file=tmp_path / "pred.mat"):
        score_mpii(tmp_path / "pred.mat", tmp_path / "pred.mat")
