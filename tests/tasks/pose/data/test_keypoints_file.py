"""People with keypoints of their own, in COCO's layout: read, trained and scored without code."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.coco
import pytest
from helpers import tiny
from helpers.refused import refused
from helpers.training import train
from pycocotools.cocoeval import COCOeval

from archlab.core.errors import InputError
from archlab.tasks.pose.data.coco import DETECTIONS, annotation_file, fingerprint, load_people
from archlab.tasks.pose.keypoints import COCO
from archlab.tasks.pose.metrics.coco import FIGURES, mean_oks
from archlab.tasks.pose.score_files import score_coco
from archlab.training.evaluate import evaluate_run
from archlab.training.runs import read_record

NAMES = {"snout": "nose", "wing_a": "left_wrist", "wing_b": "right_wrist", "tail": "left_hip", "foot": "right_ankle"}
TEXT = """# A bird's spreads
sigmas: {snout: 0.03, wing_a: 0.08, wing_b: 0.09, tail: 0.1, foot: 0.05}
flip_pairs: [[wing_a, wing_b]]
upper_body: [wing_b, snout, wing_a]
skeleton: [[snout, tail], [tail, foot]]
"""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Synthetic people of whom only five joints are labelled, under names that no rule knows, as category 7."""
    root = tiny.make_data(tmp_path_factory.mktemp("birds"))
    columns = [COCO.names.index(name) for name in NAMES.values()]
    for split in ("train2017", "val2017"):
        path = annotation_file(root, split)
        document = json.loads(path.read_text())
        for entry in document["annotations"]:
            triples = np.array(entry["keypoints"]).reshape(-1, 3)[columns]
            entry |= {"category_id": 7, "keypoints": triples.ravel().tolist()}
            entry["num_keypoints"] = int((triples[:, 2] > 0).sum())
        document["categories"] = [{"id": 7, "name": "bird", "keypoints": list(NAMES), "skeleton": [[1, 2]]}]
        path.write_text(json.dumps(document))
    boxes = json.loads((root / DETECTIONS).read_text())
    (root / DETECTIONS).write_text(json.dumps([box | {"category_id": 7} for box in boxes]))
    (root / "annotations" / "keypoints.yaml").write_text(TEXT)
    return root


def test_the_file_says_what_the_annotations_do_not(root: Path) -> None:
    layout = load_people(root, "val2017", aspect=1.0).layout
    assert layout.names == tuple(NAMES)
    assert layout.sigmas == (0.03, 0.08, 0.09, 0.1, 0.05)
    assert layout.flip_pairs == ((1, 2),)
    assert layout.flip_order == (0, 2, 1, 3, 4)
    assert layout.upper_body == (0, 1, 2)
    assert layout.skeleton == ((0, 3), (3, 4))


def test_what_the_file_leaves_out_follows_from_names_and_category(root: Path, tmp_path: Path) -> None:
    whole = load_people(root, "val2017", aspect=1.0).layout
    named = load_with(root, tmp_path, "flip_pairs: []\n")
    assert (named.skeleton, named.flip_pairs) == (((0, 1),), ())
    assert named.sigmas == (sum(COCO.sigmas) / 17,) * 5
    assert load_with(root, tmp_path, TEXT) == whole


def load_with(root: Path, folder: Path, text: str) -> Any:
    """The layout with another keypoints.yaml."""
    (folder / "annotations").mkdir(exist_ok=True)
    for name in ("val2017", "annotations/person_keypoints_val2017.json"):
        if not (folder / name).exists():
            (folder / name).symlink_to(root / name)
    (folder / "annotations" / "keypoints.yaml").write_text(text)
    return load_people(folder, "val2017", aspect=1.0).layout


def test_all_problems_of_the_file_are_told_at_once(root: Path, tmp_path: Path) -> None:
    text = "sigmas: {snuot: 0.03, tail: -1}\nflip_pairs: [[wing_a, wing_b], [wing_a, foot], [tail]]\nuper_body: []\nskeleton: [[snout, beak]]\n"
    with pytest.raises(InputError) as caught:
        load_with(root, tmp_path, text)
    told = {(problem.line, problem.column, problem.field): problem.message for problem in caught.value.problems}
    assert {(problem.line, problem.field.split(".")[0]) for problem in caught.value.problems} == {
        (1, "sigmas"), (2, "flip_pairs"), (3, "uper_body"), (4, "skeleton"),
    }  # fmt: skip
    for place, values in {
        (1, 1, "sigmas"): ["snout, wing_a, wing_b, foot"], (1, 10, "sigmas"): ["'snuot'", "'snout'"],
        (1, 29, "sigmas.tail"): ["0", "-1"], (2, 33, "flip_pairs"): ["'wing_a'"], (2, 48, "flip_pairs.2"): ["2"],
        (3, 1, "uper_body"): ["'upper_body'"], (4, 20, "skeleton"): ["'beak'"],
    }.items():  # fmt: skip
        assert all(value in told[place] for value in values), (place, told)


def test_the_file_is_a_part_of_what_a_data_set_is(root: Path) -> None:
    before = fingerprint(root)
    path = root / "annotations" / "keypoints.yaml"
    path.write_text(TEXT.replace("0.03", "0.04"))
    assert fingerprint(root) != before
    path.write_text(TEXT)
    assert fingerprint(root) == before


def test_such_people_are_trained_and_scored_by_their_own_spreads(root: Path, tmp_path: Path) -> None:
    recipe = tiny.RECIPE.changed(iterations=2, boxes="both")
    with refused("5 keypoints", "17 outputs", field="outputs"):
        train(tiny.make_spec(tmp_path), recipe, root, out=tmp_path / "runs")
    run = train(tiny.make_spec(tmp_path, outputs=5), recipe, root, out=tmp_path / "runs")
    record = read_record(run)
    assert (record.state, record.outputs) == ("done", 5)
    assert set(record.scores) == {"ground_truth_boxes", "detector_boxes"}
    scores = evaluate_run(run, root, changes={"boxes": "ground_truth"}, results=tmp_path / "found.json")[
        "ground_truth_boxes"
    ]
    assert scores == record.scores["ground_truth_boxes"]
    assert scores["mean_oks"] is not None
    assert record.baseline["mean_pose"]["AR"] is not None
    assert score_coco(annotation_file(root, "val2017"), tmp_path / "found.json") == {k: scores[k] for k in FIGURES}
    expected = by_pycocotools(annotation_file(root, "val2017"), tmp_path / "found.json", (0.03, 0.08, 0.09, 0.1, 0.05))
    assert [scores["AP"], scores["AR"]] == [100 * expected[0], 100 * expected[5]]


def by_pycocotools(truth: Path, results: Path, sigmas: tuple[float, ...]) -> list[float]:
    with contextlib.redirect_stdout(io.StringIO()):
        people = pycocotools.coco.COCO(str(truth))
        evaluation = COCOeval(people, people.loadRes(str(results)), "keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return [float(value) for value in evaluation.stats]


def test_right_and_wrong_spreads_score_differently(root: Path, tmp_path: Path) -> None:
    # That the figures above follow from the file and not from a default: joints off by a tenth of the box's root.
    people = load_people(root, "val2017", aspect=1.0)
    moved = people.joints + 0.05 * np.sqrt(people.areas)[:, None, None]
    narrow = replace(people, layout=load_with(root, tmp_path, TEXT.replace("0.1,", "0.01,")))
    assert mean_oks(narrow, moved).figure < mean_oks(people, moved).figure - 5
