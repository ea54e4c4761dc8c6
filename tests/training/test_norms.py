"""Batch norms of one value per channel: refused before a training begins, whatever makes a micro-batch one sample."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers import tiny
from helpers.refused import refused
from helpers.training import train

import archlab
from archlab.cli.app import main
from archlab.core.plugins import load
from archlab.tasks.pose.synthetic import generate

MODULES = """
from torch import nn

class Squeeze(nn.Module):
    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels)

    def forward(self, x):
        return x * self.norm(x.mean((2, 3), keepdim=True)).sigmoid()

class Late(nn.Conv2d):
    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels, in_channels, 1)

    def forward(self, x):
        if len(x) > 3:
            raise IndexError("late")
        return super().forward(x)

BLOCKS = {"squeeze": Squeeze, "late": Late}
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_data(tmp_path_factory.mktemp("norms"))


def network(folder: Path, block: str) -> archlab.Spec:
    plugin = folder / f"own_{block}.py"
    plugin.write_text(MODULES)
    path = folder / "net.yaml"
    path.write_text(tiny.NETWORK + f"  own: {{block: {block}}}\n")
    return archlab.load(path, input=(3, 64, 64), outputs=17, plugin=(str(plugin),))


@pytest.mark.parametrize("changes", [{"batch": 1}, {"batch": 4, "accumulate": 4}], ids=["batch", "accumulate"])
def test_a_micro_batch_of_one_sample_is_refused_at_a_norm_of_one_position(
    changes: dict[str, int], data: Path, tmp_path: Path
) -> None:
    recipe, runs = tiny.RECIPE.changed(input=(32, 32), **changes), tmp_path / "runs"
    with refused("single people", "stage4.transition.new3.depthwise.norm", field="batch"):
        train("lite_hrnet_18", recipe, data, out=runs)
    assert list(runs.iterdir()) == []


def test_one_person_alone_is_refused_too(tmp_path: Path) -> None:
    alone = generate(tmp_path / "people", level="quick", train=1, val=1, seed=1)
    with refused("stage4.", field="batch"):
        train("lite_hrnet_18", tiny.RECIPE.changed(input=(32, 32)), alone, out=tmp_path / "runs")


def test_the_norm_of_a_users_module_is_found(data: Path, tmp_path: Path) -> None:
    spec = network(tmp_path, "squeeze")
    with refused("own.squeeze.norm", field="batch"):
        train(spec, tiny.RECIPE.changed(batch=1), data, out=tmp_path / "runs")
    assert train(spec, tiny.RECIPE.changed(batch=2, iterations=2), data, out=tmp_path / "runs").is_dir()


def test_one_sample_trains_where_every_norm_sees_several_values(data: Path, tmp_path: Path) -> None:
    spec = tiny.make_spec(tmp_path)
    run = train(spec, tiny.RECIPE.changed(batch=1, iterations=2), data, out=tmp_path / "runs")
    weights = torch.load(run / "checkpoint.pt", weights_only=True)["state_dict"]
    assert all(value.isfinite().all() for value in weights.values())


def test_an_error_inside_a_plug_in_names_its_file_and_line(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    network(tmp_path, "late")
    plugin, recipe = tmp_path / "own_late.py", tmp_path / "recipe.yaml"
    recipe.write_text("{input: [64, 64], iterations: 2, batch: 4, flip_test: false, threads: 1}")
    files = [str(tmp_path / "net.yaml"), "--recipe", str(recipe), "--data", str(data), "--plugin", str(plugin)]
    assert main(["train", *files, "--runs", str(tmp_path / "runs")]) == 2
    line = 1 + MODULES.splitlines().index('            raise IndexError("late")')
    assert f"error: {load(str(plugin)).__file__}:{line}: IndexError: late" in capsys.readouterr().err
