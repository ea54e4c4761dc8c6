from math import nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archlab.report.pareto import Panel, Point, dominance, non_dominated, pareto

values = st.integers(0, 4).map(float)
tables = st.integers(1, 3).flatmap(
    lambda width: st.lists(st.lists(values, min_size=width, max_size=width), max_size=10)
)


def dominates(a: list[float], b: list[float]) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))


@given(tables)
def test_dominance_is_its_definition_for_every_pair(losses: list[list[float]]) -> None:
    assert dominance(losses).tolist() == [[dominates(a, b) for b in losses] for a in losses]
    assert non_dominated(losses).tolist() == [not any(dominates(a, b) for a in losses) for b in losses]


def test_a_loss_that_is_not_a_number_is_our_error() -> None:
    with pytest.raises(AssertionError):
        dominance([[1.0, nan]])


def test_the_front_goes_from_the_cheapest_to_the_best() -> None:
    points = [
        Point("a", 1, 50),
        Point("b", 2, 60),
        Point("c", 3, 55),
        Point("d", 3, 60),
        Point("e", 4, 70),
        Point("f", 1, 40),
    ]
    assert [point.label for point in pareto(points[::-1])] == ["a", "b", "e"]
    assert pareto([]) == []


def test_where_lower_is_better_the_front_goes_down() -> None:
    points = [Point("a", 1, 9), Point("b", 2, 5), Point("c", 3, 6), Point("d", 4, 1)]
    assert [point.label for point in pareto(points, "minimize")] == ["a", "b", "d"]
    assert Panel("", "", "", tuple(points), measured=True, direction="minimize").front == pareto(points, "minimize")


def test_of_equal_points_the_first_is_on_the_front() -> None:
    assert [point.label for point in pareto([Point("x", 1, 1), Point("y", 1, 1)])] == ["x"]
