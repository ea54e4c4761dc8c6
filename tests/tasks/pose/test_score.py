"""Scoring people: the figures of a network in boxes of both kinds."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers import coco_folder
from helpers.pose_networks import Oracle, copied, small_network
from helpers.refused import refused
from helpers.training import load_validation, score_network
from torch import nn

from archlab.core.device import placed
from archlab.tasks.pose.data.coco import DETECTIONS, annotation_file
from archlab.tasks.pose.data.dataset import PoseDataset
from archlab.tasks.pose.metrics.coco import FIGURES, score_coco
from archlab.tasks.pose.score import FAR, matched, score_mean_pose
from archlab.tasks.pose.synthetic import generate
from archlab.tasks.pose.task import POSE
from archlab.training.evaluate import context_of, evaluate
from archlab.training.recipe import Recipe

CPU = torch.device("cpu")
CUDA = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))
DEVICES = ["cpu", CUDA]
RECIPE = Recipe.of(input=(128, 96), iterations=1, batch=4, flip_test=False, boxes="both")
BATCHED = RECIPE.changed(pipeline="batched", eval_batch=3)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("eval") / "people", level="quick", train=12, val=10, seed=2)


def test_the_right_heat_maps_score_nearly_everything_and_by_the_mean_pose_little(root: Path) -> None:
    recipe = RECIPE.changed(boxes="ground_truth")
    validation = load_validation(root, recipe)
    scores = score_network(Oracle(PoseDataset(validation.truth, RECIPE.input)), recipe, validation, CPU)[
        "ground_truth_boxes"
    ]
    assert set(scores) == {*FIGURES, "mean_oks", "pck"}
    assert scores["AP50"] == 100
    assert scores["AP"] > 80  # what is missing is the heat-map's grid of 4 pixels on crops this small
    assert scores["mean_oks"] > 90
    assert scores["pck"] == 100
    poor = score_mean_pose(validation.truth, validation)
    assert poor["pck"] < 80
    assert poor["AP"] < 50


@pytest.mark.parametrize("device", DEVICES)
def test_people_are_decoded_once_for_all_scorings_of_a_validation(root: Path, tmp_path: Path, device: str) -> None:
    where, validation = torch.device(device), load_validation(root, RECIPE)
    people = copied(validation.truth, tmp_path)
    validation = replace(validation, truth=people, boxes={"ground_truth": people})
    network = placed(small_network(), where)
    during = replace(validation)  # as the one that is used during training shares with the one at the end
    first = score_network(network, BATCHED, during, where)
    for file in people.image_files:
        file.unlink()
    assert score_network(network, BATCHED, validation, where) == first
    (pipeline,) = validation.kept.values()
    assert len(pipeline.store) == len(people)
    # Other crops are other pixels, and nothing is kept of them.
    with refused(file=people.image_files[0]):
        score_network(network, BATCHED.changed(crops="udp"), validation, where)


def test_the_boxes_that_are_scored_again_are_kept_within_the_budget(root: Path) -> None:
    crop = 128 * 96 * 3
    validation = load_validation(root, RECIPE)
    assert list(validation.boxes) == ["ground_truth", "detector"]
    wanted = score_network(small_network(), BATCHED.changed(pipeline="samples"), validation, CPU)
    assert not validation.kept
    # 7 of 10 people and a half: the others are decoded again each time, which shows in nothing but time.
    recipe = BATCHED.changed(keep_gigabytes=7.5 * crop / 1e9)
    for _ in range(2):
        assert score_network(small_network(), recipe, validation, CPU) == wanted
    assert [len(pipeline.store) for pipeline in validation.kept.values()] == [7]


def test_a_labelled_person_takes_the_detection_that_overlaps_most_and_none_where_nothing_touches(root: Path) -> None:
    truth = load_validation(root, RECIPE).truth.subset([0, 1])
    x, y, w, h = truth.boxes[0]
    # Two detections in the first image, the second nearer; one in the second image that touches nothing.
    boxes = np.array([[x + w / 2, y, w, h], [x + w / 4, y, w, h], [1e4, 1e4, 5, 5]])
    found = truth.subset([0, 0, 1])
    found = replace(found, boxes=boxes)
    points = np.arange(3.0)[:, None, None] * np.ones((3, 17, 2))
    chosen = matched(truth, found, points)
    assert (chosen[0] == 1).all()
    assert (chosen[1] == FAR).all()


def test_both_kinds_of_boxes_have_their_own_scores_and_result_files(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.manual_seed(0)
    network = nn.Conv2d(3, 17, 5, stride=4, padding=2)
    scores = evaluate(network, RECIPE, root, CPU, results=tmp_path / "found.json")
    assert set(scores) == {"ground_truth_boxes", "detector_boxes"}
    for kind, figures in scores.items():
        results = json.loads((tmp_path / f"found_{kind.removesuffix('_boxes')}.json").read_text())
        again = score_coco(annotation_file(root, "val2017"), results)
        assert again == {name: figures[name] for name in FIGURES}
    written = [f"wrote {tmp_path / f'found_{kind}.json'}" for kind in ("ground_truth", "detector")]
    assert [line for line in capsys.readouterr().err.splitlines() if line.startswith("wrote ")] == written


def test_detector_boxes_without_a_detection_file_are_refused(tmp_path: Path) -> None:
    root = generate(tmp_path / "people", level="quick", train=1, val=1, seed=1)
    (root / DETECTIONS).unlink()
    with refused(DETECTIONS.name, file=root):
        load_validation(root, RECIPE)


def test_people_who_are_left_out_are_noted_once_in_training_and_in_scoring(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = coco_folder.document(4)
    content["annotations"][1]["area"] = 0
    content["annotations"][2]["area"] = -1
    for split in ("train2017", "val2017"):
        coco_folder.write(tmp_path, content, split=split)
    context = context_of(RECIPE.changed(boxes="ground_truth"), CPU)
    assert len(POSE.training(tmp_path, context, seed=1)) == 2
    assert len(POSE.validation(tmp_path, context)) == 2
    said = [line.partition(": ignored ") for line in capsys.readouterr().err.splitlines()]
    wanted = "2 people with an area of 0 or less"
    assert [(file, what) for file, _, what in said] == [
        (f"person_keypoints_{split}.json", wanted) for split in ("train2017", "val2017")
    ]
