"""How fast trainings run, and how long one will take: from finished runs, or else from its activations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archlab.training.runs import Record

CPU_RATE = 4e7
"""Activations (fvcore's, of one forward pass) per second and thread in training on a CPU.

Measured on one core of a server, batch 16, 128x96: 3.9e7 for Lite-HRNet-18, 3.8e7 for 30, 5.8e7 for the wider naive 18,
5.3e7 for Small HRNet-W16. Multiply-adds predict it less well: they range from 1.3e9 to 9.4e9 per second.
"""


@dataclass(frozen=True)
class Rate:
    """The measured speed of some finished runs: activations times samples per second, scoring included."""

    device: str
    recipe: str
    threads: int
    runs: int
    per_second: float

    @classmethod
    def of(cls, runs: Sequence[Record]) -> Rate:
        """Return the rate of runs that share device, recipe and threads."""
        work = sum(run.cost["activations"] * run.samples for run in runs)
        first = runs[0]
        return cls(first.device, first.recipe, first.threads, len(runs), work / sum(run.seconds for run in runs))


def rates(records: Sequence[Record]) -> list[Rate]:
    """Return the rate of each device, recipe and number of threads that has finished runs, the fastest first."""
    groups: dict[tuple[str, str, int], list[Record]] = {}
    for record in records:
        if record.state == "done" and record.seconds > 0:
            groups.setdefault((record.device, record.recipe, record.threads), []).append(record)
    return sorted(map(Rate.of, groups.values()), key=lambda rate: -rate.per_second)


@dataclass(frozen=True)
class TrainingSize:
    """How much one training computes, and on what.

    activations: of one forward pass of one sample. samples: training samples in all.
    """

    spec_hash: str
    recipe_hash: str
    activations: int
    samples: int
    device: str
    threads: int


@dataclass(frozen=True)
class Estimate:
    """Seconds, None if unknown. basis: what the estimate is made from."""

    seconds: float | None
    basis: str


def estimate(size: TrainingSize, records: Sequence[Record]) -> Estimate:
    """Return how long a training will take.

    From finished runs of the same network on this device, else of other networks by the same recipe, else from a
    known rate of CPUs.
    """
    done = [r for r in records if r.state == "done" and r.seconds > 0]
    known = [r for r in done if r.device == size.device and r.recipe_hash == size.recipe_hash]
    known = [r for r in known if r.threads == size.threads] or known
    same = [record.seconds for record in known if record.spec_hash == size.spec_hash]
    if same:
        return Estimate(sum(same) / len(same), "finished runs of the same network, recipe and device")
    work = size.activations * size.samples
    if any(record.cost["activations"] * record.samples for record in known):
        seconds = work / Rate.of(known).per_second
        return Estimate(seconds, "finished runs of this recipe on this device, by activations and samples")
    if size.device.startswith("cpu"):
        basis = f"activations times samples at {CPU_RATE:.1e} per second and thread, as no run has finished here"
        return Estimate(work / (CPU_RATE * size.threads), basis)
    return Estimate(None, "nothing, as no run of this recipe has finished on this device")


def spell(seconds: float | None) -> str:
    """Return a duration in seconds, minutes or hours."""
    if seconds is None:
        return "unknown"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"
