"""The ten figures against pycocotools, digit for digit, on known answers and on sets drawn to be awkward."""

from __future__ import annotations

import contextlib
import copy
import io
import json
from typing import Any

import numpy as np
import pytest
from pycocotools import coco
from pycocotools.cocoeval import COCOeval, Params

from archlab.core.errors import InputError
from archlab.tasks.pose.metrics.coco_ap import (
    AREAS,
    FIGURES,
    RECALLS,
    SIGMAS,
    THRESHOLDS,
    keypoint_figures,
    score_keypoints,
)
from archlab.tasks.pose.metrics.coco_files import found_from, read_found, read_truth

Document = dict[str, Any]
Results = list[dict[str, Any]]


def pycocotools_figures(document: Document, results: Results, sigmas: Any = None) -> dict[str, float | None]:
    """What pycocotools itself says, of copies because it writes into what it is given."""
    with contextlib.redirect_stdout(io.StringIO()):
        truth, document = coco.COCO(), copy.deepcopy(document)
        truth.dataset = document
        truth.createIndex()
        found = truth.loadRes(copy.deepcopy(results))
        evaluation = COCOeval(truth, found, "keypoints")
        if sigmas is not None:
            evaluation.params.kpt_oks_sigmas = np.asarray(sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    values = [float(value) for value in evaluation.stats]
    return {name: None if value == -1 else 100.0 * value for name, value in zip(FIGURES, values, strict=True)}


def drawn(seed: int) -> tuple[Document, Results]:
    """A set with few people and every oddity: crowds, people without keypoints, equal scores, doubles, id 0, ..."""
    random = np.random.default_rng(seed)
    categories = [1] if random.random() < 0.8 else [1, 4, 7]
    images = random.permutation(1000)[: random.integers(1, 9)].tolist()
    first = int(random.integers(0, 2))
    annotations = [person(random, image, categories) for image in images for _ in range(random.integers(0, 5))]
    if annotations and random.random() < 0.5:  # the same person twice, so that two are equally like
        annotations += [copy.deepcopy(annotations[int(random.integers(len(annotations)))])]
    for at, annotation in enumerate(annotations):
        annotation["id"] = at + first
    results = [r for a in annotations for r in guesses(random, a, crowded=random.random() < 0.1)]
    results += [detection(random, person(random, image, categories), 5.0) for image in images if random.random() < 0.4]
    results = results or [detection(random, person(random, images[0], categories), 5.0)]
    if random.random() < 0.5:
        for result in results:
            result["bbox"] = random.uniform(1, 200, 4).tolist()
    order = random.permutation(len(results))
    document = {
        "images": [{"id": image} for image in images],
        "annotations": [annotations[i] for i in random.permutation(len(annotations))],
        "categories": [{"id": category} for category in categories],
    }
    return document, [results[i] for i in order]


def person(random: np.random.Generator, image: int, categories: list[int]) -> dict[str, Any]:
    side = float(np.exp(random.uniform(np.log(15), np.log(300))))
    box = [*random.uniform(0, 300, 2).round(1).tolist(), side, side * float(random.uniform(1, 3))]
    points = np.zeros((17, 3))
    labelled = random.random(17) < random.choice([0.0, 0.1, 0.5, 1.0], p=[0.15, 0.2, 0.3, 0.35])
    points[labelled, :2] = np.array(box[:2]) + random.random((int(labelled.sum()), 2)) * box[2:]
    points[labelled, 2] = random.integers(1, 3, int(labelled.sum()))
    whole = random.random() < 0.5
    return {
        "image_id": image,
        "category_id": int(random.choice(categories)),
        "bbox": box,
        "area": float(random.choice([32.0**2, 96.0**2])) if random.random() < 0.05 else box[2] * box[3] * 0.6,
        "iscrowd": int(random.random() < 0.12),
        "num_keypoints": 0 if random.random() < 0.05 else int(labelled.sum()),
        "keypoints": points.round().astype(int).flatten().tolist() if whole else points.flatten().tolist(),
    }


def guesses(random: np.random.Generator, truth: dict[str, Any], *, crowded: bool) -> Results:
    """Detections around one person: none, some or, to exceed the twenty that count, very many."""
    count = int(random.integers(15, 35)) if crowded else int(random.integers(0, 4))
    return [detection(random, truth, float(random.choice([0.0, 0.02, 0.1, 0.3]))) for _ in range(count)]


def detection(random: np.random.Generator, truth: dict[str, Any], spread: float) -> dict[str, Any]:
    points = np.array(truth["keypoints"], dtype=float).reshape(17, 3)
    inside = np.array(truth["bbox"][:2]) + random.random((17, 2)) * truth["bbox"][2:]
    points[:, :2] = np.where(points[:, 2:] > 0, points[:, :2], inside)
    points[:, :2] += random.normal(0, spread, (17, 2)) * np.sqrt(truth["area"])
    if spread and random.random() < 0.2:  # one joint exactly right and all else far off: an OKS of 1 / n
        points[random.permutation(17)[1:], :2] += 1e6
    return {
        "image_id": truth["image_id"],
        "category_id": truth["category_id"],
        "keypoints": points.flatten().tolist(),
        "score": int(random.integers(0, 2)) if random.random() < 0.2 else float(random.integers(0, 8)) / 8,
    }


def test_the_constants_are_those_of_pycocotools():
    params = Params("keypoints")
    assert params.iouThrs.tolist() == THRESHOLDS.tolist()
    assert (THRESHOLDS[0], THRESHOLDS[5]) == (0.5, 0.75)
    assert params.recThrs.tolist() == RECALLS.tolist()
    assert params.areaRng == [list(limits) for limits in AREAS]
    assert params.kpt_oks_sigmas.tolist() == SIGMAS.tolist()


@pytest.mark.parametrize("name", ["published", "jitter"])
def test_known_answers_come_out_to_the_last_digit(shared, name):
    folder = shared / "data" / "known_answer" / f"coco_keypoints_{name}"
    subset = shared / "data" / "coco" / "annotations" / "person_keypoints_val2017.json"
    truth = json.loads({"published": folder / "gt.json", "jitter": subset}[name].read_text())
    results = json.loads((folder / "results.json").read_text())
    expected = json.loads((folder / "expected.json").read_text())["pycocotools_2.0.11"]
    found = score_keypoints(truth, results)
    assert found == {name: 100 * expected[name.replace("M", "m").replace("L", "l")] for name in FIGURES}
    assert found == pycocotools_figures(truth, results)


@pytest.mark.parametrize("block", range(8))
def test_awkward_sets_score_as_pycocotools_says_to_the_last_digit(block):
    for seed in range(25 * block, 25 * block + 25):
        document, results = drawn(seed)
        assert score_keypoints(document, results) == pycocotools_figures(document, results), seed


def test_the_awkward_sets_hold_what_they_are_drawn_for():
    sets = [drawn(seed) for seed in range(200)]
    people = [a for document, _ in sets for a in document["annotations"]]
    assert any(a["iscrowd"] for a in people)
    assert any(a["num_keypoints"] == 0 < sum(a["keypoints"]) for a in people)
    assert any(not any(a["keypoints"]) for a in people)
    assert any(a["id"] == 0 for a in people)
    assert {a["category_id"] for a in people} == {1, 4, 7}
    assert any(a["area"] in (1024.0, 9216.0) for a in people)
    assert {"bbox" in results[0] for _, results in sets} == {True, False}
    per_image = [[r["image_id"] for r in results].count(results[0]["image_id"]) for _, results in sets]
    assert max(per_image) > 40
    figures = [score_keypoints(document, results) for document, results in sets]
    for name in FIGURES:
        values = [f[name] for f in figures]
        assert None in values
        assert len({v for v in values if v is not None}) > 20, name


def test_every_rule_matters_to_the_awkward_sets():
    """Each oddity, taken away, changes figures; so the comparison with pycocotools would notice it missing."""
    sets = [drawn(seed) for seed in range(60)]
    before = [score_keypoints(*one) for one in sets]
    changes = {
        "crowds": lambda d, r: [a.update(iscrowd=0) for a in d["annotations"]],
        "people without keypoints": lambda d, r: [a.update(num_keypoints=1) for a in d["annotations"]],
        "their boxes": lambda d, r: [a.update(bbox=[0, 0, 1, 1]) for a in d["annotations"]],
        "id 0": lambda d, r: [a.update(id=a["id"] + 1) for a in d["annotations"]],
        "boxes of results": lambda d, r: [x.pop("bbox", None) for x in r],
        "order of equal scores": lambda d, r: r.reverse(),
        "order of equal people": lambda d, r: d["annotations"].reverse(),
    }
    for name, change in changes.items():
        after = []
        for document, results in copy.deepcopy(sets):
            change(document, results)
            after.append(score_keypoints(document, results))
        assert after != before, name


def test_other_keypoints_are_scored_with_their_own_spreads():
    # Ten joints are summed by eight accumulators and a rest, three one after another: both as pycocotools does.
    for count in (3, 10):
        sigmas = np.linspace(0.03, 0.1, count).tolist()
        for seed in range(10):
            document, results = drawn(seed)
            for entry in document["annotations"] + results:
                entry["keypoints"] = entry["keypoints"][: 3 * count]
            assert score_keypoints(document, results, sigmas=sigmas) == pycocotools_figures(document, results, sigmas)


def test_a_set_scored_in_many_chunks_is_scored_the_same(monkeypatch):
    before = [score_keypoints(*drawn(seed)) for seed in range(20)]
    monkeypatch.setattr("archlab.tasks.pose.metrics.coco_ap._CHUNK", 3)
    assert [score_keypoints(*drawn(seed)) for seed in range(20)] == before


def test_the_first_result_decides_whose_boxes_give_the_areas():
    document, results = drawn(18)
    plain = [{key: value for key, value in r.items() if key != "bbox"} for r in results]
    later = [plain[0], *[r | {"bbox": [0, 0, 1, 1]} for r in plain[1:]]]
    assert score_keypoints(document, later) == score_keypoints(document, plain) == pycocotools_figures(document, later)
    with pytest.raises(InputError, match=r"results\[1\]: lacks `bbox`"):
        score_keypoints(document, [plain[0] | {"bbox": [0, 0, 1, 1]}, *plain[1:]])


def test_results_of_a_category_that_is_not_listed_do_not_count():
    document, results = drawn(18)
    more = [*results, *[r | {"category_id": 99, "score": 2.0} for r in results]]
    assert score_keypoints(document, more) == score_keypoints(document, results) == pycocotools_figures(document, more)


def test_annotations_of_images_that_are_not_listed_do_not_count():
    document, results = drawn(18)
    stray = [a | {"id": a["id"] + 500, "image_id": 5000} for a in document["annotations"]]
    more = document | {"annotations": document["annotations"] + stray}
    assert score_keypoints(more, results) == score_keypoints(document, results) == pycocotools_figures(more, results)


def test_ids_beyond_what_a_float_holds_stay_apart():
    document, results = drawn(18)
    before = score_keypoints(document, results)
    images = [image["id"] for image in document["images"]]
    large = {image: 2**60 + at for at, image in enumerate(sorted(images))}
    for entry in document["annotations"] + results:
        entry["image_id"] = large[entry["image_id"]]
    document["images"] = [{"id": large[image]} for image in images]
    assert len(images) > 2
    assert score_keypoints(document, results) == pycocotools_figures(document, results) == before


def test_no_results_score_zero_and_nobody_to_find_scores_none():
    document, results = drawn(18)
    nothing = score_keypoints(document, [])
    assert nothing["AP"] == nothing["AR"] == 0
    nobody = score_keypoints(document | {"annotations": []}, results)
    assert nobody == dict.fromkeys(FIGURES)
    assert nobody == pycocotools_figures(document | {"annotations": []}, results)


def test_what_files_leave_out_is_completed():
    document, results = drawn(18)
    for annotation in document["annotations"]:
        labelled = sum(v > 0 for v in annotation["keypoints"][2::3])
        annotation.update(iscrowd=0, num_keypoints=labelled, area=annotation["bbox"][2] * annotation["bbox"][3])
    bare = copy.deepcopy(document)
    for annotation in bare["annotations"]:
        del annotation["iscrowd"], annotation["num_keypoints"], annotation["area"]
    del bare["categories"]
    assert score_keypoints(bare, results) == score_keypoints(document, results)


def test_scoring_changes_neither_annotations_nor_results_and_prints_nothing(capfd):
    document, results = drawn(18)
    before = copy.deepcopy((document, results))
    score_keypoints(document, results)
    assert (document, results) == before
    assert capfd.readouterr() == ("", "")


def test_detections_given_as_arrays_score_as_those_given_as_a_list():
    document, results = drawn(19)
    truth = read_truth(document, joints=17)
    points = np.array([r["keypoints"] for r in results]).reshape(-1, 17, 3)[:, :, :2]
    images, categories, scores = (np.array([r[key] for r in results]) for key in ("image_id", "category_id", "score"))
    boxes = np.array([r["bbox"] for r in results]) if "bbox" in results[0] else None
    found = found_from(truth, images, categories, points, scores, boxes=boxes)
    assert len(found)
    assert keypoint_figures(truth, found) == score_keypoints(document, results)
    with pytest.raises(InputError, match="finite"):
        found_from(truth, images, categories, points, scores * np.nan)


def spoilt(entries: list[dict[str, Any]], at: int, **values: Any) -> list[dict[str, Any]]:
    return [*entries[:at], entries[at] | values, *entries[at + 1 :]]


def test_every_wrong_result_is_named():
    document, results = drawn(18)
    truth = read_truth(document, joints=17)
    points = results[0]["keypoints"]
    cases = [
        ({"results": results}, "results are a list"),
        (spoilt(results, 1, score=None), r"results\[1\]: `score` must be a finite number, not None"),
        (spoilt(results, 1, score=float("nan")), r"results\[1\]: `score` must be a finite number, not nan"),
        (spoilt(results, 1, score="0.5"), r"results\[1\]: `score` must be a finite number, not '0.5'"),
        (spoilt(results, 0, image_id=1.5), r"results\[0\]: `image_id` must be a whole number, not 1.5"),
        (spoilt(results, 0, image_id=-5), r"1 images .*\[-5\]"),
        (
            spoilt(results, 2, keypoints=points[:-1]),
            r"results\[2\]: `keypoints` must be 51 finite numbers, not 50 values",
        ),
        (spoilt(results, 2, keypoints=[*points[:-1], "a"]), r"results\[2\]: keypoints\[50\] \(keypoint 16, v.*'a'"),
        (
            spoilt(results, 2, keypoints=[*points[:40], float("nan"), *points[41:]]),
            r"results\[2\]: keypoints\[40\] \(keypoint 13, y\) .* nan",
        ),
        (spoilt(results, 1, score=10**400), r"results\[1\]: `score` must be a finite number"),
        (spoilt(results, 1, image_id=10**30), r"results\[1\]: `image_id` must be a whole number"),
        ([results[0], {"image_id": 1}, 7], r"results\[1\]: lacks `keypoints`\n.*results\[2\]: lacks `keypoints`"),
        ([{**r, "segmentation": []} for r in results], "no `bbox`"),
    ]
    for wrong, said in cases:
        with pytest.raises(InputError, match=said) as raised:
            read_found(wrong, truth, joints=17, file="results.json")
        assert {problem.file for problem in raised.value.problems} == {"results.json"}


def test_of_very_many_wrong_results_twenty_are_named():
    document, results = drawn(18)
    many = [results[0] | {"score": "high"}] * 50
    with pytest.raises(InputError, match="and 30 more of this kind") as raised:
        read_found(many, read_truth(document, joints=17), joints=17)
    assert len(raised.value.problems) == 21


def test_every_wrong_annotation_is_named():
    document, _ = drawn(18)
    people = document["annotations"]
    cases = [
        ([], "an annotation file is an object with lists"),
        ({"images": [], "annotations": {}}, "an annotation file is an object with lists"),
        (
            document | {"annotations": spoilt(people, 1, id="x")},
            r"annotations\[1\]: `id` must be a finite number, not 'x'",
        ),
        (document | {"annotations": [people[0], people[0]]}, rf"annotations: 1 ids .*\[{people[0]['id']}\]"),
        (
            document | {"annotations": spoilt(people, 0, bbox=[1, 2])},
            r"annotations\[0\]: `bbox` must be 4 finite numbers",
        ),
        (document | {"annotations": spoilt(people, 0, area=None)}, r"annotations\[0\]: `area` must be a finite number"),
        (document | {"images": [{"name": "a"}]}, r"images\[0\]: lacks `id`"),
    ]
    for wrong, said in cases:
        with pytest.raises(InputError, match=said):
            read_truth(wrong, joints=17)
