"""Decoding heat-maps against a plain loop, figures by hand, and as the inverse of crop and target."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from archlab.tasks.pose import decode as decoding
from archlab.tasks.pose.data.crops import affine, map_joints
from archlab.tasks.pose.decode import as_array, decode, peak, quarter_offset
from archlab.tasks.pose.decode_gpu import flip_back
from archlab.tasks.pose.keypoints import COCO
from archlab.tasks.pose.targets import gaussian_targets

CENTER = np.array([[96.0, 128.0]], np.float32)  # with SCALE, the crop is the image and a map pixel is four of it
SCALE = np.array([[192 / 200, 256 / 200]], np.float32)


def map_with(*values):
    maps = np.zeros((1, 1, 64, 48), np.float32)
    for x, y, value in values:
        maps[0, 0, y, x] = value
    return maps


def test_a_peak_moves_a_quarter_towards_its_larger_neighbours_and_back_to_the_image():
    points, heights = decode(map_with((10, 20, 1), (11, 20, 0.5), (10, 19, 0.3)), CENTER, SCALE)
    np.testing.assert_allclose(points[0, 0], (10.25 * 4, 19.75 * 4), rtol=1e-5)
    assert heights.tolist() == [[1.0]]


@pytest.mark.parametrize(
    ("x", "y", "moves"),
    [(2, 2, True), (46, 62, True), (1, 30, False), (47, 30, False), (30, 1, False), (30, 63, False), (0, 0, False)],
)
def test_a_peak_at_a_border_of_either_axis_moves_along_neither(x, y, moves):
    # (1, 30) has a slope in y and stays all the same: 1 < x < 47 and 1 < y < 63 must both hold.
    around = [(x + 1, y, 0.5)] if x < 47 else []
    around += [(x, y + 1, 0.5)] if y < 63 else []
    maps = map_with((x, y, 1), *around)
    expected = (x + 0.25 * (x < 47), y + 0.25 * (y < 63)) if moves else (x, y)
    assert quarter_offset(maps, peak(maps)[0])[0, 0].tolist() == list(expected)


def test_equal_neighbours_move_nothing():
    points, _ = decode(map_with((10, 20, 1)), CENTER, SCALE)
    np.testing.assert_allclose(points[0, 0], (40, 80), rtol=1e-5)


def test_a_map_without_a_positive_value_gives_pixel_minus_one():
    points, heights = peak(map_with() - 1)
    assert points.tolist() == [[[-1, -1]]]
    assert heights.tolist() == [[-1]]


def plain_decode(maps):
    """HRNet's rule, written out."""
    points = np.zeros((*maps.shape[:2], 2))
    height, width = maps.shape[2:]
    for n, k in np.ndindex(maps.shape[:2]):
        one = maps[n, k]
        y, x = np.unravel_index(one.argmax(), one.shape)
        points[n, k] = (x, y) if one[y, x] > 0 else (-1, -1)
        if one[y, x] > 0 and 1 < x < width - 1 and 1 < y < height - 1:
            points[n, k] += 0.25 * np.sign((one[y, x + 1] - one[y, x - 1], one[y + 1, x] - one[y - 1, x]))
    return points


def test_many_maps_at_once_are_what_a_plain_loop_finds():
    maps = np.random.default_rng(0).normal(size=(20, 17, 8, 6)).astype(np.float32)
    maps[3] = -np.abs(maps[3])
    np.testing.assert_array_equal(quarter_offset(maps, peak(maps)[0]), plain_decode(maps))


@given(
    center=st.tuples(st.floats(0, 640), st.floats(0, 480)),
    width=st.floats(20, 800),
    pixel=st.tuples(st.integers(2, 45), st.integers(2, 61)),
)
def test_decoding_undoes_crop_and_target(center, width, pixel):
    # A joint that falls on a whole map pixel comes back to float32 precision; there the bump is symmetric.
    centers = np.array([center], np.float32)
    scales = np.array([[width / 200, width / 150]], np.float32)
    matrix = affine(centers[0], scales[0], 0, (192, 256))
    joint = np.linalg.solve(matrix[:, :2], np.array(pixel) * 4.0 - matrix[:, 2])
    mapped = map_joints(joint[None].astype(np.float32), np.array([2]), matrix)
    maps, _ = gaussian_targets(mapped, np.array([2]), (48, 64))
    points, _ = decode(maps[None], centers, scales)
    np.testing.assert_allclose(points[0, 0], joint, atol=0.01 + 1e-4 * width)


def test_a_mirrored_map_comes_back_with_sides_swapped_and_one_pixel_right():
    maps = torch.arange(17.0)[None, :, None, None] * 100 + torch.arange(5.0)
    back = flip_back(maps, COCO.flip_order)
    left, right = COCO.names.index("left_eye"), COCO.names.index("right_eye")
    assert back[0, left, 0].tolist() == [100 * right + value for value in (4, 4, 3, 2, 1)]
    unshifted = flip_back(maps, COCO.flip_order, shift=False)
    assert unshifted[0, left, 0].tolist() == [100 * right + value for value in (4, 3, 2, 1, 0)]
    assert torch.equal(flip_back(unshifted, COCO.flip_order, shift=False), maps)
    assert torch.equal(flip_back(maps, torch.tensor(COCO.flip_order)), back)
    for shift in (True, False):
        expected = flip_back(maps, COCO.flip_order, shift=shift).numpy()
        assert np.array_equal(decoding.flip_back(maps.numpy(), COCO.flip_order, shift=shift), expected)


def test_maps_of_any_precision_become_float32_on_the_host():
    assert as_array(torch.ones(1, 1, 2, 2, dtype=torch.bfloat16, requires_grad=True)).dtype == np.float32
