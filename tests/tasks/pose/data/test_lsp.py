"""Leeds Sports Pose, both editions, from joints.mat and images to people in COCO's layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from helpers import tiny
from helpers.lsp_folder import joints, source
from helpers.training import train
from scipy.io import savemat

from archlab.cli import main
from archlab.core.errors import InputError
from archlab.tasks.pose.data import lsp
from archlab.tasks.pose.data.coco import load_people
from archlab.training.recipe import load_recipe
from archlab.training.runs import read_record


@pytest.mark.parametrize(("edition", "first", "split"), [("lsp", "coordinates", 10), ("lspet", "joints", 18)])
def test_an_edition_becomes_people_of_fourteen_joints(
    tmp_path: Path, edition: str, first: str, split: int, capsys: pytest.CaptureFixture[str]
) -> None:
    root = source(tmp_path, edition, first=first)
    assert main(["data", "convert", edition, str(root), "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path / 'out'} train2017: {split} labelled people", f"{tmp_path / 'out'} val2017: {20 - split} labelled people",
    ]  # fmt: skip
    people = load_people(tmp_path / "out", "val2017", aspect=1.0)
    made = joints(edition)[split:]
    flags = made[:, :, 2].astype(int)
    wanted = np.where(flags, 1, 2) if edition == "lsp" else 2 * flags
    assert people.visible.tolist() == wanted.tolist()
    shown = people.visible > 0
    np.testing.assert_allclose(people.joints[shown], made[:, :, :2][shown], atol=1e-5)
    assert people.layout.names == lsp.JOINTS
    assert people.layout.sigmas[:3] == (0.089, 0.087, 0.107)
    assert people.layout.sigmas[-2:] == (0.079, 0.079)
    assert {tuple(sorted(pair)) for pair in people.layout.flip_pairs} == {
        (0, 5),
        (1, 4),
        (2, 3),
        (6, 11),
        (7, 10),
        (8, 9),
    }
    assert people.layout.upper_body == (6, 7, 8, 9, 10, 11, 12, 13)


def test_the_people_of_a_selection_are_training_people_of_the_whole_set(tmp_path: Path) -> None:
    root = source(tmp_path, "lspet")
    for name in ("lspet", "lspet_selection"):
        assert main(["data", "convert", name, str(root), "--out", str(tmp_path / name)]) == 0
    ids = {
        (name, split): set(load_people(tmp_path / name, f"{split}2017", aspect=1.0).image_ids)
        for name in ("lspet", "lspet_selection")
        for split in ("train", "val")
    }
    assert ids["lspet_selection", "train"] == set(range(1, 17))
    assert ids["lspet_selection", "val"] == {17, 18}
    assert ids["lspet", "train"] == set(range(1, 19))
    assert ids["lspet", "val"] == {19, 20}


def test_a_box_is_the_extent_of_the_joints_with_a_tenth_of_its_longer_side_inside_the_image() -> None:
    points = np.array([[20.0, 30.0], [40.0, 80.0]])
    assert lsp.box_of(points, (100, 100)) == (15.0, 25.0, 30.0, 60.0)
    assert lsp.box_of(points, (42, 82)) == (15.0, 25.0, 27.0, 57.0)
    assert lsp.box_of(np.array([[-9.0, 5.0]]), (42, 82)) == (0.0, 5.0, 1.0, 1.0)


def test_a_person_without_an_annotated_joint_is_left_out(tmp_path: Path) -> None:
    made = joints("lspet")
    made[3, :, 2] = 0
    lsp.write_lspet(source(tmp_path, "lspet", made), tmp_path / "out")
    document = json.loads((tmp_path / "out" / "annotations" / "person_keypoints_train2017.json").read_text())
    assert [image["id"] for image in document["images"]] == [n for n in range(1, 19) if n != 4]
    assert not (tmp_path / "out" / "train2017" / "im00004.jpg").exists()


@pytest.mark.parametrize("values", [np.zeros((14, 2, 5)), np.zeros((15, 3, 5)), np.zeros((14, 3))])
def test_joints_of_another_shape_are_refused(tmp_path: Path, values: np.ndarray[Any, Any]) -> None:
    savemat(tmp_path / "joints.mat", {"joints": values})
    with pytest.raises(InputError, match="14 x 3 x N") as caught:
        lsp.read_joints(tmp_path / "joints.mat")
    (problem,) = caught.value.problems
    assert (problem.file, problem.field) == (str(tmp_path / "joints.mat"), "joints")


def test_a_place_that_is_no_number_is_named(tmp_path: Path) -> None:
    made = joints("lspet")
    made[4, 6, 1] = np.nan
    savemat(tmp_path / "joints.mat", {"joints": made.transpose(1, 2, 0)})
    with pytest.raises(InputError, match="joint 7 of person 5"):
        lsp.read_joints(tmp_path / "joints.mat")


def test_all_missing_and_damaged_images_are_named_and_nothing_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = source(tmp_path, "lspet")
    (root / "images" / "im00002.jpg").unlink()
    (root / "images" / "im00007.jpg").write_bytes(b"")
    assert main(["data", "convert", "lspet", str(root), "--out", str(tmp_path / "out"), "--quiet"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [name in line for name, line in zip(("im00002.jpg", "im00007.jpg"), lines, strict=True)] == [True, True]
    assert {path.name for path in tmp_path.iterdir()} == {"source"}


def test_a_run_on_it_is_scored_by_the_torso_too(tmp_path: Path) -> None:
    lsp.write_lspet(source(tmp_path, "lspet"), tmp_path / "out")
    recipe = load_recipe("lsp_96").changed(budgets=(4, 8), batch=4, eval_batch=4)
    spec = tiny.make_spec(tmp_path, size=96, outputs=14)
    record = read_record(train(spec, recipe, tmp_path / "out", out=tmp_path / "runs"))
    assert record.data["kind"] == "lsp"
    scores = record.scores["ground_truth_boxes"]
    assert {"pck_torso", "pck", "mean_oks", "AP", *(f"pck_torso_{name}" for name in lsp.JOINTS)} <= set(scores)
    assert record.baseline["mean_pose"]["pck_torso"] == pytest.approx(100.0)


def test_the_real_set_splits_as_measured(shared: Path, tmp_path: Path) -> None:
    found = lsp.read_joints(shared / "data" / "lspet" / "joints.mat")
    assert found.shape == (10_000, 14, 3)
    hip, shoulder = found[9000:, 2, 2] > 0, found[9000:, 9, 2] > 0
    assert int((~(hip & shoulder)).sum()) == 263
