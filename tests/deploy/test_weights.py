"""Weights in files: both formats and both kinds of names go round to the bit, and a released file is scored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from helpers import tiny

import archlab
from archlab.cli import main
from archlab.network.checkpoint import load_file, load_weights, outputs_in, save_weights, to_released
from archlab.search.results import read_result
from archlab.training.evaluate import evaluate
from archlab.training.recipe import load_recipe

REPORT = Path(__file__).parents[2] / "reports" / "searches" / "lite_hrnet_quick"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    torch.manual_seed(0)
    network = archlab.build(archlab.load("lite_hrnet_18"))
    path = tmp_path_factory.mktemp("weights") / "ours.pt"
    save_weights(network, path)
    return path


@pytest.mark.parametrize("keys", [[], ["--released-keys"]], ids=["ours", "released"])
@pytest.mark.parametrize("ending", ["safetensors", "pt"])
def test_saved_weights_load_again_to_the_bit(ending, keys, weights, tmp_path):
    saved, back = tmp_path / f"saved.{ending}", tmp_path / "back.pt"
    assert main(["export", "lite_hrnet_18", "--weights", str(weights), "--save-weights", str(saved), *keys]) == 0
    assert main(["export", "lite_hrnet_18", "--weights", str(saved), "--save-weights", str(back)]) == 0
    first, last, between = load_file(weights), load_file(back), load_file(saved)
    assert first.keys() == last.keys()
    assert all(torch.equal(first[name], last[name]) for name in first)
    network = archlab.build(archlab.load("lite_hrnet_18"))
    assert between.keys() == (to_released(network) if keys else network.state_dict()).keys()
    assert outputs_in(saved) == 17


def test_the_outputs_follow_from_the_weights(tmp_path, capsys):
    network = archlab.build(archlab.load("lite_hrnet_18", outputs=5))
    save_weights(network, tmp_path / "five.safetensors", released_keys=True)
    assert main(["export", "lite_hrnet_18", "--weights", str(tmp_path / "five.safetensors")]) == 0
    assert "outputs: 5" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["lite_hrnet_18", "--save-weights", "{out}.pt"], "--weights: lite_hrnet_18 has no weights"),
        (["lite_hrnet_18", "--weights", "{w}", "--save-weights", "{out}.bin"], "{out}.bin: a file of weights ends in"),
        (["naive_lite_hrnet_18", "--weights", "{w}", "--save-weights", "{out}.pt"], "{w}: the checkpoint does not fit"),
        (["lite_hrnet_18", "--weights", "{w}", "--released-keys"], "--released-keys: says how weights are saved"),
        (["lite_hrnet_18", "--weights", "{bad}", "--save-weights", "{out}.pt"], "{bad}: not a safetensors file"),
    ],
)
def test_wrong_input_is_refused_and_nothing_is_written(words, error, weights, tmp_path, capsys):
    names = {"w": weights, "out": tmp_path / "out", "bad": tmp_path / "bad.safetensors"}
    names["bad"].write_bytes(b"nothing")
    assert main(["export", *(word.format(**names) for word in words)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {error.format(**names)}")
    assert [path.name for path in tmp_path.iterdir()] == ["bad.safetensors"]


def test_layers_that_the_released_code_lacks_are_named(tmp_path):
    with pytest.raises(archlab.InputError, match="the released code has no such layer"):
        save_weights(archlab.build(tiny.make_spec(tmp_path)), tmp_path / "a.pt", released_keys=True)
    assert not (tmp_path / "a.pt").exists()


def test_a_trials_weights_are_those_of_its_longest_run(tmp_path, capsys):
    result = read_result(REPORT / "result.json")
    number = str(result.candidates[0].number)
    words = ["export", str(REPORT), number, "--searches", str(tmp_path), "--save-weights", str(tmp_path / "w.pt")]
    assert main(words) == 2
    assert "has no weights: name a file" in capsys.readouterr().err
    from archlab.search.candidates import spec_of

    network = archlab.build(spec_of(result.candidates[0]))
    save_weights(network, tmp_path / "given.pt")
    assert main([*words, "--weights", str(tmp_path / "given.pt")]) == 0
    assert load_weights(network, tmp_path / "w.pt") == "archlab weights"


def test_a_file_of_weights_is_scored_as_its_network_is(tmp_path, capsys):
    root = tiny.make_data(tmp_path)
    torch.manual_seed(0)
    network = archlab.build(tiny.make_spec(tmp_path))
    save_weights(network, tmp_path / "w.safetensors")
    recipe = load_recipe(tiny.RECIPE)
    (tmp_path / "own.yaml").write_text(recipe.to_yaml())
    words = ["eval", str(tmp_path / "tiny.yaml"), "--weights", str(tmp_path / "w.safetensors"), "--device", "cpu"]
    words += ["--recipe", str(tmp_path / "own.yaml")]
    assert main([*words, "--data", str(root), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == evaluate(network, recipe, root, torch.device("cpu"))
    assert main(words) == 2
    assert "--data: weights are scored on a data folder" in capsys.readouterr().err
    save_weights(archlab.build(tiny.make_spec(tmp_path, outputs=3)), tmp_path / "w.safetensors")
    assert main([*words, "--data", str(root)]) == 2
    assert "the data set has 17 keypoints, but the weights have 3 outputs" in capsys.readouterr().err
