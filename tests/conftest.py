"""What every test may use."""

import os
from pathlib import Path

import pytest
from helpers.paths import REPOSITORY
from hypothesis import HealthCheck, settings

# Tests run side by side, one a core; threads of one would only wait for those of another. Before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Hypothesis limits the time of an example and of drawing one; a test depends neither on speed nor on chance.
settings.register_profile("archlab", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.load_profile("archlab")


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
