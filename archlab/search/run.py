"""Running a search: workers finish its trials, its front is trained again with more seeds, and a report is written."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random

from archlab.core.errors import InputError, Problem, in_words
from archlab.core.notes import note
from archlab.core.ray import EngineName, engine
from archlab.core.signals import Stopped, StopRequest
from archlab.search.collect import collect
from archlab.search.dispatch import NO_USE, finish_trials, train_front
from archlab.search.load import Search, load_search
from archlab.search.options import ActiveSearch, SearchOptions, open_search, reopen_search
from archlab.search.plan import SearchPlan, plan_search
from archlab.search.report.write import write_search
from archlab.search.results import Result, write_result
from archlab.search.space.gate import Gate
from archlab.search.space.uncounted import warn_uncounted
from archlab.search.storage import GRACE_SECONDS, database_errors
from archlab.search.trial import Bench
from archlab.search.worker import work

__all__ = ["Cluster", "SearchOptions", "SearchPlan", "plan_search", "result_of", "run_search", "search", "worker"]


@dataclass(frozen=True)
class Cluster:
    """How a search is spread over machines.

    engine: what starts the workers, local processes or Ray.
    storage: the URL of a database that all machines reach; None for a file in the search's folder.
    grace: seconds without a heartbeat before a worker on another machine is considered dead.
    """

    engine: EngineName = "processes"
    storage: str | None = None
    grace: int = GRACE_SECONDS


def run_search(
    study: str | Path | Search,
    *,
    trials: int | None = None,
    jobs: int | None = None,
    data: Path | None = None,
    device: str | None = None,
    out: Path = Path("searches"),
    plugin: tuple[str, ...] = (),
    cluster: Cluster = Cluster(),
) -> Result:
    """Run a search and return its result; a search that was interrupted resumes.

    study: a search's name, its file, or what `load_search` read from that.
    trials, jobs: finished trials in total and workers at once; by default the search's own and one per core or GPU.
    data: the data folder; by default the data that the recipe generates.
    out: the folder of searches; result, report and runs are written to `out`/NAME.
    plugin: modules with blocks or data sets of your own.

    Workers are processes of their own. If they cannot finish all trials, the result holds those that are finished.
    Raises InputError before anything is trained, KeyboardInterrupt if the search is stopped, and OSError or the
    database's own error if its files or its database cannot be reached.
    """
    options = SearchOptions(
        _name(study, data, plugin), trials, jobs, cluster.storage, data, device, Path(out), tuple(plugin),
        cluster.engine, cluster.grace,
    )  # fmt: skip
    try:
        return _run(options)
    except Stopped as stopped:
        raise KeyboardInterrupt(str(stopped)) from None


def search(o: SearchOptions) -> int:
    """Run a search for the command line; return the exit code, 1 if trials are missing or none was trained."""
    try:
        result = _run(o)
    except Stopped as stopped:
        note(f"{stopped}; run the same command to resume")
        return 130
    except Exception as error:
        if not isinstance(error, (OSError, *database_errors())):
            raise
        note(f"{_words(error)}; run the same command to resume")
        return 1
    return 0 if result.complete and len(result.candidates) >= result.asked else 1


def worker(o: SearchOptions) -> int:
    """Run one worker of a search in this process; return its exit code."""
    try:
        active = open_search(o)
        bench = Bench(active.search, active.folder / "runs", active.root, o.device)
        with StopRequest().caught():
            work(active.session, bench, active.trials)
    except OSError as error:
        with suppress(OSError):  # the disk of the log may be the full one
            note(f"{_words(error)}; this worker ends, and its trial is retried")
        return NO_USE
    except database_errors() as error:
        note(f"{_words(error)}; this worker ends, and its trial is retried")
        return 1
    return 0


def result_of(o: SearchOptions) -> Result:
    """Return what a search has found so far. Raises InputError if it was never begun here."""
    return _collected(reopen_search(o))


def _run(o: SearchOptions) -> Result:
    """Finish a search's trials, train its front again, write its result and its report."""
    o.check()
    active = open_search(o)
    warn_uncounted(active.search.space, active.search.costs)
    if active.finished < active.trials:  # report a space in which nothing passes once, not from every worker
        Gate(active.search.space).sample(Random(active.search.form.seed))
    with engine(o.engine, o.device) as workers, StopRequest().caught():
        if workers.nodes() > 1 and active.session.storage.is_local:
            rule = f"the {workers.nodes()} machines of a cluster cannot share a file: name a PostgreSQL database"
            raise InputError(Problem(rule, "--storage", active.session.storage.shown))
        if finish_trials(active, workers):
            train_front(active, workers)
    result = _collected(active)
    _write(result, active.folder, o.plugin)
    return result


def _collected(active: ActiveSearch) -> Result:
    return collect(active.session, active.runs, asked=active.trials, plugin=active.options.plugin)


def _write(result: Result, folder: Path, plugin: tuple[str, ...]) -> None:
    """Write the result and, if a candidate was trained to the end, its report."""
    write_result(result, folder / "result.json")
    reasons = Counter(c.reason for c in result.candidates if c.outcome == "failed")
    for reason, count in reasons.most_common(1):
        note(f"{reasons.total()} candidates could not be trained; {count} of them: {reason.splitlines()[0]}")
    if not result.complete:
        resume = "; run the same command to resume" if len(result.candidates) < result.asked else ""
        note(f"no candidate was trained to the end; see {folder / 'result.json'}{resume}")
        return
    for path in write_search(result, folder, plugin=plugin):
        note(f"wrote {path}")


def _name(study: str | Path | Search, data: Path | None, plugin: tuple[str, ...]) -> str:
    """Return the name or file by which workers read a search. Raises InputError if it differs from its file."""
    if not isinstance(study, Search):
        return str(study)
    there = load_search(study.path, data=data, plugin=plugin)
    if (there.form, there.parts("")) != (study.form, study.parts("")):
        rule = "the search differs from its file, which workers read; write the change to the file"
        raise InputError(Problem(rule, file=str(study.path)))
    return str(study.path)


def _words(error: Exception) -> str:
    """Return an error outside of the search in the words of the system or the database."""
    if isinstance(error, OSError):
        return in_words(error)
    cause = error.__cause__ or error
    return f"the database was lost: {str(cause).strip().splitlines()[0]}"
