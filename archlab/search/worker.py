"""A worker: claims one trial after the other, trains its candidate, until the study has as many as were asked for."""

from __future__ import annotations

import time
import warnings
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from archlab.core.errors import InputError, Problem
from archlab.search.load import Search
from archlab.search.recovery import CANDIDATE, EXCUSED, WORKER, counts, sweep, worker_name
from archlab.search.samplers import GatedSampler
from archlab.search.space.gate import Checked, check
from archlab.search.storage import StudyStorage
from archlab.search.trial import Bench, CandidateError, candidate_facts, release_memory, score
from archlab.training.runs import circumstances

IDLE_SECONDS = 0.5
GPU_LOST = "CUDA error"
"""In PyTorch's message of an error after which a process cannot use its GPU; memory that does not suffice is none."""
ABOUT = "archlab"
"""The study's attribute that says what it is a search of."""
FORMAT = 1


@dataclass(frozen=True)
class Session:
    """A study open in this process."""

    search: Search
    study: optuna.Study
    sampler: GatedSampler
    place: StudyStorage
    storage: BaseStorage


def open_study(search: Search, place: StudyStorage, *, data: str, create: bool = True) -> Session:
    """The search's study in its storage, made if it is not there.

    Raises InputError if the storage cannot be used, or holds a study of this name that archlab did not make, or one
    that searches something else: each of the parts that differ is named. `data` is the fingerprint of the data.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = GatedSampler(search.space, search.form.sampler, search.form.seed)
    storage = place.open(create=create)
    with place.alone(storage, search.name):
        known = optuna.study.get_all_study_names(storage)
        if search.name not in known and not create:
            found = f"; it holds {', '.join(known)}" if known else ""
            raise InputError(Problem(f"holds no study {search.name!r}{found}", "--storage", place.shown))
        study = optuna.create_study(
            study_name=search.name,
            storage=storage,
            sampler=sampler,
            directions=search.directions,
            load_if_exists=True,
        )
        _check(study, search, place, search.parts(data))
    return Session(search, study, sampler, place, storage)


def _check(study: optuna.Study, search: Search, place: StudyStorage, parts: dict[str, Any]) -> None:
    """Write down what the study searches if that is not said yet, else InputError if it is something else."""
    about = study.user_attrs.get(ABOUT)
    told = ""
    if about is None and (study.get_trials(deepcopy=False) or _directions(study) != search.directions):
        told = f"holds a study {search.name!r} that archlab did not make"
    elif about is None:
        _describe(study, search, parts)
    elif about.get("format") != FORMAT:
        told = f"the study is of format {about.get('format')}; this archlab reads {FORMAT}"
    elif about["parts"] != parts:
        changed = [name for name in parts if about["parts"].get(name) != parts[name]]
        told = (
            f"this study was begun with another {', another '.join(changed)}; a search under a new name, or in a new "
            "place, begins a new one"
        )
    if told:
        raise InputError(Problem(told, "--storage", place.shown))


def _directions(study: optuna.Study) -> list[str]:
    return [direction.name.lower() for direction in study.directions]


def _describe(study: optuna.Study, search: Search, parts: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([objective.name for objective in search.objectives])
    study.set_user_attr(ABOUT, {"format": FORMAT, "parts": parts, "began": time.time(), **circumstances()})


def work(session: Session, bench: Bench, trials: int) -> None:
    """Finish trials until the study has so many, together with all other workers; wait for theirs, should one die.

    Under the study's lock a worker sweeps, counts, and claims: a trial to be tried again, or a new candidate. So there
    are never more trials than asked for, and never two of one network. What is not the candidate's fault, as a full
    disk, a lost database or a request to stop, goes to the caller, and the trial is tried again. SystemExit too where a
    candidate that failed took the GPU with it.
    """
    while True:
        with ExitStack() as claim:
            claim.enter_context(session.place.alone(session.storage, session.search.name))
            sweep(session.study)
            finished, running, _ = counts(session.study)
            if finished >= trials:
                return
            if finished + running < trials:
                _one(session, bench, claim)
                continue
        time.sleep(IDLE_SECONDS)


def _one(session: Session, bench: Bench, claim: ExitStack) -> None:
    """One trial; `claim` is let go as soon as it is known which network it is of."""
    mine: list[optuna.Trial] = []
    failed: list[CandidateError] = []

    def objective(trial: optuna.Trial) -> list[float]:
        mine.append(trial)
        try:
            found = _claimed(session, trial)
            claim.close()
            spec = session.search.candidate(found.point, trial.number)
            return score(bench, session.study, trial, spec, trial.user_attrs[CANDIDATE]["cost"])
        except CandidateError as error:
            failed.append(error)
            raise
        except optuna.TrialPruned:
            raise
        except BaseException:
            with suppress(Exception):  # a full disk may not even take this
                trial.set_user_attr(EXCUSED, True)
            raise

    try:
        session.study.optimize(objective, n_trials=1, catch=(CandidateError,))
    except (optuna.exceptions.UpdateFinishedTrialError, ValueError):
        if not (mine and _was_taken(session.study, mine[0])):
            raise
    except (SystemExit, KeyboardInterrupt):  # Optuna leaves a trial running where its process is asked to end
        with suppress(Exception):
            session.study.tell(mine[0], state=TrialState.FAIL)
        raise
    finally:
        release_memory()
    if failed and GPU_LOST in str(failed[0]):
        raise SystemExit("this GPU answers no more in this process; another worker goes on")


def _was_taken(study: optuna.Study, trial: optuna.Trial) -> bool:
    """Whether a trial was taken for lost while it was trained here, and another tries it again."""
    now = study._storage.get_trial(trial._trial_id)
    return now.state == TrialState.FAIL and EXCUSED not in now.user_attrs


def _claimed(session: Session, trial: optuna.Trial) -> Checked:
    """The candidate of a trial: proposed now, or, of one that is tried again, what its parameters say."""
    trial.set_user_attr(WORKER, worker_name())
    space, sampler = session.search.space, session.sampler
    choices = {p.name: len(p.labels) - 1 for p in space.parameters if len(p.labels) > 1}
    parameters: dict[str, Any] = {name: trial.suggest_int(name, 0, last) for name, last in choices.items()}
    found = sampler.accepted.pop(trial.number, None) or check(space, sampler.point(parameters))
    if CANDIDATE not in trial.user_attrs:
        trial.set_user_attr(CANDIDATE, candidate_facts(session.search, found))
    return found
