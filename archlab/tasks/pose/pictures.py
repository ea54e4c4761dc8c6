"""A sheet of labelled and predicted skeletons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from archlab.core.figures import new_figure
from archlab.tasks.images import read_image
from archlab.tasks.pose.data.coco import People
from archlab.tasks.pose.data.crops import affine, crop, map_joints
from archlab.tasks.pose.keypoints import KeypointLayout
from archlab.tasks.pose.metrics.oks import oks
from archlab.tasks.pose.skeleton import COLOURS, SURE, side_of
from archlab.tasks.prediction import Boxes, Picture, spread_over

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def spread(people: People, count: int = 12) -> People:
    """Return `count` people, evenly spaced through the set and not chosen by their scores."""
    return people.subset(spread_over(np.arange(len(people)), count))


def pictures_of(people: People, count: int) -> list[Picture]:
    """Return `count` pictures with the boxes of their people, evenly spaced through those that show any."""
    rows = people.image_index
    found = []
    for index in spread_over(np.unique(rows), count):
        path, here = people.image_files[index], rows == index
        boxes = Boxes(people.boxes[here], people.scores[here])
        found.append(Picture(str(path), read_image(path), int(people.image_ids[here][0]), boxes))
    return found


def predictions(
    people: People, points: NDArray[Any], heights: NDArray[Any], size_hw: tuple[int, int], title: str
) -> Figure:
    """Draw a sheet of crops in pairs: the labelled skeleton, and the predicted one with its OKS.

    points: (N, K, 2), image pixels. heights: (N, K), of their peaks. size_hw: of the network's input.
    """
    height, width = size_hw
    scores = 100 * oks(points, people.joints, people.areas, people.layout.sigmas, people.visible)
    columns = min(4, len(people))
    lines = -(-len(people) // columns)
    figure = new_figure(columns * 3.3, lines * 3.3 * height / width / 2 + 0.9)
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
    figure.suptitle(title + f"\n{len(people)} people evenly spaced through the validation set", fontsize=9)
    _legend(figure)
    return figure


def _draw_person(
    axes: Axes,
    image: NDArray[np.uint8],
    joints: NDArray[Any],
    shown: NDArray[Any],
    full: NDArray[Any],
    layout: KeypointLayout,
) -> None:
    """Draw a crop with a skeleton; joints that are not `full` (hidden, or with a low peak) are hollow."""
    from matplotlib.collections import LineCollection

    axes.imshow(image, interpolation="bilinear")
    colours = [COLOURS[side_of(name)] for name in layout.names]
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


def _legend(figure: Figure) -> None:
    from matplotlib.lines import Line2D

    sides = [
        Line2D([], [], color=COLOURS[side], marker="o", markersize=4, label=f"the person's {side}")
        for side in ("left", "right")
    ]
    hollow = Line2D([], [], color="none", marker="o", markersize=4, markerfacecolor="none", markeredgecolor="#666666",
                    label=f"hollow: hidden (truth), peak below {SURE} (predicted)")  # fmt: skip
    figure.legend(handles=[*sides, hollow], loc="outside lower center", ncols=3, fontsize=7, frameon=False)
