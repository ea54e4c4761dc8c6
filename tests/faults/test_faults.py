"""Hostile files end in a line or a note, never in a traceback: a short form of `python -m faults.report`."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults.files import damaged_files, mutated_yaml
from faults.trials import Outcome, wrong_ones

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


def test_the_harness_sees_a_traceback_a_fault_and_a_silent_refusal() -> None:
    for outcome in (
        Outcome((), 0, "Traceback (most recent call last)"),
        Outcome((), 70, "error: x"),
        Outcome((), 2, ""),
    ):
        assert outcome.wrong
    assert not Outcome((), 2, "error: a.yaml:1:1: width: must be positive").wrong
