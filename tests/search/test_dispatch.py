"""How a search's workers share a machine: their threads do not depend on what is left to do."""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path

import pytest
from helpers import search_study
from helpers.search_study import Tiny

from archlab.core.processes import Processes
from archlab.search.collect import missing
from archlab.search.dispatch import Course, Placing, _training
from archlab.search.options import ActiveSearch, open_search
from archlab.search.run import search
from archlab.training.runs import find_runs


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return search_study.people(tmp_path_factory.mktemp("dispatch"))


@pytest.fixture
def tiny(tmp_path: Path, people: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    made = search_study.make(tmp_path, people)
    made.write("recipe.yaml", ("threads: 1\n", ""))
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    return made


def active(tiny: Tiny, **options: object) -> ActiveSearch:
    return open_search(tiny.options(**options))


@pytest.mark.parametrize(("jobs", "threads"), [(1, 4), (2, 2), (9, 1)])
@pytest.mark.parametrize("left", [1, 8])
def test_a_workers_threads_follow_from_the_machine_and_the_jobs(tiny: Tiny, jobs: int, threads: int, left: int) -> None:
    opened = active(tiny, jobs=jobs)
    placing = Placing.of(opened, Processes("cpu"), left)
    assert (placing.at_once, placing.threads) == (min(jobs, left), threads)
    worker = next(Course(opened, deque(range(placing.at_once)), done=0).workers(placing))
    assert worker.environment["OMP_NUM_THREADS"] == str(threads)


def test_a_training_of_the_front_has_the_same_threads_when_it_is_the_last_one(tiny: Tiny) -> None:
    tiny.write("tiny.yaml", ("trials: 8", "trials: 8\nreferences: [base.yaml]"))
    opened = active(tiny, jobs=2)
    (reference,) = missing(opened.session, opened.runs)
    command = _training(opened, reference, 0, Placing.of(opened, Processes("cpu"), 1))
    given = command.arguments[command.arguments.index("--threads") + 1]
    assert (given, command.environment["OMP_NUM_THREADS"]) == ("2", "2")


def test_a_search_that_is_resumed_for_one_more_trial_trains_it_with_as_many_threads(tiny: Tiny) -> None:
    for trials in (1, 2):
        assert search(tiny.options(jobs=2, trials=trials)) == 0
    assert [run.threads for run in find_runs(tiny.out / "tiny" / "runs")] == [2, 2]
