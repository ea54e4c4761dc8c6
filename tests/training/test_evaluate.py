"""Scoring a run folder again."""

from pathlib import Path

import pytest
from helpers import tiny
from helpers.refused import refused
from helpers.training import train

from archlab.tasks.pose.synthetic import generate
from archlab.training.evaluate import evaluate_run
from archlab.training.runs import read_record


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("eval") / "people", level="quick", train=12, val=10, seed=2)


def test_a_run_folder_scores_again_as_it_did_and_asks_for_data_that_it_cannot_make(root: Path, tmp_path: Path) -> None:
    spec = tiny.make_spec(tmp_path)
    run = train(spec, tiny.RECIPE.changed(iterations=2), root, out=tmp_path / "runs")
    before = sorted((path.name, path.stat().st_mtime_ns) for path in run.iterdir())
    assert evaluate_run(run, root) == read_record(run).scores
    assert set(evaluate_run(run, root, changes={"boxes": "detector"})) == {"detector_boxes"}
    with refused("'people'", field="--data", file=run):
        evaluate_run(run)
    assert sorted((path.name, path.stat().st_mtime_ns) for path in run.iterdir()) == before


def test_what_is_no_run_folder_is_refused(tmp_path: Path) -> None:
    with refused(file=tmp_path / "record.json"):
        evaluate_run(tmp_path)
