"""The names of a network's outputs, compared between two sets of data."""

from __future__ import annotations

from collections.abc import Sequence


def different_names(ours: Sequence[str], others: Sequence[str], us: str, them: str, *, what: str) -> str:
    """Return how two lists of names differ, in number or at the first place, or "".

    us, them: what to call the two. what: the plural for the outputs, as `keypoints`.
    """
    if len(ours) != len(others):
        return f"{us} has {len(ours)} {what}, but {them} has {len(others)}"
    at = next((at for at, pair in enumerate(zip(ours, others, strict=True)) if pair[0] != pair[1]), None)
    if at is None:
        return ""
    order = "the same names in another order" if sorted(ours) == sorted(others) else "other names"
    return f"{what}[{at}] is {ours[at]!r} in {us}, but {others[at]!r} in {them}: {order}"
