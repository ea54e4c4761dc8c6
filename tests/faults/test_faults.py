"""Hostile files end in a line or a note, never in a traceback: a short form of `python -m faults.report`."""

from __future__ import annotations

import signal
from collections.abc import Iterable
from pathlib import Path

import pytest
from faults.files import damaged_files, mutated_yaml
from faults.inputs import damaged_inputs
from faults.kills import kills
from faults.limits import disk_full, few_files, read_only, twice
from faults.scenes import COMMANDS, Scene
from faults.trials import Outcome, Trial, wrong_ones

pytestmark = pytest.mark.slow


def test_mutated_yaml_ends_in_a_line(tmp_path: Path) -> None:
    outcomes = [*mutated_yaml(tmp_path, 60, seed=1)]
    assert len(outcomes) >= 60
    assert {2} <= {each.code for each in outcomes}
    assert wrong_ones(outcomes) == []


def test_damaged_files_end_in_a_line_or_a_note(tmp_path: Path) -> None:
    outcomes = [*damaged_files(tmp_path, 16, seed=1)]
    assert {0, 2} <= {each.code for each in outcomes}
    assert wrong_ones(outcomes) == []


def test_every_command_ends_in_a_line_or_a_note_on_damaged_files(scene: Scene) -> None:
    trials = [*damaged_inputs(scene, 1, seed=1)]
    assert {0, 2} <= {trial.code for trial in trials}
    assert wrong(trials) == []


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene.made(tmp_path_factory.mktemp("faults") / "scene")


def wrong(trials: Iterable[Trial]) -> list[Trial]:
    return [trial for trial in trials if trial.wrong]


def test_killed_studies_end_as_undisturbed_ones(scene: Scene) -> None:
    trials = [*kills(scene, 2, seed=1)]
    assert [trial.code for trial in trials].count(-signal.SIGKILL) == 6
    assert wrong(trials) == []


def test_every_command_ends_in_a_line_on_a_full_disk_and_in_a_folder_that_cannot_be_written(scene: Scene) -> None:
    slow = ("ablate", "search")
    trials = [*disk_full(scene, 2, tuple(each for each in COMMANDS if each.name not in slow)), *read_only(scene)]
    assert {0, 1, 2} <= {trial.code for trial in trials}
    assert wrong(trials) == []


def test_every_command_ends_in_a_line_with_few_open_files(scene: Scene) -> None:
    assert wrong(few_files(scene, (24,))) == []


def test_two_of_every_command_at_once_make_what_one_makes(scene: Scene) -> None:
    assert wrong(twice(scene)) == []


def test_the_harness_sees_a_traceback_a_fault_and_a_silent_refusal() -> None:
    for outcome in (
        Outcome((), 0, "Traceback (most recent call last)"),
        Outcome((), 70, "error: x"),
        Outcome((), 2, ""),
    ):
        assert outcome.wrong
    assert not Outcome((), 2, "error: a.yaml:1:1: width: must be positive").wrong
