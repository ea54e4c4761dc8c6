"""Cityscapes' layout: which files belong together, and what is refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers import street_folder
from helpers.refused import refused

from archlab.core.errors import InputError
from archlab.tasks.segmentation.data.labels import spans
from archlab.tasks.segmentation.data.layout import check_labels, fingerprint, load_pictures


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return street_folder.write(tmp_path / "streets")


def image_of(root: Path, number: int = 0, split: str = "train") -> Path:
    return root / "leftImg8bit" / split / "town" / f"town_{number:03}_leftImg8bit.png"


def label_of(root: Path, number: int = 0, split: str = "train") -> Path:
    return root / "gtFine" / split / "town" / f"town_{number:03}_gtFine_labelIds.png"


def test_pictures_and_labels_are_paired_by_name_and_label_ids_become_train_ids(root: Path):
    pictures = load_pictures(root, "train", "cityscapes")
    assert pictures.names == tuple(f"town_{number:03}" for number in range(6))
    assert pictures.images[2] == image_of(root, 2)
    assert pictures.labels[2] == label_of(root, 2)
    assert pictures.sizes.tolist() == [[44, 60]] * 6
    own = street_folder.label(2)
    expected = np.select([own == 23, own == 7, own == 26], [0, 1, 2], 255)
    np.testing.assert_array_equal(pictures.label(2), expected)


def test_jpeg_pictures_and_train_ids_do_too(tmp_path: Path):
    root = street_folder.write(tmp_path / "jpegs", ending=".jpg")
    ids = label_of(root)
    trained = ids.with_name(ids.name.replace("labelIds", "labelTrainIds"))
    street_folder.save(trained, np.full(street_folder.SIZE, 2, np.uint8))
    assert load_pictures(root, "train", "cityscapes").labels[0] == ids  # label ids come first
    ids.unlink()
    pictures = load_pictures(root, "train", "cityscapes")
    assert pictures.labels[0] == trained
    assert set(np.unique(pictures.label(0))) == {2}
    assert pictures.images[0].suffix == ".jpg"


def test_a_folder_without_pictures_is_refused(tmp_path: Path):
    with refused("leftImg8bit", file=tmp_path / "leftImg8bit" / "val"):
        load_pictures(tmp_path, "val", "cityscapes")


def test_every_missing_label_is_named(root: Path):
    label_of(root, 1).unlink()
    label_of(root, 4).unlink()
    with pytest.raises(InputError) as caught:
        load_pictures(root, "train", "cityscapes")
    assert [problem.file for problem in caught.value.problems] == [str(label_of(root, 1)), str(label_of(root, 4))]


def test_a_label_of_another_size_than_its_picture_is_refused(root: Path):
    street_folder.save(label_of(root, 3), np.zeros((44, 59), np.uint8))
    with refused("59 x 44", "60 x 44", file=label_of(root, 3)):
        load_pictures(root, "train", "cityscapes")


def test_a_picture_that_is_there_twice_is_refused(root: Path):
    image_of(root).with_suffix(".jpg").write_bytes(image_of(root).read_bytes())
    with refused(image_of(root).name, file=image_of(root).with_suffix(".jpg")):
        load_pictures(root, "train", "cityscapes")


def test_every_label_outside_the_classes_is_named_with_its_values(root: Path):
    for number, value in ((1, 8), (4, 33)):
        values = street_folder.label(number)
        values[5, :7] = value
        street_folder.save(label_of(root, number), values)
    with pytest.raises(InputError) as caught:
        check_labels(load_pictures(root, "train", "cityscapes"))
    first, second = caught.value.problems
    assert (first.file, second.file) == (str(label_of(root, 1)), str(label_of(root, 4)))
    for part in ("8 (7 pixels)", "7, 23, 26", "0, 255"):
        assert part in first.message
    check_labels(load_pictures(root, "val", "cityscapes"))


@pytest.mark.parametrize(
    ("damage", "value"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-30]), "truncated"),
        (lambda path: cv2.imwrite(str(path), np.zeros((44, 60, 3), np.uint8)), "3"),
        (lambda path: cv2.imwrite(str(path), np.zeros((44, 60), np.uint16)), "16"),
    ],
)
def test_a_label_that_is_no_whole_picture_of_one_byte_a_pixel_is_refused(root: Path, damage, value: str):
    damage(label_of(root))
    with refused(value, file=label_of(root)):
        check_labels(load_pictures(root, "train", "cityscapes"))


def test_the_fingerprint_changes_with_names_sizes_and_classes(root: Path):
    seen = {fingerprint(root)}
    (root / "classes.yaml").write_text(street_folder.CLASSES + "weights: [1, 1, 2]\n")
    seen.add(fingerprint(root))
    label_of(root).write_bytes(label_of(root).read_bytes() + b" ")
    seen.add(fingerprint(root))
    image_of(root).rename(image_of(root).with_name("town_900_leftImg8bit.png"))
    seen.add(fingerprint(root))
    assert len(seen) == 4


def test_numbers_are_shortened_to_runs():
    assert spans([0, 1, 2, 5, 7, 8]) == "0-2, 5, 7-8"
