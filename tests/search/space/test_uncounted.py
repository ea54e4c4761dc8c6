"""The warning that a limited cost leaves out what a user's module computes."""

from __future__ import annotations

import json
import re

import pytest
from helpers import search_study

from archlab.cli.app import main
from archlab.search.space.space import load_space
from archlab.search.space.uncounted import warn_uncounted

PLUGIN = '''
import torch
from torch import nn

class Attention(nn.Module):
    """Attention over positions, with a rearrangement that computes nothing."""
    def __init__(self, in_channels: int):
        super().__init__()
        self.qkv = nn.Conv2d(in_channels, 3 * in_channels, 1)
    def forward(self, x):
        q, k, v = self.qkv(x).flatten(2).transpose(1, 2).chunk(3, -1)
        return ((q @ k.transpose(1, 2)).softmax(-1) @ v).transpose(1, 2).clone().reshape(x.shape)

class Layers(nn.Module):
    """Nothing that fvcore or the paper's counter passes over."""
    def __init__(self, in_channels: int):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, in_channels, 1)
    def forward(self, x):
        return self.conv(x)

class Broken(nn.Module):
    """A module that cannot be counted."""
    def forward(self, x):
        return torch.linalg.inv(x)

BLOCKS = {"NAME_attention": Attention, "NAME_layers": Layers, "NAME_broken": Broken}
'''
NET = "version: 1\ninput: [3, 32, 32]\nnodes:\n  a: {block: conv, width: 8, stride: 4}\n  z: {block: NAME_layers}\n"
SPACE = """\
version: 1
base: net
vary:
  width: {field: nodes.a.width, choices: [8, 16]}
  block: {field: nodes.z.block, choices: [NAME_layers, NAME_broken, NAME_attention]}
limits: LIMITS
"""


@pytest.fixture
def folder(tmp_path, monkeypatch, request):
    """A folder with a plug-in of a name of its own, a network and a space without limits; returns a writer of limits."""
    name = "".join(re.findall("[a-z0-9]+", request.node.name))[-40:]
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"{name}.py").write_text(PLUGIN.replace("NAME", name))
    (tmp_path / "net.yaml").write_text(NET.replace("NAME", name))

    def write(limits: str) -> str:
        (tmp_path / "some.yaml").write_text(SPACE.replace("NAME", name).replace("LIMITS", limits))
        return f"{name}.py"

    return write


LEFT_OUT = {"macs": "softmax in z", "mflops": "matmul in z, softmax in z"}


@pytest.mark.parametrize("cost", LEFT_OUT)
def test_a_space_that_limits_a_cost_with_uncounted_operators_warns_once_of_them(cost, folder, capsys):
    plugin = folder(f"{{{cost}: {{min: 0.001}}}}")
    assert main(["sample", "some.yaml", "-n", "2", "--json", "--plugin", plugin]) == 0
    out, err = capsys.readouterr()
    assert [json.loads(line)["params"] > 0 for line in out.splitlines()] == [True, True]
    assert [f"{cost} leaves out {LEFT_OUT[cost]};" in line for line in err.splitlines() if "warning" in line] == [True]


def test_a_limit_given_on_the_command_line_warns_too_and_quiet_silences_it(folder, capsys):
    plugin = folder("{}")
    command = ["sample", "some.yaml", "-n", "1", "--json", "--plugin", plugin, "--limit", "macs=..1e9"]
    assert main(command) == 0
    assert capsys.readouterr().err.count(f"macs leaves out {LEFT_OUT['macs']};") == 1
    assert main([*command, "--quiet"]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("limits", ["{}", "{params: {max: 1.0e+9}}", "{activations: {max: 1.0e+9}}"])
def test_costs_that_leave_nothing_out_warn_of_nothing(limits, folder, capsys):
    plugin = folder(limits)
    assert main(["sample", "some.yaml", "-n", "1", "--plugin", plugin]) == 0
    assert "leaves out" not in capsys.readouterr().err


def test_a_shipped_space_warns_of_nothing_with_or_without_a_plugin(folder, capsys):
    plugin = folder("{}")
    warn_uncounted(load_space("lite_hrnet"), ["macs", "mflops"])
    warn_uncounted(load_space("lite_hrnet", plugin=(plugin,)), ["macs", "mflops"])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("run", ["--dry-run", "--json"])
def test_a_search_warns_of_its_limits_and_objectives_before_it_trains(run, folder, tmp_path, capsys):
    """With --dry-run, and where no candidate passes, which is what ends the other."""
    plugin = folder("{macs: {min: 1.0e+12}}")
    data = search_study.people(tmp_path)
    (tmp_path / "recipe.yaml").write_text(search_study.RECIPE)
    study = search_study.STUDY.replace("space.yaml", "some.yaml").replace("params: min", "mflops: min")
    (tmp_path / "tiny.yaml").write_text(study.replace("trials: 8", "trials: 2"))
    code = main(["search", "tiny.yaml", "--data", str(data), "--device", "cpu", "--plugin", plugin, run])
    err = capsys.readouterr().err
    assert code == (0 if run == "--dry-run" else 2)
    assert [err.count(f"{cost} leaves out {what};") for cost, what in LEFT_OUT.items()] == [1, 1]
