"""What tests of trained networks share: data of a few people, and a run on them. They are read, never changed."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers import tiny
from helpers.training import train


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    folder = tmp_path_factory.mktemp("run")
    return train(tiny.make_spec(folder), tiny.RECIPE, root, out=folder / "runs", weights=tiny.lively_weights(folder))
