"""The category of an annotation file that is trained and scored, and its keypoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from archlab.core.errors import InputError, Problem
from archlab.tasks.pose.data.rules import integer, numbers
from archlab.tasks.pose.keypoints import COCO, KeypointLayout, layout_from_names

PERSON = 1
"""COCO's category of people; a file without it may have other categories, of which one has keypoints."""


def category_of(document: dict[str, Any], path: Path) -> tuple[int, KeypointLayout]:
    """Return the scored category and its keypoints; COCO's if it names none.

    Of several categories it is the only one that names keypoints, or whose annotations have some; COCO's person if
    that leaves a choice. Raises InputError if the categories are malformed, or if none or several remain.
    """
    categories = document.get("categories") or [{"id": PERSON}]
    if not isinstance(categories, list) or not all(isinstance(c, dict) and integer(c.get("id")) for c in categories):
        raise InputError(Problem("`categories` must be a list of objects with a whole number `id`", file=str(path)))
    chosen = _chosen(categories, document["annotations"], path)
    names = chosen.get("keypoints")
    if names is None:
        return chosen["id"], COCO
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        raise InputError(Problem("`keypoints` of the category must be a list of names", file=str(path)))
    if twice := sorted({name for name in names if names.count(name) > 1}):
        rule = f"`keypoints` of the category must differ: {', '.join(map(repr, twice))} is given more than once"
        raise InputError(Problem(rule, file=str(path)))
    bones = chosen.get("skeleton") or []
    if not all(numbers(bone, 2) and all(1 <= end <= len(names) for end in bone) for bone in bones):
        problem = f"`skeleton` of the category must be pairs of keypoint numbers, 1 to {len(names)}"
        raise InputError(Problem(problem, file=str(path)))
    return chosen["id"], layout_from_names(names, [(int(a) - 1, int(b) - 1) for a, b in bones])


def _chosen(categories: list[dict[str, Any]], annotations: list[Any], path: Path) -> dict[str, Any]:
    candidates = [c for c in categories if c.get("keypoints")] or categories
    if len(candidates) > 1:
        candidates = [c for c in candidates if c["id"] in _labelled(annotations)] or candidates
    if len(candidates) > 1:
        candidates = [c for c in candidates if c["id"] == PERSON] or candidates
    if len(candidates) != 1:
        said = ", ".join(f"{c['id']} ({c.get('name', 'without a name')})" for c in candidates)
        rule = f"one category must have keypoints, or be {PERSON} (person); here {len(candidates)} may be meant: {said}"
        raise InputError(Problem(rule, file=str(path)))
    return candidates[0]


def _labelled(annotations: list[Any]) -> set[Any]:
    """Return the ids of the categories of which an annotation has keypoints."""
    found = (a.get("category_id", PERSON) for a in annotations if isinstance(a, dict) and a.get("keypoints"))
    return {category for category in found if integer(category)}
