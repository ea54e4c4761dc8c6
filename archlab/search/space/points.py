"""Points of a space: counting, enumeration, sampling, neighbours and crossover."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random

from archlab.search.space.document import INACTIVE, Point
from archlab.search.space.space import Space
from archlab.search.space.vary import Parameter


def size(space: Space) -> int:
    """Return the exact number of points, ignoring the limits.

    One pass over the parameters, which keeps earlier choices apart only where later conditions distinguish them.
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
    """Return the first choice that is in the same of these sets."""
    like = (one for one in range(INACTIVE, choice + 1) if all((one in each) == (choice in each) for each in asked))
    return min(like)


def enumerate_points(space: Space) -> Iterator[Point]:
    """Yield every point once; the last parameter changes fastest."""
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
    """Return a random point: every active parameter's choices are equally likely."""
    return complete(space, (INACTIVE,) * len(space.parameters), random)


def complete(space: Space, point: Point, random: Random) -> Point:
    """Return `point` with random choices for active parameters without one, and none for inactive parameters."""
    made: list[int] = []
    for parameter, choice in zip(space.parameters, point, strict=True):
        if not parameter.active(made):
            made.append(INACTIVE)
        else:
            made.append(choice if choice >= 0 else random.randrange(len(parameter.labels)))
    return tuple(made)


def neighbours(space: Space, point: Point) -> Iterator[Point]:
    """Yield the points that differ from `point` in one choice: the adjacent ones of numbers, else any other.

    Parameters that the change activates take their first choice.
    """
    for i, parameter in enumerate(space.parameters):
        for choice in _beside(parameter, point[i]):
            yield complete(space, (*point[:i], choice, *point[i + 1 :]), _First())


def mutate(space: Space, point: Point, random: Random, *, changes: int = 1) -> Point:
    """Return `point` after `changes` random changes, each to a neighbour; fewer if no parameter is free."""
    for _ in range(changes):
        free = [i for i, p in enumerate(space.parameters) if point[i] >= 0 and len(p.labels) > 1]
        if not free:
            return point
        i = random.choice(free)
        choice = random.choice(list(_beside(space.parameters[i], point[i])))
        point = complete(space, (*point[:i], choice, *point[i + 1 :]), random)
    return point


def cross(space: Space, one: Point, other: Point, random: Random) -> Point:
    """Return a random crossover: each choice from either point, or from the one in which it is active."""
    mixed = tuple(max(pair) if min(pair) < 0 else random.choice(pair) for pair in zip(one, other, strict=True))
    return complete(space, mixed, random)


def _beside(parameter: Parameter, choice: int) -> Iterator[int]:
    if choice < 0:
        return
    near = (choice - 1, choice + 1) if parameter.ordered else range(len(parameter.labels))
    yield from (i for i in near if i != choice and 0 <= i < len(parameter.labels))


class _First(Random):
    """A generator that always returns the first choice."""

    def randrange(self, *_: object, **__: object) -> int:
        return 0
