"""The figures of a search as a notebook asks for them: data on axes, and what has none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from helpers.search_results import make_result
from matplotlib.figure import Figure

from archlab.core.errors import InputError
from archlab.search.report import estimates, figures
from archlab.search.report.analysis import analyse
from archlab.search.results import Result


@pytest.fixture(scope="module")
def result() -> Result:
    return make_result(32)


def test_every_figure_of_a_result_is_a_matplotlib_figure_of_the_size_asked_for(result: Result) -> None:
    analysis = analyse(result)
    assert figures.available(analysis) == list(figures.FIGURES)
    for make in figures.FIGURES.values():
        made = make(analysis, size=(4.0, 3.2))
        assert isinstance(made, Figure)
        assert made.get_size_inches().tolist() == [4.0, 3.2]
        assert made.axes[0].get_xlabel()


def test_the_front_shows_each_complete_candidate_at_its_cost_and_mean_score(result: Result) -> None:
    axes = figures.front(result).axes[0]
    shown = {c.get_label(): c.lines[0].get_xydata() for c in axes.containers}  # type: ignore[attr-defined]
    for label, candidates in (("on the front", estimates.front(result)), ("reference", result.references)):
        expected = [(c.cost["macs"] / 1e6, estimates.known(c, "pck").mean) for c in candidates]  # type: ignore[union-attr]
        assert np.asarray(shown[label]) == pytest.approx(np.asarray(expected))
    assert len(shown["fully trained"]) + len(shown["on the front"]) == len(result.complete)


def labels(figure: Figure) -> list[str]:
    legend = figure.axes[0].get_legend()
    assert legend
    return [text.get_text() for text in legend.get_texts()]


def test_whiskers_are_explained_in_the_legend(result: Result) -> None:
    assert labels(figures.front(result))[-1] == "95 % interval over seeds"
    assert labels(figures.bands(result))[-1] == "95 % interval"
    assert labels(figures.importance(result)) == ["95 % interval"]


def test_bands_have_a_panel_of_its_own_scale_for_each_rung(result: Result) -> None:
    first, last = figures.bands(result).axes
    scores = {rung: [c.rungs[rung]["pck"] for c in result.candidates if len(c.rungs) > rung] for rung in (0, 2)}
    for ax, rung in ((first, 0), (last, 2)):
        low, high = ax.get_ylim()
        assert low < min(scores[rung]) < max(scores[rung]) < high
        assert result.rungs[rung].label in [text.get_text().removeprefix("at ") for text in ax.texts]


def test_importance_says_how_many_parameters_are_shown(result: Result) -> None:
    assert figures.importance(result).axes[0].get_title(loc="right") == f"all {len(result.parameters)} parameters"


def test_hypervolume_ends_at_that_of_the_front(result: Result) -> None:
    analysis = analyse(result)
    (line,) = figures.hypervolume(analysis).axes[0].get_lines()
    x, y = np.asarray(line.get_xydata())[-1]
    assert x == len(result.candidates)
    assert y == pytest.approx(analysis.growth[-1].hypervolume / 1e6)


@pytest.mark.parametrize("name", figures.FIGURES)
def test_a_figure_without_data_is_refused(name: str, result: Result) -> None:
    with pytest.raises(InputError, match=f"lite_hrnet_quick .* {name!r}"):
        figures.FIGURES[name](replace(result, candidates=()))
