from dataclasses import replace

import numpy as np
import pytest
from helpers.search_results import RUNGS, make_result
from hypothesis import given, settings
from hypothesis import strategies as st

from archlab.core.errors import InputError
from archlab.search.report import estimates
from archlab.search.report.front import hypervolume, non_dominated, worst_with_room
from archlab.search.results import Candidate, Objective, Result

UP, DOWN = "maximize", "minimize"
PCK_MACS = (Objective("pck", UP), Objective("macs", DOWN))


def candidate(
    number: int, pck: float, macs: float, *, seeds: tuple[float, ...] = (), rungs: int = 3, finished: float = 0.0
) -> Candidate:
    return Candidate(
        number=number,
        name=f"n{number}",
        outcome="complete" if rungs == 3 else "stopped" if rungs else "failed",
        hash=f"{number:032x}",
        point={},
        cost={"macs": macs, "params": 1.0},
        values={"pck": pck, "macs": macs} if rungs else {},
        rungs=tuple({"pck": pck, "mean_oks": pck / 2} for _ in range(rungs)),
        spec="",
        seconds=1.0,
        finished=finished,
        seeds={str(i): {"pck": score} for i, score in enumerate(seeds)},
    )


def result(
    *candidates: Candidate, references: tuple[Candidate, ...] = (), objectives: tuple[Objective, ...] = PCK_MACS
) -> Result:
    empty = make_result(0)
    return replace(empty, candidates=candidates, references=references, objectives=objectives, rungs=RUNGS)


def test_the_front_is_what_nothing_beats_and_equal_points_both_stay() -> None:
    values = [(50, 1), (60, 2), (55, 3), (60, 2), (70, 4), (60, 3)]
    assert non_dominated(values, (UP, DOWN)).tolist() == [True, True, False, True, True, False]
    assert non_dominated([], (UP, DOWN)).tolist() == []


def test_a_point_equal_in_one_objective_and_better_in_another_beats() -> None:
    assert non_dominated([(1, 1, 1), (1, 1, 2)], (UP, UP, UP)).tolist() == [False, True]
    assert non_dominated([(1, 1, 1), (1, 1, 2)], (UP, UP, DOWN)).tolist() == [True, False]


def test_the_hypervolume_of_three_points_in_two_objectives_is_that_drawn_on_paper() -> None:
    # From (0, 0), boxes 1 x 3, 2 x 2 and 3 x 1: columns of height 3, 2 and 1.
    assert hypervolume([(1, 3), (2, 2), (3, 1)], (UP, UP), (0, 0)) == 6
    # The second objective turned over, and the reference at 10: the same boxes.
    assert hypervolume([(1, 7), (2, 8), (3, 9)], (UP, DOWN), (0, 10)) == 6


def test_the_hypervolume_of_three_points_in_three_objectives_is_that_drawn_on_paper() -> None:
    # Boxes 2 x 2 x 1, 1 x 1 x 3 and 3 x 1 x 1: 4 + 3 + 3, less the overlaps 1 (a, b), 2 (a, c) and 1 (b, c), plus 1.
    assert hypervolume([(2, 2, 1), (1, 1, 3), (3, 1, 1)], (UP, UP, UP), (0, 0, 0)) == 7


def test_points_that_do_not_beat_the_reference_everywhere_add_nothing() -> None:
    assert hypervolume([(1, 3), (2, 2), (-5, 9), (0, 9)], (UP, UP), (0, 0)) == 5
    assert hypervolume([], (UP, UP), (0, 0)) == 0
    assert hypervolume([(4,), (3,)], (UP,), (1,)) == 3


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.data())
def test_the_hypervolume_is_the_number_of_unit_cells_below_some_point(objectives: int, data: st.DataObject) -> None:
    points = data.draw(st.lists(st.tuples(*[st.integers(0, 4)] * objectives), min_size=1, max_size=7))
    cells = np.stack(np.meshgrid(*[np.arange(4)] * objectives, indexing="ij"), axis=-1).reshape(-1, objectives)
    covered = sum(any(all(cell < np.array(point)) for point in points) for cell in cells)
    assert hypervolume(points, (UP,) * objectives, (0,) * objectives) == pytest.approx(covered)


def test_the_reference_point_is_the_worst_and_a_tenth_of_the_range() -> None:
    assert worst_with_room([(50, 100), (70, 300)], (UP, DOWN)) == pytest.approx((48, 320))
    assert worst_with_room([(50, 100)], (UP, DOWN)) == pytest.approx((45, 110))
    assert worst_with_room([(0, 100)], (UP, DOWN)) == pytest.approx((-1, 110))


def test_a_reference_point_may_be_given_in_part_and_its_names_are_checked() -> None:
    made = result(candidate(1, 50, 100), candidate(2, 70, 300))
    assert estimates.reference_point(made) == pytest.approx({"pck": 48, "macs": 320})
    assert estimates.reference_point(made, {"pck": 0}) == pytest.approx({"pck": 0, "macs": 320})
    with pytest.raises(InputError, match=r"no objective is called 'mac' \(did you mean 'macs'\?\)"):
        estimates.reference_point(made, {"mac": 1.0})
    assert estimates.reference_point(result()) == {}


def test_only_complete_candidates_are_on_the_front_from_the_cheapest() -> None:
    made = result(candidate(1, 70, 300), candidate(2, 50, 100), candidate(3, 90, 50, rungs=2), candidate(4, 0, 10, rungs=0),
                  candidate(5, 60, 300))  # fmt: skip
    assert [c.number for c in estimates.front(made)] == [2, 1]


def test_the_front_goes_by_the_mean_over_seeds_and_carries_its_interval() -> None:
    lucky, steady = candidate(1, 80, 100, seeds=(80, 60, 61)), candidate(2, 70, 100, seeds=(70, 71, 69))
    assert [c.number for c in estimates.front(result(lucky, steady))] == [2]
    found = estimates.known(steady, "pck")
    # t(2, 0.975) = 4.302653, s = 1: 4.302653 / sqrt(3) = 2.484138.
    assert found is not None
    assert (found.mean, found.n) == (70, 3)
    assert (found.low, found.high) == pytest.approx((70 - 2.484138, 70 + 2.484138), abs=1e-6)


def test_hypervolume_grows_with_each_finished_candidate_by_the_score_it_had_then() -> None:
    made = result(
        candidate(2, 3, 8, finished=20.0, seeds=(3, 0, 0)),
        candidate(0, 1, 9, finished=10.0),
        candidate(1, 9, 1, finished=15.0, rungs=1),
        candidate(3, 2, 9, finished=30.0),
    )
    steps = estimates.growth(made, {"pck": 0, "macs": 10})
    assert [(s.finished, s.seconds, s.hypervolume) for s in steps] == [(1, 10, 1), (2, 15, 1), (3, 20, 6), (4, 30, 6)]


def test_a_candidate_dominates_only_if_its_mean_is_better_in_every_objective() -> None:
    reference = candidate(0, 60, 200)
    equal, better, dearer = candidate(1, 60, 100), candidate(2, 61, 100), candidate(3, 90, 201)
    found = estimates.dominations([equal, better, dearer], [reference], PCK_MACS)
    assert [(d.winner.number, d.certainty) for d in found] == [(2, "unknown")]


@pytest.mark.parametrize(
    ("winner", "loser", "expected"),
    [
        ((80.0, 81.0, 79.0), (60.0, 61.0, 59.0), "clear"),
        ((62.0, 66.0, 58.0), (60.0, 61.0, 59.0), "overlapping"),
        ((80.0, 81.0, 79.0), (), "unknown"),
        ((), (60.0, 61.0, 59.0), "unknown"),
    ],
)
def test_a_domination_is_clear_only_where_intervals_lie_apart(
    winner: tuple[float, ...], loser: tuple[float, ...], expected: str
) -> None:
    a, b = candidate(1, 80, 100, seeds=winner), candidate(0, 60, 200, seeds=loser)
    assert [d.certainty for d in estimates.dominations([a], [b], PCK_MACS)] == [expected]


def test_three_objectives_have_a_front_and_a_volume_too() -> None:
    objectives = (*PCK_MACS, Objective("params", DOWN))
    cheap, small = candidate(1, 50, 100), replace(candidate(2, 50, 300), cost={"macs": 300.0, "params": 0.5})
    made = result(cheap, small, candidate(3, 40, 400), objectives=objectives)
    assert [c.number for c in estimates.front(made)] == [2, 1]
    # From (40, 400, 2): boxes 10 x 300 x 1 and 10 x 100 x 1.5, which share 10 x 100 x 1.
    steps = estimates.growth(made, {"pck": 40, "macs": 400, "params": 2})
    assert steps[-1].hypervolume == pytest.approx(3000 + 1500 - 1000)


def test_made_up_results_have_every_kind_of_candidate() -> None:
    made = make_result(60)
    assert {c.outcome for c in made.candidates} == {"complete", "stopped", "failed"}
    assert any(len(c.seeds) > 1 for c in estimates.front(made))
    assert len({c.hash for c in made.candidates}) > 50


def test_at_a_rung_judged_by_a_proxy_a_candidate_has_no_score() -> None:
    by_proxy = replace(
        candidate(1, 88.0, 100), outcome="stopped", rungs=({"synflow": 88.0},), proxies={"synflow": 88.0}
    )
    assert by_proxy.values["pck"] == 88.0  # what it was judged by there
    assert estimates.known(by_proxy, "pck") is None
    assert estimates.score_names([by_proxy, candidate(2, 50, 100)]) == ["pck", "mean_oks"]


def test_a_reference_has_its_scores_at_the_last_rung() -> None:
    made = result(candidate(1, 50, 100), references=(replace(candidate(-1, 60, 100), rungs=({"pck": 60.0},)),))
    assert estimates.by_rung(made, made.references[0]) == {2: {"pck": 60.0}}
    assert estimates.deepest(made, made.references[0]) == "full training"
    assert list(estimates.by_rung(made, candidate(2, 50, 100, rungs=2))) == [0, 1]
    assert estimates.deepest(made, candidate(2, 50, 100, rungs=0)) == ""
