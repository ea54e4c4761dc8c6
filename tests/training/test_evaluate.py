"""Scoring: the whole way from heat-maps to figures, boxes of both kinds, and a run folder scored again."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import tiny
from helpers.training import load_validation, predict, score_network, train
from torch import Tensor, nn

from archlab.core.device import pick_device, placed
from archlab.core.errors import InputError
from archlab.tasks.pose.data.coco import DETECTIONS, People, annotation_file
from archlab.tasks.pose.data.dataset import PoseDataset
from archlab.tasks.pose.metrics.coco import FIGURES, score_coco
from archlab.tasks.pose.predict import flip_averaged
from archlab.tasks.pose.score import FAR, matched, score_mean_pose
from archlab.tasks.pose.synthetic import generate
from archlab.training.evaluate import evaluate, evaluate_run
from archlab.training.recipe import Recipe
from archlab.training.runs import read_record

CPU = torch.device("cpu")
CUDA = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))
DEVICES = ["cpu", CUDA]
RECIPE = Recipe.of(input=(128, 96), iterations=1, batch=4, flip_test=False, boxes="both")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("eval") / "people", level="quick", train=12, val=10, seed=2)


class Oracle(nn.Module):
    """Answers with the target heat-maps of the people, in their order."""

    def __init__(self, people: People) -> None:
        super().__init__()
        dataset = PoseDataset(people, RECIPE.input)
        self.answers = torch.stack([dataset[i]["target"] for i in range(len(dataset))])
        self.at = 0

    def forward(self, image: Tensor) -> Tensor:
        self.at += len(image)
        return self.answers[self.at - len(image) : self.at]


def test_the_right_heat_maps_score_nearly_everything_and_by_the_mean_pose_little(root: Path) -> None:
    recipe = RECIPE.changed(boxes="ground_truth")
    validation = load_validation(root, recipe)
    scores = score_network(Oracle(validation.truth), recipe, validation, CPU)["ground_truth_boxes"]
    assert set(scores) == {*FIGURES, "mean_oks", "pck"}
    assert scores["AP50"] == 100
    assert scores["AP"] > 80  # what is missing is the heat-map's grid of 4 pixels on crops this small
    assert scores["mean_oks"] > 90
    assert scores["pck"] == 100
    poor = score_mean_pose(validation.truth, validation)
    assert poor["pck"] < 80
    assert poor["AP"] < 50


def test_predicting_leaves_the_network_in_evaluation_mode_and_the_batch_size_changes_nothing(root: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 17, 5, stride=4, padding=2), nn.BatchNorm2d(17))
    people = load_validation(root, RECIPE).truth
    few, all_at_once = (predict(network, people, RECIPE.changed(eval_batch=size), CPU) for size in (3, 10))
    assert not network.training
    assert few.points.shape == (10, 17, 2)
    np.testing.assert_allclose(few.points, all_at_once.points, atol=1e-3)
    np.testing.assert_allclose(few.heights, all_at_once.heights, rtol=1e-4)


def small_network(outputs: int = 17) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, outputs, 5, stride=4, padding=2), nn.BatchNorm2d(outputs))


BATCHED = RECIPE.changed(pipeline="batched", eval_batch=3)


@pytest.mark.parametrize(
    "options",
    [{}, {"flip_test": True, "workers": 2}, {"crops": "udp", "targets": "udp", "decoding": "udp"}, {"eval_batch": 10}],
)
def test_the_batched_pipeline_gives_the_keypoints_and_scores_of_the_samples(root: Path, options: Any) -> None:
    batched = BATCHED.changed(**options)
    samples = replace(batched, pipeline="samples")
    people = load_validation(root, RECIPE).truth
    one, other = (predict(small_network(), people, recipe, CPU) for recipe in (samples, batched))
    np.testing.assert_array_equal(one.points, other.points)
    np.testing.assert_array_equal(one.heights, other.heights)
    assert np.ptp(one.points) > 50
    assert evaluate(small_network(), samples, root, CPU) == evaluate(small_network(), batched, root, CPU)


@pytest.mark.parametrize("device", [CUDA])
def test_on_a_gpu_keypoints_are_those_of_the_host(root: Path, device: str) -> None:
    # A crop may differ by one grey level in some pixels, and convolutions are summed in another order.
    people = load_validation(root, RECIPE).truth
    with torch.backends.cudnn.flags(allow_tf32=False):
        found = predict(placed(small_network(), torch.device(device)), people, BATCHED, torch.device(device))
    wanted = predict(small_network(), people, BATCHED.changed(pipeline="samples"), CPU)
    np.testing.assert_allclose(found.heights, wanted.heights, atol=0.02)
    assert (np.abs(found.points - wanted.points).max(axis=2) < 0.5).mean() > 0.95


def copied(people: People, folder: Path) -> People:
    """The people in copies of their images, which may be removed."""
    files = tuple(folder / file.name for file in people.image_files)
    for file, copy in zip(people.image_files, files, strict=True):
        copy.write_bytes(file.read_bytes())
    return replace(people, image_files=files)


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
    with pytest.raises(InputError, match=people.image_files[0].name):
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


def test_without_a_place_to_keep_them_people_are_not_kept(root: Path, tmp_path: Path) -> None:
    people = copied(load_validation(root, RECIPE).truth, tmp_path)
    predict(small_network(), people, BATCHED, CPU)
    people.image_files[4].unlink()
    with pytest.raises(InputError, match=people.image_files[4].name):
        predict(small_network(), people, BATCHED, CPU)


class Precise(nn.Module):
    """Knows in what precision its convolution was last computed."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.seen = nn.Conv2d(3, 17, 5, stride=4, padding=2), torch.float16

    def forward(self, image: Tensor) -> Tensor:
        maps: Tensor = self.layer(image)
        self.seen = maps.dtype
        return maps


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("pipeline", ["samples", "batched"])
def test_scoring_is_in_bf16_where_training_is_on_a_gpu_and_else_in_float32(
    root: Path, device: str, pipeline: Any
) -> None:
    people, network = load_validation(root, RECIPE).truth, placed(Precise(), torch.device(device))
    recipe = RECIPE.changed(pipeline=pipeline, precision="bf16")
    found = predict(network, people, recipe, torch.device(device))
    assert network.seen == (torch.bfloat16 if device == "cuda" else torch.float32)
    assert found.points.dtype == found.heights.dtype == np.float32
    predict(network, people, recipe.changed(precision="float32"), torch.device(device))
    assert network.seen == torch.float32


@pytest.mark.parametrize("device", DEVICES)
def test_a_network_is_placed_channels_last(device: str) -> None:
    network = placed(nn.Conv2d(8, 4, 3), torch.device(device))
    weight = next(network.parameters())
    assert weight.device.type == device
    assert weight.is_contiguous(memory_format=torch.channels_last)


def test_maps_of_a_lower_precision_are_averaged_in_float32() -> None:
    # In bf16 1 and 1 + 1 / 128 are neighbours: their mean lies between them.
    image = torch.tensor([1.0, 1.0 + 2**-7]).bfloat16()[None, :, None, None]
    averaged = flip_averaged(nn.Identity(), image, torch.tensor([1, 0]))
    assert averaged.flatten().tolist() == [1 + 2**-8, 1 + 2**-8]


def test_the_flip_test_averages_with_the_mirrored_swapped_and_shifted_maps() -> None:
    image = torch.tensor([[[[1.0, 2.0, 4.0]], [[10.0, 20.0, 40.0]]]])  # one row of three pixels, two joints: a pair
    # The network is the identity: the maps of the mirrored image are its mirror image. Mirrored back they are the image
    # again, with the joints swapped, and moved one pixel right, the first column kept.
    swapped_and_shifted = torch.tensor([[[[10.0, 10.0, 20.0]], [[1.0, 1.0, 2.0]]]])
    assert torch.equal(flip_averaged(nn.Identity(), image, [1, 0]), (image + swapped_and_shifted) / 2)


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


def test_both_kinds_of_boxes_have_their_own_scores_and_result_files(root: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Conv2d(3, 17, 5, stride=4, padding=2)
    scores = evaluate(network, RECIPE, root, CPU, results=tmp_path / "found.json")
    assert set(scores) == {"ground_truth_boxes", "detector_boxes"}
    for kind, figures in scores.items():
        results = json.loads((tmp_path / f"found_{kind.removesuffix('_boxes')}.json").read_text())
        again = score_coco(annotation_file(root, "val2017"), results)
        assert again == {name: figures[name] for name in FIGURES}


def test_detector_boxes_without_a_detection_file_are_refused(tmp_path: Path) -> None:
    root = generate(tmp_path / "people", level="quick", train=1, val=1, seed=1)
    (root / DETECTIONS).unlink()
    with pytest.raises(InputError, match=DETECTIONS.name):
        load_validation(root, RECIPE)


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "meta:x"])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"the device '{name}' cannot be used"):
        pick_device(name)


def test_a_run_folder_scores_again_as_it_did_and_asks_for_data_that_it_cannot_make(root: Path, tmp_path: Path) -> None:
    spec = tiny.make_spec(tmp_path)
    run = train(spec, tiny.RECIPE.changed(iterations=2), root, out=tmp_path / "runs")
    before = sorted((path.name, path.stat().st_mtime_ns) for path in run.iterdir())
    assert evaluate_run(run, root) == read_record(run).scores
    assert set(evaluate_run(run, root, changes={"boxes": "detector"})) == {"detector_boxes"}
    with pytest.raises(InputError, match="trained on 'people': name that folder"):
        evaluate_run(run)
    assert sorted((path.name, path.stat().st_mtime_ns) for path in run.iterdir()) == before


def test_what_is_no_run_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such run record"):
        evaluate_run(tmp_path)
