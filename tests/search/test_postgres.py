"""A study in PostgreSQL: a real server, workers of two machines, and either of them dying."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import optuna
import pytest
from helpers import search_study
from helpers.search_study import Start, Tiny, check_exact, frozen, number_of, processes_of, training, wait_for, workers
from optuna.storages import BaseStorage

from archlab.core.errors import InputError
from archlab.search import run as explore
from archlab.search.recovery import history, is_lost
from archlab.search.storage import StudyStorage

pytestmark = pytest.mark.system
BINARIES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))


@dataclass(frozen=True)
class Server:
    """A PostgreSQL server on a loopback port, run by an unprivileged user where this process is root's."""

    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"postgresql://archlab@127.0.0.1:{self.port}/postgres"

    def call(self, program: str, *arguments: str) -> None:
        user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
        command = [str(BINARIES[-1] / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, **user)
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        log = str(self.folder / "log.txt")
        self.call("pg_ctl", "start", "--wait", "-D", str(self.folder / "data"), "-l", log, "-o", options)

    def stop(self, mode: str) -> None:
        self.call("pg_ctl", "stop", "--wait", "-D", str(self.folder / "data"), "-m", mode)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """Not in pytest's folder: that is closed to the user who runs it where this process is root's."""
    with socket.socket() as free, tempfile.TemporaryDirectory(prefix="archlab-postgres-") as name:
        free.bind(("127.0.0.1", 0))
        made = Server(Path(name), free.getsockname()[1])
        free.close()
        if os.getuid() == 0:  # initdb refuses root
            shutil.chown(name, "postgres", "postgres")
        made.call("initdb", "--no-sync", "--auth=trust", "--username=archlab", "-D", f"{name}/data")
        made.start()
        yield made
        made.stop("immediate")


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return search_study.people(tmp_path_factory.mktemp("search"))


@pytest.fixture
def tiny(tmp_path: Path, people: Path) -> Tiny:
    """A search whose trainings take a second."""
    made = search_study.make(tmp_path, people)
    made.write("recipe.yaml", ("iterations: 6", "iterations: 50"))
    return made


@pytest.fixture
def storage(server: Server) -> Iterator[BaseStorage]:
    """The database, without studies before and after."""
    place = StudyStorage(server.url, Path())
    opened = place.open()
    yield opened
    for study in opened.get_all_studies():
        opened.delete_study(study._study_id)
    opened.engine.dispose()


@pytest.fixture
def start(tiny: Tiny) -> Iterator[Start]:
    with search_study.commands(tiny.folder) as begin:
        yield begin


def test_a_worker_killed_on_one_of_two_machines_is_found_by_its_silence(
    tiny: Tiny, server: Server, storage: BaseStorage, start: Start
) -> None:
    """Two machines: a host name of its own for one coordinator's workers, by which neither looks for the other's."""
    command = tiny.command("--storage", server.url, "--grace", "3", "--trials", "8")
    other = ["unshare", "--uts", "sh", "-c", 'hostname elsewhere && exec "$@"', "sh"] if os.getuid() == 0 else []
    here = start([*command, "--jobs", "1"])
    there = start([*other, *command, "--jobs", "2"])
    study = study_in(storage)

    def of_the_other(study: optuna.Study) -> list[str]:
        return [worker for worker in workers(study) if worker.startswith("elsewhere ")]

    killed = frozen(of_the_other, lambda: study)
    there.kill()  # with its coordinator, so that nobody on that machine sees it go
    os.kill(killed, signal.SIGKILL)
    _, told = here.communicate(timeout=300)
    assert here.returncode == 0, told
    finished = check_exact(study, 8)
    lost = [t for t in study.get_trials() if is_lost(t) and number_of(t.user_attrs["worker"]) == killed]
    assert len(lost) == 1
    assert [t.params for t in finished if lost[0].number in history(t)] == [lost[0].params]
    wait_for(lambda: not processes_of(tiny.folder))


def study_in(storage: BaseStorage) -> optuna.Study:
    """The study, once it is there."""
    wait_for(lambda: "tiny" in optuna.study.get_all_study_names(storage))
    return optuna.load_study(study_name="tiny", storage=storage)


def test_a_search_whose_server_is_restarted_midway_goes_on_to_exact_totals(
    tiny: Tiny, server: Server, storage: BaseStorage, start: Start
) -> None:
    command = tiny.command("--storage", server.url, "--jobs", "2", "--trials", "6")
    first = start(command)
    study = study_in(storage)
    wait_for(lambda: training(tiny, study))
    server.stop("immediate")
    server.start()
    _, told = first.communicate(timeout=300)
    if first.returncode:
        assert "run the same command" in told
    assert "Traceback" not in told
    again = start(command)
    _, told = again.communicate(timeout=300)
    assert again.returncode == 0, told
    check_exact(study, 6)


def test_the_claim_ends_with_the_process_that_holds_it(
    tiny: Tiny, server: Server, storage: BaseStorage, start: Start
) -> None:
    code = (
        "from pathlib import Path\nfrom archlab.search.storage import StudyStorage\nimport sys\n"
        f"place = StudyStorage({server.url!r}, Path('.'))\nstorage = place.open()\n"
        "with place.alone(storage, 'tiny'):\n    print('held', flush=True)\n    sys.stdin.read()\n"
    )
    first, second = (start([sys.executable, "-c", code]) for _ in range(2))
    assert first.stdout
    assert second.stdout
    (holder,), _, _ = select.select([first.stdout, second.stdout], [], [], 60)
    one, other = (first, second) if holder is first.stdout else (second, first)
    assert holder.readline() == "held\n"
    assert other.stdout
    assert not select.select([other.stdout], [], [], 3)[0]
    one.kill()
    assert select.select([other.stdout], [], [], 60)[0]
    assert other.stdout.readline() == "held\n"


def test_a_server_that_is_not_there_is_told_before_the_first_trial(tiny: Tiny, server: Server) -> None:
    url = server.url.replace(str(server.port), "1").replace("archlab@", "archlab:secret@")
    with pytest.raises(InputError, match=r"--storage: the database cannot be used: .*refused") as told:
        explore.search(tiny.options(storage=url))
    assert "secret" not in str(told.value)


@pytest.mark.parametrize("kept", ["journal", "database"])
def test_optuna_dashboard_opens_a_study_unchanged(
    kept: str, tiny: Tiny, server: Server, storage: BaseStorage, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tiny.folder)
    searching = start(
        [*tiny.command("--worker", "--trials", "3"), *(["--storage", server.url] if kept == "database" else [])]
    )
    assert searching.wait(timeout=300) == 0
    before = tiny.journal.read_bytes() if kept == "journal" else b""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    where = server.url.replace("postgresql", "postgresql+psycopg") if kept == "database" else str(tiny.journal)
    command = [str(Path(sys.executable).with_name("optuna-dashboard")), where, "--port", port, "--server", "wsgiref"]
    shown = start(command)
    found: list[dict[str, object]] = []

    def answers() -> bool:
        assert shown.poll() is None, shown.communicate()
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies") as answer:
                found.extend(json.load(answer)["study_summaries"])
        except OSError:
            return False
        return True

    wait_for(answers)
    assert [(study["study_name"], study["directions"]) for study in found] == [("tiny", ["maximize", "minimize"])]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/studies/{found[0]['study_id']}") as answer:
        study = json.load(answer)
    assert study["objective_names"] == ["pck", "params"]
    assert len(study["trials"]) == 3
    assert {trial["state"] for trial in study["trials"]} <= {"Complete", "Pruned"}
    assert not before or tiny.journal.read_bytes() == before
