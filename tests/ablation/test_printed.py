"""Whether a count gives a printed cost is decided by its counter, its unit and the printed decimals."""

from typing import Any

import pytest

from archlab.ablation.printed import Printed
from archlab.counting.rules import Count

COUNT = Count(params=759_600, fvcore=9_758_000_000, paper=215_202_112, summary=3_922_956_288)


@pytest.mark.parametrize(
    ("printed", "verdict"),
    [
        (Printed("0.8"), "reproduced"),
        (Printed("0.7"), "differs"),
        (Printed("0.7", truncated=True), "reproduced"),
        (Printed("205.2", "paper", "2^20"), "reproduced"),
        (Printed("215.2", "paper", "10^6"), "reproduced"),
        (Printed("215.3", "paper", "10^6"), "differs"),
        (Printed("0.20", "paper", "2^30"), "reproduced"),
        (Printed("9.1", "fvcore", "2^30"), "reproduced"),
        (Printed("9.1", "fvcore", "10^9"), "differs"),
        (Printed("3.6", "summary", "2^30"), "differs"),  # 3.654
        (Printed("3.6", "summary", "2^30", truncated=True), "reproduced"),
        (Printed("4", "summary", "2^30"), "reproduced"),
        (Printed("3", "summary", "2^30", truncated=True), "reproduced"),
    ],
)
def test_a_printed_cost_is_judged_by_its_counter_unit_and_decimals(printed: Printed, verdict: str) -> None:
    assert printed.verdict(COUNT) == verdict


def test_a_cost_without_a_count_is_published_only() -> None:
    assert Printed("1.1").verdict(None) == "published only"


@pytest.mark.parametrize(
    ("printed", "below", "at", "above"),
    [({}, (1.0499, 1.1501), (1.05, 1.15), 1.1), ({"truncated": True}, (1.0999, 1.2), (1.1, 1.1999), 1.15)],
)
def test_the_borders_of_a_printed_figure(
    printed: dict[str, Any], below: tuple[float, ...], at: tuple[float, ...], above: float
) -> None:
    figure = Printed("1.1", **printed)
    assert [figure.meets(value) for value in (*at, above)] == [True] * 3
    assert [figure.meets(value) for value in below] == [False] * 2
