"""Windows of pictures: what they cut, and that a picture and its label are cut alike."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from archlab.tasks.pixels import normalise, sample_generator
from archlab.tasks.segmentation.data.windows import Window, cut, cut_label, draw_window, inside, toned
from archlab.tasks.segmentation.options import WindowAugmentation

RANDOM = np.random.default_rng(5)
IMAGE = cv2.GaussianBlur(RANDOM.integers(0, 256, (40, 60, 3), dtype=np.uint8), (5, 5), 1.5)
LABEL = RANDOM.integers(0, 19, (40, 60), dtype=np.uint8)


def test_a_whole_picture_is_cut_unchanged_and_padded_below_and_right_with_ignored_pixels_of_the_mean_colour():
    whole = Window((40, 60), (40, 60))
    pixels, label = cut(IMAGE, whole, (64, 64)), cut_label(LABEL, whole, (64, 64))
    np.testing.assert_array_equal(pixels[:, :40, :60], normalise(IMAGE))
    np.testing.assert_array_equal(label[:40, :60], LABEL)
    assert not pixels[:, 40:].any()
    assert not pixels[:, :, 60:].any()
    assert set(label[40:].ravel()) == set(label[:, 60:].ravel()) == {255}


@pytest.mark.parametrize("scaled", [(20, 30), (80, 120), (53, 79)])
def test_a_scaled_window_is_a_part_of_the_resized_picture_within_a_grey_level(scaled: tuple[int, int]):
    window = Window((40, 60), scaled, top=4, left=7)
    resized = cv2.resize(IMAGE, scaled[::-1], interpolation=cv2.INTER_LINEAR)
    size = (16, 16)
    expected = normalise(resized)[:, 4:20, 7:23]
    assert np.abs(cut(IMAGE, window, size) - expected).max() <= 1.01 / 255 / 0.224
    # Half pixels, between two labels, may fall to either.
    near = np.floor((np.arange(scaled[0]) + 0.5) * 40 / scaled[0]).clip(0, 39).astype(int)
    across = np.floor((np.arange(scaled[1]) + 0.5) * 60 / scaled[1]).clip(0, 59).astype(int)
    np.testing.assert_array_equal(cut_label(LABEL, window, size), LABEL[np.ix_(near, across)][4:20, 7:23])


def test_a_mirrored_window_is_the_window_of_the_mirrored_picture():
    window, plain = Window((40, 60), (40, 60), 3, 5, flipped=True), Window((40, 60), (40, 60), 3, 5)
    mirrored = np.ascontiguousarray(IMAGE[:, ::-1])
    np.testing.assert_array_equal(cut(IMAGE, window, (24, 40)), cut(mirrored, plain, (24, 40)))
    np.testing.assert_array_equal(cut_label(LABEL, window, (24, 40)), cut_label(LABEL[:, ::-1], plain, (24, 40)))


def test_pixels_and_labels_of_a_random_window_belong_together():
    """A picture whose grey level is its label keeps that relation, except between two labels."""
    label = np.kron(RANDOM.integers(0, 12, (5, 6), dtype=np.uint8), np.ones((8, 10), np.uint8))
    image = np.repeat(20 * label[..., None], 3, axis=2)
    agreeing = []
    for seed in range(40):
        window = draw_window(sample_generator(1, 0, seed), WindowAugmentation(), (40, 60), (40, 60), (48, 48))
        height, width = inside(window, (48, 48))
        grey = cut(image, window, (48, 48))[0, :height, :width] * 0.229 + 0.485
        agreeing.append(np.abs(grey * 255 - 20.0 * cut_label(label, window, (48, 48))[:height, :width]) < 1.5)
    assert np.mean([part.mean() for part in agreeing]) > 0.8


def test_windows_depend_on_seed_epoch_and_index_alone_and_stay_in_the_ranges():
    def drawn(*key: int) -> Window:
        return draw_window(sample_generator(*key), WindowAugmentation(colour=0.3), (40, 60), (40, 60), (32, 32))

    assert drawn(1, 2, 3) == drawn(1, 2, 3)
    windows = [drawn(1, 0, index) for index in range(300)]
    factors = np.array([window.scaled[0] / 40 for window in windows])
    assert 0.48 <= factors.min() < 0.6
    assert 1.9 < factors.max() <= 2.02
    assert 0.4 < np.mean([window.flipped for window in windows]) < 0.6
    for window in windows:
        assert 0 <= window.top <= max(window.scaled[0] - 32, 0)
        assert 0 <= window.left <= max(window.scaled[1] - 32, 0)
        assert all(0.7 <= tone <= 1.3 for tone in window.tones)
    assert max(window.left for window in windows) > 60


def test_without_augmentation_the_middle_is_cut():
    window = draw_window(None, None, (40, 60), (40, 60), (32, 32))
    assert (window.top, window.left, window.flipped, window.scaled) == (4, 14, False, (40, 60))
    assert draw_window(None, None, (40, 60), (20, 30), (32, 32)) == Window((40, 60), (20, 30))


def test_tones_change_brightness_contrast_and_saturation():
    grey = np.full((2, 2, 3), 100, np.uint8)
    assert toned(grey, (1.2, 1.0, 1.0)).tolist() == np.full((2, 2, 3), 120).tolist()
    assert toned(grey, (1.0, 0.5, 0.5)).tolist() == grey.tolist()
    coloured = np.zeros((1, 1, 3), np.uint8)
    coloured[..., 0] = 200
    assert toned(coloured, (1.0, 1.0, 0.0)).tolist() == [[[60, 60, 60]]]  # 0.299 * 200 = 59.8
