"""What a report says of each network, as plain data: our counts, the published figures, means over measured runs."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from archlab import load
from archlab.ablation.study import Row
from archlab.counting import count as counting
from archlab.network.graph import assemble
from archlab.network.load import plain_fusion
from archlab.training.runs import Record

MEASURES = ("AP", "AP50", "AP75", "APM", "APL", "AR", "mean_oks", "pck")
PCKH = ("mean_weighted", "mean_plain", "mean_weighted_threshold_0.10", "mean_weighted_threshold_0.11")
"""Of MPII's runs, which have of the others `pck` alone"""
BOXES = ("ground_truth_boxes", "detector_boxes")


@dataclass(frozen=True)
class Task:
    """One of the two data sets that the paper counts for: its input (C, H, W) and its number of heat-maps."""

    name: str
    input: tuple[int, int, int]
    outputs: int

    @property
    def label(self) -> str:
        return f"{self.name} {self.input[1]}×{self.input[2]}"


COCO = Task("COCO", (3, 256, 192), 17)
MPII = Task("MPII", (3, 256, 256), 16)


@dataclass(frozen=True)
class Count:
    """The cost of a network at one input; `fvcore` and `paper` are multiply-adds by the two counters."""

    hash: str
    params: int
    fvcore: int
    paper: int
    activations: int


Counter = Callable[..., Count]
"""As `count`"""


def count(
    spec: str,
    fields: Mapping[str, Any],
    input: tuple[int, ...],
    outputs: int,
    fusion: str = "spec",
    plugin: Sequence[str] = (),
) -> Count:
    """Count a variant by name or path with fields overridden; `plugin` names modules with blocks that it may use.

    `fusion` is the recipe's: "plain" for plain sums in place of what the variant says.
    """
    loaded = load(spec, input=input, plugin=plugin, **{**fields, "outputs": outputs})
    graph = assemble(plain_fusion(loaded) if fusion == "plain" else loaded)
    cost = counting.cost(graph)
    return Count(graph.hash, cost.params, cost.flops["fvcore"], cost.flops["paper"], cost.activations)


@dataclass(frozen=True)
class Setting:
    """What two runs must share for their scores to stand in one column."""

    recipe: str
    recipe_hash: str
    data: str
    data_fingerprint: str
    train_people: int
    val_people: int
    input: tuple[int, ...]
    outputs: int

    @classmethod
    def of(cls, record: Record) -> Setting:
        data = record.data
        return cls(record.recipe, record.recipe_hash, data["kind"], data["fingerprint"], data["train_people"],
                   data["val_people"], record.input, record.outputs)  # fmt: skip


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation of `n` values; no deviation for one value."""

    mean: float
    deviation: float | None
    n: int

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Spread | None:
        """None where no value is defined."""
        known = [value for value in values if value is not None]
        if not known:
            return None
        return cls(statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None, len(known))


@dataclass(frozen=True)
class Measured:
    """The finished runs of one network in one setting, a seed each."""

    runs: tuple[Record, ...]

    def score(self, boxes: str, measure: str) -> Spread | None:
        return Spread.of(run.scores.get(boxes, {}).get(measure) for run in self.runs)

    @property
    def count(self) -> Count:
        """The cost at the input that was trained on, as the record keeps it."""
        run = self.runs[0]
        flops = run.cost["flops"]
        return Count(run.spec_hash, run.cost["params"], flops["fvcore"], flops["paper"], run.cost["activations"])


@dataclass(frozen=True)
class Reported:
    """One row of a study with all that is known of it."""

    row: Row
    coco: Count
    mpii: Count
    measured: Mapping[Setting, Measured]


def gather(rows: Sequence[Row], records: Sequence[Record], counter: Counter = count) -> list[Reported]:
    """Count every row and find its finished runs.

    A run belongs to a row if their graphs have one hash, whatever they are called: a run of a variant that was changed
    since belongs to none. Of two records of one seed in one setting the later stands.
    """
    done = sorted((record for record in records if record.state == "done"), key=lambda record: record.date)
    return [
        Reported(
            row,
            counter(row.spec, row.fields, COCO.input, COCO.outputs),
            counter(row.spec, row.fields, MPII.input, MPII.outputs),
            _runs_of(row, done, counter),
        )
        for row in rows
    ]


def _runs_of(row: Row, done: Sequence[Record], counter: Counter) -> dict[Setting, Measured]:
    places = {(record.input, record.outputs, record.fusion) for record in done}
    hashes = {place: counter(row.spec, row.fields, *place).hash for place in places}
    found: dict[Setting, dict[int, Record]] = {}
    for record in done:
        if hashes[record.input, record.outputs, record.fusion] == record.spec_hash:
            found.setdefault(Setting.of(record), {})[record.seed] = record
    return {setting: Measured(tuple(runs[seed] for seed in sorted(runs))) for setting, runs in found.items()}


def settings(rows: Iterable[Reported]) -> list[Setting]:
    """The settings in which any row was measured, those with the most training first."""
    training: dict[Setting, int] = {}
    for row in rows:
        for setting, measured in row.measured.items():
            training[setting] = max(training.get(setting, 0), *(run.samples for run in measured.runs))
    return sorted(training, key=lambda s: (-training[s], s.recipe, s.data, s.data_fingerprint, s.recipe_hash))


def rounds_to(value: float, published: float, digits: int = 1) -> bool:
    """Whether `value`, rounded as the paper prints it, is the published figure."""
    return bool(abs(value - published) <= 0.5 * 10**-digits + 1e-9)
