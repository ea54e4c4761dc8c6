"""The rows of a report as plain data: our counts, the published figures, and means over measured runs."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from archlab import load
from archlab.ablation.row import PAPER_INPUTS, CountedInput, Row
from archlab.core.errors import InputError
from archlab.counting.count import cost
from archlab.counting.rules import Count
from archlab.network.graph import assemble
from archlab.network.load import plain_fusion
from archlab.training.runs import Record


@dataclass(frozen=True)
class CountedNetwork:
    """The canonical hash of a network at one input, and its cost there.

    auxiliary_params: those of layers that auxiliary outputs alone need.
    """

    hash: str
    count: Count
    auxiliary_params: int = 0


POSE = "pose"
Counter = Callable[..., CountedNetwork]
"""A function with the parameters of `count_network`."""


def count_network(
    spec: str,
    fields: Mapping[str, Any],
    input: tuple[int, ...],
    outputs: int,
    fusion: str = "spec",
    plugin: Sequence[str] = (),
) -> CountedNetwork:
    """Count a variant.

    spec: a built-in name or a path. fields: changes to it. plugin: modules with blocks that it may use.
    fusion: the recipe's; "plain" replaces the variant's sums by plain ones.
    """
    loaded = load(spec, input=input, plugin=plugin, **{**fields, "outputs": outputs})
    graph = assemble(plain_fusion(loaded) if fusion == "plain" else loaded)
    found = cost(graph)
    return CountedNetwork(graph.hash, found.total, found.auxiliary_params)


@dataclass(frozen=True)
class Setting:
    """What two runs must have in common for their scores to share a column.

    unit: the name of samples, as `people`. budget: the largest of a run with budgets, else 0.
    """

    task: str
    recipe: str
    recipe_hash: str
    data: str
    data_fingerprint: str
    train_samples: int
    val_samples: int
    unit: str
    input: tuple[int, ...]
    outputs: int
    budget: int = 0

    @property
    def heading(self) -> str:
        """The recipe, the data and the budget, for a heading."""
        at = f", {self.budget:,} samples" if self.budget else ""
        return f"recipe {self.recipe}, {self.data}{at}"

    @classmethod
    def of(cls, record: Record) -> Setting:
        data = record.data
        return cls(
            task=record.task,
            recipe=record.recipe,
            recipe_hash=record.recipe_hash,
            data=data["kind"],
            data_fingerprint=data["fingerprint"],
            train_samples=record.train_samples,
            val_samples=record.val_samples,
            unit=record.unit,
            input=record.input,
            outputs=record.outputs,
            budget=record.budgets[-1].budget if record.budgets else 0,
        )


@dataclass(frozen=True)
class Spread:
    """The mean and the sample standard deviation of `n` values. One value has no deviation."""

    mean: float
    deviation: float | None
    n: int

    @classmethod
    def of(cls, values: Iterable[float | None]) -> Spread | None:
        """Return the spread of the values that are not None, or None if there are none."""
        known = [value for value in values if value is not None]
        if not known:
            return None
        return cls(statistics.fmean(known), statistics.stdev(known) if len(known) > 1 else None, len(known))


@dataclass(frozen=True)
class Measured:
    """The finished runs of one network in one setting, one for each seed."""

    runs: tuple[Record, ...]

    def score(self, view: str, key: str) -> Spread | None:
        """Return the spread of a metric over the runs. view, key: its place in a record's scores."""
        return Spread.of(run.scores.get(view, {}).get(key) for run in self.runs)

    def has(self, view: str, key: str = "") -> bool:
        """Return whether any run was scored in this view, and has this metric there."""
        return any(key in scores if key else scores for scores in (run.scores.get(view, {}) for run in self.runs))

    @property
    def count(self) -> Count:
        """The cost at the training input, from the record."""
        cost = self.runs[0].cost
        return Count(cost["params"], cost["flops"]["fvcore"], cost["flops"]["paper"], cost["activations"])


@dataclass(frozen=True)
class Reported:
    """One row of a study with its cost at each counted input and its runs in each setting."""

    row: Row
    counted: Mapping[CountedInput, CountedNetwork]
    measured: Mapping[Setting, Measured]


def match_runs(
    rows: Sequence[Row],
    records: Sequence[Record],
    counter: Counter = count_network,
    *,
    counted_at: Sequence[CountedInput] = (),
    task: str = "",
) -> list[Reported]:
    """Count every row and find its finished runs. counted_at: as in `Ablation`. task: as in `of_one_task`.

    A run belongs to a row if their graphs have the same hash, whatever their names. A run of a variant that has since
    changed belongs to no row. Of two records of one seed in one setting the later is used.
    """
    measured = of_one_task(measured_rows(rows, records, counter), task)
    inputs = counted_at or _default_inputs(settings_of(measured))
    return [
        replace(row, counted={each: counter(row.row.spec, row.row.fields, each.input, each.outputs) for each in inputs})
        for row in measured
    ]


def measured_rows(rows: Sequence[Row], records: Sequence[Record], counter: Counter = count_network) -> list[Reported]:
    """Find the finished runs of every row, as `match_runs` does, and count none."""
    done = sorted((record for record in records if record.state == "done"), key=lambda record: record.date)
    return [Reported(row, {}, _runs_of(row, done, counter)) for row in rows]


def of_one_task(rows: Sequence[Reported], task: str) -> list[Reported]:
    """Return the rows with the runs of this task alone, or if there are none, of the task with the most training.

    One graph may serve two tasks, so that runs of either match the same row.
    """
    tasks = [setting.task for setting in settings_of(rows)]
    shown = task if task in tasks else next(iter(tasks), task)
    return [
        replace(row, measured={setting: runs for setting, runs in row.measured.items() if setting.task == shown})
        for row in rows
    ]


def _default_inputs(measured_in: Sequence[Setting]) -> tuple[CountedInput, ...]:
    if not measured_in or any(setting.task == POSE for setting in measured_in):
        return PAPER_INPUTS
    channels, height, width = measured_in[0].input
    return (CountedInput("Training input", (channels, height, width), measured_in[0].outputs),)


def _runs_of(row: Row, done: Sequence[Record], counter: Counter) -> dict[Setting, Measured]:
    inputs = {(record.input, record.outputs, record.fusion) for record in done}
    hashes = {each: _hash(row, counter, *each) for each in inputs}
    found: dict[Setting, dict[int, Record]] = {}
    for record in done:
        if hashes[record.input, record.outputs, record.fusion] == record.spec_hash:
            found.setdefault(Setting.of(record), {})[record.seed] = record
    return {setting: Measured(tuple(runs[seed] for seed in sorted(runs))) for setting, runs in found.items()}


def _hash(row: Row, counter: Counter, *trained_at: Any) -> str:
    """Return the hash of a row's network at an input, empty for an input that it does not take."""
    try:
        return counter(row.spec, row.fields, *trained_at).hash
    except InputError:
        return ""


def settings(measured: Iterable[Mapping[Setting, Measured]]) -> list[Setting]:
    """Return the settings in which any network was measured, the one with the most training first."""
    training: dict[Setting, int] = {}
    for runs in measured:
        for setting, each in runs.items():
            training[setting] = max(training.get(setting, 0), *(run.samples for run in each.runs))
    return sorted(training, key=lambda s: (-training[s], s.recipe, s.data, s.data_fingerprint, s.recipe_hash))


def settings_of(rows: Iterable[Reported]) -> list[Setting]:
    """Return the settings in which any row was measured, the one with the most training first."""
    return settings(row.measured for row in rows)


def compared(rows: Sequence[Reported]) -> list[Setting]:
    """Return the settings that compare rows, or all if none does."""
    found = settings_of(rows)
    return [setting for setting in found if compares(rows, setting)] or found


def compares(rows: Iterable[Reported], setting: Setting) -> bool:
    """Return whether two networks, by the names of their rows, were measured in a setting."""
    return len({row.row.name for row in rows if setting in row.measured}) > 1


def runs_in(rows: Iterable[Reported], setting: Setting) -> list[Record]:
    """Return all runs of some rows in one setting."""
    return [run for row in rows if setting in row.measured for run in row.measured[setting].runs]
