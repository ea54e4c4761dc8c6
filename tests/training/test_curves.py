"""The legend of a run's curves: the scores of its data set, and those of the baseline."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from helpers.sample_records import record

from archlab.core.figures import new_figure
from archlab.tasks import find_task
from archlab.training import curves
from archlab.training.metrics_log import Row
from archlab.training.runs import Record

MPII = {"mean_weighted": 61.25, "mean_plain": 60.0, "pck": 70.0}
MEAN_POSE = {"mean_weighted": 12.5, "mean_plain": 12.0, "pck": 15.0}


def drawn(rows: list[Row], done: Record) -> list[str]:
    """Return the names and last values in the legend of the scores."""
    axes = new_figure(6, 4).subplots()
    scored = [(row["iteration"], row["validation"]) for row in rows if "validation" in row]
    curves._draw_scores(axes, scored, done, find_task("pose"))
    return [text.get_text() for text in axes.get_legend().get_texts()]


def test_the_curves_of_mpii_show_pckh_and_that_of_the_mean_pose() -> None:
    done = replace(record("x", "a"), scores={"ground_truth_boxes": MPII}, baseline={"mean_pose": MEAN_POSE})
    earlier = {"ground_truth_boxes": {**MPII, "mean_weighted": 10.0, "pck": 20.0}}
    rows: list[Row] = [{"iteration": 2, "validation": earlier}, {"iteration": 5, "validation": done.scores}]
    assert drawn(rows, done) == [
        "PCKh@0.5: 61.2", "PCK@0.1: 70.0", "PCKh@0.5 of the mean pose: 12.5", "PCK@0.1 of the mean pose: 15.0",
    ]  # fmt: skip


def test_the_curves_of_coco_show_what_they_did() -> None:
    done = record("x", "a", ap=20.0, pck=50.0)
    rows: list[Row] = [{"iteration": 5, "validation": done.scores}]
    assert drawn(rows, done) == [
        "AP: 20.0", "mean OKS: 40.0", "PCK@0.1: 50.0",
        "AP of the mean pose: 0.5", "mean OKS of the mean pose: 10.0", "PCK@0.1 of the mean pose: 15.0",
    ]  # fmt: skip


def test_scores_at_budgets_are_drawn_by_samples_on_a_logarithmic_axis() -> None:
    done = record("x", "a", ap=20.0)
    rows: list[Row] = [
        {"iteration": 1, "loss": 0.1, "lr": 0.1},
        {"iteration": 80, "budget": {"budget": 1000, "samples": 992, "scores": done.scores}},
        {"iteration": 800, "budget": {"budget": 8000, "samples": 8000, "scores": done.scores}},
    ]
    axes = curves.curves(rows, done, find_task("pose")).axes[1]
    assert (axes.get_xscale(), axes.get_xlabel()) == ("log", "training samples")
    assert [list(line.get_xdata()) for line in axes.get_lines()[:3]] == [[992, 8000]] * 3
    assert [label.get_text() for label in axes.get_xticklabels()] == ["992", "8k"]


def test_small_losses_are_drawn_in_thousandths_and_others_as_they_are() -> None:
    for loss, drawn_at, label in ((0.0008, 0.8, "training loss, thousandths"), (1.5, 1.5, "training loss")):
        axes = new_figure(6, 4).subplots()
        curves._draw_loss(
            axes, [{"iteration": 2, "loss": 2 * loss, "lr": 0.1}, {"iteration": 4, "loss": loss, "lr": 0.1}]
        )
        assert axes.get_lines()[0].get_ydata()[1] == drawn_at
        assert axes.get_ylabel() == label


@pytest.mark.parametrize("ends", [(4.0, 2.3), (20.0, 0.2), (1000.0, 0.001), (1.02, 1.0)])
def test_labels_of_the_losses_axis_do_not_overlap(ends: tuple[float, float]) -> None:
    figure = new_figure(12, 4)
    axes = figure.subplots(1, 2)[0]
    rows: list[Row] = [{"iteration": i, "loss": loss, "lr": 0.1} for i, loss in enumerate(ends)]
    curves._draw_loss(axes, rows)
    figure.draw_without_rendering()
    low, high = axes.get_window_extent().get_points()[:, 1]
    extents = [each.get_window_extent() for each in (*axes.get_yticklabels(), *axes.get_yticklabels(minor=True))]
    boxes = sorted((each.y0, each.y1) for each in extents if each.height and low <= (each.y0 + each.y1) / 2 <= high)
    assert len(boxes) >= 3
    assert all(upper[0] >= lower[1] for lower, upper in pairwise(boxes))
