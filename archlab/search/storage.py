"""Where Optuna stores a study, a journal file next to its runs or a database, and the lock that workers share."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
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
"""Heartbeats of a worker within the grace period."""
DATABASES = ("postgresql", "sqlite")
NOT_HERE = "the study cannot be stored here"


@dataclass(frozen=True)
class StudyStorage:
    """The storage of a study: a journal file or the URL of a database, and the folder of the study's runs.

    grace: seconds without a heartbeat before a worker on another machine is considered dead.
    """

    url: str
    folder: Path
    grace: int = GRACE_SECONDS

    @property
    def shown(self) -> str:
        """Return the URL without passwords: behind the user, or in the query; only its kind if it cannot be parsed."""
        if not self.is_database:
            return self.url
        from sqlalchemy.engine import make_url

        try:
            url = make_url(self.url)
        except Exception:  # ArgumentError, and ValueError for a port that is no number
            return f"{self.url.partition('://')[0]}://***"
        query = {key: "***" if _is_secret(key) else value for key, value in url.query.items()}
        return url.set(query=query).render_as_string(hide_password=True)

    @property
    def is_database(self) -> bool:
        return "://" in self.url

    @property
    def is_local(self) -> bool:
        """Return whether it is a file, which workers on other machines cannot share."""
        return not self.is_database or self.url.startswith("sqlite")

    def open(self, *, create: bool = True) -> BaseStorage:
        """Open the storage.

        Raises InputError if the database cannot be used, if the file cannot be written or is no journal, and without
        `create` if the file does not exist.
        """
        if not self.is_database:
            return self._journal(Path(self.url), create)
        with self._usable():
            found = self._database(_with_driver(self.url)) if create else self._tables()
        if found is None:
            raise InputError(Problem("no study is stored here", "--storage", self.shown))
        return found

    def peek(self, name: str) -> optuna.Study | None:
        """Return the study of this name to read, None if there is none; nothing is written.

        Raises InputError if the storage cannot be read.
        """
        if self.is_database:
            with self._usable():
                backend = self._tables()
        else:
            path = Path(self.url)
            backend = self._reading(path, JournalFileOpenLock(str(path))) if path.is_file() else None
        if backend is None or name not in optuna.study.get_all_study_names(backend):
            return None
        return optuna.load_study(study_name=name, storage=backend)

    def _database(self, url: str) -> BaseStorage:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return RDBStorage(
                url,
                engine_kwargs=_engine(url),
                heartbeat_interval=max(1, self.grace // BEATS),
                grace_period=self.grace,
            )

    def _tables(self) -> BaseStorage | None:
        """Open the database if it has Optuna's tables."""
        import sqlalchemy

        url = _with_driver(self.url)
        file = sqlalchemy.engine.make_url(url).database
        if url.startswith("sqlite") and not (file and Path(file).is_file()):
            return None
        engine = sqlalchemy.create_engine(url, **_engine(url))
        return self._database(url) if sqlalchemy.inspect(engine).has_table("studies") else None

    @contextmanager
    def _usable(self) -> Iterator[None]:
        """Raise InputError for whatever the database raises inside the block."""
        try:
            yield
        except InputError:
            raise
        except Exception as error:
            reason = _database_words(error).replace(self.url, self.shown)
            raise InputError(Problem(f"the database cannot be used: {reason}", "--storage", self.shown)) from None

    def _journal(self, path: Path, create: bool) -> BaseStorage:
        if not create and not path.is_file():
            raise InputError(Problem("no study is stored here", "--storage", str(path)))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(Problem(f"{NOT_HERE}: {error.strerror}", "--storage", str(path))) from None
        return self._reading(path, FileLock(path.with_suffix(".lock"), mends=path))

    def _reading(self, path: Path, lock: JournalFileOpenLock) -> BaseStorage:
        """Open a journal whose writers hold `lock`."""
        try:
            storage = JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
            _check_end(path)
            return storage
        except OSError as error:
            rule = f"{NOT_HERE}: {error.strerror}"
        except Exception as error:  # Optuna raises anything for a file that is no journal
            rule = f"not an Optuna journal: {type(error).__name__}: {error}"
        raise InputError(Problem(rule, "--storage", str(path)))

    @contextmanager
    def alone(self, storage: BaseStorage, name: str) -> Iterator[None]:
        """Hold the study's lock, so that one worker at a time counts, proposes and claims; it ends with its process.

        PostgreSQL has an advisory lock, shared by all machines. Otherwise it is the lock of a file next to the storage,
        shared by the workers of one machine.
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
    """Hold a lock of the database session, which ends with it. The block fails if the session is lost."""
    import sqlalchemy

    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
    with storage.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(sqlalchemy.text("SELECT pg_advisory_lock(:key)"), {"key": key})
        try:
            yield
        finally:
            connection.execute(sqlalchemy.text("SELECT pg_advisory_unlock(:key)"), {"key": key})


def _is_secret(key: str) -> bool:
    """Return whether a key of a URL's query may name a password, as libpq's `password` and `sslpassword` do."""
    return any(word in key.lower() for word in ("pass", "pwd", "secret", "token"))


def _with_driver(url: str) -> str:
    """Return the URL with an installed driver if it names none. Raises InputError for an unknown database."""
    scheme, rest = url.split("://", 1)
    name, _, driver = scheme.partition("+")
    name = {"postgres": "postgresql"}.get(name, name)
    if name not in DATABASES:
        raise InputError(Problem(f"no database is called {name!r}{nearest(name, DATABASES)}", "--storage"))
    if name == "postgresql" and not driver:
        drivers = [each for each in ("psycopg", "psycopg2") if importlib.util.find_spec(each)]
        if not drivers:
            raise InputError(Problem("PostgreSQL needs a driver; run pip install 'archlab[postgres]'", "--storage"))
        driver = drivers[0]
    return f"{name}{'+' if driver else ''}{driver}://{rest}"


def _engine(url: str) -> dict[str, Any]:
    """Return engine settings: SQLite waits for other writers; a server's connections are tested before use."""
    if url.startswith("sqlite"):
        return {"connect_args": {"timeout": 60}}
    alive = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"
    return {"pool_pre_ping": True, "connect_args": {"connect_timeout": 10, "options": alive}}


def _database_words(error: Exception) -> str:
    """Return the first line of the driver's own message."""
    cause = getattr(error, "orig", None) or error
    lines = str(cause).strip().splitlines()
    return lines[0] if lines else type(cause).__name__


def database_errors() -> tuple[type[Exception], ...]:
    """Return the errors that are raised if a database no longer answers."""
    import sqlalchemy.exc

    return (optuna.exceptions.StorageInternalError, sqlalchemy.exc.SQLAlchemyError)


class FileLock(JournalFileOpenLock):
    """A file lock that the system releases when its process ends in any way; Optuna's own take 30 seconds.

    mends: a journal whose last line may have been cut off by a kill or a full disk. The lock removes such a line when
    it is acquired; otherwise the next append would make the journal unreadable. Readers ignore an unfinished line.
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


def _check_end(path: Path) -> None:
    """Raise ValueError if the last whole line is no JSON; Optuna fails at such a line only when another follows it."""
    lines = path.read_bytes().split(b"\n")[:-1]
    if lines:
        json.loads(lines[-1])


def _mend(path: Path) -> None:
    """Remove what follows the last line end."""
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        if end == 0:
            return
        file.seek(end - 1)
        if file.read(1) == b"\n":
            return
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
