"""The costs of many points of a space at once, by vectors of widths; no document is read for each of them.

Points with the same choices of the parameters that reach a place have the same blocks there. One point of each such
group is read, and its block is counted for the whole group by `archlab.counting.vector`; whole numbers that parameters
set in a block do not even split a group. What this leaves out is counted point by point (`archlab.counting.fast`):
spaces of other forms, points whose shapes do not fit, and units or fusions that change the shapes of their maps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archlab.counting.rules import Count
from archlab.counting.vector import Batch, Counted, Numbers, count_batch
from archlab.network.spec import Declared
from archlab.search.space.document import Point
from archlab.search.space.places import Place, Places, Stage, Standing, Varied, stages_of
from archlab.search.space.space import Space

STEM, HEAD, LAST = (Place(((name,),), name) for name in ("stem", "head", "last"))
Sizes = tuple[tuple[int, int], ...]
MOST_CODES = 2**40


class BatchCounter:
    """Counts points of a space many at a time."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.stages = stages_of(space)
        self.places = Places(space)
        self._reaching: dict[Place, tuple[list[int], Varied]] = {}
        self._standing: dict[tuple[Place, tuple[int, ...]], Standing | None] = {}
        self._numbers: dict[tuple[Stage, tuple[int, ...]], tuple[int, int] | None] = {}

    def counts(self, points: Sequence[Point]) -> list[Count | None]:
        """Return the cost of each point, None for those that are counted one by one."""
        if not self.stages or not points:
            return [None] * len(points)
        first = next((spec for point in points if (spec := self.places.spec(point))), None)
        if first is None:
            return [None] * len(points)
        run = _Run(self, points, first.input)
        run.count(first.outputs)
        return [Count(*row) if ok else None for row, ok in zip(run.costs.tolist(), run.ok.tolist(), strict=True)]

    def groups(
        self, place: Place, points: Sequence[Point], matrix: Numbers
    ) -> Iterator[tuple[Numbers, Standing | None]]:
        """Yield the rows of the points that are alike at a place, and what stands there."""
        structure, numbers = self._reached(place)
        columns = [matrix[:, i] for i in structure] + [np.minimum(matrix[:, i], 0) for _, _, i in numbers]
        for key, rows in _alike(columns, len(points)):
            if (place, key) not in self._standing:
                self._standing[place, key] = self.places.standing(place, points[rows[0]], numbers)
            yield rows, self._standing[place, key]

    def numbers(self, stage: Stage, points: Sequence[Point], matrix: Numbers) -> tuple[Numbers, Numbers]:
        """Return each point's modules of a stage and units of a module; 0 if they are unknown."""
        made = np.zeros((2, len(points)), np.int64)
        for key, rows in _alike([matrix[:, i] for i in self._reached(stage.counts)[0]], len(points)):
            if (stage, key) not in self._numbers:
                spec = self.places.spec(points[rows[0]])
                self._numbers[stage, key] = stage.numbers(spec) if spec else (0, 0)
            made[:, rows] = np.array(self._numbers[stage, key])[:, None]
        return made[0], made[1]

    def _reached(self, place: Place) -> tuple[list[int], Varied]:
        if place not in self._reaching:
            structure, numbers = self.places.reaching(place)
            self._reaching[place] = structure, tuple(numbers)
        return self._reaching[place]


def _alike(columns: Sequence[Numbers], rows: int) -> Iterator[tuple[tuple[int, ...], Numbers]]:
    """Yield the values that rows have in these columns, and the rows that have them."""
    code = np.zeros(rows, np.int64)
    for column in columns:
        code = code * (int(column.max()) + 2) + column + 1
        if code.max() > MOST_CODES:
            code = np.unique(code, return_inverse=True)[1].reshape(-1)
    order = np.argsort(code, kind="stable")
    for part in np.split(order, np.flatnonzero(np.diff(code[order])) + 1):
        yield tuple([int(column[part[0]]) for column in columns]), part


class _Run:
    """The state of a batch on its way through the network.

    widths: the channels of each point's maps, (points, maps). form: which of `forms` the maps' sizes are.
    ok: which points are counted so far.
    """

    def __init__(self, counter: BatchCounter, points: Sequence[Point], input: tuple[int, ...]) -> None:
        self.counter, self.points, self.matrix = counter, points, np.array(points, np.int64)
        rows = len(points)
        self.widths = np.zeros((rows, len(counter.stages) + 2), np.int64)
        self.widths[:, 0] = input[0]
        self.forms: list[Sizes] = [((input[1], input[2]),)]
        self.form = np.zeros(rows, np.int64)
        self.costs = np.zeros((rows, len(Count._fields)), np.int64)
        self.ok = np.ones(rows, np.bool_)
        self.once = np.ones(rows, np.int64)

    def count(self, outputs: int) -> None:
        self._chain(STEM)
        for stage in self.counter.stages:
            modules, units = self.counter.numbers(stage, self.points, self.matrix)
            self.ok &= (modules > 0) & (units > 0)
            self._chain(stage.transition)
            for place in stage.units:
                self._repeated(place, modules * units)
            self._repeated(stage.fusion, modules)
        before = self.widths.copy(), self.form.copy()
        read = self._chain(HEAD, partly=True)
        after = self.widths, self.form
        self.widths, self.form = before
        for needed, rows in read.items():
            self._repeated(self.counter.stages[-1].fusion, -self.once, rows)
            self._repeated(self.counter.stages[-1].fusion, self.once, rows, read=needed)
        self.widths, self.form = after
        self._chain(LAST)
        single = np.array([len(sizes) == 1 for sizes in self.forms])
        self.ok &= single[self.form] & (self.widths[:, 0] == outputs)

    def _chain(self, place: Place, *, partly: bool = False) -> dict[frozenset[int], Numbers]:
        """Lay down blocks one after the other; their maps replace those of the rows.

        Returns the positions of the maps that the first block reads, with its rows, for rows where it does not read
        all of them. Only with `partly` are such rows counted.
        """
        some: dict[frozenset[int], list[Numbers]] = {}
        for standing, rows in self._groups(place, self._open()):
            if not standing.nodes:
                self.ok[rows] = False
            for i, node in enumerate(standing.nodes):
                for part_rows, part in self._lay(node, standing.varied if i == 0 else (), rows[self.ok[rows]]):
                    missed = len(part.inputs) < len(self.forms[self.form[part_rows[0]]])
                    if missed and partly and i == 0:
                        some.setdefault(part.inputs, []).append(part_rows)
                    elif missed:
                        self.ok[part_rows] = False
                    self._replace(part_rows, part)
        return {read: np.concatenate(rows) for read, rows in some.items()}

    def _replace(self, rows: Numbers, part: Counted) -> None:
        self.costs[rows] += part.costs
        maps = len(part.sizes)
        if maps > self.widths.shape[1]:
            self.ok[rows] = False
            return
        self.widths[rows, :maps] = part.widths
        self.form[rows] = self._form_of(part.sizes)

    def _repeated(
        self, place: Place, times: Numbers, rows: Numbers | None = None, read: frozenset[int] | None = None
    ) -> None:
        """Count blocks that keep the shapes of their maps as often as they follow each other."""
        for standing, found in self._groups(place, self._open(rows)):
            if not standing.nodes:
                continue
            for part_rows, part in self._lay(standing.nodes[0], standing.varied, found, place.branch, read):
                sizes, own = self._maps(part_rows, place.branch)
                kept = (part.widths == own).all(axis=1) if part.sizes == sizes else np.zeros(len(part_rows), np.bool_)
                self.ok[part_rows] &= kept & (len(part.inputs) == len(sizes))
                self.costs[part_rows] += part.costs * times[part_rows, None]

    def _open(self, rows: Numbers | None = None) -> NDArray[np.bool_]:
        """Return which rows are counted so far, of some of them."""
        if rows is None:
            return self.ok
        chosen = np.zeros_like(self.ok)
        chosen[rows] = True
        return chosen & self.ok

    def _groups(self, place: Place, open: NDArray[np.bool_]) -> list[tuple[Standing, Numbers]]:
        """Return what stands at a place, with the rows, joined where it differs only in numbers that vary."""
        joined: dict[object, tuple[Standing, list[Numbers]]] = {}
        for rows, standing in self.counter.groups(place, self.points, self.matrix):
            if standing is None:
                self.ok[rows] = False
            else:
                joined.setdefault(standing.key, (standing, []))[1].append(rows[open[rows]])
        return [(standing, np.concatenate(rows)) for standing, rows in joined.values()]

    def _lay(
        self,
        node: Declared,
        varied: Varied,
        rows: Numbers,
        branch: int | None = None,
        read: frozenset[int] | None = None,
    ) -> Iterator[tuple[Numbers, Counted]]:
        """Yield the parts of a block's rows that could be laid down; the others are no longer ok."""
        self.ok[rows] = False
        for _, alike in _alike([self.form[rows]], len(rows)) if len(rows) else ():
            some = rows[alike]
            sizes, widths = self._maps(some, branch)
            batch = Batch(node.function, node.many, node.arguments, sizes, widths, self._numbers(node, varied, some))
            for part in count_batch(batch, read):
                self.ok[some[part.rows]] = True
                yield some[part.rows], part

    def _maps(self, rows: Numbers, branch: int | None) -> tuple[Sizes, Numbers]:
        """Return the sizes and widths of the maps that a block reads; the rows have maps of the same sizes."""
        sizes = self.forms[self.form[rows[0]]]
        if branch is None:
            return sizes, self.widths[rows, : len(sizes)]
        return sizes[branch : branch + 1], self.widths[rows, branch : branch + 1]

    def _numbers(self, node: Declared, varied: Varied, rows: Numbers) -> dict[str, Numbers | list[Numbers]]:
        """Return the numbers that parameters set in a block's arguments, for these rows."""
        arguments: dict[str, Any] = dict(node.arguments)
        made: dict[str, Numbers | list[Numbers]] = {}
        for name, position, number in varied:
            found = self.counter.places.choices[number][self.matrix[rows, number]]
            if position is None:
                made[name] = found
                continue
            written = made.setdefault(name, [np.full(len(rows), n, np.int64) for n in arguments[name]])
            assert isinstance(written, list)
            if position < len(written):
                written[position] = found
        return made

    def _form_of(self, sizes: Sizes) -> int:
        if sizes not in self.forms:
            self.forms.append(sizes)
        return self.forms.index(sizes)
