"""Pictures of a run: its learning curves, and what it predicts beside what is right."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from archlab.core.files import replacing
from archlab.tasks.images import read_image
from archlab.tasks.pose.data.coco import People
from archlab.tasks.pose.data.crops import affine, crop, map_joints
from archlab.tasks.pose.keypoints import KeypointLayout
from archlab.tasks.pose.metrics.oks import oks
from archlab.training.metrics_log import Row
from archlab.training.runs import Record, Scores

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"left": "#ff9f1c", "right": "#2ec4ff", "middle": "#f5f5f5"}
"""Of the person's own left and right; told apart with any colour vision, and on dark and light pictures."""
INK = {"AP": "#1f4e79", "mean_oks": "#2a9d5c", "mean_weighted": "#1f4e79", "pck": "#c8553d"}
NAMES = {"AP": "AP", "mean_oks": "mean OKS", "mean_weighted": "PCKh@0.5", "pck": "PCK@0.1"}
"""The scores that are drawn, those that a run has; MPII's has no AP and COCO's no PCKh."""
SURE = 0.2
"""The height of a peak above which a keypoint counts in an instance's score; lower ones are drawn hollow."""


def spread(people: People, count: int = 12) -> People:
    """Some of the people, evenly spaced through the set and not chosen for their scores."""
    return people.subset(np.unique(np.linspace(0, len(people) - 1, min(count, len(people))).round().astype(int)))


def curves(rows: Sequence[Row], record: Record, path: Path) -> None:
    """Loss and learning rate by iteration, and the validation scores beside the mean pose's."""
    figure = _figure(12, 4)
    loss, scores = figure.subplots(1, 2)
    _draw_loss(loss, [row for row in rows if "loss" in row])
    _draw_scores(scores, [row for row in rows if "validation" in row], record.baseline.get("mean_pose", {}))
    figure.suptitle(_title(record), fontsize=10)
    _save(figure, path)


def _draw_loss(axes: Axes, rows: Sequence[Row]) -> None:
    from matplotlib.ticker import ScalarFormatter

    iterations = [row["iteration"] for row in rows]
    axes.plot(iterations, [1000 * row["loss"] for row in rows], color=INK["AP"], label="training loss")
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(ScalarFormatter())
    axes.yaxis.set_minor_formatter(ScalarFormatter())
    axes.set_ylabel("heat-map loss (mean square), thousandths")
    _by_iteration(axes)
    rate = axes.twinx()
    rate.plot(iterations, [row["lr"] for row in rows], "--", color="#999999", linewidth=1, label="learning rate")
    rate.set_ylim(bottom=0)
    rate.set_ylabel("learning rate")
    lines = [*axes.get_lines(), *rate.get_lines()]
    axes.legend(lines, [str(line.get_label()) for line in lines], loc="upper right", fontsize=8)


def _draw_scores(axes: Axes, rows: Sequence[Row], baseline: Scores) -> None:
    """One line a score and kind of boxes; a score of the mean pose is a dotted line of the same colour."""
    for kind, style, suffix in (("ground_truth_boxes", "o-", ""), ("detector_boxes", "s--", ", detector boxes")):
        for score, name in NAMES.items():
            found = [(row["iteration"], row["validation"].get(kind, {}).get(score)) for row in rows]
            shown = [(iteration, value) for iteration, value in found if value is not None]
            if shown:
                label = f"{name}{suffix}: {shown[-1][1]:.1f}"
                axes.plot(*zip(*shown, strict=True), style, color=INK[score], markersize=4, label=label)
    for score, name in NAMES.items():
        if (value := baseline.get(score)) is not None:
            label = f"{name} of the mean pose: {value:.1f}"
            axes.axhline(value, color=INK[score], linestyle=":", linewidth=1.2, label=label)
    axes.set_ylim(0, 100)
    axes.set_ylabel("validation score, 0-100")
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.02, 1.0), borderaxespad=0)
    _by_iteration(axes)


def _by_iteration(axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_xlim(left=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("iteration")
    axes.grid(alpha=0.25, which="both")


def predictions(
    people: People, points: NDArray[Any], heights: NDArray[Any], size_hw: tuple[int, int], record: Record, path: Path
) -> None:
    """A sheet of crops, in pairs: the labelled skeleton, and the predicted one with its OKS.

    `points` (N, K, 2) are in image pixels, `heights` (N, K) their peaks.
    """
    height, width = size_hw
    scores = 100 * oks(points, people.joints, people.areas, people.layout.sigmas, people.visible)
    columns = min(4, len(people))
    lines = -(-len(people) // columns)
    figure = _figure(columns * 3.3, lines * 3.3 * height / width / 2 + 0.9)
    grid = figure.subplots(lines, columns * 2, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for i, (left, right) in enumerate(grid.reshape(-1, 2)[: len(people)]):
        matrix = affine(people.centers[i], people.scales[i], 0.0, (width, height))
        image = crop(read_image(people.image_files[people.image_index[i]]), matrix, (width, height))
        everywhere = np.ones(len(points[i]))
        truth = map_joints(people.joints[i], people.visible[i], matrix)
        found = map_joints(points[i], everywhere, matrix)
        _draw_person(left, image, truth, people.visible[i] > 0, people.visible[i] == 2, people.layout)
        _draw_person(right, image, found, everywhere > 0, heights[i] > SURE, people.layout)
        left.set_title("truth", fontsize=7, pad=2)
        right.set_title(f"predicted, OKS {scores[i]:.0f}", fontsize=7, pad=2)
    figure.suptitle(_title(record) + f"\n{len(people)} people evenly spaced through the validation set", fontsize=9)
    _legend(figure)
    _save(figure, path)


def _draw_person(
    axes: Axes,
    image: NDArray[np.uint8],
    joints: NDArray[Any],
    shown: NDArray[Any],
    full: NDArray[Any],
    layout: KeypointLayout,
) -> None:
    """A crop with a skeleton; joints that are not `full` (hidden in the truth, unsure in a prediction) are hollow."""
    from matplotlib.collections import LineCollection

    axes.imshow(image, interpolation="bilinear")
    colours = [COLOURS[_side(name)] for name in layout.names]
    bones = [(a, b) for a, b in layout.skeleton if shown[a] and shown[b]]
    lines = [joints[[a, b]] for a, b in bones]
    tones = [colours[a] if colours[a] == colours[b] else COLOURS["middle"] for a, b in bones]
    axes.add_collection(LineCollection(lines, colors="#00000099", linewidths=2.4, capstyle="round"))
    axes.add_collection(LineCollection(lines, colors=tones, linewidths=1.3, capstyle="round"))
    for rows, hollow in ((np.flatnonzero(shown & full), False), (np.flatnonzero(shown & ~full), True)):
        own = [colours[k] for k in rows]
        edge = own if hollow else "black"
        axes.scatter(joints[rows, 0], joints[rows, 1], 9, "none" if hollow else own, edgecolors=edge, linewidths=0.6)
    height, width = image.shape[:2]
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)


def _side(name: str) -> str:
    return next((side for side in ("left", "right") if name.startswith(side)), "middle")


def _legend(figure: Figure) -> None:
    from matplotlib.lines import Line2D

    sides = [
        Line2D([], [], color=COLOURS[side], marker="o", markersize=4, label=f"the person's {side}")
        for side in ("left", "right")
    ]
    hollow = Line2D([], [], color="none", marker="o", markersize=4, markerfacecolor="none", markeredgecolor="#666666",
                    label=f"hollow: hidden (truth), peak below {SURE} (predicted)")  # fmt: skip
    figure.legend(handles=[*sides, hollow], loc="outside lower center", ncols=3, fontsize=7, frameon=False)


def _title(record: Record) -> str:
    size = "x".join(map(str, record.input[1:]))
    parts = (record.spec, size, f"recipe {record.recipe}", record.data["kind"], f"seed {record.seed}")
    return ", ".join((*parts, f"{record.samples} samples"))


def _figure(width: float, height: float) -> Figure:
    """A figure of its own, without pyplot's global state."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", dpi=140)
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
