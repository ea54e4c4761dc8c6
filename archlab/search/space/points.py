"""Points of a space: how many there are, all of them, some by chance, and what lies beside or between two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random

from archlab.search.space.document import INACTIVE, Point
from archlab.search.space.space import Space
from archlab.search.space.vary import Parameter


def size(space: Space) -> int:
    """The number of points, exactly; the limits are not asked.

    Goes through the parameters once, keeping apart only what later conditions tell apart in earlier choices.
    """
    states: Counter[tuple[tuple[int, int], ...]] = Counter({(): 1})
    for i, parameter in enumerate(space.parameters):
        later = [condition for each in space.parameters[i + 1 :] for condition in each.when]
        asked = {other: [choices for one, choices in later if one == other] for other in range(i + 1)}
        following: Counter[tuple[tuple[int, int], ...]] = Counter()
        for state, count in states.items():
            for choice in _choices(parameter, dict(state)):
                chosen = (*state, (i, choice))
                following[tuple((other, _first_like(one, asked[other])) for other, one in chosen if asked[other])] += (
                    count
                )
        states = following
    return states.total()


def _first_like(choice: int, asked: Sequence[frozenset[int]]) -> int:
    """The first choice that is in the same ones of these sets."""
    like = (one for one in range(INACTIVE, choice + 1) if all((one in each) == (choice in each) for each in asked))
    return min(like)


def enumerate_points(space: Space) -> Iterator[Point]:
    """Every point once, the last parameter changing fastest."""
    yield from _below(space, [])


def _below(space: Space, chosen: list[int]) -> Iterator[Point]:
    if len(chosen) == len(space.parameters):
        yield tuple(chosen)
        return
    for choice in _choices(space.parameters[len(chosen)], dict(enumerate(chosen))):
        yield from _below(space, [*chosen, choice])


def _choices(parameter: Parameter, chosen: dict[int, int]) -> range:
    active = all(chosen.get(other, INACTIVE) in choices for other, choices in parameter.when)
    return range(len(parameter.labels)) if active else range(INACTIVE, 0)


def sample(space: Space, random: Random) -> Point:
    """Every active parameter's choice by chance, each as likely as the others."""
    return complete(space, (INACTIVE,) * len(space.parameters), random)


def complete(space: Space, point: Point, random: Random) -> Point:
    """`point` with a choice by chance where a parameter is active and has none, and none where it is not."""
    made: list[int] = []
    for parameter, choice in zip(space.parameters, point, strict=True):
        if not parameter.active(made):
            made.append(INACTIVE)
        else:
            made.append(choice if choice >= 0 else random.randrange(len(parameter.labels)))
    return tuple(made)


def neighbours(space: Space, point: Point) -> Iterator[Point]:
    """The points that differ from `point` in one choice: of numbers the next ones, else any other.

    Parameters that become active by it begin with their first choice.
    """
    for i, parameter in enumerate(space.parameters):
        for choice in _beside(parameter, point[i]):
            yield complete(space, (*point[:i], choice, *point[i + 1 :]), _First())


def mutate(space: Space, point: Point, random: Random, *, changes: int = 1) -> Point:
    """`point` with so many choices changed by chance, as in `neighbours`; a free one among fewer where it has none."""
    for _ in range(changes):
        free = [i for i, p in enumerate(space.parameters) if point[i] >= 0 and len(p.labels) > 1]
        if not free:
            return point
        i = random.choice(free)
        choice = random.choice(list(_beside(space.parameters[i], point[i])))
        point = complete(space, (*point[:i], choice, *point[i + 1 :]), random)
    return point


def cross(space: Space, one: Point, other: Point, random: Random) -> Point:
    """Each choice from one of two points, by chance; from the one that has it where the other has none."""
    mixed = tuple(max(pair) if min(pair) < 0 else random.choice(pair) for pair in zip(one, other, strict=True))
    return complete(space, mixed, random)


def _beside(parameter: Parameter, choice: int) -> Iterator[int]:
    if choice < 0:
        return
    near = (choice - 1, choice + 1) if parameter.ordered else range(len(parameter.labels))
    yield from (i for i in near if i != choice and 0 <= i < len(parameter.labels))


class _First(Random):
    """Chooses the first of everything."""

    def randrange(self, *_: object, **__: object) -> int:
        return 0
