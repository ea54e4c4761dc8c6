"""Where a study is kept, by Optuna: a journal beside its runs or a database; the lock by which workers take turns."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from archlab.core.errors import InputError, Problem, nearest

GRACE_SECONDS = 60
BEATS = 6
"""Heartbeats of a worker within the time after which it is taken for lost."""
DATABASES = ("postgresql", "sqlite")


@dataclass(frozen=True)
class StudyStorage:
    """A storage: the file of a journal, or the URL of a database, and the folder of the study's runs.

    `grace`: a worker of another machine from which a database has not heard for so many seconds is lost.
    """

    url: str
    folder: Path
    grace: int = GRACE_SECONDS

    @property
    def shown(self) -> str:
        """It, without a password."""
        return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", self.url)

    @property
    def is_database(self) -> bool:
        return "://" in self.url

    @property
    def is_local(self) -> bool:
        """Whether it is a file, which workers of other machines cannot share."""
        return not self.is_database or self.url.startswith("sqlite")

    def open(self, *, create: bool = True) -> BaseStorage:
        """Raises InputError if the database cannot be used, or the file cannot be written or is no journal.

        With `create=False` also if the file is not there.
        """
        if not self.is_database:
            return self._journal(Path(self.url), create)
        url = _with_driver(self.url)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
                return RDBStorage(
                    url,
                    engine_kwargs=_engine(url),
                    heartbeat_interval=max(1, self.grace // BEATS),
                    grace_period=self.grace,
                )
        except Exception as error:
            told = _database_words(error)
            raise InputError(Problem(f"the database cannot be used: {told}", "--storage", self.shown)) from None

    def _journal(self, path: Path, create: bool) -> BaseStorage:
        if not create and not path.is_file():
            raise InputError(Problem("no study is kept here", "--storage", str(path)))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path.with_suffix(".lock"), mends=path)
            return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
        except OSError as error:
            told = f"the study cannot be kept here: {error.strerror}"
        except Exception as error:  # whatever the lines of a file that is no journal make Optuna do
            told = f"not a journal of Optuna's: {type(error).__name__}: {error}"
        raise InputError(Problem(told, "--storage", str(path)))

    @contextmanager
    def alone(self, storage: BaseStorage, name: str) -> Iterator[None]:
        """Hold the study's lock: one worker at a time counts, proposes and claims. It ends with its process.

        An advisory lock of the database where there is PostgreSQL, so that workers of many machines take turns; else
        a lock of a file beside the storage's, so that those of one machine do.
        """
        if isinstance(storage, RDBStorage) and storage.engine.dialect.name == "postgresql":
            with _advisory_lock(storage, name):
                yield
            return
        lock = FileLock(self._claims(storage))
        lock.acquire()
        try:
            yield
        finally:
            lock.release()

    def _claims(self, storage: BaseStorage) -> Path:
        file = storage.engine.url.database if isinstance(storage, RDBStorage) else self.url
        return Path(file or self.folder / "study").with_suffix(".claim")


@contextmanager
def _advisory_lock(storage: RDBStorage, name: str) -> Iterator[None]:
    """Of the session, and so gone with it; where it cannot be given back, since that was lost, the block fails."""
    import sqlalchemy

    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
    with storage.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:key)"), {"key": key})
        try:
            yield
        finally:
            connection.execute(sqlalchemy.text("SELECT pg_advisory_unlock(:key)"), {"key": key})


def _with_driver(url: str) -> str:
    """The URL with the driver that is installed where it names none; InputError for a database that is not known."""
    scheme, rest = url.split("://", 1)
    name, _, driver = scheme.partition("+")
    name = {"postgres": "postgresql"}.get(name, name)
    if name not in DATABASES:
        raise InputError(Problem(f"no database is called {name!r}{nearest(name, DATABASES)}", "--storage"))
    if name == "postgresql" and not driver:
        drivers = [each for each in ("psycopg", "psycopg2") if importlib.util.find_spec(each)]
        if not drivers:
            raise InputError(Problem("PostgreSQL needs a driver: pip install 'archlab[postgres]'", "--storage"))
        driver = drivers[0]
    return f"{name}{'+' if driver else ''}{driver}://{rest}"


def _engine(url: str) -> dict[str, Any]:
    """SQLite waits for other writers. A server's connections are tried before use, and it notices lost machines."""
    if url.startswith("sqlite"):
        return {"connect_args": {"timeout": 60}}
    alive = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"
    return {"pool_pre_ping": True, "connect_args": {"connect_timeout": 10, "options": alive}}


def _database_words(error: Exception) -> str:
    """The first line of the driver's own message."""
    cause = getattr(error, "orig", None) or error
    lines = str(cause).strip().splitlines()
    return lines[0] if lines else type(cause).__name__


def database_errors() -> tuple[type[Exception], ...]:
    """What is raised where a database does not answer any more."""
    import sqlalchemy.exc

    return (optuna.exceptions.StorageInternalError, sqlalchemy.exc.SQLAlchemyError)


class FileLock(JournalFileOpenLock):
    """A lock that the system takes back when its process ends, however that dies; Optuna's own wait for 30 seconds.

    With `mends`, a journal whose last line was torn by a kill or a full disk loses that line when the lock is taken,
    or what is appended next would make it unreadable for good. Nobody has read a line without an end.
    """

    def __init__(self, path: Path, *, mends: Path | None = None) -> None:
        self._path, self._mends = path, mends
        self._handle: int | None = None

    def acquire(self) -> bool:
        import fcntl

        handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(handle, fcntl.LOCK_EX)
        self._handle = handle
        if self._mends:
            try:
                _mend(self._mends)
            except BaseException:
                self.release()
                raise
        return True

    def release(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def _mend(path: Path) -> None:
    """Cut off what stands after the last line's end."""
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        if end == 0:
            return
        file.seek(end - 1)
        if file.read(1) == b"\n":
            return
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
