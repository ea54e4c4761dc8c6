"""The options of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from archlab.training.loop import Judge


@dataclass(frozen=True)
class RunOptions:
    """How a run is made; only `seed` and `weights` are part of its identity.

    seed, threads: override the recipe's.
    out: the folder of run folders.
    weights: initialise from a checkpoint, ours or in the released format; a last layer of another shape is
        re-initialised, with a note on stderr.
    resume: continue an unfinished run and return a finished one unchanged; False starts over.
    fields: the fields overridden in the spec, for the record.
    tensorboard: also write TensorBoard events.
    pictures: draw the learning curves and a sheet of predictions.
    rungs, judge: after each rung, in iterations, `judge` decides by the scores whether the run continues (see `Exam`);
        a run that it ends has the state `stopped`, and the same call without rungs completes it.
    keep_stopped: keep the weights of a run that a judge ends; else it would start over.
    plugin: modules or files with blocks and tasks.
    """

    seed: int | None = None
    out: Path = Path("runs")
    fields: Mapping[str, Any] = field(default_factory=dict)
    device: str | None = None
    threads: int | None = None
    resume: bool = True
    weights: Path | None = None
    tensorboard: bool = False
    pictures: bool = True
    rungs: tuple[int, ...] = ()
    judge: Judge | None = None
    keep_stopped: bool = True
    plugin: tuple[str, ...] = ()
