"""Affine crops against figures derived by hand, and augmentation that depends on nothing but its key."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from helpers.coco_folder import document, write
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from archlab.tasks.images import read_image
from archlab.tasks.pixels import normalise, sample_generator
from archlab.tasks.pose.data.coco import load_people
from archlab.tasks.pose.data.crops import (
    Placement,
    affine,
    augment,
    crop,
    fit_boxes,
    flip,
    half_body,
    map_joints,
    mirror,
    shift_centers,
)
from archlab.tasks.pose.data.dataset import PoseDataset
from archlab.tasks.pose.keypoints import COCO
from archlab.tasks.pose.options import NO_AUGMENTATION, Augmentation

SIZE = (192, 256)
SAME_SIZE = np.array([192 / 200, 256 / 200], dtype=np.float32)


def person(random: np.random.Generator | None = None, *, labelled: int = 17) -> Placement:
    random = random or np.random.default_rng(0)
    joints = random.uniform(20, 180, (17, 2)).astype(np.float32)
    visible = np.where(np.arange(17) < labelled, 2, 0)
    return Placement(np.array([100.0, 90.0], np.float32), SAME_SIZE, joints, visible)


def test_a_crop_of_its_own_size_is_a_shift():
    # The box centre (100, 100) goes to the crop's centre (96, 128) at scale 1.
    matrix = affine(np.array([100.0, 100.0]), SAME_SIZE, 0, SIZE)
    np.testing.assert_allclose(matrix, [[1, 0, -4], [0, 1, 28]], atol=1e-4)


def test_only_the_width_of_the_scale_enters():
    # 0.96 * 200 / 2 = 96 pixels for 192: twice as large, whatever the height says.
    matrix = affine(np.array([50.0, 60.0]), np.array([0.48, 99.0]), 0, SIZE)
    np.testing.assert_allclose(matrix, [[2, 0, 96 - 100], [0, 2, 128 - 120]], atol=1e-4)


def test_a_quarter_turn_brings_the_right_side_to_the_top():
    # x' = y - 100 + 96, y' = 128 - (x - 100)
    matrix = affine(np.array([100.0, 100.0]), SAME_SIZE, 90, SIZE)
    np.testing.assert_allclose(matrix, [[0, 1, -4], [-1, 0, 228]], atol=1e-4)


def test_a_box_is_extended_to_the_aspect_and_padded():
    # 100 x 50 is wider than 3:4, so its height becomes 100 / 0.75; 20 x 80 becomes 60 x 80.
    centers, scales = fit_boxes(np.array([[10, 20, 100, 50], [0, 0, 20, 80]]), 0.75)
    assert centers.tolist() == [[60, 45], [10, 40]]
    np.testing.assert_allclose(scales * 200 / 1.25, [[100, 100 / 0.75], [60, 80]], rtol=1e-6)


def test_pixels_and_joints_move_together():
    image = np.zeros((300, 200, 3), np.uint8)
    image[120, 70] = 255
    matrix = affine(np.array([100.0, 100.0]), SAME_SIZE / 2, 30, SIZE)
    x, y = map_joints(np.array([[70.0, 120.0]]), np.array([2]), matrix)[0]
    moved = crop(image, matrix, SIZE)[:, :, 0].astype(float)
    assert moved.shape == (256, 192)
    rows, columns = np.mgrid[: moved.shape[0], : moved.shape[1]]
    assert (moved * columns).sum() / moved.sum() == pytest.approx(x, abs=0.05)
    assert (moved * rows).sum() / moved.sum() == pytest.approx(y, abs=0.05)


def test_outside_the_image_is_black():
    matrix = affine(np.array([0.0, 0.0]), SAME_SIZE, 0, SIZE)
    moved = crop(np.full((300, 300, 3), 200, np.uint8), matrix, SIZE)
    assert (moved[:128] == 0).all()
    assert (moved[:, :96] == 0).all()
    assert (moved[128:, 96:] == 200).all()


def test_unlabelled_joints_stay_where_they_were():
    joints = np.zeros((2, 2), np.float32)
    matrix = affine(np.array([100.0, 100.0]), SAME_SIZE, 0, SIZE)
    np.testing.assert_allclose(map_joints(joints, np.array([0, 1]), matrix), [[0, 0], [-4, 28]], atol=1e-4)


def test_normalisation_is_the_published_mean_and_deviation():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    out = normalise(pixels)
    assert (out.shape, out.dtype) == ((3, 5, 7), np.float32)
    np.testing.assert_allclose(out, ((pixels / 255 - mean) / deviation).transpose(2, 0, 1), atol=1e-6)


def test_a_flip_mirrors_centre_and_joints_and_swaps_sides():
    place = person()
    other = flip(place, COCO, 200)
    left, right = COCO.names.index("left_wrist"), COCO.names.index("right_wrist")
    assert other.joints[left].tolist() == [199 - place.joints[right, 0], place.joints[right, 1]]
    assert other.center.tolist() == [99, 90]
    back = flip(other, COCO, 200)
    assert not back.flipped
    np.testing.assert_array_equal(back.center, place.center)
    np.testing.assert_allclose(back.joints, place.joints, atol=1e-4)


def test_the_crop_of_the_mirrored_image_is_the_mirrored_crop_one_pixel_on():
    # The crop's centre is pixel 96 of 0..191, not 95.5; flip_back's shift makes up for the same in heat-maps.
    image = cv2.blur(np.random.default_rng(0).integers(0, 256, (256, 200, 3), dtype=np.uint8), (3, 3))
    place = person()
    other = flip(place, COCO, 200)
    straight = crop(image, affine(place.center, place.scale, 0, SIZE), SIZE)
    mirrored = crop(mirror(image), affine(other.center, other.scale, 0, SIZE), SIZE)
    assert np.abs(mirrored[:, 1:].astype(int) - straight[:, :0:-1]).max() <= 1


def test_a_half_body_is_centred_on_the_mean_of_its_joints_and_fits_their_box():
    place = person()
    joints = place.joints.copy()
    joints[:11] = np.linspace((10, 10), (50, 30), 11)
    chosen = half_body(replace(place, joints=joints), COCO, FixedNormal(0.0), aspect=0.75)
    # Box 40 x 20, wider than 3:4: 40 x 53.3, times 1.5.
    np.testing.assert_allclose(chosen.center, (30, 20), rtol=1e-6)
    np.testing.assert_allclose(chosen.scale * 200, (60, 80), rtol=1e-5)


class FixedNormal:
    """Draws that are always the same number."""

    def __init__(self, value: float) -> None:
        self.value = value

    def standard_normal(self) -> float:
        return self.value


@pytest.mark.parametrize(
    ("labelled", "draw", "chosen"),
    [
        (range(17), 0.49, range(11)),
        (range(17), 0.51, range(11, 17)),
        ((0, 1, 11, 12, 13), 0.0, (11, 12, 13)),  # two upper joints are too few
        ((0, 1, 2, 11, 12), 9.0, (0, 1, 2)),  # two lower joints are too few
        ((0, 11), 0.0, None),  # fewer than two upper joints remain: no change
    ],
)
def test_which_half_is_taken_follows_the_reference(labelled, draw, chosen):
    place = replace(person(), visible=np.isin(np.arange(17), list(labelled)).astype(int))
    other = half_body(place, COCO, FixedNormal(draw), aspect=0.75)
    if chosen is None:
        assert other is place
    else:
        np.testing.assert_allclose(other.center, place.joints[list(chosen)].mean(axis=0), rtol=1e-6)


def test_joints_all_in_one_place_make_no_half_body():
    place = replace(person(), joints=np.full((17, 2), 5, np.float32))
    assert half_body(place, COCO, FixedNormal(0.0), aspect=0.75) is place


def drawn(augmentation: Augmentation, count: int = 4000, **more) -> list[Placement]:
    place = person(**more)
    return [
        augment(place, augmentation, sample_generator(1, 0, i), COCO, image_width=200, aspect=0.75)
        for i in range(count)
    ]


def test_augmentation_has_the_released_probabilities_and_limits():
    # Bands of four standard errors around the released constants, 4000 draws.
    places = drawn(replace(Augmentation(), half_body_probability=0.0))
    factor = np.array([p.scale[0] for p in places]) / SAME_SIZE[0]
    degrees = np.array([p.rotation_degrees for p in places])
    assert np.mean([p.flipped for p in places]) == pytest.approx(0.5, abs=0.032)
    assert (factor.min(), factor.max()) == pytest.approx((0.75, 1.25))
    assert np.mean(factor == factor.max()) == pytest.approx(0.1587, abs=0.024)  # beyond one deviation
    assert np.mean(degrees != 0) == pytest.approx(0.6, abs=0.031)
    assert np.abs(degrees).max() == 60
    assert np.std(degrees[np.abs(degrees) < 60]) > 20


def test_a_half_body_needs_more_than_eight_labelled_joints_and_is_the_upper_one_in_69_of_100():
    only = replace(NO_AUGMENTATION, half_body_probability=0.3)
    assert all((p.center == person().center).all() for p in drawn(only, 300, labelled=8))
    place = person()
    centers = [tuple(p.center) for p in drawn(only)]
    upper, lower = (tuple(place.joints[part].mean(axis=0)) for part in (slice(11), slice(11, 17)))
    changed = [c for c in centers if c != tuple(place.center)]
    assert len(changed) / 4000 == pytest.approx(0.3, abs=0.029)
    assert {*changed} == {upper, lower}
    assert np.mean([c == upper for c in changed]) == pytest.approx(0.6915, abs=0.054)


def test_no_augmentation_changes_nothing():
    place = person()
    for other in drawn(NO_AUGMENTATION, 50):
        assert other.rotation_degrees == 0
        assert not other.flipped
        np.testing.assert_array_equal(other.scale, place.scale)
        np.testing.assert_array_equal(other.center, place.center)


def test_centres_move_by_at_most_a_fifth_of_the_box_for_three_in_ten():
    boxes = np.tile([0.0, 0.0, 50.0, 100.0], (4000, 1))
    centers = np.zeros((4000, 2), np.float32)
    moved = shift_centers(centers, boxes, Augmentation(), seed=3)
    assert np.mean(moved.any(axis=1)) == pytest.approx(0.3, abs=0.029)
    assert (np.abs(moved) <= [10, 20]).all()
    assert (np.abs(moved).max(axis=0) > [9.9, 19.8]).all()
    np.testing.assert_array_equal(moved, shift_centers(centers, boxes, Augmentation(), seed=3))


@given(
    center=st.tuples(st.floats(-50, 700), st.floats(-50, 700)),
    width=st.floats(10, 900),
    degrees=st.floats(-180, 180),
    point=st.tuples(st.floats(0, 640), st.floats(0, 480)),
)
def test_the_affine_keeps_angles_and_scales_by_the_width(center, width, degrees, point):
    matrix = affine(np.array(center, np.float32), np.array([width / 200, 1], np.float32), degrees, SIZE)
    factor = 192 / width
    np.testing.assert_allclose(matrix[:, :2] @ matrix[:, :2].T, factor**2 * np.eye(2), atol=2e-3 * factor**2)
    np.testing.assert_allclose(matrix[:, :2] @ center + matrix[:, 2], (96, 128), atol=0.02 * max(1, factor))
    mapped = matrix[:, :2] @ point + matrix[:, 2]
    distance = np.hypot(*(np.array(point) - center))
    assert np.hypot(*(mapped - (96, 128))) == pytest.approx(factor * distance, rel=2e-3, abs=0.02 * max(1, factor))


# The data set.


@pytest.fixture
def people(tmp_path):
    return load_people(write(tmp_path, document(6)), "val2017", aspect=0.75)


def samples(dataset, workers=0):
    return list(DataLoader(dataset, batch_size=2, num_workers=workers))


def same(first, second) -> bool:
    return all(torch.equal(a[key], b[key]) for a, b in zip(first, second, strict=True) for key in a)


def test_a_sample_has_the_promised_shapes(people):
    sample = PoseDataset(people, (64, 48))[2]
    assert (sample["image"].shape, sample["image"].dtype) == ((3, 64, 48), torch.float32)
    assert (sample["target"].shape, sample["weight"].shape) == ((17, 16, 12), (17, 1))
    assert sample["index"] == 2
    assert sample["weight"].sum() == 5


@pytest.mark.parametrize("workers", [1, 2])
def test_samples_do_not_depend_on_the_number_of_workers(people, workers):
    dataset = PoseDataset(people, (64, 48), augmentation=Augmentation(), seed=5)
    dataset.set_epoch(3)
    assert same(samples(dataset), samples(dataset, workers))


def test_samples_follow_from_seed_and_epoch_and_index(people):
    def of(seed, epoch):
        dataset = PoseDataset(people, (64, 48), augmentation=Augmentation(), seed=seed)
        dataset.set_epoch(epoch)
        return samples(dataset)

    assert same(of(1, 2), of(1, 2))
    assert not same(of(1, 2), of(1, 3))
    assert not same(of(1, 2), of(2, 2))


@pytest.mark.parametrize("preload", [False, True])
@pytest.mark.parametrize("budget", [0, 20_000, 10**9])  # none, two of the six images, all
def test_the_cache_changes_no_sample(people, budget, preload):
    plain = samples(PoseDataset(people, (64, 48), augmentation=Augmentation(), seed=1))
    cached = PoseDataset(people, (64, 48), augmentation=Augmentation(), seed=1, cache_bytes=budget)
    if preload:
        cached.preload()
    assert same(samples(cached), plain)
    assert same(samples(cached), plain)


def test_a_full_cache_reads_no_file_again(people):
    dataset = PoseDataset(people, (64, 48), cache_bytes=10**9)
    before = samples(dataset)
    for file in people.image_files:
        file.unlink()
    assert same(samples(dataset), before)


def test_without_augmentation_the_crop_is_the_plain_one(people):
    expected = crop(
        read_image(people.image_files[1]), affine(people.centers[1], people.scales[1], 0, (48, 64)), (48, 64)
    )
    np.testing.assert_array_equal(PoseDataset(people, (64, 48))[1]["image"].numpy(), normalise(expected))
