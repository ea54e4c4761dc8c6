"""What `archlab clean` finds and deletes: nothing that a record, a report or a resumed training needs."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.refused import refused
from helpers.sample_records import record

from archlab.cli.app import main
from archlab.training.cleaning import GENERATED, PREVIOUS, STOPPED, TEMPORARY, delete, find_waste

AT_RUNG = "stopped at rung 1 of 1, iteration 40"
HOLDING = """\
import sys, time
from pathlib import Path
from archlab.training.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def run(folder: Path, state: str, reason: str = "", *, files: tuple[str, ...] = ("checkpoint.pt",)) -> Path:
    """A run folder with a record, a lock and some files of 1,000 bytes."""
    folder.mkdir(parents=True)
    record("lite_hrnet_18", "ab", state=state, reason=reason).write(folder)
    (folder / "lock").write_text("")
    for name in files:
        (folder / name).write_bytes(bytes(1000))
    return folder


BOTH = ("checkpoint.pt", "checkpoint.previous.pt")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    root = tmp_path / "runs"
    run(root / "done", "done", files=(*BOTH, "curves.png"))
    run(root / "at_rung", "stopped", AT_RUNG, files=BOTH)
    run(root / "by_signal", "stopped", "stopped by SIGTERM; run the same command to resume", files=BOTH)
    run(root / "running", "running", files=BOTH)
    run(root / "failed", "failed", "TrainingError: NaN", files=BOTH)
    run(root / "alone", "done", files=("checkpoint.previous.pt",))  # the newer one is lost
    (root / "done" / ".record.json.0.json").write_text("{")
    (root / "done" / ".notes.1").write_text("a user's")
    return root


WASTE = {
    "done/checkpoint.previous.pt": PREVIOUS,
    "at_rung/checkpoint.pt": STOPPED,
    "at_rung/checkpoint.previous.pt": STOPPED,
    "done/.record.json.0.json": TEMPORARY,
}


def test_what_no_record_or_training_needs_is_found_and_deleted(runs: Path) -> None:
    before = {path for path in runs.rglob("*") if path.is_file()}
    found = find_waste([runs])
    assert {str(each.path.relative_to(runs)): each.kind for each in found} == WASTE
    assert {each.bytes for each in found} == {1000, 1}
    assert delete(found) == found
    assert before - {path for path in runs.rglob("*") if path.is_file()} == {runs / name for name in WASTE}
    assert find_waste([runs]) == []


def test_a_run_in_training_is_left_alone_also_if_it_began_after_the_look(runs: Path) -> None:
    found = find_waste([runs])
    command = [sys.executable, "-c", HOLDING, str(runs / "at_rung")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        try:
            assert {each.kind for each in find_waste([runs], generated=True)} == {PREVIOUS, TEMPORARY}
            assert {each.kind for each in delete(found)} == {PREVIOUS, TEMPORARY}
        finally:
            holder.kill()
    assert (runs / "at_rung" / "checkpoint.pt").is_file()


def test_a_file_that_a_living_process_writes_is_left_alone(runs: Path) -> None:
    with (runs / "done" / ".record.json.0.json").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert TEMPORARY not in {each.kind for each in find_waste([runs])}


def test_generated_data_is_found_only_if_asked_for(tmp_path: Path) -> None:
    (tmp_path / "data" / "quick").mkdir(parents=True)
    (tmp_path / "data" / "quick" / "synthetic.json").write_text("{}")
    (tmp_path / "data" / "mine").mkdir()
    assert find_waste([tmp_path]) == []
    (found,) = find_waste([tmp_path], generated=True)
    assert (found.path, found.kind, found.bytes) == (tmp_path / "data" / "quick", GENERATED, 2)
    delete([found])
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["mine"]


def test_the_command_shows_asks_and_answers_in_json(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(runs.parent)
    assert main(["clean"]) == 2  # no terminal to ask at
    assert capsys.readouterr().err.startswith("error: --yes: 4 files")
    assert main(["clean", "--dry-run", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["path"]: row["kind"] for row in rows} == {f"runs/{name}": kind for name, kind in WASTE.items()}
    assert not any(row["deleted"] for row in rows)
    assert main(["clean", "--yes", "--json"]) == 0
    assert [row["deleted"] for row in json.loads(capsys.readouterr().out)] == [True] * 4
    assert main(["clean"]) == 0
    assert capsys.readouterr().out == "nothing to delete\n"


def test_folders_that_are_not_there_are_refused(tmp_path: Path) -> None:
    with refused("no such folder", file=tmp_path / "none"):
        find_waste([tmp_path / "none"])
