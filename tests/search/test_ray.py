"""A search whose workers Ray places on a cluster: a real one of this machine."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from helpers import search_study
from helpers.search_study import Start, Tiny, check_exact, frozen, number_of, processes_of, training, wait_for

from archlab.core.errors import InputError
from archlab.core.ray import engine
from archlab.search.recovery import history, is_lost

pytestmark = pytest.mark.system
TWO_NODES = """
import sys
from pathlib import Path
from ray.cluster_utils import Cluster
from archlab.search import run as explore
from archlab.core.errors import InputError
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
cluster.add_node(num_cpus=1)
import os
os.environ["RAY_ADDRESS"] = cluster.address
try:
    explore.search(explore.SearchOptions(sys.argv[1], data=Path(sys.argv[2]), device="cpu", engine="ray"))
except InputError as error:
    print("told:", error)
finally:
    cluster.shutdown()
"""


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
def start(tiny: Tiny) -> Iterator[Start]:
    with search_study.commands(tiny.folder) as begin:
        yield begin


@pytest.fixture
def around() -> Iterator[dict[str, str]]:
    """Ray keeps to a folder of its own, with a short name as sockets lie in it; else it writes into the user's home."""
    with tempfile.TemporaryDirectory(prefix="r", ignore_cleanup_errors=True) as home:
        yield {"HOME": home, "RAY_TMPDIR": home, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}


def ray_processes() -> set[int]:
    return set(processes_of(Path("ray/core/src/ray"))) | set(processes_of(Path("ray::")))


def test_ray_places_workers_and_one_that_is_killed_is_replaced(
    tiny: Tiny, start: Start, around: dict[str, str]
) -> None:
    before = ray_processes()
    process = start(tiny.command("--engine", "ray", "--jobs", "2", "--trials", "6"), around)
    wait_for(tiny.is_begun)
    killed = frozen(partial(training, tiny), tiny.opened)
    os.kill(killed, signal.SIGKILL)
    _, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    assert "exit code -9" in told
    study = tiny.opened()
    finished = check_exact(study, 6)
    lost = [t for t in study.get_trials() if is_lost(t) and number_of(t.user_attrs["worker"]) == killed]
    assert [t.params for t in finished if lost[0].number in history(t)] == [lost[0].params]
    wait_for(lambda: not processes_of(tiny.folder))
    wait_for(lambda: not ray_processes() - before)


def test_a_file_as_storage_is_refused_by_a_cluster_of_two_machines(
    tiny: Tiny, start: Start, around: dict[str, str]
) -> None:
    command = [sys.executable, "-c", TWO_NODES, str(tiny.study), str(tiny.data)]
    process = start(command, around)
    told, errors = process.communicate(timeout=300)
    assert "told: " in told, errors
    assert "--storage: " in told
    assert "2 machines" in told


def test_without_ray_its_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with (
        pytest.raises(InputError, match=r"--engine: .* pip install 'archlab\[ray\]'"),
        engine("ray", None),
    ):
        pass
