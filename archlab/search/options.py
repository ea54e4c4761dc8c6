"""How a search is run, and the search that these options open: its study, its data and its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from archlab.core.errors import InputError, Problem
from archlab.core.ray import EngineName
from archlab.search.collect import RunFolders
from archlab.search.load import Search, load_search
from archlab.search.recovery import counts, sweep
from archlab.search.storage import GRACE_SECONDS, StudyStorage
from archlab.search.worker import Session, data_of, open_study
from archlab.training.recipe import data_fingerprint, ensure_data

STORAGE = "ARCHLAB_WORKER_STORAGE"
"""The variable in which a worker gets the URL of its database: every user can read command lines."""


@dataclass(frozen=True)
class SearchOptions:
    """How a search is run.

    study: its name or file.
    trials, jobs: finished trials in total and workers at once; None for the search's own and one per core or GPU.
    storage: the URL of a database; None for a file in the search's folder, `out`/NAME.
    data: the data folder; None for the data that the recipe generates.
    plugin: modules with blocks or data sets.
    grace: seconds without a heartbeat before a worker on another machine is considered dead.
    """

    study: str
    trials: int | None = None
    jobs: int | None = None
    storage: str | None = None
    data: Path | None = None
    device: str | None = None
    out: Path = Path("searches")
    plugin: tuple[str, ...] = ()
    engine: EngineName = "processes"
    grace: int = GRACE_SECONDS

    def check(self) -> None:
        """Raise InputError with all counts below 1."""
        given = {"--trials": self.trials, "--jobs": self.jobs, "--grace": self.grace}
        problems = [
            Problem(f"must be at least 1, found {n}", name) for name, n in given.items() if n is not None and n < 1
        ]
        if problems:
            raise InputError(problems)

    def load(self) -> Search:
        return load_search(self.study, data=self.data, plugin=self.plugin)

    def study_storage(self, name: str) -> StudyStorage:
        """Return where the study of this name is stored. Raises InputError unless `storage` is a URL."""
        if self.storage and "://" not in self.storage:  # not repeated: it may hold a password
            raise InputError(Problem("expected the URL of a database, as postgresql://host/database", "--storage"))
        folder = self.out / name
        return StudyStorage(self.storage or str(folder / "study.journal"), folder, self.grace)


@dataclass(frozen=True)
class ActiveSearch:
    """A search that is being run: its open study, its data folder, and the trials to finish in total.

    data: the fingerprint of the data.
    """

    options: SearchOptions
    search: Search
    session: Session
    root: Path
    data: str
    trials: int

    @property
    def folder(self) -> Path:
        return self.session.storage.folder

    @property
    def runs(self) -> RunFolders:
        return RunFolders(self.folder / "runs", self.data)

    @property
    def finished(self) -> int:
        return counts(self.session.study)[0]

    def sweep(self) -> None:
        """Retry the trials whose workers died, under the study's lock."""
        with self.session.alone():
            sweep(self.session.study)


def open_search(o: SearchOptions) -> ActiveSearch:
    """Read a search and open its study, or create it; the data is generated if it is missing."""
    found = o.load()
    root = ensure_data(found.recipe, o.data)
    data = data_fingerprint(found.recipe, root)
    session = open_study(found, o.study_storage(found.name), data=data)
    return ActiveSearch(o, found, session, root, data, o.trials or found.form.trials)


def reopen_search(o: SearchOptions) -> ActiveSearch:
    """Read a search and open its study to see its results, which needs no data; data that is named has to be its own.

    Raises InputError if the study does not exist.
    """
    found = o.load()
    data = data_fingerprint(found.recipe, ensure_data(found.recipe, o.data)) if o.data else None
    session = open_study(found, o.study_storage(found.name), data=data, create=False)
    return ActiveSearch(o, found, session, o.data or Path(), data_of(session.study), o.trials or found.form.trials)
