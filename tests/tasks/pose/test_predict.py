"""Prediction: keypoints of people from the crops of their boxes, and the flip test."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.pose_networks import copied, small_network
from helpers.refused import refused
from helpers.training import load_validation, predict
from torch import Tensor, nn

from archlab.core.device import placed
from archlab.tasks.pose.predict import flip_averaged
from archlab.tasks.pose.synthetic import generate
from archlab.training.evaluate import evaluate
from archlab.training.recipe import Recipe

CPU = torch.device("cpu")
CUDA = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))
DEVICES = ["cpu", CUDA]
RECIPE = Recipe.of(input=(128, 96), iterations=1, batch=4, flip_test=False, boxes="both")
BATCHED = RECIPE.changed(pipeline="batched", eval_batch=3)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("eval") / "people", level="quick", train=12, val=10, seed=2)


def test_predicting_leaves_the_network_in_evaluation_mode_and_the_batch_size_changes_nothing(root: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 17, 5, stride=4, padding=2), nn.BatchNorm2d(17))
    people = load_validation(root, RECIPE).truth
    few, all_at_once = (predict(network, people, RECIPE.changed(eval_batch=size), CPU) for size in (3, 10))
    assert not network.training
    assert few.points.shape == (10, 17, 2)
    np.testing.assert_allclose(few.points, all_at_once.points, atol=1e-3)
    np.testing.assert_allclose(few.heights, all_at_once.heights, rtol=1e-4)


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


def test_without_a_place_to_keep_them_people_are_not_kept(root: Path, tmp_path: Path) -> None:
    people = copied(load_validation(root, RECIPE).truth, tmp_path)
    predict(small_network(), people, BATCHED, CPU)
    people.image_files[4].unlink()
    with refused(file=people.image_files[4]):
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
