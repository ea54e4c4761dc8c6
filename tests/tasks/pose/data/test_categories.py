"""Which of several categories is read, and splits that name their keypoints differently."""

from pathlib import Path
from typing import Any

import pytest
from helpers.coco_folder import document, write
from helpers.refused import refused

from archlab.tasks.pose.data.coco import annotation_file, load_people
from archlab.tasks.pose.data.sets import keypoint_names, training_people
from archlab.tasks.pose.keypoints import COCO

NAMES = list(COCO.names)


def of_category(number: int, categories: list[dict[str, Any]]) -> dict[str, Any]:
    """A document of three people in this category."""
    content = document(3)
    for annotation in content["annotations"]:
        annotation["category_id"] = number
    return content | {"categories": categories}


@pytest.mark.parametrize(
    ("number", "categories"),
    [
        (1, [{"id": 1, "keypoints": NAMES}, {"id": 2, "name": "ball"}]),
        (2, [{"id": 1, "name": "ball"}, {"id": 2, "keypoints": NAMES}]),
        (2, [{"id": 1, "name": "nose", "keypoints": []}, {"id": 2, "keypoints": NAMES}]),
        (5, [{"id": 2, "name": "ball"}, {"id": 5, "keypoints": NAMES}]),
        (5, [{"id": 2, "name": "ball"}, {"id": 5, "name": "person"}]),  # its annotations have them
        (2, [{"id": 1, "name": "ball"}, {"id": 2, "name": "person"}]),
        (3, [{"id": 2, "keypoints": ["tail"]}, {"id": 3, "keypoints": NAMES}]),
        (1, [{"id": 1, "keypoints": NAMES}, {"id": 3, "keypoints": ["tail"]}]),
    ],
)
def test_the_only_category_with_keypoints_is_read(
    tmp_path: Path, number: int, categories: list[dict[str, Any]]
) -> None:
    people = load_people(write(tmp_path, of_category(number, categories)), "val2017", aspect=1.0)
    assert (len(people), people.category, people.layout) == (3, number, COCO)
    assert keypoint_names("coco", tmp_path) == COCO.names


def test_objects_of_a_category_without_keypoints_are_no_people(tmp_path: Path) -> None:
    content = of_category(2, [{"id": 1, "name": "ball"}, {"id": 2, "keypoints": NAMES}])
    content["annotations"][1] = {"id": 9, "image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4]}
    people = load_people(write(tmp_path, content), "val2017", aspect=1.0)
    assert people.annotation_ids.tolist() == [100, 102]


def test_two_categories_with_keypoints_are_named(tmp_path: Path) -> None:
    categories = [{"id": 4, "name": "cat", "keypoints": NAMES}, {"id": 7, "name": "dog", "keypoints": NAMES}]
    content = of_category(4, categories)
    content["annotations"][0]["category_id"] = 7
    with refused("4 (cat)", "7 (dog)", file=annotation_file(tmp_path, "val2017")):
        load_people(write(tmp_path, content), "val2017", aspect=1.0)


def splits(root: Path, train: list[str], val: list[str]) -> Path:
    for split, names in (("train2017", train), ("val2017", val)):
        content = of_category(1, [{"id": 1, "keypoints": names}])
        for annotation in content["annotations"]:
            annotation["keypoints"] = [20.0, 20.0, 2] * len(names)
        write(root, content, split=split)
    return root


@pytest.mark.parametrize(
    ("train", "values"),
    [
        (NAMES[:14], ("14", "17")),
        (
            [*NAMES[:15], "right_ankle", "left_ankle"],
            ("keypoints[15]", "'right_ankle'", "'left_ankle'", "another order"),
        ),
        ([*NAMES[:16], "right_heel"], ("keypoints[16]", "'right_heel'", "'right_ankle'", "other names")),
    ],
)
def test_splits_that_name_their_keypoints_differently_are_refused(
    tmp_path: Path, train: list[str], values: tuple[str, ...]
) -> None:
    root = splits(tmp_path, train, NAMES)
    with refused(*values, file=annotation_file(root, "train2017"), field="keypoints"):
        training_people(root, "coco", aspect=1.0)
    assert len(training_people(splits(tmp_path / "same", train, train), "coco", aspect=1.0)) == 3
