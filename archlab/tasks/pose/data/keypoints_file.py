"""ROOT/annotations/keypoints.yaml: properties of keypoints other than COCO's, which COCO's layout lacks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

from archlab.core.errors import InputError, Problem, nearest
from archlab.tasks.pose.keypoints import KeypointLayout
from archlab.yamlio import Above, Item, convert, read

FILE = Path("annotations") / "keypoints.yaml"

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class KeypointsFile:
    """Properties of the category's keypoints by name; a missing property follows from the names."""

    sigmas: Annotated[
        dict[str, Annotated[float, Above(0)]] | None,
        "The OKS spread of every keypoint: the standard deviation of annotated positions / sqrt(area).",
    ] = None
    flip_pairs: Annotated[Pairs | None, "Pairs of left and right keypoints, which mirroring swaps."] = None
    upper_body: Annotated[tuple[str, ...] | None, "The upper half in the half-body augmentation."] = None
    skeleton: Annotated[Pairs | None, "The bones to draw; by default the category's."] = None


def completed(layout: KeypointLayout, path: Path) -> KeypointLayout:
    """Return the layout with the properties of the keypoints.yaml at `path`, if there is one.

    Raises InputError with every problem of the file: keypoints that the annotations do not name, missing sigmas, and
    keypoints in two pairs.
    """
    if not path.is_file():
        return layout
    item = read(path)
    found, problems = convert(item, KeypointsFile)
    problems += _wrong_names(item, layout.names)
    if problems:
        raise InputError(sorted(problems, key=lambda problem: (problem.line, problem.column)))
    assert isinstance(found, KeypointsFile)
    at = {name: k for k, name in enumerate(layout.names)}
    changes: dict[str, Any] = {
        "sigmas": None if not found.sigmas else tuple(found.sigmas[name] for name in layout.names),
        "flip_pairs": None if found.flip_pairs is None else tuple((at[a], at[b]) for a, b in found.flip_pairs),
        "upper_body": None if found.upper_body is None else tuple(sorted(at[name] for name in set(found.upper_body))),
        "skeleton": None if found.skeleton is None else tuple((at[a], at[b]) for a, b in found.skeleton),
    }
    return replace(layout, **{name: value for name, value in changes.items() if value is not None})


def _wrong_names(item: Item, names: tuple[str, ...]) -> Iterator[Problem]:
    for field in ("flip_pairs", "upper_body", "skeleton"):
        for name, where in _texts(item.entries.get(field)):
            if name not in names:
                yield where.problem(_unknown(name, names), field)
    if (sigmas := item.entries.get("sigmas")) and sigmas.entries:
        for name, where in sigmas.entries.items():
            if name not in names:
                yield where.key_problem(_unknown(name, names), "sigmas")
        if missing := [name for name in names if name not in sigmas.entries]:
            yield sigmas.key_problem(f"every keypoint needs a sigma; missing: {', '.join(missing)}", "sigmas")
    seen = set()
    for name, where in _texts(item.entries.get("flip_pairs")):
        if name in seen:
            yield where.problem(f"{name!r} is in two pairs", "flip_pairs")
        seen.add(name)


def _unknown(name: str, names: tuple[str, ...]) -> str:
    return f"the annotations name no keypoint {name!r}{nearest(name, names)}"


def _texts(item: Item | None) -> list[tuple[str, Item]]:
    """Return the texts in a list or a list of lists. Other values are reported by the conversion to the dataclass."""
    if item is None:
        return []
    if isinstance(item.value, tuple):
        return list(chain.from_iterable(_texts(inside) for inside in item.value))
    return [(item.value, item)] if isinstance(item.value, str) else []
