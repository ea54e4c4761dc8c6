"""Loading studies by name or path, with `same_as` rows and relative paths resolved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from archlab.ablation.drawings import Drawing, Predictions
from archlab.ablation.row import Row, items_of
from archlab.ablation.study import (
    KINDS,
    SEARCH,
    Ablation,
    Campaign,
    Claim,
    Study,
    Trainable,
    UnitComplexity,
    networks,
)
from archlab.ablation.systems import Discrepancies, System, Systems
from archlab.core import builtin
from archlab.core.errors import InputError, Problem, nearest
from archlab.network.load import find, load
from archlab.yamlio import Item, extended, parse, read


def load_study(study: str | Path | Study, plugin: Sequence[str] = ()) -> Study:
    """Return a study by its name (`table6`) or path, its `same_as` rows filled in. A loaded study is returned as it is.

    plugin: modules with blocks that changed fields of its networks may name.
    Raises InputError with every problem found.
    """
    if not isinstance(study, str | Path):
        return study
    path = builtin.find(study, "studies", "*.yaml", "study")
    loaded, item = _read(path)
    problems = [*_wrong_networks(item, path, plugin)]
    found = _with_paths(loaded, item, path, problems)
    if problems:
        raise InputError(problems)
    return found


def _wrong_networks(item: Item, path: Path, plugin: Sequence[str]) -> Iterator[Problem]:
    """Yield a problem for each `spec` of a study's file that names no network, and for each wrong field of `fields`."""
    inside = item.value if isinstance(item.value, tuple) else item.entries.values()
    for each in inside:
        yield from _wrong_networks(each, path, plugin)
    named, fields = (item.entries.get(name, Item(None)) for name in ("spec", "fields"))
    if not isinstance(named.value, str) or not named.value:
        return
    try:
        network = find(_spec_path(named.value, path))
    except InputError as error:
        yield from (named.problem(problem.message, "spec") for problem in error.problems)
        return
    changed: dict[str, Any] = fields.entries
    if not changed:  # what is wrong in the network's own file is named when it is counted
        return
    try:
        load(network, plugin=plugin, **changed)
    except InputError as error:
        yield from (problem for problem in error.problems if problem.file == item.file)


def _with_paths(loaded: Study, item: Item, path: Path, problems: list[Problem]) -> Study:
    """Return a study with its paths and its `same_as` rows resolved; add what is wrong to `problems`."""
    if isinstance(loaded, UnitComplexity | Discrepancies):
        return loaded
    if isinstance(loaded, Drawing):
        return replace(loaded, parts=tuple(replace(part, spec=_spec_path(part.spec, path)) for part in loaded.parts))
    if isinstance(loaded, Predictions):
        return replace(loaded, spec=_spec_path(loaded.spec, path))
    if isinstance(loaded, Systems):
        return replace(loaded, rows=tuple(replace(row, spec=_spec_path(row.spec, path)) for row in loaded.rows))
    rows = _resolved_rows(loaded.rows, item, path, problems)
    if not isinstance(loaded, Campaign):
        return replace(loaded, rows=rows)
    further = _resolved_rows(loaded.further.rows, item.entries.get("further", Item({})), path, problems)
    return _resolve_campaign(replace(loaded, rows=rows, further=replace(loaded.further, rows=further)), path)


def load_ablation(study: str | Path | Study, plugin: Sequence[str] = ()) -> Ablation:
    """Return a study of kind `ablation`. plugin: as in `load_study`. Raises InputError for one of another kind."""
    loaded = load_study(study, plugin)
    if not isinstance(loaded, Ablation):
        raise InputError(Problem(f"{loaded.name} is of kind {loaded.kind}; expected an ablation", field="study"))
    return loaded


def load_trainable(study: str | Path | Study, plugin: Sequence[str] = ()) -> Ablation | Systems:
    """Return an ablation or a study of systems, else raise InputError. plugin: as in `load_study`."""
    loaded = load_study(study, plugin)
    return loaded if isinstance(loaded, Systems) else load_ablation(loaded)


def study_names() -> list[str]:
    """Return the names of the built-in studies, without the searches."""
    found = builtin.names("studies", "*.yaml")
    return [name for name, path in found.items() if read(path).entries["kind"].value != SEARCH]


def distinct_rows(studies: Iterable[Ablation | Systems]) -> list[Row]:
    """Return the networks of some studies, each once, in order of first appearance."""
    kept: dict[tuple[str, str], Row] = {}
    for study in studies:
        for row in networks(study, heavy=True):
            kept.setdefault(row.network, row)
    return list(kept.values())


def _read(path: Path) -> tuple[Study, Item]:
    """Return a study as its file has it, and the file's item."""
    item = _with_base(read(path), path)
    loaded = replace(parse(item, _kind(item)), name=path.stem)
    if isinstance(loaded, Trainable):
        loaded = replace(loaded, recipe=_spec_path(loaded.recipe, path))
    return loaded, item


def _with_base(item: Item, path: Path) -> Item:
    """Return a study's document laid over the one that it extends. Raises InputError if that extends another."""
    named = item.entries.get("extends")
    if named is None:
        return item
    base = path.parent / f"{named.value}.yaml"
    if not isinstance(named.value, str) or base == path or not base.is_file():
        known = sorted(other.stem for other in path.parent.glob("*.yaml") if other != path)
        hint = nearest(str(named.value), known)
        raise InputError(named.problem(f"{named.shown()} is not a study in the same folder{hint}", "extends"))
    return extended(item, base)


def _kind(item: Item) -> type[Study]:
    kind = item.value.get("kind") if isinstance(item.value, dict) else None
    if kind is None:
        raise InputError(item.problem(f"a study needs a kind: {', '.join(KINDS)}", "kind"))
    if kind.value == SEARCH:
        rule = f"{Path(item.file).stem} is a search: `archlab search` runs it and writes its report"
        raise InputError(kind.problem(rule, "kind"))
    if not isinstance(kind.value, str) or kind.value not in KINDS:
        raise InputError(
            kind.problem(f"no kind of study is called {kind.shown()}{nearest(str(kind.value), KINDS)}", "kind")
        )
    return KINDS[kind.value]


def _spec_path(spec: str, study: Path) -> str:
    """Return a path, of a spec or a recipe, in the study's folder where that file exists; any other unchanged."""
    there = study.parent / spec
    return str(there) if spec.endswith((".yaml", ".yml")) and there.is_file() else spec


def _resolve_campaign(study: Campaign, path: Path) -> Campaign:
    """Resolve the paths of controls, reference and claims, so that they name specs as the resolved rows do."""
    return replace(
        study,
        reference=_spec_path(study.reference, path),
        controls=tuple(replace(each, spec=_spec_path(each.spec, path)) for each in study.controls),
        claims=_resolved_claims(study.claims, path),
        further=replace(study.further, claims=_resolved_claims(study.further.claims, path)),
    )


def _resolved_claims(claims: Iterable[Claim], path: Path) -> tuple[Claim, ...]:
    return tuple(
        replace(each, better=_spec_path(each.better, path), worse=_spec_path(each.worse, path)) for each in claims
    )


def _resolved_rows(rows: Sequence[Row], item: Item, path: Path, problems: list[Problem]) -> tuple[Row, ...]:
    """Return the resolved rows of an item; add what is wrong to `problems`."""
    found = []
    for row, place in zip(rows, items_of(item), strict=True):
        try:
            found.append(_resolved(row, place, path))
        except InputError as error:
            problems.extend(error.problems)
    return tuple(found)


def _resolved(row: Row, place: Item, path: Path) -> Row:
    """Return the row with its spec's path resolved, or the row that it is `same_as`."""
    if not row.same_as:
        return replace(row, spec=_spec_path(row.spec, path))
    study_name, _, spec = row.same_as.partition("/")
    sibling = path.parent / f"{study_name}.yaml"
    if not spec or not sibling.is_file():
        hint = nearest(study_name, sorted(other.stem for other in path.parent.glob("*.yaml")))
        raise InputError(
            place.problem(f"{row.same_as!r} is not STUDY/SPEC of a study in the same folder{hint}", "rows.same_as")
        )
    other, _ = _read(sibling)
    rows: dict[str, Row] = {}
    for each in getattr(other, "rows", ()):
        rows.setdefault(each.spec, each.published_row if isinstance(each, System) else each)
    rows.pop("", None)  # what is only quoted
    if spec not in rows:
        raise InputError(
            place.problem(f"no row of {study_name} has the spec {spec!r}{nearest(spec, rows)}", "rows.same_as")
        )
    return _resolved(rows[spec], place, sibling)
