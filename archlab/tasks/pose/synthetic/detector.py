"""Simulated detections of people: jittered boxes, some missed and some false, scored by visibility."""

from __future__ import annotations

from typing import Any

import numpy as np

from archlab.tasks.pose.synthetic.labels import Label


def detect(
    rng: np.random.Generator, labels: tuple[Label, ...], size: tuple[int, int], image_id: int
) -> list[dict[str, Any]]:
    """Return the detections in one picture of `size` (width, height), best first."""
    found = []
    for label in labels:
        ease = label.seen * min(1.0, label.area / 4000) ** 0.3
        if rng.random() < 0.7 * (1 - ease) ** 2 + 0.01:
            continue
        error = rng.normal(0, 0.03 + 0.08 * (1 - ease), 4)
        found.append(
            (_jittered(label.box, error), _score(ease - 3 * float(np.abs(error).mean()) + rng.normal(0, 0.08)))
        )
        if rng.random() < 0.1:
            again = rng.normal(0, 0.2, 4)
            found.append((_jittered(label.box, again), _score(ease - 0.7 + rng.normal(0, 0.1))))
    for _ in range(int(rng.poisson(1.0))):
        height = size[1] * float(np.exp(rng.uniform(np.log(0.12), np.log(0.8))))
        width = height * rng.uniform(0.25, 0.9)
        corner = rng.uniform((0, 0), np.maximum((size[0] - width, size[1] - height), 1))
        found.append(((float(corner[0]), float(corner[1]), float(width), height), _score(rng.normal(0.05, 0.15))))
    found.sort(key=lambda pair: -pair[1])
    return [{"image_id": image_id, "category_id": 1, "bbox": _inside(box, size), "score": round(score, 5)}
            for box, score in found]  # fmt: skip


def _score(confidence: float) -> float:
    return float(1 / (1 + np.exp(-8 * (confidence - 0.4))))


def _jittered(box: tuple[float, float, float, float], error: np.ndarray) -> tuple[float, float, float, float]:
    """Return the box with its corners moved by `error`, as shares of its sides."""
    x, y, w, h = box
    left, top, right, bottom = error * (w, h, w, h) + (x, y, x + w, y + h)
    return float(left), float(top), float(max(right - left, 4)), float(max(bottom - top, 4))


def _inside(box: tuple[float, float, float, float], size: tuple[int, int]) -> list[float]:
    x, y, w, h = box
    left, top = min(max(x, 0.0), size[0] - 2.0), min(max(y, 0.0), size[1] - 2.0)
    right, bottom = max(min(x + w, float(size[0])), left + 1), max(min(y + h, float(size[1])), top + 1)
    return [round(n, 2) for n in (left, top, right - left, bottom - top)]
