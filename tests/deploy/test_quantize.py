"""An ONNX file in int8: its convolutions, from pictures, near the float one, with the loss of score stated."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from helpers import tiny
from helpers.refused import refused

import archlab
from archlab.cli import main
from archlab.deploy.onnx.file import export_onnx
from archlab.deploy.onnx.quantize import quantize, score
from archlab.training.recipe import load_recipe


def test_a_run_in_int8_is_smaller_near_and_scored(run, root, tmp_path, capsys):
    words = ["export", str(run), "--dynamic-batch", "--data", str(root), "--json", "--onnx"]
    assert main([*words, str(tmp_path / "float.onnx")]) == 0
    capsys.readouterr()
    small = ["--quantize", "int8", "--calibrate", str(root / "val2017"), "--images", "4"]
    assert main([*words, str(tmp_path / "int8.onnx"), *small]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["int8"]["pictures"] == 4
    assert 0 < said["int8"]["difference"] < 0.1
    recorded = archlab.Run(run).record.scores["ground_truth_boxes"]["AP"]
    assert said["int8"]["score"]["float"] == pytest.approx(recorded, abs=0.01)
    assert said["int8"]["score"]["metric"] == "AP"
    made = onnx.load(tmp_path / "int8.onnx")
    weights = [
        each for each in made.graph.initializer if each.data_type == onnx.TensorProto.INT8 and len(each.dims) == 4
    ]
    assert len(weights) == said["operators"]["Conv"] == 4
    first = archlab.Predictor(tmp_path / "float.onnx")(next((root / "val2017").iterdir()))
    second = archlab.Predictor(tmp_path / "int8.onnx")(next((root / "val2017").iterdir()))
    assert np.abs(first.confidences - second.confidences).max() < 0.1 * first.confidences.max()


def test_without_data_no_score_is_claimed(run, root, tmp_path, capsys):
    words = ["--quantize", "int8", "--calibrate", str(root / "val2017"), "--images", "2"]
    assert main(["export", str(run), "--onnx", str(tmp_path / "a.onnx"), *words]) == 0
    assert "int8: no score was measured; name labelled data by --data" in capsys.readouterr().err


def test_gates_keep_their_steps(root, tmp_path):
    """A model for int8 has no gate that a bias of 40 holds at 1."""
    network = archlab.build(archlab.load("lite_hrnet_18_one_module", input=(3, 64, 64))).eval()
    recipe = tiny.RECIPE
    for whole in (True, False):
        model = onnx.load_from_string(export_onnx(network, recipe, whole=whole).content)
        biases = [onnx.numpy_helper.to_array(each) for each in model.graph.initializer if each.name.endswith(".bias")]
        assert any((bias == 40).any() for bias in biases) == whole


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--calibrate", "EMPTY"], "the folder holds no picture and no video"),
        (["--calibrate", "BROKEN"], "--calibrate: holds no picture that can be read"),
        (["--calibrate", "NOWHERE"], "nowhere: no such picture, video or folder"),
        ([], "--quantize: needs --onnx FILE, and pictures by --calibrate FOLDER"),
    ],
)
def test_calibration_without_pictures_is_refused(words, error, run, tmp_path, capsys):
    folders = {name: tmp_path / name.lower() for name in ("EMPTY", "BROKEN", "NOWHERE")}
    for name in ("EMPTY", "BROKEN"):
        folders[name].mkdir()
    (folders["BROKEN"] / "a.jpg").write_text("no picture")
    out = tmp_path / "out.onnx"
    given = [str(folders.get(word, word)) for word in words]
    assert main(["export", str(run), "--onnx", str(out), "--quantize", "int8", *given]) == 2
    assert error in capsys.readouterr().err.splitlines()[-1]
    assert not out.exists()


def test_calibration_is_for_int8(run, tmp_path, capsys):
    words = ["export", str(run), "--onnx", str(tmp_path / "out.onnx"), "--images", "4"]
    assert main(words) == 2
    assert "--images: is for --quantize int8" in capsys.readouterr().err


def test_data_of_other_keypoints_is_refused(run, root, tmp_path):
    recipe = load_recipe(Path(run) / "recipe.yaml")
    network = archlab.build(tiny.make_spec(tmp_path, outputs=16)).eval()
    with pytest.raises(archlab.InputError, match="has 17 keypoints, but the network has 16 outputs"):
        score(export_onnx(network, recipe), recipe, root)


def test_a_picture_that_cannot_be_read_is_left_out(run, root, tmp_path):
    for file in list((root / "val2017").iterdir())[:2]:
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "zzz.jpg").write_text("no picture")
    found = archlab.Run(run)
    made = export_onnx(found.network().eval(), load_recipe(Path(run) / "recipe.yaml"), whole=False)
    assert quantize(made, load_recipe(Path(run) / "recipe.yaml"), tmp_path).pictures == 2


def test_a_task_that_predicts_no_pictures_is_refused(root, tmp_path):
    network = archlab.build(tiny.make_spec(tmp_path)).eval()
    other = replace(tiny.RECIPE, task=SimpleNamespace(name="dots"))
    with refused("'dots'", field="--quantize"):
        quantize(export_onnx(network, tiny.RECIPE), other, root / "val2017")
