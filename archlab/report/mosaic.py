"""Pictures of any shape side by side in rows of one width, as a page of photographs is set."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby, pairwise
from math import sqrt

Size = tuple[int, int]
"""Width and height, pixels."""


def rows_of(sizes: Sequence[Size], *, page: float) -> list[list[int]]:
    """Split pictures into rows of about equal shape, in order; return the numbers of each row's pictures.

    page: the width over the height that the whole should have.
    """
    shapes = [width / height for width, height in sizes]
    count = max(1, round(sqrt(sum(shapes) / page)))
    middles = [sum(shapes[:i]) + shape / 2 for i, shape in enumerate(shapes)]
    numbered = enumerate(int(count * middle / sum(shapes)) for middle in middles)
    return [[i for i, _ in row] for _, row in groupby(numbered, key=lambda each: each[1])]


def fitted(sizes: Sequence[Size], width: int) -> list[Size]:
    """Return the sizes at which a row's pictures have one height and fill a width together, to the pixel."""
    shapes = [across / down for across, down in sizes]
    height = max(1, round(width / sum(shapes)))
    edges = [round(width * sum(shapes[:i]) / sum(shapes)) for i in range(len(shapes) + 1)]
    return [(max(1, right - left), height) for left, right in pairwise(edges)]
