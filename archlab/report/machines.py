"""The machines of runs in captions, and the sentence for runs of machines that round differently."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from archlab.report.tables import plural, sentence_list
from archlab.training.runs import Record


def machines(runs: Iterable[Record]) -> list[str]:
    """Return the machines of some runs with their numbers of CPU threads, as `cpu: Neoverse-N1 (2 threads)`."""
    return sorted({f"{run.device} ({plural(run.threads, 'thread')})" for run in runs})


def round_alike(runs: Iterable[Record]) -> bool:
    """Return whether runs share a kind of processor and, on CPUs, a number of threads."""
    return len({run.rounding for run in runs}) < 2


def mixture(runs: Sequence[Record]) -> list[str]:
    """Return the line on runs that do not round alike, none if they all do."""
    return [] if round_alike(runs) else [mixed(machines(runs))]


def mixed(found: Sequence[str]) -> str:
    """Return the sentence on scores from machines that round differently."""
    return f"Measured on machines that round differently, {sentence_list(found)}: equal seeds do not give equal scores."
