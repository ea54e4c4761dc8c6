"""The pictures of a data set in COCO's layout: found in sub-folders, in the fingerprint, of the size that is written."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from helpers.coco_folder import SIDES, document, write
from helpers.refused import refused

from archlab.tasks.pose.data.coco import annotation_file, fingerprint, load_people


def named(names: list[str]) -> dict[str, Any]:
    """A document whose images have these file names."""
    content = document(len(names))
    for image, name in zip(content["images"], names, strict=True):
        image["file_name"] = name
    return content


def renamed(root: Path, names: list[str], split: str = "val2017") -> Path:
    """Change the file names in the annotations, not the files."""
    annotation_file(root, split).write_text(json.dumps(named(names)))
    return root


def moved(root: Path, names: list[str]) -> Path:
    """Move the pictures of a folder that `write` made to these names below it."""
    for number, name in enumerate(names):
        path = root / "val2017" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        (root / "val2017" / f"{number}.jpg").rename(path)
    return renamed(root, names)


def test_pictures_in_folders_below_the_splits_are_read(tmp_path: Path) -> None:
    root = moved(write(tmp_path, document(3)), ["a/0.jpg", "a/b/1.jpg", "2.jpg"])
    files = load_people(root, "val2017", aspect=1.0).image_files
    assert [file.relative_to(root / "val2017").as_posix() for file in files] == ["a/0.jpg", "a/b/1.jpg", "2.jpg"]


def test_the_fingerprint_follows_pictures_in_folders_below_the_splits(tmp_path: Path) -> None:
    root = moved(write(tmp_path, document(3)), ["a/0.jpg", "a/b/1.jpg", "2.jpg"])
    first = fingerprint(root)
    for name in ("a/0.jpg", "a/b/1.jpg"):
        path = root / "val2017" / name
        before = path.read_bytes()
        path.write_bytes(before + b"another picture")
        assert fingerprint(root) != first
        path.write_bytes(before)
        assert fingerprint(root) == first
    (root / "val2017" / "a" / "0.jpg").unlink()
    assert fingerprint(root) != first


def test_the_fingerprint_of_pictures_in_the_splits_own_folder_is_as_it_always_was(tmp_path: Path) -> None:
    root = write(tmp_path, {"images": [{"file_name": "0.jpg"}], "annotations": []})
    (root / "val2017" / "0.jpg").write_bytes(b"12345")
    recorded = "d9d407d62db1ba68b87071feb78ce61a4a9bf2370fda9b813f2d82d43f2aa930"
    assert fingerprint(root) == recorded
    other = root / "val2017" / "thumbnails"
    other.mkdir()
    (other / "0.jpg").write_bytes(b"1")  # no annotation names it
    assert fingerprint(root) == recorded


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("val2017/{}.jpg", "'0.jpg': file_name is below val2017/"),
        ("val2017\\{}.jpg", "'0.jpg': file_name is below val2017/"),
        ("images\\{}.jpg", "'0.jpg'"),
        ("cam1/{}.jpg", "'0.jpg'"),
        ("{}.png", ""),
        ("x" * 300 + "{}.jpg", ""),
        ("\ud800{}.jpg", ""),
        ("a\0{}.jpg", ""),
    ],
)
def test_missing_pictures_are_missing_and_counted_with_a_hint(tmp_path: Path, name: str, hint: str) -> None:
    root = renamed(write(tmp_path, document(6)), [name.format(number) for number in range(6)])
    with refused("6 of 6 images", "are missing", hint, file=root / "val2017") as caught:
        load_people(root, "val2017", aspect=1.0)
    assert ("is there as" in str(caught.value)) == bool(hint)


def test_a_backslash_for_a_slash_is_named(tmp_path: Path) -> None:
    root = renamed(moved(write(tmp_path, document(2)), ["a/0.jpg", "a/1.jpg"]), ["a\\0.jpg", "a\\1.jpg"])
    with refused("2 of 2 images", "'a/0.jpg'", "write / for \\", file=root / "val2017"):
        load_people(root, "val2017", aspect=1.0)


def test_one_missing_picture_of_a_folder_below_is_missing_though_another_has_its_name(tmp_path: Path) -> None:
    root = renamed(write(tmp_path, document(3)), ["0.jpg", "1.jpg", "cam1/2.jpg"])
    with refused("1 of 3 images", "cam1/2.jpg", file=root / "val2017"):
        load_people(root, "val2017", aspect=1.0)


def test_all_pictures_of_another_size_than_their_entry_are_refused_with_both_sizes(tmp_path: Path) -> None:
    content = document(4)
    content["images"][1] |= {"width": SIDES[1], "height": SIDES[0]}
    content["images"][3] |= {"width": 640}
    root = write(tmp_path, content)
    with refused("2 of 4 images", file=annotation_file(root, "val2017"), field="images") as caught:
        load_people(root, "val2017", aspect=1.0)
    swapped, other = caught.value.problems[1:]
    assert (swapped.file, other.file) == tuple(str(root / "val2017" / name) for name in ("1.jpg", "3.jpg"))
    assert "64 x 48" in swapped.message
    assert "48 x 64" in swapped.message
    assert "EXIF" in swapped.message
    assert "64 x 48" in other.message
    assert "640 x 48" in other.message
    assert "EXIF" not in other.message


@pytest.mark.parametrize("kind", [".png", ".bmp"])
def test_sizes_are_checked_in_other_formats_too(tmp_path: Path, kind: str) -> None:
    root = moved(write(tmp_path, document(1)), [f"0{kind}"])
    cv2.imwrite(str(root / "val2017" / f"0{kind}"), np.zeros((50, 40, 3), np.uint8))
    with refused("1 of 1 images", file=annotation_file(root, "val2017")) as caught:
        load_people(root, "val2017", aspect=1.0)
    assert "40 x 50" in caught.value.problems[1].message


def test_of_many_pictures_of_another_size_twenty_are_named(tmp_path: Path) -> None:
    content = document(30)
    for image in content["images"]:
        image["height"] += 1
    with refused("30 of 30 images") as caught:
        load_people(write(tmp_path, content), "val2017", aspect=1.0)
    assert len(caught.value.problems) == 22
    assert "10 more" in caught.value.problems[-1].message


def test_a_damaged_picture_is_left_to_training_which_replaces_it(tmp_path: Path) -> None:
    root = write(tmp_path, document(2))
    (root / "val2017" / "1.jpg").write_bytes(b"")
    assert len(load_people(root, "val2017", aspect=1.0)) == 2
