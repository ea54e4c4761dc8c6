"""Random networks of a space, checked and counted but not trained."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from rich.table import Table

from archlab import yamlio
from archlab.ablation.study import SEARCH
from archlab.blocks.wiring import Shape
from archlab.core import builtin
from archlab.core.errors import InputError, Problem, nearest
from archlab.counting.count import MEBI
from archlab.counting.rules import Count
from archlab.network.spec import Spec
from archlab.search.load import load_search
from archlab.search.space.gate import Gate
from archlab.search.space.points import size
from archlab.search.space.space import METRICS, CostRange, Space, load_space, names

NAMED_BY = 12
"""Digits of a network's hash in its name; among a million networks, the chance of two equal names is 1 in 500."""

MOST_REASONS = 5


@dataclass(frozen=True)
class Sampled:
    """A network of a space that passes its limits; `point` holds the labels of its choices."""

    spec: Spec
    hash: str
    count: Count
    point: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """Return plain data, with costs by their names in `archlab build --json`."""
        return {
            "name": self.spec.name,
            "hash": self.hash,
            "params": self.count.params,
            "flops": self.count.flops,
            "activations": self.count.activations,
            "point": dict(self.point),
            "spec": self.spec.document.plain(),
        }

    def as_yaml(self, space: Space) -> str:
        """Return the text of a network's file."""
        cost = f"{self.count.params:,} parameters, {self.count.fvcore:,} multiply-adds (fvcore)"
        return f"# A random network of the space {space.name}: {cost}.\n{self.spec.to_yaml()}"


def space_of(name: str, *, input: Shape | None, outputs: int | None, plugin: tuple[str, ...] = ()) -> Space:
    """Return a space by name or file, or the space of a search, with the search's limits and its recipe's input.

    input, outputs: replace those of the base network; a search sets them itself.
    """
    path = Path(name) if name in names() else builtin.names("studies", "*.yaml").get(name, Path(name))
    kind = yamlio.read(path).entries.get("kind") if path.is_file() and path.suffix in {".yaml", ".yml"} else None
    if kind is None or kind.value != SEARCH:
        return load_space(name, input=input, outputs=outputs, plugin=plugin)
    given = [option for option, value in (("--input", input), ("--outputs", outputs)) if value is not None]
    if given:
        raise InputError(
            Problem("is set by the search's recipe; name the space instead of the search", option) for option in given
        )
    return load_search(path, plugin=plugin).space


def sample(gate: Gate, count: int, *, seed: int) -> Iterator[Sampled]:
    """Yield `count` networks that pass, all with different hashes; the same seed gives the same networks.

    Raises InputError if no network, or no further one, passes.
    """
    random = Random(seed)
    for _ in range(count):
        found = gate.sample(random)
        assert found.spec is not None
        assert found.cost is not None
        spec = replace(found.spec, name=f"{gate.space.name}_{found.hash[:NAMED_BY]}")
        yield Sampled(spec, found.hash, found.cost, gate.space.labels(found.point))


def limited(space: Space, texts: Iterable[str]) -> Space:
    """Return the space with other limits, each as `macs=1e8..3e8`; either end may be omitted."""
    pairs = [(text, *text.partition("=")) for text in texts]
    wrong = [text for text, _, _, band in pairs if ".." not in band]
    if wrong:
        raise InputError(
            Problem(f"expected COST=LEAST..MOST such as macs=1e8..3e8, found {t!r}", "--limit") for t in wrong
        )
    bands = {name.strip(): dict(zip(("min", "max"), band.split("..", 1), strict=True)) for _, name, _, band in pairs}
    given = [name.strip() for _, name, _, _ in pairs]
    rules = [f"no cost is called {name!r}{nearest(name, METRICS)}" for name in given if name not in METRICS]
    rules += [f"{name} is limited twice; one limit sets both ends" for name in bands if given.count(name) > 1]
    if rules:
        raise InputError(Problem(rule, "--limit") for rule in rules)
    plain = {
        name: {end: yamlio.item_of_text(value, file="--limit") for end, value in band.items() if value.strip()}
        for name, band in bands.items()
    }
    item = yamlio.item_of(plain, file="--limit")
    return replace(space, limits={**space.limits, **yamlio.parse(item, dict[str, CostRange])})


def about(space: Space) -> str:
    """Return the size of a space and its limits, as text."""
    limits = ", ".join(f"{name} {_band(band)}" for name, band in space.limits.items()) or "none"
    return f"{space.name}: {size(space):,} points; limits: {limits}"


def share(gate: Gate) -> str:
    """Return how many candidates passed, and how many were refused for which reason, as text."""
    again = f", {gate.repeated} of them duplicates" if gate.repeated else ""
    share = f"{gate.passed} of {gate.tried} candidates passed ({100 * gate.passed / max(gate.tried, 1):.1f} %){again}"
    worst = gate.reasons.most_common(MOST_REASONS)
    others = gate.reasons.total() - sum(number for _, number in worst)
    refused = [f"{reason} {number}" for reason, number in worst] + ([f"others {others}"] if others else [])
    return f"{share}; refused: {', '.join(refused)}" if refused else share


def table(found: Sequence[Sampled], space: Space) -> Table:
    """Return the networks as a table, with costs and choices."""
    made = Table(title=space.title, title_style="bold", title_justify="left", show_lines=True)
    made.add_column("network", no_wrap=True)
    for name in ("params", "fvcore MFLOPs", "paper MFLOPs", "activations"):
        made.add_column(name, justify="right")
    made.add_column("choices", overflow="fold")
    parameters = [parameter.name for parameter in space.parameters]
    for each in found:
        count = each.count
        flops = f"{count.fvcore / 1e6:.2f}", f"{count.paper / MEBI:.2f}"
        chosen = "; ".join(f"{name} {label}" for name, label in choices(parameters, each.point).items())
        made.add_row(each.spec.name, f"{count.params:,}", *flops, f"{count.activations:,}", chosen)
    return made


def choices(parameters: Sequence[str], point: Mapping[str, Any]) -> dict[str, str]:
    """Return a point's choices by parameter: `modules.0: 2, modules.1: 4` is `modules: 2 4`; a dash is inactive."""
    families: dict[str, list[str]] = {}
    for name in parameters:
        families.setdefault(name.split(".")[0], []).append(str(point.get(name, "-")))
    return {name: " ".join(made) for name, made in families.items() if set(made) != {"-"}}


def _band(band: CostRange) -> str:
    if band.min is None:
        return f"at most {band.max:g}"
    return f"at least {band.min:g}" if band.max is None else f"{band.min:g} to {band.max:g}"
