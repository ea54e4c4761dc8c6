"""A worker: claims one trial after another and trains its candidate until enough trials are finished."""

from __future__ import annotations

import time
import warnings
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from archlab.core.errors import InputError, Problem
from archlab.search.config import LATENCY
from archlab.search.latency import PredictedLimit
from archlab.search.load import Search
from archlab.search.recovery import CANDIDATE, EXCUSED, WORKER, counts, sweep, worker_name
from archlab.search.samplers import GatedSampler
from archlab.search.space.gate import Checked, check
from archlab.search.storage import StudyStorage
from archlab.search.trial import Bench, CandidateError, candidate_facts, release_memory, score, timed
from archlab.training.circumstances import circumstances

IDLE_SECONDS = 0.5
GPU_LOST = "CUDA error"
"""Part of PyTorch's message when a process can no longer use its GPU; running out of memory is no such error."""
ABOUT = "archlab"
"""The attribute in which a study describes its search."""
FORMAT = 1


@dataclass(frozen=True)
class Session:
    """A study that is open in this process, by the Optuna storage `backend`."""

    search: Search
    study: optuna.Study
    sampler: GatedSampler
    storage: StudyStorage
    backend: BaseStorage

    def alone(self) -> AbstractContextManager[None]:
        """Hold the study's lock."""
        return self.storage.alone(self.backend, self.search.name)


def open_study(search: Search, storage: StudyStorage, *, data: str | None, create: bool = True) -> Session:
    """Open the search's study in its storage; create it if it does not exist.

    data: the fingerprint of the data; None to accept that of the study.

    Raises InputError if the storage cannot be used, or if it holds a study of this name that archlab did not make or
    that searches something else; the error names each part that differs.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = GatedSampler(search.space, search.form.sampler, search.form.seed, search.start)
    backend = storage.open(create=create)
    with storage.alone(backend, search.name):
        known = optuna.study.get_all_study_names(backend)
        if search.name not in known and not create:
            found = f"; it holds {', '.join(known)}" if known else ""
            raise InputError(Problem(f"holds no study {search.name!r}{found}", "--storage", storage.shown))
        study = optuna.create_study(
            study_name=search.name,
            storage=backend,
            sampler=sampler,
            directions=search.directions,
            load_if_exists=True,
        )
        parts = search.parts(data or "")
        if data is None:
            del parts["data"]
        if rule := mismatch(study, search, parts):
            raise InputError(Problem(rule, "--storage", storage.shown))
        if ABOUT not in study.user_attrs:
            if not create:
                raise InputError(Problem(f"holds a study {search.name!r} without trials", "--storage", storage.shown))
            _describe(study, search, parts)
    return Session(search, study, sampler, storage, backend)


def mismatch(study: optuna.Study, search: Search, parts: dict[str, Any]) -> str:
    """Return why a study cannot be resumed as this search, empty if it can; only these `parts` are compared."""
    about = study.user_attrs.get(ABOUT)
    if about is None:
        foreign = study.get_trials(deepcopy=False) or _directions(study) != search.directions
        return f"holds a study {search.name!r} that archlab did not make" if foreign else ""
    if about.get("format") != FORMAT:
        return f"the study has format {about.get('format')}; this archlab reads format {FORMAT}"
    changed = [name for name in parts if about["parts"].get(name) != parts[name]]
    if not changed:
        return ""
    return f"the study was begun with another {', another '.join(changed)}; use a new name or a new storage"


def data_of(study: optuna.Study) -> str:
    """Return the fingerprint of the data with which a study was begun."""
    return str(study.user_attrs[ABOUT]["parts"]["data"])


def _directions(study: optuna.Study) -> list[str]:
    return [direction.name.lower() for direction in study.directions]


def _describe(study: optuna.Study, search: Search, parts: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        study.set_metric_names([objective.name for objective in search.objectives])
    study.set_user_attr(ABOUT, {"format": FORMAT, "parts": parts, "began": time.time(), **circumstances()})


def work(session: Session, bench: Bench, trials: int) -> None:
    """Finish trials, together with all other workers, until the study has `trials` of them.

    Under the study's lock a worker sweeps, counts and claims a trial: one to retry, or a new candidate. So there are
    never more trials than requested, and never two of the same network. A worker without a trial waits, in case
    another one dies. An error that is not the candidate's fault (a full disk, a lost database, a request to stop) is
    raised, and the trial is retried. Raises SystemExit if a failed candidate made the GPU unusable.
    """
    limit = session.search.form.limits.get(LATENCY)
    if limit and bench.stopwatch:
        with session.alone():  # one worker fits it, the others read it
            session.sampler.gate.refuses = PredictedLimit(limit, bench.stopwatch.predictor(session.search.space))
    while True:
        with ExitStack() as claim:
            claim.enter_context(session.alone())
            sweep(session.study)
            finished, running, _ = counts(session.study)
            if finished >= trials:
                return
            if finished + running < trials:
                _one(session, bench, claim)
                continue
        time.sleep(IDLE_SECONDS)


def _one(session: Session, bench: Bench, claim: ExitStack) -> None:
    """Run one trial; `claim` is closed as soon as its network is known."""
    mine: list[optuna.Trial] = []
    failed: list[CandidateError] = []

    def objective(trial: optuna.Trial) -> list[float]:
        mine.append(trial)
        try:
            found = _claimed(session, trial)
            claim.close()
            spec = session.search.candidate(found.point, trial.number)
            return score(bench, session.study, trial, spec, timed(bench, trial, spec))
        except CandidateError as error:
            failed.append(error)
            raise
        except optuna.TrialPruned:
            raise
        except BaseException:
            with suppress(Exception):  # a full disk may not even store this
                trial.set_user_attr(EXCUSED, True)
            raise

    try:
        session.study.optimize(objective, n_trials=1, catch=(CandidateError,))
    except (optuna.exceptions.UpdateFinishedTrialError, ValueError):
        if not (mine and _was_taken(session.study, mine[0])):
            raise
    except (SystemExit, KeyboardInterrupt):  # Optuna leaves the trial of a stopped process running
        with suppress(Exception):
            session.study.tell(mine[0], state=TrialState.FAIL)
        raise
    finally:
        release_memory()
    if failed and GPU_LOST in str(failed[0]):
        raise SystemExit("this process can no longer use its GPU; another worker takes over")


def _was_taken(study: optuna.Study, trial: optuna.Trial) -> bool:
    """Return whether a trial was considered lost while it was trained here, so that another worker retries it."""
    now = study._storage.get_trial(trial._trial_id)
    return now.state == TrialState.FAIL and EXCUSED not in now.user_attrs


def _claimed(session: Session, trial: optuna.Trial) -> Checked:
    """Return the candidate of a trial: proposed now, or given by the parameters of a trial that is retried."""
    trial.set_user_attr(WORKER, worker_name())
    space, sampler = session.search.space, session.sampler
    choices = {p.name: len(p.labels) - 1 for p in space.parameters if len(p.labels) > 1}
    parameters: dict[str, Any] = {name: trial.suggest_int(name, 0, last) for name, last in choices.items()}
    found = sampler.accepted.pop(trial.number, None) or check(space, sampler.point(parameters))
    if CANDIDATE not in trial.user_attrs:
        trial.set_user_attr(CANDIDATE, candidate_facts(session.search, found))
    return found
