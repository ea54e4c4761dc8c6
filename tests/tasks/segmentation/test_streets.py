"""Synthetic streets: deterministic, in Cityscapes' layout, with every class and plausible places for each."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.refused import refused

from archlab.tasks import generated
from archlab.tasks.images import read_image
from archlab.tasks.segmentation.classes import CITYSCAPES, IGNORE
from archlab.tasks.segmentation.data.layout import check_labels, fingerprint, load_pictures
from archlab.tasks.segmentation.streets import VERSION, generate
from archlab.tasks.segmentation.streets.camera import NEAR, Camera, clipped
from archlab.tasks.segmentation.streets.scene import draw_street

NAMES = CITYSCAPES.names


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("generated") / "streets", train=60, val=20, height=128, seed=1, processes=1)


@pytest.fixture(scope="module")
def labels(root: Path) -> np.ndarray:
    """(80, 128, 256), train ids."""
    both = [load_pictures(root, split, "cityscapes") for split in ("train", "val")]
    return np.stack([pictures.label(row) for pictures in both for row in range(len(pictures))])


def test_a_set_is_read_as_cityscapes_and_every_value_is_a_class(root: Path):
    for split, count in (("train", 60), ("val", 20)):
        pictures = load_pictures(root, split, "cityscapes")
        assert len(pictures) == count
        assert pictures.sizes.tolist() == [[128, 256]] * count
        check_labels(pictures)
    request = json.loads((root / "synthetic.json").read_text())
    assert request == {"streets": 128, "train": 60, "val": 20, "seed": 1, "version": VERSION}


def test_a_picture_depends_on_its_seed_split_and_number_alone(root: Path, tmp_path: Path):
    fewer = generate(tmp_path / "fewer", train=3, val=2, height=128, seed=1, processes=1)
    for split in ("train", "val"):
        many, few = (load_pictures(each, split, "cityscapes") for each in (root, fewer))
        for row in range(2):
            assert many.images[row].read_bytes() == few.images[row].read_bytes()
            assert many.labels[row].read_bytes() == few.labels[row].read_bytes()
    other = generate(tmp_path / "other", train=3, val=2, height=128, seed=2, processes=1)
    assert fingerprint(other) != fingerprint(fewer)
    first = (load_pictures(fewer, split, "cityscapes").images[0].read_bytes() for split in ("train", "val"))
    assert len(set(first)) == 2


def test_processes_change_nothing(tmp_path: Path):
    one, two = (generate(tmp_path / str(n), train=17, val=1, height=64, seed=3, processes=n) for n in (1, 2))
    assert fingerprint(one) == fingerprint(two)


def test_a_folder_with_another_set_is_refused(root: Path):
    with refused("60", "61", file=root):
        generate(root, train=61, val=20, height=128, seed=1)
    assert generate(root, train=60, val=20, height=128, seed=1) == root


def test_wrong_counts_are_refused_at_once(tmp_path: Path):
    with refused("-1", field="train") as caught:
        generate(tmp_path / "none", train=-1, val=10**7, height=128, seed=-2)
    assert [problem.field for problem in caught.value.problems] == ["train", "val", "seed"]
    assert generated.check_request({"train": 0, "val": 0, "seed": 0}) == []


def test_every_common_class_occurs_and_rare_ones_are_rare(labels: np.ndarray):
    share = {name: float((labels == number).mean()) for number, name in enumerate(NAMES)}
    here = {name: float((labels == number).any(axis=(1, 2)).mean()) for number, name in enumerate(NAMES)}
    assert 0.2 < share["road"] < 0.5
    assert 0.08 < share["building"] < 0.4
    assert all(share[name] > 0.02 for name in ("sidewalk", "vegetation", "sky", "car"))
    assert all(here[name] > 0.3 for name in ("pole", "traffic sign", "person"))
    for name in ("truck", "bus", "train", "motorcycle", "rider", "bicycle", "traffic light", "wall"):
        assert here[name] < 0.45, name
        assert share[name] < 0.04, name
    assert sum(value > 0 for value in share.values()) >= 17
    assert (labels == IGNORE).any(axis=(1, 2)).mean() < 0.6  # the car's own bonnet


def test_classes_are_where_they_belong(labels: np.ndarray):
    rows = np.arange(labels.shape[1])[None, :, None]

    def height(name: str) -> float:
        """The mean row of a class as a share of the picture, from the top."""
        seen = labels == NAMES.index(name)
        return float((seen * rows).sum() / seen.sum() / labels.shape[1])

    assert height("sky") < height("building") < height("car") < height("road")
    assert height("vegetation") < height("sidewalk")
    sky, road = labels == NAMES.index("sky"), labels == NAMES.index("road")
    assert not sky[:, 100:].any()
    assert not road[:, :35].any()


def test_pictures_differ_in_light_and_show_their_labels(root: Path, labels: np.ndarray):
    """The sky is brighter than the street in nearly all pictures, and pictures differ in brightness."""
    pictures = load_pictures(root, "train", "cityscapes")
    images = np.stack([read_image(path) for path in pictures.images]).astype(float).mean(axis=-1)
    means = images.mean(axis=(1, 2))
    assert means.std() > 8
    sky, road = labels[:60] == NAMES.index("sky"), labels[:60] == NAMES.index("road")
    both = [(image[s].mean(), image[r].mean()) for image, s, r in zip(images, sky, road, strict=True) if s.any()]
    assert np.mean([a > b for a, b in both]) > 0.85


def test_a_picture_of_another_size_shows_the_same_street():
    small, large = (draw_street(np.random.default_rng(7), height)[1] for height in (96, 192))
    assert small.shape == (96, 192)
    assert (small == large[::2, ::2]).mean() > 0.85


def test_the_camera_projects_by_similar_triangles():
    camera = Camera((100, 200), focal=100, horizon=40, middle=90, height=1.5, roll=0, heading=0, bend=0, lane=0)
    points = np.array(((0, 0, 10.0), (2, 1.5, 10), (0, 0, 5)))
    assert camera.pixels(points).tolist() == [[90, 55], [110, 40], [90, 70]]
    assert camera.scale(20.0) == 5


def test_what_is_nearer_than_the_limit_is_cut_off():
    square = np.array(((0, 0, NEAR - 1), (0, 0, NEAR + 1), (1, 0, NEAR + 1), (1, 0, NEAR - 1)))
    kept = clipped(square)
    assert kept[:, 2].min() == pytest.approx(NEAR)
    assert len(kept) == 4
    assert len(clipped(square - (0, 0, 5))) == 0
