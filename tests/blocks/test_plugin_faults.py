"""Plug-ins that are no plug-ins end in a line that names them, not in a fault of archlab."""

from __future__ import annotations

from pathlib import Path

import pytest

from archlab.cli.app import main

NETWORK = "version: 1\ninput: [3, 64, 64]\nnodes:\n  a: {block: mine}\n"
MODULE = "from torch import nn\nimport torch\nclass Mine(nn.Module):\n    def __init__(self, kind: KIND): ...\n"
CASES = {
    "table": ("BLOCKS = 5\n", "BLOCKS must be a mapping from names"),
    "keys": ("BLOCKS = {3: 4}\n", "BLOCKS must be a mapping from names"),
    "number": ("BLOCKS = {'mine': 3}\n", "a block is an nn.Module class, or a function of `g` and its map or maps"),
    "alone": ("def f(): ...\nBLOCKS = {'mine': f}\n", "a block is an nn.Module class, or a function"),
    "fails": (
        "def f(g, x):\n    return 1 / 0\nBLOCKS = {'mine': f}\n",
        "net.yaml:4:6: a: mine fails: ZeroDivisionError",
    ),
    "returns": ("def f(g, x):\n    return 5\nBLOCKS = {'mine': f}\n", "net.yaml:4:6: a: mine fails: TypeError"),
    "type": (
        f"{MODULE}BLOCKS = {{'mine': Mine}}\n".replace("KIND", "torch.dtype"),
        "its type is <class 'torch.dtype'>",
    ),
    "unknown": (f"{MODULE}BLOCKS = {{'mine': Mine}}\n".replace("KIND", "'Nowhere'"), "name 'Nowhere' is not defined"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_plug_in_that_is_none_is_named(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, line = CASES[case]
    (tmp_path / f"faulty_{case}.py").write_text(text)
    (tmp_path / "net.yaml").write_text(NETWORK.replace("mine}", "mine, kind: x}") if case == "type" else NETWORK)
    assert main(["build", str(tmp_path / "net.yaml"), "--plugin", str(tmp_path / f"faulty_{case}.py")]) == 2
    error = capsys.readouterr().err
    assert line in error
    assert "fault of archlab" not in error


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "skip_pose_net", "--threads", "100000", "--dry-run"),
        ("train", "skip_pose_net", "--seed", "9" * 30, "--dry-run"),
        ("sample", "lite_hrnet", "-n", "9" * 5000),
        ("ablate", "table6", "--jobs", "9" * 30, "--dry-run"),
    ],
)
def test_numbers_of_options_have_bounds(arguments: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert all(len(line) < 600 for line in capsys.readouterr().err.splitlines())
