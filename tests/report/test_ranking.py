from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archlab.report.ranking import best_first, crowding, goes_on, ranks

values = st.integers(0, 4).map(float)
tables = st.integers(1, 3).flatmap(
    lambda width: st.lists(st.lists(values, min_size=width, max_size=width), max_size=12)
)


def dominates(a: list[float], b: list[float]) -> bool:
    return all(x <= y for x, y in zip(a, b, strict=True)) and any(x < y for x, y in zip(a, b, strict=True))


def test_ranks_peel_one_front_after_the_other() -> None:
    #          front 0     front 0     dominated by 0   by 2 too    front 0
    losses = [[1.0, 4.0], [2.0, 2.0], [2.0, 3.0], [3.0, 4.0], [4.0, 1.0]]
    assert ranks(losses).tolist() == [0, 0, 1, 2, 0]


def test_equals_share_a_rank() -> None:
    assert ranks([[1.0, 1.0], [1.0, 1.0], [1.0, 2.0], [1.0, 2.0]]).tolist() == [0, 0, 1, 1]


def test_with_one_objective_a_rank_is_a_place_among_different_values() -> None:
    assert ranks([[3.0], [1.0], [2.0], [1.0]]).tolist() == [2, 0, 1, 0]


def test_nothing_has_no_order() -> None:
    assert ranks([]).tolist() == []
    assert best_first([]) == []


@given(tables)
def test_a_rank_is_one_more_than_the_worst_of_those_that_dominate(losses: list[list[float]]) -> None:
    found = ranks(losses).tolist()
    for own, row in zip(found, losses, strict=True):
        above = [rank for rank, other in zip(found, losses, strict=True) if dominates(other, row)]
        assert own == max(above, default=-1) + 1


def test_crowding_is_the_gap_between_neighbours_as_a_share_of_the_range() -> None:
    # First objective: range 10, gaps 4 - 0 and 10 - 1; second: range 10, gaps 10 - 3 and 8 - 0.
    losses = [[0.0, 10.0], [1.0, 8.0], [4.0, 3.0], [10.0, 0.0]]
    assert crowding(losses).tolist() == [inf, pytest.approx(0.4 + 0.7), pytest.approx(0.9 + 0.8), inf]


def test_crowding_of_equal_values_is_no_division_by_nothing() -> None:
    assert crowding([[1.0], [1.0], [1.0]]).tolist() == [inf, 0.0, inf]
    assert crowding([[2.0, 3.0]]).tolist() == [inf]


def test_among_equals_in_rank_the_least_crowded_is_first() -> None:
    losses = [[0.0, 10.0], [1.0, 8.0], [4.0, 3.0], [10.0, 0.0], [11.0, 11.0]]
    assert best_first(losses) == [0, 3, 2, 1, 4]


@given(tables)
def test_the_order_holds_everyone_once_and_no_one_before_who_dominates_it(losses: list[list[float]]) -> None:
    order = best_first(losses)
    assert sorted(order) == list(range(len(losses)))
    for place, i in enumerate(order):
        assert not any(dominates(losses[j], losses[i]) for j in order[place + 1 :])


@given(tables, st.sampled_from([1.5, 2.0, 3.0, 4.0]))
def test_as_many_go_on_as_the_share_says_and_at_least_one(losses: list[list[float]], eta: float) -> None:
    on = [goes_on(losses, i, eta) for i in range(len(losses))]
    whole = -int(-len(losses) // eta)  # rounded up
    assert sum(on) == (max(1, whole) if losses else 0)


def test_the_first_to_reach_a_rung_goes_on_and_a_worse_second_does_not() -> None:
    assert goes_on([[5.0, 5.0]], 0, 3)
    assert not goes_on([[5.0, 5.0], [6.0, 6.0]], 1, 3)
    assert goes_on([[5.0, 5.0], [4.0, 6.0], [6.0, 4.0], [4.0, 4.0]], 3, 3)


@pytest.mark.parametrize("function", [ranks, crowding, best_first])
def test_what_is_no_number_never_arrives(function) -> None:
    with pytest.raises(AssertionError):
        function([[1.0, nan], [2.0, 1.0]])
