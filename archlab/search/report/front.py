"""The non-dominated points and their hypervolume: pure functions on numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from archlab.report import pareto

Array = np.ndarray[Any, np.dtype[np.float64]]


def gains(
    values: Sequence[Sequence[float]], directions: Sequence[str], reference: Sequence[float] | None = None
) -> Array:
    """Return objectives (points, objectives) signed so that more is better, relative to the reference point or 0."""
    signs = np.array([1.0 if direction == "maximize" else -1.0 for direction in directions])
    given = np.asarray(values, float).reshape(-1, len(directions))
    turned: Array = signs * (given - (np.zeros(len(directions)) if reference is None else np.asarray(reference, float)))
    return turned


def non_dominated(values: Sequence[Sequence[float]], directions: Sequence[str]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Return which points no other dominates; equal points do not dominate each other."""
    return pareto.non_dominated((-gains(values, directions)).tolist())


def hypervolume(values: Sequence[Sequence[float]], directions: Sequence[str], reference: Sequence[float]) -> float:
    """Return the volume of {z : reference < z <= some point}, in units of the product of the objectives.

    A point that does not beat the reference in every objective adds nothing. Exact, by slices along one objective
    after another (Zitzler, Deb and Thiele, 2000; "HSO" in While et al., A Faster Algorithm for Calculating Hypervolume,
    2006): about n^(m - 1) steps with m objectives and n points.
    """
    given = gains(values, directions, reference)
    return _volume(given[(given > 0).all(axis=1)])


def _volume(points: Array) -> float:
    """Return the volume of the union of boxes from 0 to each point, sliced along the last objective."""
    if not len(points):
        return 0.0
    if points.shape[1] == 1:
        return float(points.max())
    points = points[np.argsort(-points[:, -1], kind="stable")]
    ends = np.append(points[1:, -1], 0.0)
    if points.shape[1] == 2:
        return float((np.maximum.accumulate(points[:, 0]) * (points[:, 1] - ends)).sum())
    depths = points[:, -1] - ends
    return float(sum(depth * _volume(points[: i + 1, :-1]) for i, depth in enumerate(depths) if depth))


def worst_with_room(
    values: Sequence[Sequence[float]], directions: Sequence[str], room: float = 0.1
) -> tuple[float, ...]:
    """Return a reference point: the worst value of each objective, moved by `room` of its range.

    If all values are equal, it is moved by `room` of the value, or by 1 if that is 0.
    """
    given = gains(values, directions)
    span = np.ptp(given, axis=0)
    step = room * np.where(span > 0, span, np.where(given[0] != 0, np.abs(given[0]), 1.0 / room))
    signs = gains([[1.0] * len(directions)], directions)[0]
    return tuple(map(float, signs * (given.min(axis=0) - step)))
