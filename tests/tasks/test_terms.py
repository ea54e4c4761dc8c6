"""What each sample adds to a figure: the figure it gives, and its form in a record."""

from __future__ import annotations

import base64
import json
import zlib

import numpy as np
import pytest
from helpers.refused import refused

from archlab.tasks.terms import STEPS, Ratio, Scored, Terms, digest_of, terms_of


def test_a_figure_is_the_ratio_of_the_sums() -> None:
    assert Ratio.of([1, 0, 3], [2, 0, 4]).figure == pytest.approx(100 * 4 / 6)
    assert Ratio.of([0.5, 1.0]).figure == 75.0
    assert Ratio.of([0, 0], [0, 0]).figure is None


def stored(**ratios: Ratio) -> dict:
    """Return what a record holds after it was written and read."""
    scored = Scored({"boxes": {}}, {"boxes": Terms("abc", ratios)})
    return json.loads(json.dumps(scored.with_terms()))["terms"]


def test_counts_come_back_exactly_and_shares_within_half_a_step() -> None:
    random = np.random.default_rng(0)
    hits, labelled = random.integers(0, 14, 1000), np.full(1000, 14)
    likeness = random.random(1000)
    found = terms_of(stored(pck=Ratio.of(hits, labelled), oks=Ratio.of(likeness)), "boxes")
    assert found is not None
    assert found.samples == "abc"
    assert found.ratios["pck"].parts.tolist() == hits.tolist()
    assert found.ratios["pck"].wholes.tolist() == labelled.tolist()
    assert np.abs(found.ratios["oks"].parts - likeness).max() <= 0.5 / STEPS
    assert found.ratios["oks"].figure == pytest.approx(100 * likeness.mean(), abs=1e-3)


def test_counts_beyond_a_byte_come_back_exactly() -> None:
    found = terms_of(stored(many=Ratio.of([300, STEPS], [301, STEPS])), "boxes")
    assert found is not None
    assert found.ratios["many"].parts.tolist() == [300, STEPS]


def test_a_thousand_people_take_few_bytes() -> None:
    random = np.random.default_rng(0)
    hits, labelled = Ratio.of(random.integers(0, 14, 1000), np.full(1000, 14)), Ratio.of(random.random(1000))
    assert len(json.dumps(stored(pck=hits, mean_oks=labelled))) < 5_000


def test_a_view_without_terms_has_none() -> None:
    assert terms_of({}, "boxes") is None
    assert Scored({"boxes": {}}).with_terms() == {}


def _bomb() -> str:
    return "u1:" + base64.b64encode(zlib.compress(bytes(2**27))).decode()


@pytest.mark.parametrize(
    "lists",
    [["u1:!!", "u1:"], ["u9:eJwDAAAAAAE=", "u1:eJwDAAAAAAE="], ["u1:eJwDAA==", "u1:eJwDAAAAAAE="], 3, [1, 2], [_bomb(), _bomb()]],
    ids=["no base64", "unknown form", "cut", "a number", "numbers", "a bomb"],
)  # fmt: skip
def test_damaged_terms_are_refused_with_their_field(lists: object) -> None:
    with refused(file="r.json", field="terms.boxes"):
        terms_of({"boxes": {"samples": "abc", "ratios": {"pck": lists}}}, "boxes", file="r.json")


def test_lists_of_different_lengths_are_refused() -> None:
    plain = stored(pck=Ratio.of([1, 2], [3, 3]))
    plain["boxes"]["ratios"]["pck"][1] = stored(pck=Ratio.of([1, 2, 3]))["boxes"]["ratios"]["pck"][0]
    with refused(field="terms.boxes"):
        terms_of(plain, "boxes")


def test_a_digest_depends_on_names_and_order() -> None:
    assert digest_of([1, 2]) == digest_of(np.array([1, 2]))
    assert len({digest_of([1, 2]), digest_of([2, 1]), digest_of([12])}) == 3
