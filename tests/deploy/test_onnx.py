"""A network as ONNX: the outputs of PyTorch for any batch, standard operators, what the file states, wrong input."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from helpers import tiny
from helpers.lively import SHIPPED, lively
from helpers.training import train
from torch import Tensor

import archlab
from archlab.cli import main
from archlab.deploy.onnx import metadata
from archlab.deploy.onnx.file import DEFAULT, NEWEST, OLDEST, TOLERANCE, export_onnx
from archlab.training.recipe import Recipe

MODULES = '''
import torch
from torch import Tensor, nn


class Gated(nn.Module):
    """Has a gate that PyTorch's exporter knows."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, in_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(self.conv(x)) + torch.nn.functional.adaptive_avg_pool2d(x, 1)


class Strange(nn.Module):
    """Uses a function that has no form in ONNX."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.special.i0(x)


BLOCKS = {"gated": Gated, "strange": Strange}
'''
NETWORK = """
version: 1
input: [3, 32, 32]
outputs: 4
nodes:
  a: {block: conv, width: 8}
  deep: {block: BLOCK}
"""


def recipe_for(network) -> Recipe:
    return Recipe.of(input=network.graph.input[1:])


def run(content: bytes, images: Tensor) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return session.run(None, {"image": images.numpy()})[0]


def check(name: str, **more) -> onnx.ModelProto:
    """Hold the exported network to PyTorch at other batches than it was checked on; return it."""
    network = lively(archlab.build(archlab.load(name, **more)))
    made = export_onnx(network, recipe_for(network), dynamic_batch=True)
    for batch in (1, 2):
        images = torch.randn(batch, *network.graph.input)
        with torch.no_grad():
            expected = network(images).numpy()
        assert np.abs(run(made.content, images) - expected).max() <= TOLERANCE * np.abs(expected).max()
    assert made.difference <= TOLERANCE
    model = onnx.load_from_string(made.content)
    assert {each.domain for each in model.opset_import} == {""}
    assert sum(made.operators.values()) == len(model.graph.node)
    return model


@pytest.mark.parametrize("name", ["lite_hrnet_18", "mobilenet_v2"])
def test_a_small_network_as_onnx(name):
    model = check(name, input=(3, 64, 64))
    assert not {"BatchNormalization", "Identity"} & {node.op_type for node in model.graph.node}


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_network_as_onnx(name):
    check(name)


@pytest.mark.slow
@pytest.mark.parametrize("opset", [OLDEST, DEFAULT, 18, NEWEST])
@pytest.mark.parametrize("name", ["lite_hrnet_18", "icnet", "dite_hrnet_18", "sx_hrnet_18"])
def test_every_operator_set_gives_the_same(name, opset):
    network = lively(archlab.build(archlab.load(name)))
    made = export_onnx(network, recipe_for(network), opset=opset)
    assert onnx.load_from_string(made.content).opset_import[0].version == opset


def test_a_fixed_batch_is_one_image():
    network = lively(archlab.build(archlab.load("mobilenet_v2", input=(3, 64, 64))))
    content = export_onnx(network, recipe_for(network)).content
    shape = onnx.load_from_string(content).graph.input[0].type.tensor_type.shape
    assert [side.dim_value for side in shape.dim] == [1, 3, 64, 64]
    with pytest.raises(Exception, match="Got: 2 Expected: 1"):
        run(content, torch.zeros(2, 3, 64, 64))


@pytest.fixture
def user(tmp_path):
    plugin = tmp_path / f"{tmp_path.name}.py"
    plugin.write_text(MODULES)
    return plugin


def user_network(user, block: str):
    file = user.parent / "net.yaml"
    file.write_text(NETWORK.replace("BLOCK", block))
    return lively(archlab.build(archlab.load(file, plugin=[str(user)]))), file


def test_a_users_module_goes_through_pytorchs_exporter_for_any_batch(user):
    network, _ = user_network(user, "gated")
    content = export_onnx(network, recipe_for(network), dynamic_batch=True).content
    images = torch.randn(5, 3, 32, 32)
    with torch.no_grad():
        assert np.allclose(run(content, images), network(images).numpy(), atol=1e-5)


def test_a_users_module_that_has_no_form_in_onnx_is_refused_with_the_reason(user, tmp_path, capsys):
    network, file = user_network(user, "strange")
    torch.save(network.state_dict(), tmp_path / "w.pt")
    out = tmp_path / "out.onnx"
    words = ["export", str(file), "--plugin", str(user), "--weights", str(tmp_path / "w.pt"), "--onnx", str(out)]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert "--onnx: PyTorch cannot export Strange" in error
    assert "i0" in error
    assert not out.exists()


def test_a_model_that_differs_from_pytorch_is_refused(monkeypatch):
    network = lively(archlab.build(archlab.load("mobilenet_v2", input=(3, 64, 64))))
    forward = network.forward
    monkeypatch.setattr(network, "forward", lambda image: forward(image) * (1 + 10 * TOLERANCE))
    with pytest.raises(archlab.InputError, match=r"differs from PyTorch's by 1\.0e-03 of its scale"):
        export_onnx(network, recipe_for(network))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    root = tiny.make_data(folder)
    return train(tiny.make_spec(folder), tiny.RECIPE, root, out=folder / "runs"), root


def test_a_run_is_checked_on_its_data_and_the_file_says_what_it_is(trained, tmp_path, capsys):
    folder, root = trained
    file = tmp_path / "made.onnx"
    assert main(["export", str(folder), "--onnx", str(file), "--dynamic-batch", "--data", str(root), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["onnx"] == str(file)
    assert said["images"] == 7
    assert said["operators"]["Conv"] == 4
    assert 0 < said["difference"] <= TOLERANCE
    stated = {each.key: each.value for each in onnx.load(file).metadata_props}
    assert stated["archlab.hash"] == archlab.Run(folder).record.spec_hash
    assert json.loads(stated["archlab.input"]) == [3, 64, 64]
    assert json.loads(stated["archlab.mean"]) == [0.485, 0.456, 0.406]
    assert json.loads(stated["archlab.keypoints"])[0] == "nose"
    assert stated["archlab.task"] == "pose"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--onnx", "{out}.onnx", "--opset", "9"], "--opset: operator sets 13 to 21 are supported, not 9"),
        (["--onnx", "{out}.bin"], "{out}.bin: --onnx: the file's name must end in .onnx"),
        (["--onnx", "{folder}/file/out.onnx"], "{folder}/file"),
        (["--onnx", "{out}.onnx", "--weights", "{other}"], "{other}: the checkpoint does not fit"),
        (["--opset", "17"], "--opset: is for ONNX: name its file by --onnx"),
        (["--dynamic-batch"], "--dynamic-batch: is for ONNX: name its file by --onnx"),
    ],
)
def test_wrong_input_ends_before_anything_is_written(words, error, trained, tmp_path, capsys):
    other = tmp_path / "other.pt"
    torch.save(archlab.build(archlab.load("skip_pose_net")).state_dict(), other)
    (tmp_path / "file").write_text("")
    names = {"out": tmp_path / "out", "other": other, "folder": tmp_path}
    before = sorted(tmp_path.iterdir())
    assert main(["export", str(trained[0]), *(word.format(**names) for word in words)]) == 2
    assert error.format(**names) in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_a_missing_extra_is_named(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(metadata, "find_spec", lambda name: None)
    assert main(["export", str(trained[0]), "--onnx", str(tmp_path / "out.onnx")]) == 2
    error = capsys.readouterr().err
    assert error == "error: --onnx: onnx and onnxruntime not installed; run pip install 'archlab[onnx]'\n"
    assert not list(tmp_path.iterdir())
