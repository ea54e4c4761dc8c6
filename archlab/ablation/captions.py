"""The sentences below a table: data, recipe, seeds, device and date of the runs, and how far the scores can be used."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from archlab.ablation.row import CountedInput
from archlab.ablation.rows import Reported, Setting, runs_in
from archlab.report.machines import machines, mixture
from archlab.report.tables import plural, sentence_list
from archlab.tasks.metrics import Metric
from archlab.training.runs import Record

TOO_SMALL = "These runs are too small to rank the networks"
TOO_SMALL_TO_RANK = (
    f"{TOO_SMALL}: the data is easy and the training is short. A row shows that its network can be built, trained "
    "and scored, not that it is better or worse than another."
)
PUBLISHED = (
    "Published scores are the paper's, after its full training and on the data named above them. They cannot be "
    "compared with the measured ones."
)
NOT_TRAINED = "None of these networks has been trained: there is no record of a finished run."


def costs_caption(counted_at: Sequence[CountedInput], printed: int, differ: int) -> str:
    """Return how costs are counted, and how many of the printed figures agree after rounding."""
    counted = "Multiply-adds in evaluation mode, by fvcore and by the paper's own rules, whose M is 2²⁰."
    if counted_at:
        counted += f" Parameters are for {plural(counted_at[0].outputs, 'output')}."
    if not printed:
        return counted
    return (
        f"{counted} Diff.: the paper's rules minus print. {printed - differ} of the {printed} printed costs equal ours "
        "after rounding."
    )


def scores_caption(rows: Sequence[Reported], setting: Setting, metrics: Iterable[Metric]) -> tuple[str, ...]:
    """Return data, recipe, seeds, devices and dates, the rows that are missing, and the limits of the figures."""
    runs = runs_in(rows, setting)
    lines = [data_line(setting, runs), _circumstances(runs, metrics)]
    lines += mixture(runs)
    if missing := [row.row.name for row in rows if setting not in row.measured]:
        lines.append(f"Not trained: {sentence_list(missing)}.")
    if too_small_to_rank(setting.data):
        lines.append(TOO_SMALL_TO_RANK)
    elif len({run.seed for run in runs}) == 1:
        lines.append("One seed shows no spread: small differences may be chance.")
    return tuple(lines)


def too_small_to_rank(data: str) -> bool:
    """Return whether data, by its name, is quick people or streets, which are too easy and few to rank networks."""
    return not {"quick", "streets"}.isdisjoint(re.findall(r"\w+", data))


def data_line(setting: Setting, runs: Sequence[Record]) -> str:
    """Return the data and the recipe of some runs."""
    height, width = setting.input[1:]
    samples = sorted({run.samples for run in runs})
    trained = f"{samples[0]:,} training samples" + (" each" if len(samples) == 1 else f" to {samples[-1]:,}")
    counts = f"{setting.train_samples:,} {setting.unit} for training and {setting.val_samples:,} for scoring"
    return (
        f"Data: {setting.data}, {counts} (fingerprint {setting.data_fingerprint[:8]}). "
        f"Recipe: {setting.recipe} ({setting.recipe_hash[:8]}), input {height}×{width}, {trained}."
    )


def _circumstances(runs: Sequence[Record], metrics: Iterable[Metric]) -> str:
    metrics, seeds = tuple(metrics), sorted({run.seed for run in runs})
    if len(seeds) == 1:
        seeded = f"Seed: {seeds[0]}"
    else:
        seeded = f"Seeds: {', '.join(map(str, seeds))}; mean ± sample standard deviation"
    meanings = [f"{metric.heading}: {metric.meaning}." for metric in metrics if metric.meaning]
    return " ".join([f"{seeded}. {device_line(runs)}", *dict.fromkeys(meanings), _units(metrics)])


def _units(metrics: Iterable[Metric]) -> str:
    """Return the units of the scores: `All scores are 0 to 100.`"""
    other = [f"{metric.heading} in {metric.unit}" for metric in metrics if metric.unit != "0-100"]
    if not other:
        return "All scores are 0 to 100."
    return f"Scores are 0 to 100, but {sentence_list([*dict.fromkeys(other)])}."


def device_line(runs: Sequence[Record]) -> str:
    """Return the machines, the durations and the dates of some runs."""
    seconds = " to ".join(dict.fromkeys(f"{f(run.seconds for run in runs):.0f} s" for f in (min, max)))
    dates = _span(sorted(run.date for run in runs))
    return f"Machine: {sentence_list(machines(runs))}; {seconds} per run. Date: {dates}."


def _span(ordered: Sequence[str]) -> str:
    return ordered[0] if ordered[0] == ordered[-1] else f"{ordered[0]} to {ordered[-1]}"
