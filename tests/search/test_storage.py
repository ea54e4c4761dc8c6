"""Where a study is kept, and what becomes of trials whose worker is lost."""

from __future__ import annotations

import errno
import os
import re
import resource
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import optuna
import pytest
from optuna.trial import TrialState

from archlab.core.errors import InputError
from archlab.search.options import SearchOptions
from archlab.search.recovery import MOST_DEATHS, counts, history, lives, outcome, sweep, worker_name
from archlab.search.storage import FileLock, StudyStorage


@pytest.fixture
def place(tmp_path: Path) -> StudyStorage:
    return StudyStorage(str(tmp_path / "made" / "study.journal"), tmp_path)


@pytest.fixture
def study(place: StudyStorage) -> optuna.Study:
    return optuna.create_study(study_name="s", storage=place.open(), directions=["maximize", "minimize"])


def begun(study: optuna.Study, worker: str, **more: object) -> int:
    """A running trial of a candidate; its number."""
    trial = study.ask()
    for name, value in {"worker": worker, "candidate": {"hash": "h"}, **more}.items():
        trial.set_user_attr(name, value)
    trial.suggest_int("width", 0, 5)
    return trial.number


def dead_worker() -> str:
    """The name of a process that has ended."""
    code = "from archlab.search.recovery import worker_name; print(worker_name())"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


# Storages


def test_a_journal_torn_by_a_kill_is_read_on_and_written_on(place: StudyStorage, study: optuna.Study) -> None:
    study.ask()
    whole = Path(place.url).read_bytes()
    with Path(place.url).open("ab") as file:
        file.write(whole.splitlines()[-1][:20])
    again = optuna.load_study(study_name="s", storage=place.open())
    assert again.ask().number == 1
    assert Path(place.url).read_bytes().startswith(whole + b"{")
    assert len(optuna.load_study(study_name="s", storage=place.open()).trials) == 2
    assert study.ask().number == 2


def test_a_journal_on_a_full_disk_loses_what_did_not_fit_and_nothing_else(
    place: StudyStorage, study: optuna.Study
) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    trial = study.ask()
    resource.setrlimit(resource.RLIMIT_FSIZE, (Path(place.url).stat().st_size + 30, before[1]))
    try:
        with pytest.raises(OSError, match=re.escape(os.strerror(errno.EFBIG))):
            trial.set_user_attr("long", "x" * 200)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    trial.set_user_attr("short", 1)
    assert optuna.load_study(study_name="s", storage=place.open()).trials[0].user_attrs == {"short": 1}


def test_a_lock_ends_with_its_process_and_lets_one_in_at_a_time(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom archlab.search.storage import FileLock\n"
        f"lock = FileLock(Path({str(tmp_path / 'lock')!r}))\nlock.acquire()\nprint('held', flush=True)\nsys.stdin.read()\n"
    )
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], text=True, **pipes) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        probe = ["flock", "--nonblock", str(tmp_path / "lock"), "true"]
        assert subprocess.run(probe).returncode == 1
        holder.kill()
        holder.wait()
        lock = FileLock(tmp_path / "lock")
        assert lock.acquire()
        assert subprocess.run(probe).returncode == 1
        lock.release()
        assert subprocess.run(probe).returncode == 0


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("mysql://host/db", "--storage: no database is called 'mysql' (known: postgresql, sqlite)"),
        ("postgres+nothing://host/db", "the database cannot be used: "),
        ("sqlite:////no/such/folder/s.db", "--storage: the database cannot be used: unable to open database file"),
        ("{file}/study.journal", "the study cannot be stored here: File exists"),
        ("{file}", "not an Optuna journal"),
    ],
)
def test_a_storage_that_cannot_be_used_says_why(url: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("not a journal\nat all\n")
    with pytest.raises(InputError) as error:
        StudyStorage(url.format(file=file), tmp_path).open()
    assert told in str(error.value)


def test_postgresql_without_a_driver_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'archlab\[postgres\]'"):
        StudyStorage("postgresql://host/db", tmp_path).open()


def test_a_study_that_is_only_looked_for_makes_no_file(place: StudyStorage) -> None:
    with pytest.raises(InputError, match="no study is stored here"):
        place.open(create=False)
    assert not Path(place.url).parent.exists()


def test_a_database_that_is_only_looked_for_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no study is stored here"):
        StudyStorage(f"sqlite:///{tmp_path}/study.db", tmp_path).open(create=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("line", [b"hello\n", b"\xff\xfe\x00\n", b"[\n"])
def test_a_journal_that_ends_in_another_line_is_refused_before_it_is_written(
    line: bytes, place: StudyStorage, study: optuna.Study
) -> None:
    path = Path(place.url)
    for content in (line, path.read_bytes() + line):
        path.write_bytes(content)
        with pytest.raises(InputError, match="not an Optuna journal"):
            place.open()
        assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://me:secret@host/db", "postgresql://me:***@host/db"),
        ("postgresql+psycopg://:secret@host:1/db", "postgresql+psycopg://:***@host:1/db"),
        ("postgresql://me:secret@more@host/db", "postgresql://me:***@more@host/db"),
        ("postgresql://me:sec%40ret@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:secret/x?y@host/db", "postgresql://me:***@host/db"),
        ("postgresql://host/db?user=me&password=secret", "postgresql://host/db?password=***&user=me"),
        ("postgresql://me@host/db?sslpassword=secret", "postgresql://me@host/db?sslpassword=***"),
        ("postgresql://me:secret@host:port/db", "postgresql://***"),
        ("postgresql://me:secret@[::1/db", "postgresql://***"),
        ("sqlite:////tmp/a b.db", "sqlite:////tmp/a b.db"),
        ("searches/s/study.journal", "searches/s/study.journal"),
    ],
)
def test_no_form_of_a_password_is_shown(url: str, shown: str) -> None:
    assert unquote(StudyStorage(url, Path()).shown) == shown


@pytest.mark.parametrize("url", ["postgresql:me:secret@host", "me:secret@host", "study.db"])
def test_a_storage_that_is_no_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InputError, match="expected the URL of a database") as caught:
        SearchOptions("s", storage=url).study_storage("s")
    assert url not in str(caught.value)


# Workers


def test_a_worker_lives_as_long_as_its_process() -> None:
    machine, number, start = worker_name().rsplit(":", 2)
    assert int(number) == os.getpid()
    assert lives(worker_name()) is True
    assert lives(f"{machine}:{number}:{int(start) + 1}") is False, "the number was given again"
    assert lives(f"elsewhere:{number}:{start}") is None
    assert lives(dead_worker()) is False


def test_a_worker_that_is_a_zombie_does_not_live() -> None:
    code = "from archlab.search.recovery import worker_name; print(worker_name(), flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], text=True, **pipes) as child:
        assert child.stdout
        name = child.stdout.readline().strip()
        assert lives(name) is True
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and nobody has asked how
        assert lives(name) is False


# Trials


def test_what_is_swept_is_queued_once_with_what_it_said(study: optuna.Study) -> None:
    mine = begun(study, worker_name())
    lost = begun(study, dead_worker(), rungs=[{"goes_on": True}])
    for _ in range(2):
        sweep(study)
    assert counts(study) == (0, 1, 1)
    assert study.trials[mine].state == TrialState.RUNNING
    assert study.trials[lost].state == TrialState.FAIL
    assert outcome(study.trials[lost]) is None
    (waiting,) = (trial for trial in study.trials if trial.state == TrialState.WAITING)
    assert history(waiting) == [lost]
    assert waiting.params == study.trials[lost].params
    assert waiting.user_attrs == {"candidate": {"hash": "h"}, "rungs": [{"goes_on": True}]}
    assert study.ask().number == waiting.number


def test_a_sweep_that_was_killed_is_finished_by_the_next(study: optuna.Study) -> None:
    lost = begun(study, dead_worker())
    study.tell(lost, state=TrialState.FAIL)  # so far it came
    sweep(study)
    assert [history(trial) for trial in study.trials] == [[], [lost]]


def test_a_trial_that_died_in_its_claim_was_none(study: optuna.Study) -> None:
    study.ask()
    sweep(study)
    assert counts(study) == (0, 0, 0)
    assert [trial.state for trial in study.trials] == [TrialState.FAIL]


def test_a_trial_whose_workers_keep_dying_fails_by_its_own_fault(study: optuna.Study) -> None:
    worker = dead_worker()
    for turn in range(MOST_DEATHS):
        begun(study, worker)
        sweep(study)
        assert counts(study) == ((1, 0, 0) if turn == MOST_DEATHS - 1 else (0, 0, 1))
    assert study.trials[-1].user_attrs["reason"] == "its worker died 4 times"
    assert history(study.trials[-1]) == list(range(MOST_DEATHS))


def test_a_worker_that_ended_in_order_is_no_death(study: optuna.Study) -> None:
    for _ in range(2 * MOST_DEATHS):
        study.tell(begun(study, worker_name(), excused=True), state=TrialState.FAIL)
        sweep(study)
        assert counts(study) == (0, 0, 1)
