"""Pictures in rows of one width: their order, their shape, and every pixel of the width filled."""

import pytest

from archlab.report.mosaic import fitted, rows_of


@pytest.mark.parametrize(
    ("sizes", "rows"),
    [
        ([(128, 176)] * 12, [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]),  # 12 * 0.727 / 2 = 4.36, the square of 2.1
        ([(640, 480)] * 12, [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]),
        ([(640, 480)], [[0]]),
        ([(900, 100), (100, 100), (100, 100)], [[0], [1, 2]]),  # a panorama leaves no row empty
    ],
)
def test_rows_keep_the_order_and_are_about_as_wide_as_each_other(sizes, rows):
    assert rows_of(sizes, page=2.0) == rows


def test_a_row_has_one_height_and_the_width_of_the_page():
    found = fitted([(128, 176), (640, 480), (100, 300)], 1601)
    assert {height for _, height in found} == {round(1601 / (128 / 176 + 4 / 3 + 1 / 3))}
    assert sum(width for width, _ in found) == 1601
    assert [round(width / height, 2) for width, height in found] == [0.73, 1.33, 0.33]
