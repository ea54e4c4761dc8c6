"""How workers are started."""

from __future__ import annotations

import argparse
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from archlab.cli.search import search_options
from archlab.search.dispatch import Placing, _worker
from archlab.search.options import STORAGE, SearchOptions

URL = "postgresql://me:secret@host/studies"


def test_a_workers_command_line_holds_no_password_of_the_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = SearchOptions("tiny", storage=URL, device="cpu")
    active: Any = SimpleNamespace(options=options, trials=3, root=tmp_path, folder=tmp_path)
    command = _worker(active, 0, Placing(1, 1, False))
    assert not any("secret" in text for text in command.arguments)
    monkeypatch.setenv(STORAGE, command.environment[STORAGE])
    given = {"study": "tiny", "trials": 3, "jobs": None, "storage": None, "data": None, "device": "cpu"}
    more = {"searches": tmp_path, "plugin": [], "engine": "processes", "grace": 60}
    asked = [search_options(argparse.Namespace(**given, **more, worker=worker)).storage for worker in (True, False)]
    assert asked == [URL, None]
