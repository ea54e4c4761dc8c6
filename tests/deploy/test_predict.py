"""Pictures in, keypoints and label maps out: the same keypoints as in scoring, drawn, in files, and wrong input refused."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from helpers.refused import refused

import archlab
from archlab.cli import main
from archlab.deploy.boxes import read_boxes
from archlab.deploy.outputs import RESULTS
from archlab.tasks.images import read_image
from archlab.tasks.pose.data.coco import DETECTIONS, annotation_file
from archlab.tasks.pose.keypoints import COCO
from archlab.tasks.pose.skeleton import draw_skeleton
from archlab.tasks.segmentation.classes import CITYSCAPES
from archlab.training.evaluate import evaluate
from archlab.training.recipe import load_recipe

CPU = torch.device("cpu")


def pictures(root: Path) -> list[Path]:
    return sorted((root / "val2017").iterdir())


def predicted(capsys: pytest.CaptureFixture[str], *words: str | Path) -> list[dict[str, object]]:
    assert main(["predict", *map(str, words), "--json", "--device", "cpu"]) == 0
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return found


def test_the_keypoints_are_those_of_scoring_in_the_same_boxes(run, root, tmp_path, capsys):
    recipe = load_recipe(run / "recipe.yaml", changes={"boxes": "detector", "flip_test": True})
    evaluate(archlab.Run(run).network(), recipe, root, CPU, results=tmp_path / "scored.json")
    wanted = json.loads((tmp_path / "scored.json").read_text())
    words = (run, root / "val2017", "--boxes", root / DETECTIONS, "--least-score", "0", "--format", "coco")
    found = predicted(capsys, *words)

    def by_score(entries):
        return sorted(entries, key=lambda entry: (entry["image_id"], -entry["score"]))

    assert len(found) == len(wanted) > 0
    for a, b in zip(by_score(found), by_score(wanted), strict=True):
        assert a.keys() == b.keys()
        assert a["image_id"] == b["image_id"]
        assert np.allclose(a["keypoints"], b["keypoints"], atol=1e-3)
        assert a["score"] == pytest.approx(b["score"], abs=1e-5)


def test_boxes_of_a_low_score_are_left_out_and_a_picture_without_people_is_empty(run, root, tmp_path, capsys):
    first, second = pictures(root)[:2]
    entries = [
        {"image_id": int(first.stem), "category_id": 1, "bbox": [4, 4, 40, 60], "score": 0.9},
        {"image_id": int(first.stem), "category_id": 1, "bbox": [90, 90, 40, 60], "score": 0.2},
        {"image_id": int(first.stem), "category_id": 3, "bbox": [9, 9, 40, 60], "score": 0.9},
    ]
    (tmp_path / "boxes.json").write_text(json.dumps(entries))
    found = predicted(capsys, run, first, second, "--boxes", tmp_path / "boxes.json")
    assert [each["image"] for each in found] == [str(first), str(second)]
    assert [len(each["people"]) for each in found] == [1, 0]
    assert found[0]["people"][0]["box"] == [4, 4, 40, 60]
    assert tuple(found[0]["people"][0]["keypoints"]) == COCO.names


def test_a_network_with_a_file_of_weights_predicts_like_its_run(run, root, capsys):
    picture = pictures(root)[0]
    of_run = predicted(capsys, run, picture)
    words = (run / "spec.yaml", "--weights", run / "checkpoint.pt", "--recipe", run / "recipe.yaml", picture)
    assert predicted(capsys, *words) == of_run
    predictor = archlab.Predictor(run, device="cpu")
    assert predictor(picture).as_json() == of_run[0]
    image = read_image(picture)
    height, width = image.shape[:2]
    assert predictor(image, boxes=[[0, 0, width, height]]).as_json() == {**of_run[0], "image": ""}
    with pytest.raises(archlab.InputError, match=r"\(N, 4\) or \(N, 5\)"):
        predictor(image, boxes=[[0, 0, 1]])


def test_files_are_named_once_and_an_unreadable_one_is_skipped(run, root, tmp_path, capsys):
    for name, source in {"a.jpg": pictures(root)[0], "b.jpg": pictures(root)[1]}.items():
        (tmp_path / name).write_bytes(source.read_bytes())
    (tmp_path / "broken.jpg").write_bytes((tmp_path / "a.jpg").read_bytes()[:200])
    (tmp_path / "notes.txt").write_text("no picture")
    words = ["predict", str(run), str(tmp_path), str(tmp_path / "*.jpg"), "--json", "--out", str(tmp_path / "out")]
    assert main([*words, "--device", "cpu"]) == 0
    captured = capsys.readouterr()
    assert [Path(each["image"]).name for each in json.loads(captured.out)] == ["a.jpg", "b.jpg"]
    assert f"skipped {tmp_path / 'broken.jpg'}: " in captured.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.jpg", "b.jpg", RESULTS]
    assert json.loads((tmp_path / "out" / RESULTS).read_text()) == json.loads(captured.out)


def test_pictures_of_equal_names_are_both_drawn(run, root, tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").write_bytes(cv2.imencode(".png", read_image(pictures(root)[0]))[1].tobytes())
    inputs = [str(tmp_path / folder) for folder in ("x", "y")]
    assert main(["predict", str(run), *inputs, "--out", str(tmp_path / "out"), "--device", "cpu"]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a.png", "a_2.png", RESULTS}


def test_a_skeleton_is_drawn_at_its_sure_joints_and_nowhere_else():
    points = np.full((17, 2), 100.0)
    points[5], points[7], points[6] = (50, 20), (50, 380), (300, 300)  # left shoulder and elbow, right shoulder
    confidences = np.zeros(17)
    confidences[[5, 7]] = 1.0
    image = np.zeros((400, 400, 3), np.uint8)
    draw_skeleton(image, points, confidences, COCO)
    assert tuple(image[200, 50]) == (255, 159, 28)
    assert not image[:, 70:].any()


def test_a_video_gives_a_result_a_frame_and_a_drawn_video(run, root, tmp_path, capsys):
    video, frames = tmp_path / "clip.mp4", 4
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter.fourcc(*"mp4v"), 10.0, (96, 128))
    for _ in range(frames):
        writer.write(cv2.resize(read_image(pictures(root)[0]), (96, 128)))
    writer.release()
    found = predicted(capsys, run, video, "--out", tmp_path / "out")
    assert [each["image"] for each in found] == [f"{video}#{i}" for i in range(frames)]
    drawn = cv2.VideoCapture(str(tmp_path / "out" / "clip.mp4"))
    assert (drawn.get(cv2.CAP_PROP_FRAME_COUNT), drawn.get(cv2.CAP_PROP_FPS)) == (frames, 10.0)
    assert (drawn.get(cv2.CAP_PROP_FRAME_WIDTH), drawn.get(cv2.CAP_PROP_FRAME_HEIGHT)) == (96, 128)


@pytest.fixture(scope="module")
def streets(tmp_path_factory):
    """A folder with weights of a segmentation network, as drawn, a recipe and a picture."""
    folder = tmp_path_factory.mktemp("streets")
    spec = archlab.load("lite_hrnet_18_seg", input=(3, 64, 64))
    network = archlab.build(spec)
    torch.save(network.state_dict(), folder / "weights.pt")
    (folder / "recipe.yaml").write_text("task: segmentation\ninput: [64, 64]\nepochs: 1\n")
    cv2.imwrite(str(folder / "street_leftImg8bit.png"), np.full((72, 100, 3), 90, np.uint8))
    return folder


def test_label_maps_have_cityscapes_ids_at_the_pictures_size(streets, tmp_path, capsys):
    words = ["lite_hrnet_18_seg", streets / "street_leftImg8bit.png", "--weights", streets / "weights.pt"]
    words += ["--recipe", streets / "recipe.yaml"]
    (found,) = predicted(capsys, *words, "--format", "cityscapes", "--out", tmp_path)
    labels = cv2.imread(str(tmp_path / "street_labelIds.png"), cv2.IMREAD_UNCHANGED)
    assert labels.shape == (72, 100)
    ids = {CITYSCAPES.names[i]: CITYSCAPES.values[i][0] for i in range(19)}
    shares = {name: (labels == ids[name]).mean() for name in found["classes"]}
    assert found["classes"] == pytest.approx(shares, abs=1e-4)
    assert sum(shares.values()) == pytest.approx(1)
    drawn = cv2.imread(str(tmp_path / "street_leftImg8bit.png"))
    assert drawn.shape[1] == 100
    assert drawn.shape[0] > 72  # the legend


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["RUN", "PICTURE", "--boxes", "OTHER"], "OTHER: --boxes: has no box for"),
        (["RUN", "nowhere.jpg"], "nowhere.jpg: no such picture, video or folder"),
        (["RUN", "PICTURE", "--format", "cityscapes"], "--format: pose has the format coco"),
        (["lite_hrnet_18", "PICTURE"], "--weights: lite_hrnet_18 has no weights"),
        (["RUN", "PICTURE", "--device", "cuda:7"], "the device 'cuda:7' cannot be used"),
        (["lite_hrnet_18", "PICTURE", "--weights", "WEIGHTS"], "WEIGHTS: the checkpoint does not fit"),
        (["RUN", "BROKEN"], "no picture could be read"),
        (["RUN", "PICTURE", "--boxes", "PICTURE"], "not UTF-8 text"),
        (["RUN", "PICTURE", "--boxes", "BAD"], "[0]: an entry needs a `bbox` of four numbers"),
        (["RUN", "PICTURE", "--set", "width=4"], "--set: a run's network is as it was trained"),
        (["RUN", "PICTURE", "--least-score", "2"], "expected a number from 0 to 1"),
    ],
)
def test_wrong_input_is_refused_and_nothing_is_written(words, error, run, root, tmp_path, capsys):
    names = {"RUN": run, "PICTURE": pictures(root)[0], "WEIGHTS": run / "checkpoint.pt"}
    names |= {name: tmp_path / f"{name}.json" for name in ("OTHER", "BAD")} | {"BROKEN": tmp_path / "broken.jpg"}
    names["OTHER"].write_text('[{"image_id": 99999, "bbox": [0, 0, 9, 9], "score": 1.0}]')
    names["BAD"].write_text('[{"image_id": 1, "bbox": [0, 0, 9]}]')
    names["BROKEN"].write_text("no picture")
    given = [str(names.get(word, word)) for word in words]
    assert main(["predict", *given, "--out", str(tmp_path / "out")]) == 2
    shown = capsys.readouterr().err
    for name, path in names.items():
        error = error.replace(name, str(path))
    assert error in shown
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "entry",
    [
        {"image_id": True, "bbox": [0, 0, 9, 9]},
        {"image_id": 10**30, "bbox": [0, 0, 9, 9]},
        {"image_id": 1, "bbox": [0, 0, 9, 10**400]},
        {"image_id": 1, "bbox": [0, 0, 9, True]},
        {"image_id": 1, "bbox": [0, 0, 9, 9], "score": 10**400},
    ],
    ids=["a truth value", "beyond 64 bits", "a side of 400 digits", "a truth value as side", "a score of 400 digits"],
)
def test_numbers_of_a_box_file_are_checked(entry, tmp_path):
    (tmp_path / "boxes.json").write_text(json.dumps([{"image_id": 1, "bbox": [0, 0, 9, 9]}, entry]))
    with refused(file=tmp_path / "boxes.json", field="[1]"):
        read_boxes(tmp_path / "boxes.json")


def test_annotations_give_boxes_by_the_names_of_their_pictures(run, root, tmp_path, capsys):
    document = json.loads(annotation_file(root, "val2017").read_text())
    image = document["images"][0]
    copy = tmp_path / image["file_name"]
    copy.write_bytes((root / "val2017" / image["file_name"]).read_bytes())
    found = predicted(capsys, run, copy, "--boxes", annotation_file(root, "val2017"), "--format", "coco")
    assert {each["image_id"] for each in found} == {image["id"]}
    people = [entry for entry in document["annotations"] if entry["image_id"] == image["id"]]
    assert 0 < len(found) <= len(people)
