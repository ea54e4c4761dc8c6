"""From which budget on an order is stable, worked by hand, and the plot of the curves."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from archlab.report.curve_plot import figure, spread
from archlab.report.stability import Curve, CurvePoint, orders, stable_from
from archlab.report.style import save


def curve(name: str, *means: float, seeds: Sequence[int] = (1,), dashed: bool = False) -> Curve:
    """A network's scores at 1,000, 2,000, ... samples; the second seed is 1 above the first."""
    points = [
        CurvePoint(1000 * (i + 1), 1000 * (i + 1) - 8, {seed: mean + seed - 1 for seed in seeds})
        for i, mean in enumerate(means)
    ]
    return Curve(name, tuple(points), dashed)


FOUR = [curve("a", 1, 1, 1), curve("b", 4, 2, 2), curve("c", 3, 4, 3), curve("d", 2, 3, 4)]


def test_the_order_at_each_budget_is_compared_with_the_largest() -> None:
    """1 4 3 2 against 1 2 3 4: three of six pairs agree, so tau is 0; 1 2 4 3: five agree, so tau is 4 / 6."""
    found = orders(FOUR)
    assert [(each.budget, each.networks, each.seeds) for each in found] == [(1000, 4, (1,)), (2000, 4, (1,))]
    taus = [each.tau for each in found]
    assert taus[0]
    assert taus[1]
    assert [taus[0].value, taus[1].value] == pytest.approx([0, 2 / 3])
    assert taus[1].low < 2 / 3 < taus[1].high


def test_an_order_is_stable_from_where_every_tau_is_high() -> None:
    assert stable_from(orders(FOUR)) is None
    steady = [curve("a", 3, 1, 1, 1), curve("b", 2, 2, 2, 2), curve("c", 1, 3, 3, 3)]
    found = stable_from(orders(steady))
    assert found
    assert found.budget == 2000
    unsteady = [curve("a", 1, 3, 1), curve("b", 2, 2, 2), curve("c", 3, 1, 3)]
    assert stable_from(orders(unsteady)) is None  # the first budget's tau is 1, but not that of the second


def test_networks_count_by_the_seeds_that_all_have_and_only_at_budgets_that_they_reached() -> None:
    """Without seed 2, which b and c lack, a is the worst at 1,000 samples; with it, it would be the best."""
    a = Curve("a", (CurvePoint(1000, 1000, {1: 1.0, 2: 99.0}), CurvePoint(2000, 2000, {1: 1.0, 2: 1.0})))
    short = Curve("short", (CurvePoint(1000, 1000, {1: 50.0}),))
    (found,) = orders([a, curve("b", 2, 2), curve("c", 3, 3), short])
    assert (found.networks, found.seeds) == (3, (1,))
    assert found.tau
    assert found.tau.value == 1.0


def test_two_networks_have_no_rank_correlation() -> None:
    assert [each.tau for each in orders(FOUR[:2])] == [None, None]


def test_names_are_spread_by_the_least_squares_within_the_axes() -> None:
    """0.5 and 0.5 move apart by the gap around their mean; 0.9 keeps its place; the ends stay within 0 to 1."""
    assert spread([0.5, 0.5, 0.9], 0.2) == pytest.approx([0.4, 0.6, 0.9])
    assert spread([1.0, 1.0], 0.2) == pytest.approx([0.8, 1.0])
    assert spread([-0.3, 0.0], 0.2) == pytest.approx([0.0, 0.2])


def test_the_plot_has_a_band_over_seeds_and_a_name_for_each_network_that_meets_no_other_and_no_line(
    tmp_path: Path,
) -> None:
    curves = [
        curve(f"network {i} of a long name", 10 + i % 3, 20 + i % 2, seeds=(1, 2), dashed=i > 8) for i in range(14)
    ]
    made = figure(curves, "AP by samples", "AP")
    (ax,) = made.axes
    assert ax.get_xscale() == "log"
    lines = [line for line in ax.get_lines() if line.get_gid() == "curve"]
    assert [list(map(float, line.get_ydata())) for line in lines[:2]] == [[10.5, 20.5], [11.5, 21.5]]
    assert list(lines[0].get_xdata()) == [992, 1992]
    assert [line.get_linestyle() for line in lines].count("--") == 5
    band = ax.collections[0].get_paths()[0].get_extents()
    assert (band.ymin, band.ymax) == (10.0, 21.0)
    save(made, [tmp_path / "one.png", tmp_path / "one.svg"])
    boxes = [text.get_window_extent() for text in ax.texts]
    assert len(boxes) == 14
    assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])
    right = ax.get_window_extent().x1
    assert all(right < box.x0 and box.x1 < made.bbox.x1 and box.y0 > 0 and box.y1 < made.bbox.y1 for box in boxes)
    first = (tmp_path / "one.svg").read_bytes()
    save(figure(curves, "AP by samples", "AP"), [tmp_path / "one.svg"])
    assert (tmp_path / "one.svg").read_bytes() == first
