"""The trials of a study: which of them count, which were lost with their worker, and trying these again."""

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
"""Of its workers; then a candidate is recorded failed."""
EXCUSED = "excused"
"""The attribute of a trial that its worker gave back in order."""
CANDIDATE, WORKER, REASON = "candidate", "worker", "reason"
Outcome = Literal["complete", "stopped", "failed"]


def worker_name() -> str:
    """This process, so that another can tell whether it still lives: machine, number and the time of its start."""
    return f"{_machine()}:{os.getpid()}:{_start_of(os.getpid())}"


def lives(worker: str) -> bool | None:
    """Whether that process is there; None of one on another machine."""
    machine, number, start = worker.rsplit(":", 2)
    if machine != _machine():
        return None
    return _start_of(int(number)) == start != ""


def _machine() -> str:
    """The host and, where Linux has several on one, the space that its process numbers are of."""
    try:
        return f"{socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _start_of(process: int) -> str:
    """Clock ticks from the machine's start to the process', by which a number that was given again is told."""
    try:
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    except OSError:
        return "" if Path("/proc").is_dir() else _answers(process)
    fields = stat.rsplit(")", 1)[1].split()
    return "" if fields[0] in "ZX" else fields[19]


def _answers(process: int) -> str:
    """Without /proc (macOS), whether there is a process of that number at all."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "there"


def outcome(trial: FrozenTrial) -> Outcome | None:
    """What became of a trial; None of one that is not finished or whose worker was lost, which counts for nothing."""
    if trial.state == TrialState.COMPLETE:
        return "complete"
    if trial.state == TrialState.PRUNED:
        return "stopped"
    return "failed" if trial.state == TrialState.FAIL and trial.user_attrs.get(REASON) else None


def counts(study: optuna.Study) -> tuple[int, int, int]:
    """How many trials are finished, are running, and wait to be tried again."""
    trials = study.get_trials(deepcopy=False)
    finished = sum(outcome(trial) is not None for trial in trials)
    states = [trial.state for trial in trials]
    return finished, states.count(TrialState.RUNNING), states.count(TrialState.WAITING)


def sweep(study: optuna.Study) -> None:
    """Fail the trials whose worker is gone, and queue every lost one that nobody tries again; under the study's lock.

    A worker of this machine is gone when its process is, at once; one of another when its heartbeat stops, which only
    a database has. One without a name died while it held the lock. What a sweep that was itself killed left undone,
    the next one does.
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
    """Whether its worker was lost with it; one that was killed before it had a candidate was never a trial."""
    return trial.state == TrialState.FAIL and not trial.user_attrs.get(REASON) and CANDIDATE in trial.user_attrs


def history(trial: FrozenTrial) -> list[int]:
    """The numbers of the lost trials that this one tries again, by the name that Optuna gives them."""
    return list(trial.system_attrs.get("retry_history", []))


def _try_again(study: optuna.Study, trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> None:
    """Queue a lost trial, with what it said; after MOST_DEATHS it is its own fault that its workers die."""
    before = [*history(trial), trial.number]
    deaths = sum(not trials[number].user_attrs.get(EXCUSED) for number in before)
    said = {name: value for name, value in trial.user_attrs.items() if name not in (WORKER, EXCUSED)}
    state = TrialState.WAITING
    if deaths >= MOST_DEATHS:
        state, said[REASON] = TrialState.FAIL, f"its worker died {deaths} times"
    study.add_trial(
        create_trial(
            state=state,
            params=trial.params,
            distributions=trial.distributions,
            user_attrs=said,
            system_attrs={**trial.system_attrs, "failed_trial": before[0], "retry_history": before},
        )
    )
