"""Prediction of whole pictures: padding, flip test, scales, and networks of one size at other sizes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import street_folder
from torch import Tensor, nn
from torch.nn import functional as F

import archlab
from archlab.core.distributed import ALONE, World
from archlab.tasks.base import Context
from archlab.tasks.segmentation.data.layout import Pictures, load_pictures
from archlab.tasks.segmentation.options import SegmentationOptions
from archlab.tasks.segmentation.predict import classes_of, predict
from archlab.tasks.segmentation.score import score_network
from archlab.tasks.segmentation.task import SEGMENTATION
from archlab.tasks.segmentation.unlabelled import predict_pictures

CPU = torch.device("cpu")


class Brightness(nn.Module):
    """Logits at a quarter of the input: class 0 where it is dark, 1 where bright; it remembers the sizes of inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[tuple[int, int]] = []

    def forward(self, image: Tensor) -> Tensor:
        self.sizes.append((image.shape[2], image.shape[3]))
        bright = F.avg_pool2d(image[:, :1], 4)
        return torch.cat((-bright, bright), dim=1)


def context(input: tuple[int, int] = (64, 64), world: World = ALONE, batch: int = 2, **options) -> Context:
    return Context(SegmentationOptions(**options), input, CPU, world, batch=batch)


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    return load_pictures(street_folder.write(tmp_path / "streets", val=3), "val", "cityscapes")


def test_a_picture_is_padded_to_the_stride_and_predicted_at_its_own_size():
    network, image = Brightness(), torch.full((1, 3, 44, 60), -1.0)
    image[..., 20:, 32:] = 1.0
    found = classes_of(lambda size: network, image, (44, 60), SegmentationOptions(stride=16))
    assert network.sizes == [(48, 64)]
    assert found.shape == (1, 44, 60)
    assert found[0, :18].sum() == found[0, :, :30].sum() == 0
    assert found[0, 22:, 34:].float().mean() == 1


def test_every_scale_is_padded_to_the_stride_and_counts_once():
    network, image = Brightness(), torch.full((1, 3, 64, 64), 1.0)
    options = SegmentationOptions(scales=(0.5, 1.0, 1.25), flip_test=True)
    found = classes_of(lambda size: network, image, (100, 90), options)
    assert network.sizes == [(32, 32)] * 2 + [(64, 64)] * 2 + [(96, 96)] * 2
    assert found.shape == (1, 100, 90)
    assert found.float().mean() == 1


def test_the_flip_test_averages_the_probabilities_of_a_picture_and_of_its_mirror_image():
    torch.manual_seed(0)
    network, image = nn.Conv2d(3, 4, 3, padding=1), torch.randn(2, 3, 32, 64)
    mean = network(image).softmax(1) + network(image.flip(-1)).softmax(1).flip(-1)
    found = classes_of(lambda size: network, image, (32, 64), SegmentationOptions(flip_test=True))
    assert torch.equal(found, mean.argmax(1))
    assert not torch.equal(found, network(image).argmax(1))


def test_a_network_of_one_size_scores_pictures_of_another(pictures: Pictures):
    torch.manual_seed(0)
    network = archlab.build(archlab.load("lite_hrnet_18_seg", input=(3, 64, 96), outputs=3))
    other = archlab.build(archlab.load("lite_hrnet_18_seg", input=(3, 64, 64), outputs=3))
    other.load_state_dict(network.state_dict())
    one, two = (score_network(each, pictures, context((64, 96))).figures for each in (network, other))
    assert one == two
    whole = score_network(network, pictures, context((64, 96), size="input")).figures
    assert whole["pictures"].keys() == one["pictures"].keys()


def test_pictures_of_several_sizes_are_batched_by_size_and_each_is_predicted_once(tmp_path: Path):
    root = street_folder.write(tmp_path / "streets", val=3)
    for number in (7, 8):
        values = street_folder.label(number, (30, 70))
        street_folder.add(root, "val", f"wide_{number}", values, street_folder.picture(values, number))
    found = list(predict(Brightness(), load_pictures(root, "val", "cityscapes"), context(batch=2)))
    assert [tuple(each.found.shape) for each in found] == [(2, 44, 60), (1, 44, 60), (2, 30, 70)]
    assert sorted(int(i) for each in found for i in each.index) == list(range(5))
    assert all(each.label.shape == each.found.shape for each in found)


@dataclass(frozen=True)
class Told(World):
    """A process that is told what the others gathered, and keeps what it gathers itself."""

    others: tuple[Any, ...] = ()
    own: list[Any] = field(default_factory=list)

    def gather(self, value):
        self.own.append(value)
        return [*self.others, value]


def test_processes_share_the_pictures_and_sum_their_confusion(pictures: Pictures):
    seen = [int(i) for rank in (0, 1) for each in predict(Brightness(), pictures, context(world=World(rank, 2)))
            for i in each.index]  # fmt: skip
    assert sorted(seen) == [0, 1, 2]
    first = Told(0, 2)
    score_network(Brightness(), pictures, context(world=first))
    second = Told(1, 2, others=tuple(first.own))
    both, whole = (
        score_network(Brightness(), pictures, context(world=second)),
        score_network(Brightness(), pictures, context()),
    )
    assert both.figures == whole.figures
    assert both.terms["pictures"].plain() == whole.terms["pictures"].plain()


def test_the_terms_of_each_picture_give_the_pixel_accuracy(pictures: Pictures):
    scored = score_network(Brightness(), pictures, context())
    ratio = scored.terms["pictures"].ratios["pixel_accuracy"]
    assert ratio.figure == pytest.approx(scored.figures["pictures"]["pixel_accuracy"], abs=1e-9)
    labelled = [(pictures.label(row) != 255).mean() for row in range(3)]
    np.testing.assert_allclose(ratio.wholes, labelled)
    first = score_network(Brightness(), pictures.subset([0]), context()).figures["pictures"]["pixel_accuracy"]
    assert first == pytest.approx(100 * ratio.parts[0] / ratio.wholes[0])
    assert scored.with_terms()


def test_predictions_are_written_as_train_ids(pictures: Pictures, tmp_path: Path):
    score_network(Brightness(), pictures, context(), results=tmp_path / "found")
    files = sorted((tmp_path / "found").iterdir())
    assert [path.name for path in files] == [f"town_{n:03}_gtFine_labelTrainIds.png" for n in range(3)]
    values = street_folder.load(files[0])
    assert values.shape == street_folder.SIZE
    assert set(np.unique(values)) <= {0, 1}


def test_scoring_leaves_the_size_of_the_input_to_the_recipe(pictures: Pictures):
    network = Brightness()
    list(predict(network, pictures, context((96, 128), size="input")))
    assert set(network.sizes) == {(96, 128)}
    network.sizes.clear()
    list(predict(network, pictures, replace(context((96, 128)), batch=3)))
    assert set(network.sizes) == {(64, 64)}


def test_pictures_are_shown_evenly_spaced_and_their_classes_at_any_size(pictures: Pictures) -> None:
    shown = SEGMENTATION.pictures(pictures, 2)
    assert [each.name for each in shown] == [str(pictures.images[0]), str(pictures.images[2])]
    (found,) = predict_pictures(Brightness(), shown[:1], context(stride=16), pictures.classes)
    width, height = found.picture.size
    larger = found.resized((2 * width, 2 * height))
    assert larger.picture.size == (2 * width, 2 * height)
    assert (larger.found[::2, ::2] == found.found).all()
    assert larger.draw().shape[1] == 2 * width
