"""Predictions by an exported ONNX file: those of PyTorch, in a Python without it, and wrong files refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from helpers import tiny

import archlab
from archlab.cli import main
from archlab.deploy.bench.settle import settle
from archlab.deploy.onnx import metadata
from archlab.deploy.onnx.session import open_session
from archlab.tasks.images import read_image
from archlab.tasks.pose.data.coco import DETECTIONS

WITHOUT_TORCH = """
import sys

sys.modules["torch"] = None  # an import of it fails
from archlab.cli import main

sys.exit(main(sys.argv[1:]))
"""


def written(*words: str | Path) -> None:
    assert main(["export", *map(str, words)]) == 0


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    """Files for one image at a time and for any number of them."""
    folder = tmp_path_factory.mktemp("exported")
    written(run, "--onnx", folder / "one.onnx")
    written(run, "--onnx", folder / "any.onnx", "--dynamic-batch")
    return folder


def printed(capsys: pytest.CaptureFixture[str], *words: str | Path) -> list[dict[str, object]]:
    assert main(["predict", *map(str, words), "--json"]) == 0
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return found


def same_people(found, expected) -> None:
    assert [each["image"] for each in found] == [each["image"] for each in expected]
    assert [len(each["people"]) for each in found] == [len(each["people"]) for each in expected]
    for ours, theirs in zip(found, expected, strict=True):
        for one, other in zip(ours["people"], theirs["people"], strict=True):
            assert one["score"] == pytest.approx(other["score"], abs=2e-4)
            assert list(one["keypoints"]) == list(other["keypoints"])
            assert np.allclose([*one["keypoints"].values()], [*other["keypoints"].values()], atol=0.02)


@pytest.mark.parametrize("name", ["one", "any"])
def test_an_exported_file_finds_what_its_run_finds(name, run, exported, root, capsys):
    words = (root / "val2017", "--boxes", root / DETECTIONS, "--least-score", "0", "--batch", "3")
    found = printed(capsys, exported / f"{name}.onnx", *words)
    expected = printed(capsys, run, *words, "--device", "cpu")
    assert sum(len(each["people"]) for each in found) > 0
    same_people(found, expected)


def test_a_python_without_torch_predicts_and_draws(run, exported, root, tmp_path, capsys):
    picture = sorted((root / "val2017").iterdir())[0]
    command = [sys.executable, "-c", WITHOUT_TORCH, "predict", str(exported / "one.onnx"), str(picture)]
    command += ["--out", str(tmp_path / "drawn"), "--json"]
    folder = str(Path(archlab.__file__).parents[1])
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": folder}
    )
    assert ended.returncode == 0, ended.stderr
    same_people(json.loads(ended.stdout), printed(capsys, run, picture, "--device", "cpu"))
    drawn = cv2.imread(str(tmp_path / "drawn" / picture.name))
    assert drawn.shape == read_image(picture).shape


def test_the_predictor_takes_a_file_pixels_and_boxes(run, exported, root):
    picture = sorted((root / "val2017").iterdir())[0]
    boxes = [[4.0, 4.0, 60.0, 80.0]]
    ours = archlab.Predictor(exported / "one.onnx")(read_image(picture), boxes=boxes)
    theirs = archlab.Predictor(run, device="cpu")(read_image(picture), boxes=boxes)
    assert np.allclose(ours.points, theirs.points, atol=0.02)
    assert ours.layout == theirs.layout


def test_a_file_of_weights_without_a_recipe_is_looked_through_as_released(run, root, tmp_path):
    words = (run / "spec.yaml", "--weights", run / "checkpoint.pt")
    written(*words, "--onnx", tmp_path / "plain.onnx")
    picture = sorted((root / "val2017").iterdir())[0]
    theirs = archlab.Predictor(words[0], words[2], device="cpu")(picture)
    assert np.allclose(archlab.Predictor(tmp_path / "plain.onnx")(picture).points, theirs.points, atol=0.02)


def test_label_maps_of_a_file_are_those_of_the_network_at_its_input(tmp_path, capsys):
    network = archlab.build(tiny.make_spec(tmp_path, outputs=19))
    settle(network, (64, 64))
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    recipe = "task: segmentation\ninput: [64, 64]\nepochs: 1\nsize: input\nflip_test: true\n"
    (tmp_path / "recipe.yaml").write_text(recipe)
    picture = tmp_path / "street.png"
    random = np.random.default_rng(0).integers(0, 255, (9, 12, 3), dtype=np.uint8)
    cv2.imwrite(str(picture), cv2.resize(random, (100, 72)))
    words = [tmp_path / "tiny.yaml", "--weights", tmp_path / "weights.pt", "--recipe", tmp_path / "recipe.yaml"]
    written(*words, "--onnx", tmp_path / "seg.onnx")
    capsys.readouterr()
    ours = archlab.Predictor(tmp_path / "seg.onnx")(picture)
    theirs = archlab.Predictor(*words[:1], words[2], recipe=words[4], device="cpu")(picture)
    assert ours.found.shape == (72, 100)
    assert len(np.unique(theirs.found)) > 1
    assert (ours.found == theirs.found).mean() > 0.999


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["BROKEN"], "BROKEN: ONNX Runtime cannot read the model: "),
        (["NOWHERE"], "NOWHERE: the file is missing"),
        (["FOREIGN"], "FOREIGN: says nothing of its input and outputs"),
        (["FILE", "--weights", "BROKEN"], "FILE: --weights: an ONNX file has its weights inside"),
        (["FILE", "--set", "width=3"], "FILE: --set: "),
        (["FILE", "--device", "cuda"], "FILE: --device: an ONNX file runs on the CPU here, not on cuda"),
        (["FILE", "--recipe", "quick_streets"], "--recipe: one.onnx is for pose, not segmentation"),
    ],
)
def test_wrong_files_and_options_are_refused_in_one_line(words, error, exported, root, tmp_path, capsys):
    names = {
        "FILE": exported / "one.onnx",
        **{n: tmp_path / f"{n.lower()}.onnx" for n in ("BROKEN", "FOREIGN", "NOWHERE")},
    }
    names["BROKEN"].write_bytes(names["FILE"].read_bytes()[:2000])
    model = onnx.load(names["FILE"])
    del model.metadata_props[:]
    onnx.save(model, names["FOREIGN"])
    given = [str(names.get(word, word)) for word in words]
    picture = sorted((root / "val2017").iterdir())[0]
    assert main(["predict", *given, str(picture), "--out", str(tmp_path / "out")]) == 2
    shown = capsys.readouterr().err
    for name, path in names.items():
        error = error.replace(name, str(path))
    assert error in shown
    assert len(shown.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_missing_extra_is_named(exported, root, monkeypatch, capsys):
    monkeypatch.setattr(metadata, "find_spec", lambda name: None)
    assert main(["predict", str(exported / "one.onnx"), str(root / "val2017")]) == 2
    error = capsys.readouterr().err
    assert error == "error: NETWORK: onnxruntime not installed; run pip install 'archlab[onnx]'\n"


def test_threads_of_a_session_rest_between_runs(exported: Path) -> None:
    options = open_session(exported / "one.onnx").get_session_options()
    assert options.get_session_config_entry("session.force_spinning_stop") == "1"
