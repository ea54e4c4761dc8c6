"""The worker's loop in this process: what its candidates are to blame for, what they are not, and what it refuses."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from helpers import search_study
from helpers.search_study import Tiny, check_exact

from archlab.core.errors import InputError
from archlab.search import run as explore
from archlab.search import trial as one_trial
from archlab.search.dispatch import NO_USE
from archlab.search.options import SearchOptions
from archlab.search.recovery import counts, history, is_lost
from archlab.training import lock
from archlab.training.lock import held
from archlab.training.runs import find_runs

BLOCKS = '''
import torch
from torch import nn

class Faulty(nn.Module):
    """What its name says, in training."""
    def __init__(self, in_channels: int, how: str = "nan"):
        super().__init__()
        self.conv, self.how = nn.Conv2d(in_channels, in_channels, 1), how
    def forward(self, x):
        if self.training and self.how == "memory":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB")
        if self.training and self.how == "bug":
            raise KeyError("no such thing")
        return self.conv(x) * (float("nan") if self.training and self.how == "nan" else 1.0)

BLOCKS = {"faulty": Faulty}
'''

HOLDER = """
import sys
from pathlib import Path
from archlab.training.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return search_study.people(tmp_path_factory.mktemp("search"))


@pytest.fixture
def tiny(tmp_path: Path, people: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    monkeypatch.chdir(tmp_path)
    return search_study.make(tmp_path, people)


@pytest.fixture
def file_limit() -> Iterator[None]:
    """Files that grow beyond 100 kB fail: checkpoints of the widest networks do, journals do not."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_worker_alone_finishes_as_many_as_asked_and_goes_on_with_new_ones(tiny: Tiny) -> None:
    assert explore.worker(tiny.options(trials=3)) == 0
    first = check_exact(tiny.opened(), 3)
    assert explore.worker(tiny.options(trials=3)) == 0
    assert len(check_exact(tiny.opened(), 3)) == 3
    assert explore.worker(tiny.options(trials=5)) == 0
    assert [t.params for t in check_exact(tiny.opened(), 5)][:3] == [t.params for t in first]


def test_candidates_that_cannot_be_trained_fail_with_their_reason_and_count(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tiny.folder)
    (tiny.folder / "faulty_blocks.py").write_text(BLOCKS)
    tiny.write("base.yaml", ("  more:", "  faulty: {block: faulty, how: none}\n  more:"))
    space = (tiny.folder / "space.yaml").read_text().split("vary:")[0]
    how = "vary:\n  how: {field: nodes.faulty.how, choices: [nan, memory, bug, none]}\n"
    (tiny.folder / "space.yaml").write_text(space + how.replace("nan,", '"nan",').replace("none]", '"none"]'))
    tiny.write("tiny.yaml", ("trials: 8", "trials: 4"))
    assert explore.worker(tiny.options(plugin=("faulty_blocks",))) == 0
    finished = check_exact(tiny.opened(), 4)
    said = {t.user_attrs["candidate"]["point"]["how"]: t.user_attrs.get("reason", "") for t in finished}
    assert said["none"] == ""
    assert said["nan"].startswith("TrainingError: ")
    assert all(part in said["memory"] for part in ("batch: ", "out of memory", "4 samples"))
    assert said["bug"] == "KeyError: 'no such thing'"
    result = explore.result_of(tiny.options(plugin=("faulty_blocks",)))
    assert sorted(c.outcome for c in result.candidates) == ["complete", "failed", "failed", "failed"]


def test_a_full_disk_is_nobodys_trial(
    tiny: Tiny, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.write("space.yaml", ("from: 8, to: 32", "from: 32, to: 40"))
    explore.worker(tiny.options(trials=1))
    request.getfixturevalue("file_limit")
    assert explore.worker(tiny.options(trials=3)) == NO_USE
    assert "this worker ends, and its trial is retried" in capsys.readouterr().err
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.getrlimit(resource.RLIMIT_FSIZE)[1],) * 2)
    study = tiny.opened()
    (lost,) = (trial for trial in study.get_trials() if is_lost(trial))
    assert counts(study)[0] == 1
    assert explore.worker(tiny.options(trials=3)) == 0
    finished = check_exact(study, 3)
    assert [t.params for t in finished if history(t) == [lost.number]] == [lost.params]


def test_a_trial_stopped_right_after_a_judgement_is_not_judged_again(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system asks the process to end while its first rung is judged; it is noticed after that was written down."""
    judged: list[int] = []
    real = one_trial.goes_on

    def goes_on(losses: object, mine: int, eta: float) -> bool:
        judged.append(mine)
        if len(judged) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(losses, mine, eta)  # type: ignore[arg-type]

    monkeypatch.setattr(one_trial, "goes_on", goes_on)
    with pytest.raises(SystemExit) as ended:
        explore.worker(tiny.options(trials=1))
    assert ended.value.code == 128 + signal.SIGTERM
    (lost,) = tiny.opened().get_trials()
    assert is_lost(lost)
    assert [rung["goes_on"] for rung in lost.user_attrs["rungs"]] == [True]
    assert explore.worker(tiny.options(trials=1)) == 0
    (finished,) = check_exact(tiny.opened(), 1)
    assert finished.user_attrs["rungs"][0] == lost.user_attrs["rungs"][0]
    assert len(judged) == 2, "once at each of two rungs"
    (record,) = find_runs(tiny.out / "tiny" / "runs")
    assert (record.state, record.samples) == ("done", 24)


def test_others_are_judged_once_against_a_trial_that_was_tried_again(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    real = one_trial.goes_on

    def goes_on(losses: list[object], mine: int, eta: float) -> bool:
        seen.append(len(losses))
        if len(seen) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(losses, mine, eta)  # type: ignore[arg-type]

    tiny.write("tiny.yaml", ("[{iterations: 2}, {iterations: 4}]", "[{iterations: 2}]"))
    monkeypatch.setattr(one_trial, "goes_on", goes_on)
    with pytest.raises(SystemExit):
        explore.worker(tiny.options(trials=3))
    assert explore.worker(tiny.options(trials=3)) == 0
    assert seen == [1, 2, 3]


def test_a_trial_that_was_taken_for_lost_counts_once(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another worker gives it up while this one judges its first rung."""
    real = one_trial.goes_on

    def goes_on(losses: object, mine: int, eta: float) -> bool:
        if len(tiny.opened().get_trials()) == 1:
            tiny.opened().tell(0, state=optuna.trial.TrialState.FAIL)
        return real(losses, mine, eta)  # type: ignore[arg-type]

    monkeypatch.setattr(one_trial, "goes_on", goes_on)
    assert explore.worker(tiny.options(trials=2)) == 0
    finished = check_exact(tiny.opened(), 2)
    lost = tiny.opened().get_trials()[0]
    assert is_lost(lost)
    assert [t.params for t in finished if history(t) == [0]] == [lost.params]


@pytest.mark.slow
def test_a_space_with_nothing_left_ends_the_search_and_keeps_what_it_has(
    tiny: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny.write("space.yaml", ("from: 8, to: 32", "from: 8, to: 8"), ("from: 1, to: 4", "from: 1, to: 1"))
    tiny.write("tiny.yaml", ("trials: 8", "trials: 2"))
    assert explore.search(tiny.options(trials=5, jobs=1)) == 1
    told = capsys.readouterr().err
    assert "all 3 that do are taken" in told
    assert told.count("a worker ended with exit code 2") == 1
    assert len(check_exact(tiny.opened(), 3)) == 3
    assert (tiny.out / "tiny" / "search.html").is_file()


def test_a_worker_ends_with_the_candidate_that_took_its_gpu(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        one_trial, "train", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("CUDA error: misaligned"))
    )
    with pytest.raises(SystemExit, match="another worker takes over"):
        explore.worker(tiny.options(trials=2))
    (failed,) = check_exact(tiny.opened(), 1)
    assert failed.user_attrs["reason"] == "RuntimeError: CUDA error: misaligned"


def test_a_worker_waits_for_one_that_was_taken_for_lost_and_still_trains(
    tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first candidate follows from the seed, so that its run's folder is known from a study elsewhere."""
    elsewhere = tiny.options(trials=1, out=tiny.folder / "elsewhere")
    assert explore.worker(elsewhere) == 0
    (record,) = find_runs(elsewhere.out / "tiny" / "runs")
    folder = tiny.out / "tiny" / "runs" / record.fingerprint
    waited: list[bool] = []
    with search_study.commands(tiny.folder) as start:
        holder = start([sys.executable, "-c", HOLDER, str(folder)])
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"

        def sleep(seconds: float) -> None:
            if seconds != lock.WAIT_SECONDS:  # subprocess waits so too
                return
            waited.append(held(folder))
            holder.kill()
            holder.wait()

        monkeypatch.setattr(lock.time, "sleep", sleep)
        assert explore.worker(tiny.options(trials=1)) == 0
    assert waited == [True]
    assert [t.state.name for t in check_exact(tiny.opened(), 1)] == ["COMPLETE"]


# What is refused before the first trial


@pytest.mark.parametrize(
    ("file", "change", "told"),
    [
        ("recipe.yaml", ("1e-3", "2e-3"), "another recipe;"),
        ("space.yaml", ("to: 32", "to: 40"), "another space;"),
        ("tiny.yaml", ("params: minimize", "macs: minimize"), "another objectives;"),
        ("tiny.yaml", ("eta: 1.5", "eta: 2"), "another rungs;"),
        ("recipe.yaml", ("threads: 1", "threads: 1\nseed: 2"), "another seed;"),
    ],
)
def test_a_search_that_changed_is_refused_by_the_parts_that_did(
    file: str, change: tuple[str, str], told: str, tiny: Tiny
) -> None:
    explore.worker(tiny.options(trials=1))
    tiny.write(file, change)
    with pytest.raises(InputError, match=told):
        explore.search(tiny.options())
    assert counts(tiny.opened()) == (1, 0, 0)


def test_other_data_is_refused(tiny: Tiny, tmp_path: Path) -> None:
    explore.worker(tiny.options(trials=1))
    other = search_study.generate(tmp_path / "others", level="quick", train=8, val=4, seed=9)
    with pytest.raises(InputError, match="begun with another data;"):
        explore.search(tiny.options(data=other))


@pytest.mark.parametrize("directions", [["maximize", "minimize"], ["minimize"]])
def test_a_study_that_archlab_did_not_make_is_refused(directions: list[str], tiny: Tiny) -> None:
    storage = tiny.options().study_storage("tiny").open()
    foreign = optuna.create_study(study_name="tiny", storage=storage, directions=directions)
    foreign.tell(foreign.ask(), [1.0] * len(directions))
    with pytest.raises(InputError, match="holds a study 'tiny' that archlab did not make"):
        explore.search(tiny.options())


def test_a_study_of_another_format_is_refused(tiny: Tiny) -> None:
    explore.worker(tiny.options(trials=1))
    study = tiny.opened()
    study.set_user_attr("archlab", {**study.user_attrs["archlab"], "format": 2})
    with pytest.raises(InputError, match="format 2; this archlab reads format 1"):
        explore.search(tiny.options())


def test_a_study_that_was_never_begun_is_named_beside_those_that_are_there(tiny: Tiny) -> None:
    with pytest.raises(InputError, match="no study is stored here"):
        explore.result_of(tiny.options())
    optuna.create_study(study_name="another", storage=tiny.options().study_storage("tiny").open())
    with pytest.raises(InputError, match="holds no study 'tiny'; it holds another"):
        explore.result_of(tiny.options())


def test_counts_below_one_are_all_told_at_once(tiny: Tiny) -> None:
    with pytest.raises(InputError) as told:
        explore.search(tiny.options(trials=0, jobs=-1))
    assert str(told.value) == "--trials: must be at least 1, found 0\n--jobs: must be at least 1, found -1"


def test_an_unknown_search_is_hinted_at() -> None:
    with pytest.raises(InputError, match="lite_hrnet_quick"):
        explore.search(SearchOptions("lite_hrnet_quik"))


def test_a_place_that_cannot_be_written_is_told(tiny: Tiny) -> None:
    (tiny.folder / "file").write_text("")
    with pytest.raises(InputError, match="the study cannot be stored here"):
        explore.search(tiny.options(out=tiny.folder / "file"))
