"""Atomic writes: what a killed process leaves is replaced by the next write, and two writers keep apart."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from archlab.core.files import replacing, write_text

KILLED = """
import os, signal, sys
from pathlib import Path
from archlab.core.files import replacing
with replacing(Path(sys.argv[1])) as temporary:
    temporary.write_text("half, and longer than the next text")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_next_write_replaces_what_a_killed_process_left(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    for _ in range(2):
        killed = subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
        assert killed.returncode == -signal.SIGKILL
        assert path.read_text() == "old"
        assert len([*tmp_path.iterdir()]) == 2
    write_text(path, "new")
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {"a.json": "new"}


def test_two_writers_of_one_file_have_files_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    with replacing(path) as one:
        with replacing(path) as other:
            one.write_text("one")
            other.write_text("other")
        assert path.read_text() == "other"
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {"a.json": "one"}


def test_without_locks_the_temporary_name_is_a_random_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import fcntl

    def refuse(handle: int, kind: int) -> None:
        raise OSError(38, os.strerror(38))

    monkeypatch.setattr(fcntl, "flock", refuse)
    with replacing(tmp_path / "a.json") as one, replacing(tmp_path / "a.json") as other:
        assert one != other
        one.write_text("one")
        other.write_text("other")
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {"a.json": "one"}


def test_the_file_has_the_permissions_of_a_new_one(tmp_path: Path) -> None:
    write_text(tmp_path / "a.json", "text")
    (tmp_path / "b.json").write_text("text")
    assert (tmp_path / "a.json").stat().st_mode == (tmp_path / "b.json").stat().st_mode


def test_a_folder_is_no_name_of_a_file() -> None:
    with pytest.raises(IsADirectoryError):
        write_text(Path("/"), "text")
