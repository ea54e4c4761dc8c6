"""What a search found, as plain data: one candidate a finished trial, and the study around them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from archlab import yamlio
from archlab.core.errors import InputError, Problem, missing_file
from archlab.core.files import write_json

FORMAT = 1
Direction = Literal["maximize", "minimize"]
Outcome = Literal["complete", "stopped", "failed"]


@dataclass(frozen=True)
class Objective:
    """What a study seeks. `name`: a score (ap, mean_oks, pck; 0-100) or a cost (macs, mflops, params, activations)."""

    name: str
    direction: Direction


@dataclass(frozen=True)
class Rung:
    """Where candidates are compared: after `samples` training crops of a recipe, at an input size (H, W)."""

    label: str
    samples: int
    input: tuple[int, int]


@dataclass(frozen=True)
class Candidate:
    """A finished trial. `outcome`: trained to the end, stopped at a rung, or failed by its own fault (`reason`).

    `point`: the chosen value of every parameter of the space that is active, as a reader knows it. `cost`: params,
    macs (fvcore), mflops (the paper's), activations. `rungs`: the scores at each rung reached, in order. `values`: the
    objectives at the deepest rung reached; empty if it failed. `seeds`: scores at the last rung by seed, when trained
    with several. `proxies`: zero-cost ones. `spec`: the YAML of its network. `finished`: seconds since the study began.
    """

    number: int
    name: str
    outcome: Outcome
    hash: str
    point: Mapping[str, Any]
    cost: Mapping[str, float]
    values: Mapping[str, float]
    rungs: tuple[Mapping[str, float], ...]
    spec: str
    seconds: float
    finished: float
    proxies: Mapping[str, float] = field(default_factory=dict)
    seeds: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True)
class Result:
    """A study and its candidates. `references`: networks from outside the space, trained by the same recipe."""

    study: str
    title: str
    space: str
    space_size: int
    recipe: str
    sampler: str
    objectives: tuple[Objective, ...]
    rungs: tuple[Rung, ...]
    parameters: tuple[str, ...]
    candidates: tuple[Candidate, ...]
    references: tuple[Candidate, ...]
    asked: int
    data: str
    device: str
    threads: int
    versions: Mapping[str, str]
    date: str
    command: str
    fingerprint: str
    format: int = FORMAT

    @property
    def complete(self) -> tuple[Candidate, ...]:
        """Those that reached the last rung; only they can be on the front."""
        return tuple(c for c in self.candidates if c.outcome == "complete")


def write_result(result: Result, path: Path) -> None:
    write_json(path, asdict(result))


def read_result(path: Path) -> Result:
    """A result's file; InputError if it is missing, broken or of another format."""
    if not path.is_file():
        raise missing_file(path, "search result")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise InputError(Problem(f"not a search result: {error}", file=str(path))) from None
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise InputError(Problem(f"not a search result of format {FORMAT}", file=str(path)))
    return yamlio.parse(yamlio.item_of(values, file=str(path)), Result)
