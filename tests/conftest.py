"""What every test may use."""

import os
from pathlib import Path

import pytest
from helpers.paths import REPOSITORY

# Tests run side by side, one a core; threads of one would only wait for those of another. Before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of reference data beside the checkout; tests that need it skip where it is absent."""
    folder = REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("needs the reference data in ../shared, which is not here")
    return folder


@pytest.fixture(autouse=True)
def _no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Print as into a pipe: test runners set the width of a terminal."""
    monkeypatch.delenv("COLUMNS", raising=False)
