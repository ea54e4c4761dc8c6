"""Small inputs after public reports, in ../shared/cases: each gives what its README says is right."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from helpers.paths import REPOSITORY

from archlab.cli.app import main
from archlab.tasks.pose.synthetic import generate
from archlab.training.runs import find_runs

CASES = REPOSITORY.parent / "shared" / "cases"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CASES.is_dir(), reason="the cases are in ../shared, outside the repository"),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def copied(name: str, folder: Path) -> Path:
    return Path(shutil.copytree(CASES / name, folder / name))


def train(case: Path, data: Path, network: str = "tiny.yaml") -> int:
    where = ["--data", str(data), "--runs", str(case / "out"), "--threads", "1", "--device", "cpu"]
    return main(["train", str(case / network), "--recipe", str(case / "r.yaml"), *where])


REFUSED = [
    (
        "02-exif-raw-frame",
        "data",
        "000001.jpg: is 200 x 160 pixels, but person_keypoints_train2017.json says 160 x 200",
    ),
    ("04-area-0", "data", "6 with an area of 0 or less"),
    ("12-missing-taken-for-damaged", "data", "6 of 6 images of person_keypoints_train2017.json are missing"),
    ("12-missing-taken-for-damaged", "data-backslash", "6 of 6 images of person_keypoints_train2017.json are missing"),
    ("14-iscrowd-text", "data", "annotations[0] (id 1): iscrowd must be 0 or 1, not '0'"),
]
TAKEN = [
    ("04-area-0", "data-half", "person_keypoints_train2017.json: ignored 3 people with an area of 0 or less"),
    ("04-area-0", "data-box0", "person_keypoints_train2017.json: ignored 3 people with an empty box"),
    ("13-two-categories", "data", ""),
    ("13-two-categories", "data-5", ""),
    ("13-two-categories", "data-ball", ""),
]


@pytest.mark.parametrize(("name", "data", "line"), REFUSED)
def test_data_that_contradict_themselves_are_refused(
    name: str, data: str, line: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = copied(name, folder)
    assert train(case, case / data) == 2
    assert line in capsys.readouterr().err


@pytest.mark.parametrize(("name", "data", "line"), TAKEN)
def test_what_is_left_out_is_noted_and_the_only_category_of_people_is_taken(
    name: str, data: str, line: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = copied(name, folder)
    assert train(case, case / data) == 0
    assert line in capsys.readouterr().err


def test_a_run_is_not_scored_on_data_of_another_number_of_keypoints(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = copied("06-eval-other-k", folder)
    assert train(case, generate(folder / "people", level="quick", train=8, val=4, seed=1)) == 0
    (run,) = find_runs(case / "out")
    assert main(["eval", str(case / "out" / run.fingerprint), "--data", str(case / "data")]) == 2
    assert "the data set has 14 keypoints, but the network has 17 outputs" in capsys.readouterr().err


def test_a_network_of_one_channel_is_not_trained_on_pictures_of_three(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = copied("07-one-channel-spec", folder)
    assert main(["build", str(case / "one.yaml"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["params"] == 833
    assert train(case, generate(folder / "people", level="quick", train=8, val=4, seed=1), "one.yaml") == 2
    assert "one.yaml:2:9: input: the data are RGB images" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("network", "plugin", "paper"),
    [("manual", "attn", 460_800), ("einsum", "attn", 460_800), ("frelu", "fr", 1_210_368), ("mrelu", "fr", 1_241_088)],
)
def test_the_papers_counter_sees_layers_only(
    network: str, plugin: str, paper: int, capsys: pytest.CaptureFixture[str]
) -> None:
    case = CASES / "10-paper-counts-the-last-call-only"
    assert main(["build", str(case / f"{network}.yaml"), "--plugin", str(case / f"{plugin}.py"), "--json"]) == 0
    nodes = {node["name"]: node for node in json.loads(capsys.readouterr().out)["nodes"]}
    assert nodes["z"]["flops"]["paper"] == paper


def test_other_pictures_in_sub_folders_are_other_data(folder: Path) -> None:
    case = copied("11-fingerprint-of-subfolders", folder)
    assert train(case, case / "data") == 0
    for path in (case / "data").glob("*2017/cam1/*.jpg"):
        cv2.imwrite(str(path), np.full_like(cv2.imread(str(path)), 90))
    assert train(case, case / "data") == 0
    assert len(find_runs(case / "out")) == 2


def test_a_number_late_in_a_result_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    case = copied("15-nan-late-in-a-result", folder)
    assert main(["score", "coco", str(case / "g.json"), str(case / "rr.json")]) == 2
    assert "keypoints[40] (keypoint 13, y) must be a finite number, not nan" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "place"),
    [
        (("build", "repeat_1000000000.yaml"), ":5:54: nodes.stem.repeat: "),
        (("build", "modules_1000000000.yaml"), ":3:20: stages.modules.0: "),
        (("build", "unitrepeat_1000000000.yaml"), ":3:18: stages.repeat: "),
        (("build", "width_400.yaml"), ":5:43: nodes.stem.width: "),
        (("build", "extends_long.yaml"), "File name too long"),
        (("sample", "bigrepeat.yaml", "-n", "2"), "bigrepeat.yaml:"),
        (("train", "skip_pose_net", "--recipe", "iter_400.yaml"), ":2:13: iterations: "),
        (("train", "skip_pose_net", "--recipe", "train_in6.yaml"), ":1:9: input.0: "),
        (("train", "skip_pose_net", "--recipe", "train_seed30.yaml"), ":13:7: seed: "),
        (("search", "search_kind_mapping.yaml"), ":1:7: kind: "),
        (("score", "coco", "deep.json", "deep.json"), "deep.json: lists and objects are nested too deeply"),
    ],
)
def test_a_hostile_file_ends_in_one_line(
    command: tuple[str, ...], place: str, folder: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(copied("hostile", folder))
    assert main(list(command)) == 2
    errors = capsys.readouterr().err.splitlines()
    assert place in errors[0]
    assert all(line.startswith("error: ") and len(line) < 1500 for line in errors)
