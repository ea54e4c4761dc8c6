"""What a search found, as plain data: a candidate for each finished trial, and the study."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from archlab import yamlio
from archlab.core.errors import InputError, Problem
from archlab.core.files import read_json, write_json
from archlab.tasks import find_task
from archlab.tasks.metrics import Direction, Metric, used

if TYPE_CHECKING:
    import pandas as pd

FORMAT = 1
Outcome = Literal["complete", "stopped", "failed"]


@dataclass(frozen=True)
class Objective:
    """What a study optimises. `name`: a score of the task, or a cost (macs, mflops, params, activations)."""

    name: str
    direction: Direction


@dataclass(frozen=True)
class ShownScore:
    """How a score of the task is shown: its name as an objective, its title, which direction is better, its digits."""

    name: str
    title: str
    direction: Direction = "maximize"
    digits: int = 1


def shown(metrics: Iterable[Metric]) -> tuple[ShownScore, ...]:
    """Return how a task's scores are shown, those that a search may optimise."""
    return tuple(ShownScore(each.name, each.title, each.direction, each.digits) for each in used(metrics, "objective"))


def _pose() -> tuple[ShownScore, ...]:
    return shown(find_task("pose").metrics)


@dataclass(frozen=True)
class Rung:
    """Where candidates are compared: after `samples` training samples of a recipe, at an input size (H, W)."""

    label: str
    samples: int
    input: tuple[int, int]


@dataclass(frozen=True)
class Candidate:
    """A finished trial.

    outcome: trained to the end, stopped at a rung, or failed for the `reason`.
    point: the choice of every active parameter of the space, by its label.
    cost: params, macs (fvcore), mflops (the paper's counter), activations.
    values: the objectives at the last rung reached; empty if it failed.
    rungs: the scores at each rung reached, in order.
    spec: the YAML of its network.
    finished: seconds since the study began.
    proxies: zero-cost proxies.
    seeds: scores at the last rung by seed, if it was trained with several.
    """

    number: int
    name: str
    outcome: Outcome
    hash: str
    point: Mapping[str, Any]
    cost: Mapping[str, int | float]
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
    """A study and its candidates.

    references: networks from outside the space, trained by the same recipe.
    asked: the number of trials requested.
    scores: how the scores of the recipe's task are shown; those of pose estimation are left out of a file.
    machines: devices with their numbers of CPU threads if the trained networks differ in them; else left out of a file.
    latency: how the candidates' time was measured; left out of a file if it was not.
    """

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
    scores: tuple[ShownScore, ...] = field(default_factory=_pose)
    machines: tuple[str, ...] = ()
    latency: str = ""

    @property
    def complete(self) -> tuple[Candidate, ...]:
        """Return the candidates that reached the last rung; only they can be on the front."""
        return tuple(c for c in self.candidates if c.outcome == "complete")

    @property
    def directions(self) -> dict[str, Direction]:
        """Return in which direction the task's scores and the objectives are better."""
        scores = {each.name: each.direction for each in self.scores}
        return scores | {each.name: each.direction for each in self.objectives}

    def table(self, *, references: bool = False) -> pd.DataFrame:
        """Return the candidates as a table, a row each: outcome, hash, scores with intervals, costs and choices.

        references: add the references, whose `kind` is `reference`.
        """
        import pandas as pd

        from archlab.search.report.records import records

        return pd.DataFrame([each for each in records(self) if references or each["kind"] == "candidate"])

    def front(self) -> pd.DataFrame:
        """Return the front's members, with the columns of `table`, in order of the last objective."""
        import pandas as pd

        from archlab.search.report.records import front_records

        return pd.DataFrame(front_records(self), columns=self.table().columns)


def write_result(result: Result, path: Path) -> None:
    """Write a result as JSON."""
    plain = asdict(result)
    if result.scores == _pose():
        del plain["scores"]
    if not result.machines:
        del plain["machines"]
    if not result.latency:
        del plain["latency"]
    write_json(path, plain)


def read_result(path: Path) -> Result:
    """Read a result's file. Raises InputError if it is missing, broken or of another format."""
    values = read_json(path, "search result")
    if not isinstance(values, dict) or values.get("format") != FORMAT:
        raise InputError(Problem(f"not a search result of format {FORMAT}", file=str(path)))
    for name in ("objectives", "rungs"):
        if not values.get(name):
            raise InputError(Problem("missing: a list of at least one is needed", name, str(path)))
    return yamlio.parse(yamlio.item_of(values, file=str(path)), Result)
