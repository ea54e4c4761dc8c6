"""The search command with real workers that are killed: totals stay exact, and nothing is left running."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from helpers import search_study
from helpers.paths import REPOSITORY
from helpers.search_study import (
    Start,
    Tiny,
    check_exact,
    frozen,
    is_asked_to_end,
    number_of,
    processes_of,
    training,
    wait_for,
)

from archlab.core.errors import InputError
from archlab.search import run as explore
from archlab.search.load import load_search
from archlab.search.recovery import counts, history, is_lost, outcome
from archlab.search.report.analysis import analyse
from archlab.search.results import read_result
from archlab.training.metrics_log import read_rows
from archlab.training.runs import find_runs

CLAIMER = """
import sys
from archlab.search.options import open_search
sys.path.insert(0, {tests!r})
from helpers.search_study import Tiny
from pathlib import Path
session = open_search(Tiny(Path({folder!r}), Path({data!r})).options()).session
print("ready", flush=True)
sys.stdin.readline()
with session.alone():
    print(session.study.ask().number, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return search_study.people(tmp_path_factory.mktemp("search"))


@pytest.fixture
def tiny(tmp_path: Path, people: Path) -> Tiny:
    return search_study.make(tmp_path, people)


@pytest.fixture
def start(tiny: Tiny) -> Iterator[Start]:
    with search_study.commands(tiny.folder) as begin:
        yield begin


@pytest.fixture
def claimer(tiny: Tiny, start: Start) -> subprocess.Popen[str]:
    """A process that is ready to take the claim of a search whose trainings take two seconds."""
    tiny.write("recipe.yaml", ("iterations: 6", "iterations: 100"))
    folder, data, tests = str(tiny.folder), str(tiny.data), str(REPOSITORY / "tests")
    process = start([sys.executable, "-c", CLAIMER.format(tests=tests, folder=folder, data=data)])
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


def killed_with_the_claim(claimer: subprocess.Popen[str]) -> int:
    """Kill it as it holds the claim and has begun a trial; the trial's number."""
    assert claimer.stdin
    assert claimer.stdout
    claimer.stdin.write("go\n")
    claimer.stdin.flush()
    number = int(claimer.stdout.readline())
    claimer.kill()
    claimer.wait()
    return number


@pytest.mark.slow
def test_a_rung_may_be_a_budget_from_which_the_full_training_continues(tiny: Tiny) -> None:
    tiny.write("recipe.yaml", ("iterations: 6", "budgets: [12, 24]\ncooldown: 0.5"))
    (tiny.folder / "short.yaml").write_text("extends: recipe\nbudgets: [12]\n")
    tiny.write(
        "tiny.yaml", ("at: [{iterations: 2}, {iterations: 4}], eta: 1.5", "at: [{recipe: short.yaml}], eta: 1.01")
    )
    assert explore.search(tiny.options(trials=2)) == 0
    for record in find_runs(tiny.out / "tiny" / "runs"):
        assert record.state == "done"
        passed = [each.budget for each in record.budgets] == [12, 24]
        rows = read_rows(tiny.out / "tiny" / "runs" / record.fingerprint / "metrics.jsonl")
        steps = [row["iteration"] for row in rows if "lr" in row]
        assert steps == ([1, 3] if passed else [1])  # the main line is trained once, up to the last fork
    (first,) = [trial for trial in tiny.opened().get_trials() if trial.number == 0]
    [run] = [r for r in find_runs(tiny.out / "tiny" / "runs") if r.spec_hash == first.user_attrs["candidate"]["hash"]]
    at = [each.scores["ground_truth_boxes"]["pck"] for each in run.budgets]
    assert [first.user_attrs["rungs"][0]["scores"]["pck"], first.values[0]] == at


def test_a_rung_in_iterations_ends_before_the_main_line_of_a_recipe_with_budgets(tiny: Tiny) -> None:
    tiny.write("recipe.yaml", ("iterations: 6", "budgets: [12, 32]\ncooldown: 0.5"))  # forks at steps 1 and 4
    with pytest.raises(InputError) as caught:
        load_search(tiny.study)
    assert [problem.field for problem in caught.value.problems] == ["rungs.at"]
    tiny.write("recipe.yaml", ("[12, 32]", "[12, 40]"))
    assert [each.length for each in load_search(tiny.study).rungs] == [2, 4]


@pytest.mark.slow
def test_killed_workers_and_coordinators_leave_totals_exact(
    tiny: Tiny, start: Start, claimer: subprocess.Popen[str]
) -> None:
    first = start(tiny.command("--jobs", "4", "--trials", "8"))
    killed = [frozen(partial(training, tiny), tiny.opened)]
    os.kill(killed[0], signal.SIGKILL)
    claimed = killed_with_the_claim(claimer)
    wait_for(lambda: counts(tiny.opened())[0] >= 1)
    kept = {t.number: (t.state, t.values) for t in tiny.opened().get_trials() if outcome(t)}
    first.kill()
    first.wait()
    wait_for(lambda: not processes_of(tiny.folder))

    wanted = len(kept) + 6  # however many the first finished, some are left to be killed in
    second = start(tiny.command("--jobs", "4", "--trials", str(wanted)))
    killed.append(frozen(partial(training, tiny), tiny.opened))
    os.kill(killed[1], signal.SIGKILL)
    _, told = second.communicate(timeout=300)
    assert second.returncode == 0, told
    assert "exit code -9" in told
    assert f"{wanted}/{wanted}, 0 s left, best pck" in told
    assert not processes_of(tiny.folder)
    assert not any(Path(f"/proc/{number}").exists() for number in killed)

    study = tiny.opened()
    finished = check_exact(study, wanted)
    assert kept.items() <= {t.number: (t.state, t.values) for t in finished}.items()
    trials = study.get_trials()
    assert claimed not in {t.number for t in finished}
    for number in killed:  # the trial that it held is lost, and another of the same network is finished
        lost = [t for t in trials if is_lost(t) and number_of(t.user_attrs["worker"]) == number]
        assert len(lost) == 1
        again = [t for t in finished if lost[0].number in history(t)]
        assert [t.user_attrs["candidate"] for t in again] == [lost[0].user_attrs["candidate"]]
    records = find_runs(tiny.out / "tiny" / "runs")
    assert len(records) == wanted
    assert {(r.state, r.samples) for r in records} <= {("done", 400), ("stopped", 0)}
    for record in records:
        kept = (tiny.out / "tiny" / "runs" / record.fingerprint / "checkpoint.pt").is_file()
        assert kept == (record.state == "done")

    before = {path: path.stat().st_mtime_ns for path in tiny.out.rglob("record.json")}
    (tiny.out / "tiny" / "search.html").unlink()
    assert explore.search(tiny.options(trials=wanted)) == 0
    assert (tiny.out / "tiny" / "search.html").is_file()
    assert {path: path.stat().st_mtime_ns for path in tiny.out.rglob("record.json")} == before
    assert len(tiny.opened().get_trials()) == len(trials)


@pytest.mark.slow
def test_a_search_that_is_stopped_leaves_nothing_running_and_two_coordinators_at_once_go_on(
    tiny: Tiny, start: Start
) -> None:
    tiny.write("tiny.yaml", ("trials: 8", "trials: 3\nfront_seeds: [1, 2]"))
    tiny.write("recipe.yaml", ("iterations: 6", "iterations: 50"))
    stopped = start(tiny.command("--jobs", "2"))
    wait_for(tiny.is_begun)
    worker = frozen(partial(training, tiny), tiny.opened)
    stopped.send_signal(signal.SIGTERM)
    wait_for(lambda: is_asked_to_end(worker))
    os.kill(worker, signal.SIGCONT)
    _, told = stopped.communicate(timeout=300)
    assert stopped.returncode == 130, told
    assert "stopped by SIGTERM; run the same command" in told
    assert not processes_of(tiny.folder)
    finished, running, waiting = counts(tiny.opened())
    assert running == 0
    assert finished < 3
    assert waiting >= 1
    both = [start(tiny.command("--jobs", "2", "--trials", "8")) for _ in range(2)]
    for process in both:
        _, told = process.communicate(timeout=300)
        assert process.returncode == 0, told
    check_exact(tiny.opened(), 8)
    result = explore.result_of(tiny.options(trials=8))
    assert all(c.seeds.keys() == {"1", "2"} for c in result.complete if c.seeds)
    front = analyse(result).front
    assert front
    assert all(member.seeds for member in front)  # also those that came to it by others' second seeds
    assert not processes_of(tiny.folder)


@pytest.mark.slow
def test_a_notebook_runs_a_loaded_search_in_any_thread_and_gets_its_result(tiny: Tiny) -> None:
    tiny.write("tiny.yaml", ("trials: 8", "trials: 3"))
    search = load_search(tiny.study, data=tiny.data)
    given = {"jobs": 2, "data": tiny.data, "out": tiny.out, "device": "cpu"}
    with ThreadPoolExecutor(1) as pool:
        result = pool.submit(explore.run_search, search, **given).result()
    check_exact(tiny.opened(), 3)
    assert result == read_result(tiny.out / "tiny" / "result.json")
    assert len(result.table()) == 3
    assert (tiny.out / "tiny" / "search.html").is_file()
    assert explore.run_search(tiny.study, **given).candidates == result.candidates


def test_a_loaded_search_that_differs_from_its_file_is_refused(tiny: Tiny) -> None:
    search = load_search(tiny.study, data=tiny.data)
    changed = replace(search, form=replace(search.form, trials=5))
    with pytest.raises(InputError) as told:
        explore.run_search(changed, data=tiny.data, out=tiny.out)
    assert [problem.file for problem in told.value.problems] == [str(tiny.study)]
    assert not tiny.out.exists()
