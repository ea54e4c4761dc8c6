"""Scoring folders of label pictures of any tool, by the command."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from helpers.refused import refused
from helpers.street_folder import load, save

from archlab.cli import main
from archlab.tasks.segmentation.score_files import score_folders


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two pictures: of four pixels of class 0 one is found; of class 1 all; one pixel is ignored."""
    truth, found = tmp_path / "truth", tmp_path / "found"
    save(truth / "a.png", np.array([[0, 0, 1], [0, 255, 1]], np.uint8))
    save(found / "a.png", np.array([[0, 1, 1], [1, 0, 1]], np.uint8))
    save(truth / "b.png", np.array([[0, 1]], np.uint8))
    save(found / "b.png", np.array([[255, 1]], np.uint8))
    return truth, found


def test_one_matrix_over_the_set_gives_the_figures_unrounded(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    truth, found = folders
    assert main(["score", "segmentation", str(truth), str(found), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    # 4 pixels of class 0, 1 found, none wrongly; 3 of class 1, all found, 2 too many.
    assert scores["iou"] == {"0": 25.0, "1": 60.0}
    assert scores["miou"] == 42.5
    assert scores["pixel_accuracy"] == pytest.approx(400 / 7, abs=1e-12)
    assert main(["score", "segmentation", str(truth), str(found)]) == 0
    assert "42.500" in capsys.readouterr().out


def test_the_known_answer_is_reproduced_to_the_last_digit(
    shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = shared / "data" / "known_answer" / "segmentation_bdd100k_toolkit"
    for kind in ("gt", "pred"):
        save(tmp_path / kind / "a.png", load(known / f"{kind}_a.png"))
    assert main(["score", "segmentation", str(tmp_path / "gt"), str(tmp_path / "pred"), "--json"]) == 0
    published = json.loads((known / "expected.json").read_text())["published"]
    assert json.loads(capsys.readouterr().out)["miou"] == published["mIoU_percent"]


def test_label_ids_are_read_by_their_classes_and_cityscapes_endings_are_no_part_of_a_stem(tmp_path: Path):
    truth, found = tmp_path / "gtFine", tmp_path / "found"
    for name, value in (("labelIds", 7), ("labelTrainIds", 0), ("color", 9)):
        save(truth / "ulm" / f"ulm_1_gtFine_{name}.png", np.full((2, 3), value, np.uint8))
    guess = np.full((2, 3), 7, np.uint8)
    guess[0, 0] = 8
    save(found / "ulm_1_leftImg8bit.png", guess)
    scores = score_folders(truth, found, label_ids=True)
    assert scores["iou"] == {"road": pytest.approx(500 / 6)}
    save(found / "ulm_1_leftImg8bit.png", (guess == 8).astype(np.uint8))
    assert score_folders(truth, found)["iou"] == {"0": pytest.approx(500 / 6)}
    assert score_folders(truth, found, classes="cityscapes")["iou"] == {"road": pytest.approx(500 / 6)}


def test_every_picture_without_a_prediction_is_named(folders: tuple[Path, Path]):
    truth, found = folders
    (found / "b.png").unlink()
    with refused("b", found, file=truth / "b.png"):
        score_folders(truth, found)


def test_a_prediction_of_another_size_is_refused(folders: tuple[Path, Path]):
    truth, found = folders
    save(found / "b.png", np.zeros((2, 2), np.uint8))
    with refused("2 x 2", "2 x 1", file=found / "b.png"):
        score_folders(truth, found)


def test_values_outside_the_classes_are_refused_in_either_folder(folders: tuple[Path, Path], tmp_path: Path):
    truth, found = folders
    classes = tmp_path / "classes.yaml"
    classes.write_text("names: [one]\n")
    with refused("1 (2 pixels)", file=truth / "a.png"):
        score_folders(truth, found, classes=classes)


@pytest.mark.parametrize("which", [0, 1])
def test_a_folder_that_is_missing_or_empty_is_refused(folders: tuple[Path, Path], tmp_path: Path, which: int):
    given = list(folders)
    given[which] = tmp_path / "none"
    with refused(file=tmp_path / "none"):
        score_folders(*given)
    (tmp_path / "none").mkdir()
    with refused(".png", file=tmp_path / "none"):
        score_folders(*given)


def test_two_pictures_of_one_stem_are_refused(folders: tuple[Path, Path]):
    truth, found = folders
    save(truth / "more" / "a.png", np.zeros((2, 3), np.uint8))
    with refused("a", truth / "a.png", file=truth / "more" / "a.png"):
        score_folders(truth, found)


def test_a_label_whose_header_claims_absurd_sides_is_refused(folders: tuple[Path, Path]) -> None:
    path = folders[1] / "a.png"
    stored = path.read_bytes()
    header = struct.pack(">II", 60000, 60000) + stored[24:29]
    path.write_bytes(stored[:12] + b"IHDR" + header + struct.pack(">I", zlib.crc32(b"IHDR" + header)) + stored[33:])
    with refused("60000 x 60000", file=path):
        score_folders(*folders)
