"""The named forms of crops, targets, decoding and suppression: UDP, DARK, and each axis by itself, by hand."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from helpers.coco_folder import document, write
from numpy.typing import NDArray

from archlab.tasks.pose.data.coco import load_people
from archlab.tasks.pose.data.crops import affine, crop_matrix, map_joints, udp_affine
from archlab.tasks.pose.data.dataset import PoseDataset
from archlab.tasks.pose.decode import axes_offset, blur, blur_kernel, dark_offset, decode, peak, to_image, udp_offset
from archlab.tasks.pose.metrics.coco import results_from
from archlab.tasks.pose.options import Crops, Decoding, Targets
from archlab.tasks.pose.targets import gaussian_targets, stride_of

CENTER = np.array([96.0, 128.0], np.float32)
SCALE = np.array([192 / 200, 256 / 200], np.float32)  # the box is as large as the input, 192 x 256
INPUT, MAP = (192, 256), (48, 64)


def bump(x: float, y: float, sigma: float = 2.0) -> NDArray[np.float32]:
    """(1, 1, 64, 48): the whole Gaussian around a point between pixels."""
    across, down = np.arange(MAP[0]) - x, np.arange(MAP[1]) - y
    return np.exp(-(across[None, :] ** 2 + down[:, None] ** 2) / (2 * sigma**2))[None, None].astype(np.float32)


def test_udp_lays_the_box_from_the_first_pixel_to_the_last() -> None:
    # 192 pixels of the image become the 191 steps between 192 pixels: (0, 0) -> 0, the far corner -> (191, 255).
    matrix = udp_affine(CENTER, SCALE, 0.0, INPUT)
    corners = np.array([[0, 0, 1], [192, 256, 1], [96, 128, 1]]) @ matrix.T
    np.testing.assert_allclose(corners, [[0, 0], [191, 255], [95.5, 127.5]], atol=1e-4)
    released = np.array([[0, 0, 1], [192, 256, 1]]) @ affine(CENTER, SCALE, 0.0, INPUT).T
    np.testing.assert_allclose(released, [[0, 0], [192, 256]], atol=1e-4)
    assert np.array_equal(crop_matrix(CENTER, SCALE, 7.0, INPUT), affine(CENTER, SCALE, 7.0, INPUT))
    assert np.array_equal(crop_matrix(CENTER, SCALE, 7.0, INPUT, "udp"), udp_affine(CENTER, SCALE, 7.0, INPUT))


def test_udp_turns_the_way_of_the_released_crop() -> None:
    # By 90 degrees what lay to the right of the centre comes to lie above it, in both.
    right = np.array([CENTER[0] + 10, CENTER[1], 1])
    for make in (affine, udp_affine):
        matrix = make(CENTER, SCALE, 90.0, INPUT)
        x, y = matrix @ right - matrix @ (*CENTER, 1)
        assert (x, y) == pytest.approx((0, -10), abs=0.06)


def test_the_stride_of_udp_is_between_first_and_last_pixels() -> None:
    assert stride_of(INPUT) == (4, 4)
    assert stride_of(INPUT, "udp") == (191 / 47, 255 / 63)


@pytest.mark.parametrize(
    ("form", "x", "y", "cut"), [("released", 10, 21, True), ("udp", 10.475, 20.5, True), ("dark", 10.475, 20.5, False)]
)
def test_a_target_lies_around_the_rounded_or_the_true_place(form: Targets, x: float, y: float, cut: bool) -> None:
    # 41.9 / 4 = 10.475, rounded 10; 82 / 4 = 20.5, rounded 21. The square of udp is that of the rounded pixel.
    maps, weights = gaussian_targets(np.array([[41.9, 82.0]]), np.array([2]), MAP, form=form)
    expected = bump(x, y)[0, 0]
    if cut:
        expected[:, :4] = expected[:, 17:] = expected[:15] = expected[28:] = 0
    np.testing.assert_allclose(maps[0], expected, atol=1e-6)
    assert weights.tolist() == [[1]]


def test_dark_does_not_round_before_it_asks_whether_a_target_is_outside() -> None:
    # x / 4 = -7.25: the square from -13.25 to -0.25 lies outside; rounded (int(-6.75) = -6) it would touch.
    weights = {
        form: gaussian_targets(np.array([[-29.0, 80.0]]), np.array([2]), MAP, form=form)[1].item()
        for form in ("released", "udp", "dark")
    }
    assert weights == {"released": 1, "udp": 1, "dark": 0}


def test_the_blur_is_eleven_wide_for_sigma_2_and_seventeen_for_3() -> None:
    assert [blur_kernel(sigma) for sigma in (1.0, 2.0, 3.0)] == [5, 11, 17]


def test_a_blur_spreads_a_point_by_opencv_s_rule_and_keeps_its_height() -> None:
    # Kernel 11 means a standard deviation of 0.3 * (5 - 1) + 0.8 = 2; a point of height 3 becomes 3 exp(-d^2 / 8).
    maps = np.zeros((1, 1, 64, 48), np.float32)
    maps[0, 0, 30, 20] = 3
    blurred = blur(maps, 11)[0, 0]
    assert blurred[30, 20] == pytest.approx(3)
    assert blurred[31, 22] == pytest.approx(3 * math.exp(-5 / 8), rel=1e-4)
    assert blurred[30, 26] == 0  # outside the kernel
    assert not blur(np.zeros_like(maps), 11).any()


def test_beyond_the_border_of_a_blur_are_zeros() -> None:
    ones = blur(np.ones((1, 1, 64, 48), np.float32), 11)[0, 0]
    assert ones[30, 20] == pytest.approx(1)
    assert ones[30, 0] == pytest.approx(0.6, abs=0.02)  # of the kernel, 0.5 and half of its middle's 0.2
    assert ones[0, 0] == pytest.approx(ones[30, 0] ** 2, rel=1e-3)


@pytest.mark.parametrize("sigma", [2.0, 3.0])
@pytest.mark.parametrize("offset", [dark_offset, udp_offset])
def test_dark_and_udp_find_the_middle_of_a_gaussian_between_pixels(offset: object, sigma: float) -> None:
    # The logarithm of a Gaussian is a paraboloid, whose top one Newton step meets; a blur only widens it.
    assert callable(offset)
    for x, y in ((20.3, 30.8), (24.45, 12.0), (30.0, 40.5)):
        maps = bump(x, y, sigma)
        found = offset(maps, peak(maps)[0], blur_kernel(sigma))[0, 0]
        np.testing.assert_allclose(found, (x, y), atol=0.02)


def loop_dark(one: NDArray[np.float32], px: int, py: int, kernel: int) -> tuple[float, float]:
    """DARK's step for one map, written out."""
    border = (kernel - 1) // 2
    padded = np.pad(one, border)
    blurred = cv2.GaussianBlur(padded, (kernel, kernel), 0)[border:-border, border:-border]
    log = np.log(np.maximum(np.float64(blurred * (one.max() / blurred.max())), 1e-10))
    g = np.array([(log[py, px + 1] - log[py, px - 1]) / 2, (log[py + 1, px] - log[py - 1, px]) / 2])
    xx = (log[py, px + 2] - 2 * log[py, px] + log[py, px - 2]) / 4
    yy = (log[py + 2, px] - 2 * log[py, px] + log[py - 2, px]) / 4
    xy = (log[py + 1, px + 1] - log[py - 1, px + 1] - log[py + 1, px - 1] + log[py - 1, px - 1]) / 4
    x, y = (px, py) - np.linalg.inv([[xx, xy], [xy, yy]]) @ g
    return float(x), float(y)


def test_dark_of_many_maps_is_what_a_plain_loop_finds() -> None:
    random = np.random.default_rng(0)
    maps = np.concatenate([bump(*random.uniform((5, 5), (42, 58))) for _ in range(8)], axis=1)
    maps = maps + 0.05 * random.random(maps.shape, dtype=np.float32)
    peaks = peak(maps)[0]
    found = dark_offset(maps, peaks, 11)
    for k in range(8):
        expected = loop_dark(maps[0, k], int(peaks[0, k, 0]), int(peaks[0, k, 1]), 11)
        np.testing.assert_allclose(found[0, k], expected, atol=1e-4)


def loop_udp(one: NDArray[np.float32], px: int, py: int, kernel: int) -> tuple[float, float]:
    """UDP's step for one map, written out."""
    log = np.pad(np.log(np.clip(np.float64(cv2.GaussianBlur(one, (kernel, kernel), 0)), 0.001, 50)), 1, mode="edge")
    px, py = px + 1, py + 1
    g = np.array([(log[py, px + 1] - log[py, px - 1]) / 2, (log[py + 1, px] - log[py - 1, px]) / 2])
    xx = log[py, px + 1] - 2 * log[py, px] + log[py, px - 1]
    yy = log[py + 1, px] - 2 * log[py, px] + log[py - 1, px]
    xy = (log[py + 1, px + 1] - log[py, px + 1] - log[py + 1, px] + 2 * log[py, px]) / 2
    xy += (-log[py, px - 1] - log[py - 1, px] + log[py - 1, px - 1]) / 2
    hessian = np.array([[xx, xy], [xy, yy]]) + np.finfo(np.float32).eps * np.eye(2)
    x, y = (px - 1, py - 1) - np.linalg.inv(hessian) @ g
    return float(x), float(y)


def test_udp_of_many_maps_is_what_a_plain_loop_finds_at_borders_too() -> None:
    random = np.random.default_rng(1)
    places = [*random.uniform((5, 5), (42, 58), (6, 2)), (0.4, 20.3), (46.8, 63.0)]
    maps = np.concatenate([bump(x, y) for x, y in places], axis=1)
    maps = maps + 0.05 * random.random(maps.shape, dtype=np.float32)
    peaks = peak(maps)[0]
    found = udp_offset(maps, peaks, 11)
    for k in range(len(places)):
        expected = loop_udp(maps[0, k], int(peaks[0, k, 0]), int(peaks[0, k, 1]), 11)
        np.testing.assert_allclose(found[0, k], expected, atol=1e-4)


def test_near_a_border_dark_leaves_the_peak_and_a_map_without_one_stays_at_minus_one() -> None:
    # 1 < x < 46 and 1 < y < 62 must hold, for there are two pixels to either side.
    maps = np.concatenate([bump(1.2, 30), bump(2.2, 30), bump(46.2, 30), bump(20, 61.8), -bump(20, 20)], axis=1)
    peaks = peak(maps)[0]
    found = dark_offset(maps, peaks, 11)
    assert (found == peaks).all(axis=2).tolist() == [[True, False, True, True, True]]
    assert udp_offset(maps, peaks, 11)[0, 4].tolist() == [-1, -1]


def test_each_axis_by_itself_moves_along_a_border() -> None:
    # Highest at (1, 30) and rising downwards: released moves neither (x is not > 1), by axes y moves.
    maps = np.zeros((1, 3, 64, 48), np.float32)
    for k, (x, y) in enumerate(((1, 30), (30, 63), (30, 0))):
        maps[0, k, y, x] = 1
        maps[0, k, y, x + 1] = 0.5
        maps[0, k, min(y + 1, 63), x] += 0.5 * (y < 63)
    found = axes_offset(maps, peak(maps)[0])[0]
    # In the last row x moves; in the first row neither does, for mmpose asks for y > 0.
    assert found.tolist() == [[1, 30.25], [30.25, 63], [30, 0]]


def test_back_in_the_image_udp_counts_steps_between_pixels() -> None:
    last = np.array([[[47.0, 63.0]]])
    back = {
        form: to_image(last, CENTER[None], SCALE[None], MAP, crops=form)[0, 0].tolist() for form in ("released", "udp")
    }
    assert back == {"released": pytest.approx([47 * 4, 63 * 4]), "udp": pytest.approx([192, 256])}


@pytest.mark.parametrize(
    ("crops", "targets", "decoding", "within"),
    [("released", "released", "released", 2.9), ("released", "dark", "dark", 0.1), ("udp", "udp", "udp", 0.1)],
)
def test_decoding_undoes_crop_and_target_of_its_form(
    crops: Crops, targets: Targets, decoding: Decoding, within: float
) -> None:
    # The unbiased forms come back to a fortieth of a map pixel; the released one is off by up to a pixel in each axis.
    random = np.random.default_rng(0)
    joints = random.uniform((30, 40), (160, 210), (40, 2)).astype(np.float32)
    visible = np.full(40, 2)
    mapped = map_joints(joints, visible, crop_matrix(CENTER, SCALE, 0.0, INPUT, crops))
    maps, _ = gaussian_targets(mapped, visible, MAP, form=targets, stride=stride_of(INPUT, crops))
    points, _ = decode(maps[None], CENTER[None], SCALE[None], form=decoding, crops=crops)
    errors = np.linalg.norm(points[0] - joints, axis=1)
    assert errors.max() < within
    assert (errors.max() > 0.5) == (decoding == "released")


def test_the_filter_after_the_network_outweighs_a_lone_high_pixel() -> None:
    maps = 0.9 * bump(20, 30)
    maps[0, 0, 50, 10] = 1.0
    alone, _ = decode(maps, CENTER[None], SCALE[None])
    filtered, heights = decode(maps, CENTER[None], SCALE[None], post_gaussian=11)
    np.testing.assert_allclose(alone[0, 0], (40, 200), atol=1.1)
    np.testing.assert_allclose(filtered[0, 0], (80, 120), atol=1.1)
    assert heights[0, 0] == pytest.approx(1.0)  # the map's maximum is kept


def test_a_dataset_makes_its_samples_in_the_forms_asked_for(tmp_path: object) -> None:
    people = load_people(write(tmp_path, document(1)), "val2017", aspect=0.75)  # type: ignore[arg-type]
    sample = PoseDataset(people, (256, 192), crops="udp", targets="udp")[0]
    matrix = udp_affine(people.centers[0], people.scales[0], 0.0, INPUT)
    joints = map_joints(people.joints[0], people.visible[0], matrix)
    expected, _ = gaussian_targets(joints, people.visible[0], MAP, form="udp", stride=(191 / 47, 255 / 63))
    np.testing.assert_array_equal(sample["target"].numpy(), expected)
    plain = PoseDataset(people, (256, 192))[0]
    assert not np.array_equal(plain["target"].numpy(), expected)
    assert not np.array_equal(plain["image"].numpy(), sample["image"].numpy())


def test_soft_suppression_keeps_a_double_and_hard_drops_it(tmp_path: object) -> None:
    box = {"image_id": 0, "category_id": 1, "bbox": [5.0, 5.0, 30.0, 40.0], "score": 0.5}
    root = write(tmp_path, document(1), detections=[box, box | {"score": 0.9}])  # type: ignore[arg-type]
    people = load_people(root, "val2017", aspect=0.75, boxes="detector")
    points = np.tile(np.arange(34.0).reshape(17, 2), (2, 1, 1))
    kept = [len(results_from(people, points, np.ones((2, 17)), soft_nms=soft)) for soft in (False, True)]
    assert kept == [1, 2]
