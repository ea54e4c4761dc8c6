"""Reading people from COCO's layout, and what a user hears when the folder is not as it should be."""

import json
import shutil

import numpy as np
import pytest
from helpers import coco_folder
from helpers.coco_folder import changed, document, keypoints, write
from helpers.refused import refused

from archlab.core.errors import InputError
from archlab.tasks.images import read_image
from archlab.tasks.pose.data.coco import DETECTIONS, annotation_file, fingerprint, load_people
from archlab.tasks.pose.keypoints import COCO, layout_from_names

ASPECT = 0.75


def read(root, **more):
    return load_people(root, "val2017", aspect=ASPECT, **more)


def test_the_box_is_clipped_to_the_image_and_one_pixel_smaller_then_fitted_and_padded(tmp_path):
    # Derived by hand: x2 = min(63, 10 + 29) = 39, y2 = min(47, 5 + 39) = 44; 29 < 0.75 * 39, so the width grows.
    people = read(write(tmp_path, document(1)))
    assert people.boxes.tolist() == [[10, 5, 29, 39]]
    assert people.centers.tolist() == [[24.5, 24.5]]
    np.testing.assert_allclose(people.scales, [[29.25 / 200 * 1.25, 39 / 200 * 1.25]], rtol=1e-6)
    np.testing.assert_allclose(people.padded_areas, [29.25 * 39 * 1.5625], rtol=1e-6)


@pytest.mark.parametrize(
    ("bbox", "box"),
    [([-4, -2, 20, 10], [0, 0, 19, 9]), ([50, 40, 30, 30], [50, 40, 13, 7])],  # images are 64 x 48
)
def test_a_box_over_the_border_is_cut_as_the_reference_cuts_it(tmp_path, bbox, box):
    people = read(write(tmp_path, changed(document(1), "annotations", 0, "bbox", to=bbox)))
    assert people.boxes.tolist() == [box]


def test_joints_visibilities_areas_and_ids_come_as_written(tmp_path):
    people = read(write(tmp_path, document(2)))
    nose = COCO.names.index("nose")
    assert people.joints.shape == (2, 17, 2)
    assert people.joints[1, nose].tolist() == [13, 8]
    assert people.visible.sum(axis=1).tolist() == [8, 8]  # 2 1 2 1 2
    assert people.areas.tolist() == [900, 900]
    assert people.annotation_ids.tolist() == [100, 101]
    assert people.scores.tolist() == [1, 1]
    assert [file.name for file in people.image_files] == ["0.jpg", "1.jpg"]
    assert people.layout is COCO


def test_a_list_nested_too_deeply_and_a_number_too_long_are_refused(tmp_path):
    for content in ("[" * 100_000 + "]" * 100_000, "[" + "9" * 5000 + "]"):
        with refused(file=annotation_file(tmp_path, "val2017")):
            read(write(tmp_path, content))


def test_crowds_people_without_labelled_joints_and_boxes_without_area_are_dropped_with_a_note(tmp_path):
    content = document(6)
    content["annotations"][5]["area"] = 0
    content["annotations"][1]["iscrowd"] = 1
    content["annotations"][2]["keypoints"] = keypoints()
    content["annotations"][3]["bbox"] = [10.0, 5.0, 1.0, 40.0]
    people = read(write(tmp_path, content))
    assert people.annotation_ids.tolist() == [100, 104]
    assert [file.name for file in people.image_files] == ["0.jpg", "4.jpg"]
    assert people.notes == (
        "person_keypoints_val2017.json: ignored 1 people without a labelled keypoint",
        "person_keypoints_val2017.json: ignored 1 people with an area of 0 or less",
        "person_keypoints_val2017.json: ignored 1 people with an empty box",
    )


@pytest.mark.parametrize(
    ("change", "count"),
    [
        ({"area": 0}, "3 with an area of 0 or less"),
        ({"bbox": [70, 5, 30, 40]}, "3 with an empty box"),
        ({"keypoints": keypoints()}, "3 without a labelled keypoint"),
        ({"iscrowd": 1}, "3 in crowds"),
        ({"category_id": 7}, "3 of other categories"),
    ],
)
def test_if_nobody_is_left_the_reason_is_given_with_its_count(tmp_path, change, count):
    content = document(3)
    for annotation in content["annotations"]:
        annotation |= change
    with refused(count, file=annotation_file(tmp_path, "val2017")):
        read(write(tmp_path, content))


def test_a_crowd_may_lack_keypoints(tmp_path):
    content = document(2)
    content["annotations"][1] = {"id": 7, "image_id": 1, "category_id": 1, "iscrowd": 1}
    assert len(read(write(tmp_path, content))) == 1


def test_a_subset_keeps_the_chosen_people_and_only_their_images(tmp_path):
    part = read(write(tmp_path, document(4))).subset([3, 1])
    assert part.annotation_ids.tolist() == [103, 101]
    assert [part.image_files[i].name for i in part.image_index] == ["3.jpg", "1.jpg"]
    assert len(part.image_files) == 2


def test_detector_boxes_are_taken_whole_without_a_score_threshold_and_foreign_ones_are_counted(tmp_path):
    box = {"image_id": 1, "category_id": 1, "bbox": [-3, 2.5, 20, 30], "score": 0.01}
    detections = [box, box | {"category_id": 2}, box | {"image_id": 99}, box | {"bbox": [1, 1, 0, 5]}]
    people = read(write(tmp_path, document(), detections=detections), boxes="detector")
    assert people.boxes.tolist() == [[-3, 2.5, 20, 30]]
    assert people.scores.tolist() == [0.01]
    assert people.annotation_ids.tolist() == [-1]
    assert not people.visible.any()
    assert len(people.notes) == 2
    assert all(note.startswith(f"{DETECTIONS.name}: ") and "1 detections" in note for note in people.notes)


def test_a_file_with_keypoints_of_its_own_brings_its_layout(tmp_path):
    content = document(1)
    content["categories"] = [{"id": 4, "keypoints": ["nose", "left_hoof", "right_hoof"], "skeleton": [[1, 2], [1, 3]]}]
    content["annotations"][0] |= {"category_id": 4, "keypoints": [20, 10, 2, 15, 40, 1, 0, 0, 0]}
    people = read(write(tmp_path, content))
    assert people.layout.flip_pairs == ((1, 2),)
    assert people.layout.skeleton == ((0, 1), (0, 2))
    assert people.layout.sigmas[0] == COCO.sigmas[0]
    assert people.category == 4
    assert people.joints.shape == (1, 3, 2)


def test_the_coco_layout_is_known_by_its_names_and_its_pairs_by_left_and_right():
    assert layout_from_names(COCO.names, []) is COCO
    other = layout_from_names(COCO.names[:16], [])
    assert other.flip_pairs == COCO.flip_pairs[:7]
    assert other.upper_body == COCO.upper_body
    assert sorted(COCO.flip_order) == list(range(17))


def test_the_real_subset_has_the_people_that_its_source_file_counts(shared):
    root = shared / "data" / "coco"
    for split, people, pictures in (("train2017", 115, 40), ("val2017", 161, 59)):
        loaded = load_people(root, split, aspect=ASPECT)
        assert len(loaded) == people
        assert len(loaded.image_files) <= pictures
    detected = load_people(root, "val2017", aspect=ASPECT, boxes="detector")
    assert (len(detected), len(detected.image_files), detected.notes) == (118, 4, ())


def test_the_fingerprint_follows_annotations_and_images_and_not_the_place(tmp_path):
    root = write(tmp_path / "a", document())
    first = fingerprint(root)
    moved = shutil.copytree(root, tmp_path / "b")
    assert fingerprint(moved) == first
    (moved / "val2017" / "1.jpg").write_bytes(b"shorter")
    assert fingerprint(moved) != first
    annotation_file(root, "val2017").write_text(json.dumps(document(), indent=1))
    assert fingerprint(root) != first


# What a user hears.


def says(*words, root, **more):
    with pytest.raises(InputError) as caught:
        read(root, **more)
    text = str(caught.value)
    for word in words:
        assert word in text, text
    return caught.value.problems


def test_a_missing_folder_is_named_with_the_nearest(tmp_path):
    write(tmp_path / "coco", document())
    says("no such data folder", "did you mean 'coco'?", root=tmp_path / "cocoo")


def test_a_missing_annotation_file_is_named_with_the_layout(tmp_path):
    (tmp_path / "images").mkdir()
    says("annotations/person_keypoints_val2017.json is missing", "the folder holds images", root=tmp_path)
    with refused("annotations/person_keypoints_", file=tmp_path):
        fingerprint(tmp_path)


def test_a_missing_detection_file_is_named(tmp_path):
    says(str(DETECTIONS), root=write(tmp_path, document()), boxes="detector")


def test_malformed_json_has_its_line_and_column(tmp_path):
    (problem,) = says("not JSON", root=write(tmp_path, '{"images": [],\n "annotations": [1,, 2]}'))
    assert (problem.line, problem.column) == (2, 20)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    root = write(tmp_path, document())
    annotation_file(root, "val2017").write_bytes(b'{"a": "\xff"}')
    says("not UTF-8", root=root)


@pytest.mark.parametrize(
    ("path", "to", "words"),
    [
        (("annotations", 1, "keypoints"), [1, 2, 2], "3 x 17 = 51 numbers, not 3 values"),
        (("annotations", 1, "keypoints"), None, "51 numbers, not None"),
        (
            ("annotations", 1, "keypoints"),
            [5.0, 5.0, 7] + [0] * 48,
            "keypoints[2] (keypoint 0, visibility) must be 0, 1 or 2",
        ),
        (("annotations", 1, "keypoints"), [float("nan"), 5.0, 2] + [0] * 48, "keypoints[0] (keypoint 0, x)"),
        (("annotations", 1, "keypoints"), [0.0] * 40 + [float("nan")] + [0.0] * 10, "keypoints[40] (keypoint 13, y)"),
        (("annotations", 1, "keypoints"), [0.0] * 40 + [10**400] + [0.0] * 10, "keypoints[40] (keypoint 13, y)"),
        (("annotations", 1, "iscrowd"), "0", "annotations[1] (id 101): iscrowd must be 0 or 1, not '0'"),
        (("annotations", 1, "iscrowd"), 2, "annotations[1] (id 101): iscrowd must be 0 or 1, not 2"),
        (("annotations", 1, "iscrowd"), None, "iscrowd must be 0 or 1, not None"),
        (
            ("annotations", 1, "category_id"),
            "1",
            "annotations[1] (id 101): category_id must be a whole number, not '1'",
        ),
        (("annotations", 1, "id"), 2**63, "whole number as id"),
        (("images", 1, "id"), 10**400, "images[1]"),
        (("images", 1, "file_name"), "../val2017/1.jpg", "images[1] (id 1): file_name"),
        (("images", 1, "file_name"), "a/../1.jpg", "'a/../1.jpg'"),
        (("images", 1, "file_name"), "/1.jpg", "'/1.jpg'"),
        (("images", 1, "file_name"), "", "images[1] (id 1): file_name"),
        (("annotations", 1, "image_id"), 77, "image_id 77 "),
        (("annotations", 1, "image_id"), [1], "image_id [1] "),
        (("annotations", 1, "bbox"), [1, 2, 3], "four finite numbers"),
        (("annotations", 1, "bbox"), [1, 2, 3, "4"], "four finite numbers"),
        (("annotations", 1, "id"), "x", "whole number as id"),
        (("annotations", 1, "id"), 100, "annotations[1] (id 100): "),
        (("annotations", 1, "area"), "big", "area must be a finite number"),
        (("annotations", 1), 3, "annotations[1] must be an object"),
        (("annotations",), None, "`annotations` must be a list"),
        (("annotations",), [], "no person with a labelled keypoint"),
        (("images",), [], "`images` is empty"),
        (("images", 1, "id"), 0, "images[1]: the id 0 "),
        (("images", 1, "width"), 0, "must be positive"),
        (("images", 1, "file_name"), 4, "text `file_name`"),
        (("categories", 0, "keypoints"), [1], "list of names"),
        (("categories", 0, "skeleton"), [[1, 99]], "`skeleton`"),
        (("categories", 0, "id"), None, "whole number `id`"),
        (("categories",), [{"id": 2}, {"id": 3, "name": "dog"}], "2 may be meant: 2 (without a name), 3 (dog)"),
        (("categories", 0, "keypoints"), ["nose"] * 17, "'nose'"),
    ],
)
def test_a_wrong_annotation_file_is_refused_with_the_rule(tmp_path, path, to, words):
    # The images are written first, because some of these documents have none.
    root = write(tmp_path, document())
    annotation_file(root, "val2017").write_text(json.dumps(changed(document(), *path, to=to)))
    says(words, "person_keypoints_val2017.json", root=root)


def test_a_list_for_an_annotation_file_is_refused(tmp_path):
    says("is an object with `images` and `annotations`", root=write(tmp_path, "[]"))


def test_all_wrong_annotations_are_named_at_once_and_many_are_counted(tmp_path):
    content = document(30)
    for annotation in content["annotations"][2:]:
        annotation["bbox"] = []
    problems = says("annotations[2] (id 102)", "and 8 more", root=write(tmp_path, content))
    assert len(problems) == 21


@pytest.mark.parametrize(
    ("detections", "words"),
    [
        ({}, "a detection file is a list"),
        ([3], "[0]: must be an object"),
        ([{"image_id": 1, "bbox": [1, 2, 3, 4]}], "[0]: lacks category_id, score"),
        ([{"image_id": [1], "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1}], "image_id must be a whole number"),
        ([{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3], "score": 1}], "four finite numbers"),
        ([{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": "high"}], "score must be a finite number"),
    ],
)
def test_a_wrong_detection_file_is_refused_with_the_rule(tmp_path, detections, words):
    says(words, DETECTIONS.name, root=write(tmp_path, document(), detections=detections), boxes="detector")


def test_missing_images_are_listed_and_counted(tmp_path):
    root = write(tmp_path, document(9))
    for i in range(1, 8):
        (root / "val2017" / f"{i}.jpg").unlink()
    says("7 of 9 images", "1.jpg, 2.jpg, 3.jpg, 4.jpg, 5.jpg and 2 more", root=root)


def test_a_missing_image_folder_is_named(tmp_path):
    root = write(tmp_path, document())
    shutil.rmtree(root / "val2017")
    says("the image folder is missing", root=root)


def test_the_images_of_the_tests_are_read_as_rgb_of_their_size(tmp_path):
    people = read(write(tmp_path, document(1)))
    width, height = coco_folder.SIDES
    image = read_image(people.image_files[0])
    assert image.shape == (height, width, 3)
    assert image.dtype == np.uint8
