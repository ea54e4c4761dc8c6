"""The trials of a study: which are finished, which were lost with their worker, and the retry of the lost ones."""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import optuna
from optuna.trial import FrozenTrial, TrialState, create_trial

MOST_DEATHS = 4
"""Deaths of its workers after which a candidate is recorded as failed."""
EXCUSED = "excused"
"""The attribute of a trial that its worker gave up in order, which does not count as a death."""
CANDIDATE, WORKER, REASON = "candidate", "worker", "reason"
Outcome = Literal["complete", "stopped", "failed"]


def worker_name() -> str:
    """Return an identity of this process that others can check: machine, process number and start time."""
    return f"{_machine()}:{os.getpid()}:{_start_of(os.getpid())}"


def lives(worker: str) -> bool | None:
    """Return whether that process is alive; None for one on another machine."""
    machine, number, start = worker.rsplit(":", 2)
    if machine != _machine():
        return None
    return _start_of(int(number)) == start != ""


def _machine() -> str:
    """Return the host and, on Linux, the process namespace, since one host can have several."""
    try:
        return f"{socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _start_of(process: int) -> str:
    """Return the process's start in clock ticks since boot, which identifies a re-used process number."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    except OSError:
        return "" if Path("/proc").is_dir() else _answers(process)
    fields = stat.rsplit(")", 1)[1].split()
    return "" if fields[0] in "ZX" else fields[19]


def _answers(process: int) -> str:
    """Without /proc (macOS), return whether a process of that number exists."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "there"


def outcome(trial: FrozenTrial) -> Outcome | None:
    """Return the outcome of a trial; None if it is not finished or was lost with its worker."""
    if trial.state == TrialState.COMPLETE:
        return "complete"
    if trial.state == TrialState.PRUNED:
        return "stopped"
    return "failed" if trial.state == TrialState.FAIL and trial.user_attrs.get(REASON) else None


def counts(study: optuna.Study) -> tuple[int, int, int]:
    """Return how many trials are finished, running, and waiting for a retry."""
    trials = study.get_trials(deepcopy=False)
    finished = sum(outcome(trial) is not None for trial in trials)
    states = [trial.state for trial in trials]
    return finished, states.count(TrialState.RUNNING), states.count(TrialState.WAITING)


def sweep(study: optuna.Study) -> None:
    """Fail the trials whose worker died, and queue every lost trial that is not retried yet; under the study's lock.

    A worker on this machine is dead as soon as its process is gone; one on another machine when its heartbeat stops,
    which only a database records. A running trial without a worker's name was left by one that died while it held the
    lock. If a sweep is killed, the next one completes it.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        worker = trial.user_attrs.get(WORKER)
        if worker is None or lives(worker) is False:
            study.tell(trial.number, state=TrialState.FAIL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)
    trials = study.get_trials(deepcopy=False)
    followed = {number for trial in trials for number in history(trial)}
    for trial in trials:
        if is_lost(trial) and trial.number not in followed:
            _try_again(study, trial, trials)


def is_lost(trial: FrozenTrial) -> bool:
    """Return whether a trial was lost with its worker; without a candidate it never was a trial."""
    return trial.state == TrialState.FAIL and not trial.user_attrs.get(REASON) and CANDIDATE in trial.user_attrs


def history(trial: FrozenTrial) -> list[int]:
    """Return the numbers of the lost trials that this one retries, as Optuna records them."""
    return list(trial.system_attrs.get("retry_history", []))


def _try_again(study: optuna.Study, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> None:
    """Queue a lost trial with its attributes; after MOST_DEATHS deaths it is recorded as failed."""
    before = [*history(trial), trial.number]
    deaths = sum(not trials[number].user_attrs.get(EXCUSED) for number in before)
    attributes = {name: value for name, value in trial.user_attrs.items() if name not in (WORKER, EXCUSED)}
    state = TrialState.WAITING
    if deaths >= MOST_DEATHS:
        state, attributes[REASON] = TrialState.FAIL, f"its worker died {deaths} times"
    study.add_trial(
        create_trial(
            state=state,
            params=trial.params,
            distributions=trial.distributions,
            user_attrs=attributes,
            system_attrs={**trial.system_attrs, "failed_trial": before[0], "retry_history": before},
        )
    )
