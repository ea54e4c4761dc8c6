"""The time of a network's operators, and of those taken together by a name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """An operator of a block. milliseconds: the least of its times in place. macs: its multiply-adds.

    node: where it is, empty for the operators of several nodes together. calls: their number.
    """

    node: str
    block: str
    operator: str
    milliseconds: float
    macs: int
    calls: int = 1


@dataclass(frozen=True)
class Share:
    """Operators taken together. calls: their number."""

    name: str
    calls: int
    milliseconds: float
    macs: int


def shares(parts: Sequence[Part], by: Callable[[Part], str]) -> list[Share]:
    """Return the parts taken together by a name of theirs, the slowest first."""
    found: defaultdict[str, list[Part]] = defaultdict(list)
    for part in parts:
        found[by(part)].append(part)
    made = [
        Share(name, sum(x.calls for x in p), sum(x.milliseconds for x in p), sum(x.macs for x in p))
        for name, p in found.items()
    ]
    return sorted(made, key=lambda share: -share.milliseconds)


def together(parts: Sequence[Part]) -> list[Part]:
    """Return the parts with those of one operator in one kind of block as one."""
    found: defaultdict[tuple[str, str], list[Part]] = defaultdict(list)
    for part in parts:
        found[part.block, part.operator].append(part)
    return [
        Part("", block, operator, round(sum(x.milliseconds for x in p), 4), sum(x.macs for x in p), len(p))
        for (block, operator), p in found.items()
    ]
