"""How long a training will take: from finished runs on this device, or else from its activations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from archlab.training.runs import Record

CPU_RATE = 4e7
"""Activations (fvcore's, of one forward pass) a second and thread in training on a CPU.

Measured on one core of a server, batch 16, 128x96: 3.9e7 for Lite-HRNet-18, 3.8e7 for 30, 5.8e7 for the wider naive 18,
5.3e7 for Small HRNet-W16. Multiply-adds foretell worse: they spread from 1.3e9 to 9.4e9 a second.
"""


@dataclass(frozen=True)
class Estimate:
    """Seconds, None where there is nothing to go by, and what they rest on."""

    seconds: float | None
    basis: str


@dataclass(frozen=True)
class Work:
    """A training: `activations` of one forward pass, `samples` crops, on so many threads of a device."""

    spec_hash: str
    recipe_hash: str
    activations: int
    samples: int
    device: str
    threads: int


def estimate(work: Work, records: Sequence[Record]) -> Estimate:
    """From runs of the same network, else of others by the same recipe, on this device; else from the cost alone."""
    known = [r for r in records if r.state == "done" and r.device == work.device and r.recipe_hash == work.recipe_hash]
    known = [r for r in known if r.threads == work.threads] or known
    same = [record.seconds for record in known if record.spec_hash == work.spec_hash]
    if same:
        return Estimate(sum(same) / len(same), "finished runs of the same network, recipe and device")
    done = sum(record.cost["activations"] * record.samples for record in known)
    if done:
        seconds = sum(record.seconds for record in known) * work.activations * work.samples / done
        return Estimate(seconds, "finished runs of this recipe on this device, by activations and samples")
    if work.device.startswith("cpu"):
        seconds = work.activations * work.samples / (CPU_RATE * work.threads)
        return Estimate(
            seconds, f"activations times samples at {CPU_RATE:.1e} a second and thread, since no run is finished here"
        )
    return Estimate(None, "nothing, since no run of this recipe is finished on this device")


def spell(seconds: float | None) -> str:
    """A duration to read."""
    if seconds is None:
        return "unknown"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 100 * 60 else f"{seconds / 3600:.1f} h"
