"""Commands that are killed at random moments, and what the study is that comes out in the end."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any

import torch
from faults.processes import EVERY, Started, start
from faults.scenes import COMMANDS, Command, Scene
from faults.trials import Outcome, Trial

from archlab.training.metrics_log import read_rows
from archlab.training.runs import find_runs, read_record

KILLED = tuple(each for each in COMMANDS if each.name in ("train", "ablate", "search"))
Run = tuple[Mapping[str, Any], list[Any], Mapping[str, torch.Tensor]]
"""Of a finished run: scores, losses by iteration, weights."""


def kills(scene: Scene, count: int, seed: int, commands: tuple[Command, ...] = KILLED) -> Iterator[Trial]:
    """Yield `count` kills of each command, with what was wrong after them.

    A killed command is started again until it ends. Then its runs must be those of a study that nothing disturbed:
    the same runs, losses, scores and weights, and no file besides.
    """
    for command in commands:
        random = Random(f"{seed} {command.name}")
        scene.empty()
        since = time.monotonic()
        outcome = scene.run(command)
        seconds = time.monotonic() - since
        assert outcome.code == 0, outcome
        whole, files = finished(scene.out), names(scene.out)
        scene.empty()
        left = count
        while left:
            started = start(scene.folder, *scene.arguments(command))
            if _killed(started, random.uniform(0, 1.1 * seconds)):
                left -= 1
                yield Trial(command.name, -signal.SIGKILL, _after_kill(started, scene.out, whole))
            else:
                yield ended(command, started.end(), scene.out, whole, files)
                scene.empty()
        yield ended(command, scene.run(command), scene.out, whole, files)


def _killed(started: Started, seconds: float) -> bool:
    """Kill a command after some time; return False if it ended before."""
    end = time.monotonic() + seconds
    while started.is_running() and time.monotonic() < end:
        time.sleep(EVERY)
    if not started.is_running():
        return False
    started.kill()
    return True


def _after_kill(started: Started, out: Path, whole: Mapping[str, Run]) -> str:
    if orphans := started.orphans():
        return f"{len(orphans)} processes live on"
    return _differs(finished(out), whole)


def ended(command: Command, outcome: Outcome, out: Path, whole: Mapping[str, Run], files: set[str]) -> Trial:
    """Judge a command at its end by the runs and files of one that nothing disturbed.

    Pictures of a run may be missing: a run is done without one that could not be drawn.
    """
    found = finished(out)
    missing = f"runs are missing: {sorted(whole.keys() - found.keys())}" if whole.keys() - found.keys() else ""
    other = sorted(name for name in names(out) ^ files if "runs" not in name or not name.endswith(".png"))
    wrong = missing or _differs(found, whole) or (f"files differ: {other}" if other else "")
    if outcome.code:
        wrong = outcome.wrong or f"exit code {outcome.code}: {outcome.error[-600:]}"
    return Trial(command.name, outcome.code, wrong)


def _differs(found: Mapping[str, Run], whole: Mapping[str, Run]) -> str:
    """Return in what finished runs differ from those of the undisturbed study; empty if in nothing."""
    for name, (scores, losses, weights) in found.items():
        if name not in whole:
            return f"the run {name} is not in the undisturbed study"
        if (scores, losses) != whole[name][:2]:
            return f"scores or losses of {name} differ"
        if any(not torch.equal(value, whole[name][2][key]) for key, value in weights.items()):
            return f"weights of {name} differ"
    return ""


def finished(out: Path) -> dict[str, Run]:
    """Return the finished runs in a folder, by fingerprint."""
    found = {}
    for folder in {path.parent.parent for path in out.rglob("record.json") if path.parent.parent.name == "runs"}:
        for record in find_runs(folder):
            if record.state == "done":
                path = folder / record.fingerprint
                losses = [(row["iteration"], row.get("loss")) for row in read_rows(path / "metrics.jsonl")]
                weights = torch.load(path / "checkpoint.pt", weights_only=True)["state_dict"]
                found[record.fingerprint] = read_record(path).scores, losses, weights
    return found


def names(out: Path) -> set[str]:
    """Return the names of all files in a folder, without logs, which are there for those who need them."""
    return {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file() and path.suffix != ".log"}
