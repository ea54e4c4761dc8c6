"""Classes: Cityscapes' and CamVid's tables, and a user's own file with its mistakes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from helpers.refused import refused

from archlab.core.errors import InputError
from archlab.tasks.segmentation.classes import CAMVID, CITYSCAPES, IGNORE, UNKNOWN, read_classes

# Cityscapes' label ids by train id, and CamVid's classes with Cityscapes' label ids.
TRAIN_IDS = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13, 27: 14,
             28: 15, 31: 16, 32: 17, 33: 18}  # fmt: skip
IN_CAMVID = {"sky": 23, "building": 11, "pole": 17, "road": 7, "sidewalk": 8, "vegetation": 21, "traffic sign": 20,
             "fence": 13, "car": 26, "person": 24, "rider": 25}  # fmt: skip


def test_label_ids_of_cityscapes_become_its_19_train_ids_and_the_rest_is_ignored():
    expected = [TRAIN_IDS.get(value, IGNORE) for value in range(34)]
    assert CITYSCAPES.table[:34].tolist() == expected
    assert set(CITYSCAPES.table[34:255].tolist()) == {UNKNOWN}
    assert CITYSCAPES.table[255] == IGNORE
    assert len(CITYSCAPES) == 19
    assert CITYSCAPES.palette[0].tolist() == [128, 64, 128]


def test_camvid_has_11_classes_in_the_order_of_segnet():
    assert dict(zip(CAMVID.names, (values[0] for values in CAMVID.values), strict=True)) == IN_CAMVID
    assert list(CAMVID.names) == list(IN_CAMVID)
    assert CAMVID.table[19] == IGNORE


def test_train_ids_are_themselves_and_255_is_ignored():
    table = CAMVID.train_table
    assert table[:11].tolist() == list(range(11))
    assert table[11] == UNKNOWN
    assert table[255] == IGNORE


def written(folder: Path, text: str) -> Path:
    (folder / "classes.yaml").write_text(text)
    return folder


def test_a_folders_own_classes_come_before_those_of_the_data_set(tmp_path: Path):
    own = "names: [wet, dry]\nids: [[3, 4], 9]\nignore: [0]\nweights: [1, 2.5]\ncolours: [[1, 2, 3], [4, 5, 6]]\n"
    classes = read_classes(written(tmp_path, own), "cityscapes")
    assert classes.names == ("wet", "dry")
    assert classes.weights == (1.0, 2.5)
    assert classes.table[[0, 3, 4, 9, 5]].tolist() == [IGNORE, 0, 0, 1, UNKNOWN]
    assert classes.palette[1].tolist() == [4, 5, 6]
    assert read_classes(tmp_path / "elsewhere", "camvid") is CAMVID
    assert read_classes(None, "cityscapes") is CITYSCAPES


def test_classes_without_colours_get_different_ones(tmp_path: Path):
    classes = read_classes(written(tmp_path, "names: [a, b, c, d, e, f, g, h]\n"), "cityscapes")
    assert len(np.unique(classes.palette[:8], axis=0)) == 8
    assert [values[0] for values in classes.values] == list(range(8))


@pytest.mark.parametrize(
    ("text", "line", "field", "value"),
    [
        ("names: [a, b]\nweights: [1, 2, 3]\n", 2, "weights", "3 entries for 2"),
        ("names: [a, b]\ncolours: [[1, 2, 3]]\n", 2, "colours", "1 entries for 2"),
        ("names: [a, b]\nids: [7]\n", 2, "ids", "1 entries for 2"),
        ("names: [a, b]\nids: [7, [8, 7]]\n", 2, "ids", "[7]"),
        ("names: [a, b]\nignore: [1]\n", 2, "ignore", "[1]"),
        ("names: [a, a]\n", 1, "names", ""),
        ("names: [a, b]\nids: [7, 256]\n", 2, "ids.1", "256"),
        ("names: [a, b]\nweights: [1, 0]\n", 2, "weights.1", "above 0"),
        ("names: [a, b]\nweight: [1, 1]\n", 2, "weight", "weights"),
    ],
)
def test_a_mistake_in_the_file_is_reported_at_its_line(tmp_path: Path, text: str, line: int, field: str, value: str):
    with refused(value, file=tmp_path / "classes.yaml", line=line, field=field):
        read_classes(written(tmp_path, text), "cityscapes")


def test_all_mistakes_of_a_file_are_reported_at_once(tmp_path: Path):
    with pytest.raises(InputError) as caught:
        read_classes(written(tmp_path, "names: [a, b]\nweights: [1]\ncolours: []\n"), "cityscapes")
    assert [problem.field for problem in caught.value.problems] == ["weights", "colours"]
