"""Scoring a run folder again."""

import json
from pathlib import Path

import pytest
from helpers import tiny
from helpers.refused import refused
from helpers.training import train

from archlab.tasks.pose.data.coco import annotation_file
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


def renamed(root: Path, folder: Path, names: list[str]) -> Path:
    """A data set with the same pictures, in which the person has these keypoints."""
    for split in ("train2017", "val2017"):
        content = json.loads(annotation_file(root, split).read_text())
        content["categories"][0] |= {"keypoints": names, "skeleton": []}
        for annotation in content["annotations"]:
            annotation["keypoints"] = annotation["keypoints"][: 3 * len(names)]
        path = annotation_file(folder, split)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content))
        (folder / split).symlink_to(root / split)
    return folder


def test_a_run_is_not_scored_on_data_of_other_keypoints(root: Path, tmp_path: Path) -> None:
    run = train(tiny.make_spec(tmp_path), tiny.RECIPE.changed(iterations=2), root, out=tmp_path / "runs")
    names = read_record(run).data["keypoints"]
    with refused("14", "17", field="outputs"):
        evaluate_run(run, renamed(root, tmp_path / "fewer", names[:14]))
    swapped = [*names[:15], names[16], names[15]]
    with refused("keypoints[15]", names[16], names[15], "order", file=tmp_path / "swapped", field="--data"):
        evaluate_run(run, renamed(root, tmp_path / "swapped", swapped), changes={"boxes": "ground_truth"})
    same = evaluate_run(run, renamed(root, tmp_path / "same", names), changes={"boxes": "ground_truth"})
    assert same["ground_truth_boxes"] == read_record(run).scores["ground_truth_boxes"]
