"""A network written in plain PyTorch: the same keys, outputs equal to the bit, formatted, without archlab."""

from __future__ import annotations

import ast
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.lively import SHIPPED, lively

import archlab
from archlab.cli import main
from archlab.deploy.plain import python_source

RUFF = [sys.executable, "-m", "ruff"]
USER = '''
import math

from torch import Tensor, nn

GAIN = 2.5


def scaled(x: Tensor) -> Tensor:
    return x * GAIN


class Scaled(nn.Module):
    """A convolution times a constant of its file."""

    def __init__(self, in_channels: int, power: int = 2) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, in_channels, 1)
        self.power = power

    def forward(self, x: Tensor) -> Tensor:
        return scaled(self.conv(x)) * math.sqrt(self.power)


TABLE = open


class Closed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + (MADE is None)


MADE = object()
BLOCKS = {"scaled": Scaled, "closed": Closed}
'''
NETWORK = """
version: 1
input: [3, 32, 32]
outputs: 4
nodes:
  a: {block: conv, width: 8}
  half: {block: conv, width: 16, stride: 2}
  deep: {block: BLOCK, from: half}
  up: {block: upsample, from: deep}
  wide: {block: conv, width: 16, from: a}
  join: {block: add, from: [wide, up], act: relu}
"""


def imported(file: Path) -> type[torch.nn.Module]:
    """The last class of a file."""
    spec = importlib.util.spec_from_file_location("plain_network", file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    names = [each.name for each in ast.parse(file.read_text()).body if isinstance(each, ast.ClassDef)]
    return getattr(module, names[-1])


def check(name: str | Path, folder: Path, **more) -> str:
    """Hold a network's file to the network; return its text."""
    spec = archlab.load(name, **more)
    network, file = lively(archlab.build(spec)), folder / "network.py"
    text = python_source(network.graph)
    file.write_text(text)
    plain = imported(file)().eval()
    assert list(plain.state_dict()) == list(network.state_dict())
    plain.load_state_dict(network.state_dict())
    with torch.no_grad():
        image = torch.randn(1, *spec.input)
        expected = network(image)
        assert torch.equal(plain(image), expected)
    assert expected.isfinite().all()
    assert expected.std() > 1e-3
    modules = {n.module if isinstance(n, ast.ImportFrom) else n.names[0].name for n in ast.walk(ast.parse(text))
               if isinstance(n, ast.Import | ast.ImportFrom)}  # fmt: skip
    assert modules <= {"__future__", "math", "torch", "torch.nn"}
    return text


def formatted(folder: Path) -> None:
    subprocess.run([*RUFF, "format", "--isolated", "--check", "--line-length", "120", folder], check=True)
    subprocess.run([*RUFF, "check", "--isolated", "--line-length", "120", "--select", "E,F,W,B,UP", folder], check=True)


def test_lite_hrnet_in_plain_pytorch(tmp_path):
    text = check("lite_hrnet_18", tmp_path, input=(3, 64, 64))
    assert text.count("class ConditionalChannelWeighting") == 3  # one for each number of branches
    assert "Reweight half the channels by content" in text
    formatted(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_network_in_plain_pytorch(name, tmp_path):
    check(name, tmp_path)
    formatted(tmp_path)


@pytest.fixture
def user_file(tmp_path):
    plugin = tmp_path / f"{tmp_path.name}.py"
    plugin.write_text(USER)
    return str(plugin)


def test_a_users_module_is_copied_with_what_it_uses_of_its_file(user_file, tmp_path):
    (tmp_path / "net.yaml").write_text(NETWORK.replace("BLOCK", "scaled"))
    text = check(tmp_path / "net.yaml", tmp_path, plugin=[user_file])
    assert "GAIN = 2.5" in text
    assert "import math" in text


def test_a_module_that_cannot_be_copied_is_named_and_nothing_is_written(user_file, tmp_path, capsys):
    (tmp_path / "net.yaml").write_text(NETWORK.replace("BLOCK", "closed"))
    words = ["export", str(tmp_path / "net.yaml"), "--plugin", user_file, "--python", str(tmp_path / "out.py")]
    assert main(words) == 2
    assert "Closed cannot be copied: it uses MADE, a object made when" in capsys.readouterr().err
    assert not (tmp_path / "out.py").exists()


def test_the_command_writes_the_file_and_names_it(tmp_path, capsys):
    file = tmp_path / "naive.py"
    assert main(["export", "naive_lite_hrnet_18", "--python", str(file), "--json"]) == 0
    assert f'"python": "{file}"' in capsys.readouterr().out
    assert file.read_text() == python_source(archlab.assemble(archlab.load("naive_lite_hrnet_18")))
    assert main(["export", "naive_lite_hrnet_18", "--python", str(tmp_path / "naive.txt")]) == 2
    assert "--python" in capsys.readouterr().err


def test_a_shared_layer_that_is_called_twice_is_one_module(tmp_path):
    text = check("lite_hrnet_18", tmp_path, input=(3, 64, 64), doubled="twice")
    assert text.count("self.from0(x0)") >= 2


def test_a_run_is_exported_under_the_name_of_its_network(run: Path, tmp_path: Path, capsys) -> None:
    assert main(["export", str(run), "--python", str(tmp_path / "net.py"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == archlab.Run(run).record.spec == "tiny"
    assert ast.parse((tmp_path / "net.py").read_text()).body[-1].name == "Tiny"
