"""Blocks of the user's own: from an installed package, from a module named by the caller, never from YAML alone."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

import archlab
from archlab import InputError

MODULE = '''
from torch import nn
from archlab.blocks.wiring import Map, Wiring

def squeeze(g: Wiring, x: Map, *, factor: int = 2) -> Map:
    """Fewer channels."""
    return g.conv_norm(x, x.channels // factor, act="relu", name="squeeze")

class Gate(nn.Module):
    """x * sigmoid(conv(x)); a module as one leaf."""
    def __init__(self, in_channels: int, kernel: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, in_channels, kernel, padding=kernel // 2)
    def forward(self, x):
        return x * self.conv(x).sigmoid()

class Pyramid(nn.Module):
    """One map to three, coarser and coarser."""
    def forward(self, x):
        return x, nn.functional.max_pool2d(x, 2), nn.functional.max_pool2d(x, 4)

class Broken(nn.Module):
    def forward(self, x):
        raise RuntimeError("on purpose")

BLOCKS = {"squeeze": squeeze, "gate": Gate, "pyramid": Pyramid, "broken": Broken}
'''
NET = """
version: 1
input: [3, 64, 64]
outputs: 2
nodes:
  a: {block: conv, width: 8, stride: 4}
  b: {block: squeeze, factor: 4}
  c: {block: gate, kernel: 3}
  d: {block: pyramid}
  e: {block: concat_head}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "my_blocks.py").write_text(MODULE)
    (tmp_path / "net.yaml").write_text(NET)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("my_blocks", None)
    return tmp_path


def test_wiring_functions_and_modules_of_a_plugin_are_blocks_like_any_other(folder):
    spec = archlab.load("net.yaml", plugin=["my_blocks"])
    network, cost = archlab.build(spec), archlab.cost(spec)
    assert network(torch.zeros(2, 3, 64, 64)).shape == (2, 2, 16, 16)
    assert cost.params == sum(p.numel() for p in network.parameters())
    nodes = {node.name: node for node in cost.nodes}
    assert nodes["c"].params == 2 * 2 * 9 + 2
    assert nodes["c"].flops["fvcore"] == 2 * 2 * 9 * 16 * 16
    assert nodes["d"].out_shapes == ((2, 16, 16), (2, 8, 8), (2, 4, 4))
    from archlab.counting.modules import trace

    assert trace(network.eval(), (torch.zeros(1, 3, 64, 64),))[:2] == (cost.flops["fvcore"], cost.flops["paper"])
    assert archlab.spec_hash(spec) == archlab.spec_hash(archlab.load("net.yaml", plugin=["my_blocks"]))
    assert archlab.spec_hash(spec) != archlab.spec_hash(
        archlab.load("net.yaml", plugin=["my_blocks"], **{"nodes.c.kernel": 5})
    )


def test_a_file_alone_cannot_import_code(folder):
    with pytest.raises(InputError, match="no block is called 'squeeze'"):
        archlab.load("net.yaml")


def test_a_module_that_fails_is_named_with_its_reason(folder):
    (folder / "net.yaml").write_text("version: 1\ninput: [3, 32, 32]\nnodes:\n  a: {block: broken}\n")
    with pytest.raises(InputError, match=r"net.yaml:4:6: a: broken: Broken fails on 3x32x32: RuntimeError: on purpose"):
        archlab.assemble(archlab.load("net.yaml", plugin=["my_blocks"]))


def test_a_wrong_argument_of_a_plugins_module_is_named(folder):
    with pytest.raises(InputError, match=r"nodes.c.kernle: unknown field \(did you mean 'kernel'\?\)"):
        archlab.load("net.yaml", plugin=["my_blocks"], **{"nodes.c.kernle": 5})


def test_a_plugin_that_is_not_there_or_takes_a_name_is_refused(folder):
    with pytest.raises(InputError, match=r"--plugin nowhere: .*'nowhere'"):
        archlab.load("net.yaml", plugin=["nowhere"])
    (folder / "thief.py").write_text("def conv(g, x): return x\nBLOCKS = {'conv': conv}\n")
    with pytest.raises(InputError, match=r"thief .*'conv'.* archlab"):
        archlab.load("net.yaml", plugin=["thief"])


@pytest.mark.slow
def test_a_plugin_may_be_a_file_and_its_networks_hash_as_with_the_module_in_every_process(folder):
    code = "import archlab, sys; print(archlab.spec_hash(archlab.load('net.yaml', plugin=[sys.argv[1]])))"
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "my_blocks.py").write_text(MODULE)
    hashes = set()
    for plugin in ("my_blocks", "my_blocks.py", str(folder / "my_blocks.py"), "elsewhere/my_blocks.py"):
        made = subprocess.run([sys.executable, "-c", code, plugin], capture_output=True, text=True, check=False)
        assert (made.returncode, made.stderr) == (0, "")
        hashes.add(made.stdout)
    assert len(hashes) == 1


def test_the_command_line_takes_a_plugin(folder):
    command = [sys.executable, "-m", "archlab", "build", "net.yaml"]
    alone = subprocess.run(command, capture_output=True, text=True, check=False)
    assert alone.returncode == 2
    assert "no block is called 'squeeze'" in alone.stderr
    joined = subprocess.run([*command, "--plugin", "my_blocks", "--json"], capture_output=True, text=True, check=False)
    assert (joined.returncode, joined.stderr) == (0, "")


def test_an_installed_package_adds_blocks_through_its_entry_points(folder):
    """A real installed distribution: its metadata on the path is what pip would write."""
    info = folder / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[archlab.blocks]\n" + "".join(
        f"{name} = my_blocks:{name if name == 'squeeze' else name.capitalize()}\n" for name in ("squeeze", "gate", "pyramid")))  # fmt: skip
    command = [sys.executable, "-m", "archlab", "build", "net.yaml", "--json"]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (made.returncode, made.stderr) == (0, "")
