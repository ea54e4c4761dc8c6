"""MPII's layout: the real annotations' numbers, people laid out in it, and what is wrong with a folder."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from helpers.mpii_folder import entry, write_split

from archlab.core.errors import InputError
from archlab.tasks.pose.data import coco
from archlab.tasks.pose.data.crops import affine, map_joints
from archlab.tasks.pose.data.dataset import PoseDataset
from archlab.tasks.pose.data.mpii import MPII, annotation_file, fingerprint, load_people, truth_file
from archlab.tasks.pose.decode import decode
from archlab.tasks.pose.metrics.pckh import pckh_figures, read_predictions, read_truth, write_predictions
from archlab.tasks.pose.options import Augmentation
from archlab.tasks.pose.synthetic import generate


@pytest.fixture(scope="module")
def real(shared, tmp_path_factory):
    """The real validation annotations under mmpose's names, with empty files for the pictures that may not be passed on."""
    root = tmp_path_factory.mktemp("mpii")
    (root / "annotations").symlink_to(shared / "data" / "mpii" / "annotations")
    (root / "images").mkdir()
    for image in {e["image"] for e in json.loads(annotation_file(root, "valid").read_text())}:
        (root / "images" / image).touch()
    return root


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Synthetic people, laid out in MPII's form under HRNet's names."""
    source = generate(tmp_path_factory.mktemp("source") / "quick", level="quick", train=8, val=12, seed=3, processes=1)
    root = tmp_path_factory.mktemp("made")
    for split, ours in (("train2017", "train"), ("val2017", "valid")):
        write_split(root, ours, coco.load_people(source, split, aspect=1.0))
    return root


def test_the_layout_is_mpii_s():
    assert MPII.count == len(MPII.sigmas) == 16
    assert MPII.flip_pairs == ((0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13))
    assert all(
        {MPII.names[a], MPII.names[b]} == {f"{s}_{MPII.names[a].split('_')[1]}" for s in ("left", "right")}
        for a, b in MPII.flip_pairs
    )
    assert [MPII.names[k] for k in range(16) if MPII.flip_order[k] == k] == [
        "pelvis",
        "thorax",
        "upper_neck",
        "head_top",
    ]
    assert MPII.upper_body == tuple(range(7, 16))
    assert sorted({end for bone in MPII.skeleton for end in bone}) == list(range(16))


def test_the_first_real_person_by_hand(real):
    people = load_people(real, "valid")
    # center (966, 340), scale 4.718488: down by 15 scale, one pixel less, 1.25 as large.
    np.testing.assert_allclose(people.centers[0], (965, 340 + 15 * 4.718488 - 1), rtol=1e-6)
    np.testing.assert_allclose(people.scales[0], (4.718488 * 1.25,) * 2, rtol=1e-6)
    assert people.image_files[people.image_index[0]].name == "005808361.jpg"
    assert people.joints[0, 0].tolist() == [803, 710]
    np.testing.assert_allclose(people.boxes[0, 2:], 4.718488 * 200)
    np.testing.assert_allclose(people.boxes[0, :2] + people.boxes[0, 2:] / 2, people.centers[0], rtol=1e-5)


def test_the_real_people_are_all_there_in_the_order_of_the_mat(real):
    people = load_people(real, "valid")
    truth = read_truth(truth_file(real))
    assert len(people) == len(truth) == 2958
    assert people.annotation_ids.tolist() == list(range(2958))
    assert (people.visible > 0).sum(axis=0).tolist() == truth.visible.sum(axis=0).tolist()
    apart = np.abs(people.joints + 1 - truth.joints).max(axis=2) > 0.02
    assert (apart & truth.visible).sum() == 13  # those with a coordinate that is lost to 0 in the .mat
    assert (np.abs(truth.joints[apart & truth.visible]).min(axis=1) < 1e-3).all()


def test_an_unmarked_centre_is_neither_moved_nor_padded(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").touch()
    write_json(tmp_path, [entry("a.jpg", [-1.0, 50.0], 2.0, [[1.0, 1.0]] * 16, [0] * 16)])
    people = load_people(tmp_path, "train")
    assert people.centers.tolist() == [[-2, 49]]
    assert people.scales.tolist() == [[2, 2]]


def test_crops_for_other_inputs_extend_the_square(real):
    wide, tall = (load_people(real, "valid", aspect=aspect).scales for aspect in (4 / 3, 3 / 4))
    side = load_people(real, "valid").scales[:, 0]
    np.testing.assert_allclose(wide, np.stack((side * 4 / 3, side), axis=1), rtol=1e-6)
    np.testing.assert_allclose(tall, np.stack((side, side * 4 / 3), axis=1), rtol=1e-6)


def test_perfect_heat_maps_of_made_people_score_a_hundred(made, tmp_path):
    people = load_people(made, "valid")
    samples = PoseDataset(people, (256, 256))
    maps = np.stack([samples[i]["target"].numpy() for i in range(len(people))])
    points, _ = decode(maps, people.centers, people.scales)
    write_predictions(tmp_path / "pred.mat", points)
    truth = read_truth(truth_file(made))
    figures = pckh_figures(read_predictions(tmp_path / "pred.mat", len(people)), truth)
    assert figures["mean_weighted"] == pytest.approx(100)
    assert truth.visible.sum() > 100
    # A network that has learnt to mirror everybody would be told apart.
    mirrored = pckh_figures(read_predictions(tmp_path / "pred.mat", len(people))[:, list(MPII.flip_order)], truth)
    assert mirrored["mean_weighted"] < 80


def test_training_samples_hold_the_people_and_their_joints(made):
    people = load_people(made, "train")
    samples = PoseDataset(people, (256, 256), augmentation=Augmentation(), seed=1)
    for i in range(len(people)):
        sample = samples[i]
        assert sample["image"].shape == (3, 256, 256)
        assert sample["target"].shape == (16, 64, 64)
        assert sample["weight"].sum() <= (people.visible[i] > 0).sum()
    assert sum(float(samples[i]["weight"].sum()) for i in range(len(people))) > 16


def test_the_whole_person_is_in_the_crop(made):
    people = load_people(made, "valid")
    for i in range(len(people)):
        inside = map_joints(
            people.joints[i], people.visible[i], affine(people.centers[i], people.scales[i], 0, (256, 256))
        )
        assert ((inside > 0) & (inside < 256))[people.visible[i] > 0].all()


def test_a_folder_is_told_by_its_annotations_and_images(made, tmp_path):
    before = fingerprint(made)
    assert before == fingerprint(made)
    (made / "images" / "more.jpg").write_bytes(b"x")
    assert fingerprint(made) != before
    (made / "images" / "more.jpg").unlink()
    assert fingerprint(made) == before
    with pytest.raises(InputError, match=r"annot/train.json or annotations/mpii_train.json is missing here"):
        fingerprint(tmp_path)


def write_json(root: Any, content: Any) -> None:
    (root / "annot").mkdir(exist_ok=True)
    (root / "annot" / "train.json").write_text(json.dumps(content))


def test_what_is_missing_is_said(tmp_path):
    with pytest.raises(
        InputError, match=r"annot/valid.json or annotations/mpii_val.json is missing here .* holds nothing"
    ):
        load_people(tmp_path, "valid")
    with pytest.raises(InputError, match="no such data folder"):
        load_people(tmp_path / "nowhere", "valid")
    with pytest.raises(InputError, match=r"annot/gt_valid.mat or annotations/mpii_gt_val.mat is missing here"):
        truth_file(tmp_path)
    write_json(tmp_path, [entry(f"{i}.jpg", [9.0, 9.0], 1.0, [[1.0, 1.0]] * 16, [1] * 16) for i in range(8)])
    with pytest.raises(InputError, match=r"the image folder is missing; train.json names its images"):
        load_people(tmp_path, "train")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "3.jpg").touch()
    with pytest.raises(InputError, match=r"7 of 8 images of train.json are missing: 0.jpg, 1.jpg, .* and 2 more"):
        load_people(tmp_path, "train")


GOOD = entry("a.jpg", [9.0, 9.0], 1.0, [[1.0, 1.0]] * 16, [1] * 16)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (7, "must be an object, not 7"),
        ({"image": "a.jpg", "center": [1, 2]}, "lacks scale, joints, joints_vis"),
        (GOOD | {"image": 5}, "image must be a file name, not 5"),
        (GOOD | {"center": [1, "2"]}, "center must be 2 finite numbers"),
        (GOOD | {"scale": 0}, "scale must be positive, not 0"),
        (GOOD | {"scale": None}, "scale must be a finite number"),
        (GOOD | {"joints": [[1, 1]] * 15}, "joints must be 16 x 2 finite numbers"),
        (GOOD | {"joints": [[1, 1]] * 15 + [[1]]}, "joints must be 16 x 2 finite numbers"),
        (GOOD | {"joints_vis": [2] * 16}, "joints_vis must be 0 or 1"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path, wrong, said):
    write_json(tmp_path, [GOOD, wrong, GOOD, wrong])
    with pytest.raises(InputError, match=rf"train.json: \[1\]: {said}[\s\S]*train.json: \[3\]: {said}"):
        load_people(tmp_path, "train")


def test_a_file_that_is_no_list_of_people_is_refused(tmp_path):
    for content in ({}, []):
        write_json(tmp_path, content)
        with pytest.raises(InputError, match="a list of people"):
            load_people(tmp_path, "train")
    (tmp_path / "annot" / "train.json").write_text("[1,")
    with pytest.raises(InputError, match=r"train.json:1:4: not JSON"):
        load_people(tmp_path, "train")
