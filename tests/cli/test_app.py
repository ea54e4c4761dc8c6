"""The command line: what it prints where, and how it leaves."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import archlab
from archlab.cli.app import main

KEYS = {"name", "hash", "input", "outputs", "params", "flops", "activations", "nodes"}


def test_build_prints_one_json_object_and_nothing_else(capsys):
    assert main(["build", "lite_hrnet_18", "--json"]) == 0
    out, err = capsys.readouterr()
    made = json.loads(out)
    assert err == ""
    assert made.keys() >= KEYS
    assert (made["params"], made["flops"]["paper"]) == (1_130_769, 215_202_112)
    assert (made["input"], made["outputs"]) == ([3, 256, 192], 17)
    assert all(isinstance(value, int) for value in made["flops"].values())
    assert sum(node["params"] for node in made["nodes"]) == made["params"]
    assert sum(node["flops"]["fvcore"] for node in made["nodes"]) == made["flops"]["fvcore"]
    names = {node["name"] for node in made["nodes"]}
    assert all(set(node["inputs"]) <= names | {"input"} for node in made["nodes"])
    assert made["nodes"][-1]["out_shapes"] == [[17, 64, 48]]
    assert made["hash"] == archlab.spec_hash(archlab.load("lite_hrnet_18"))


def test_build_takes_input_outputs_and_fields(capsys):
    main(["build", "lite_hrnet_18_spatial_only", "--input", "256x256", "--outputs", "16", "--set", "spatial_ratio=4",
          "--json"])  # fmt: skip
    made = json.loads(capsys.readouterr().out)
    assert (made["input"], made["outputs"]) == ([3, 256, 256], 16)
    assert round(made["flops"]["paper"] / 2**20, 2) == 254.06


def test_build_prints_a_table_by_stage(capsys):
    assert main(["build", "small_hrnet_w16"]) == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("stem", "stage4", "1,284,961", "551.6", "fvcore counts nothing for", "hash "))


MODULES = """
import torch
from torch import nn

class SquashedBlock(nn.Module):
    def __init__(self, in_channels: int):
        super().__init__()
        self.conv = nn.Conv2d(in_channels, in_channels, 1)
    def forward(self, x):
        return self.conv(x).softmax(1)

class SingularBlock(nn.Module):
    def forward(self, x):
        return torch.linalg.inv(x)

BLOCKS = {"squashed_block": SquashedBlock, "singular_block": SingularBlock}
"""


def test_build_names_what_the_counters_pass_over_in_a_users_module(tmp_path, capsys):
    (tmp_path / "modules_of_build.py").write_text(MODULES)
    net = tmp_path / "net.yaml"
    net.write_text(
        "version: 1\ninput: [3, 32, 32]\nnodes:\n  a: {block: conv, width: 8, stride: 4}\n  z: squashed_block\n"
    )
    command = ["build", str(net), "--plugin", str(tmp_path / "modules_of_build.py")]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "softmax in z (1)" in line and line.startswith(("fvcore ", "paper "))]
    assert main([*command, "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["uncounted"] == {"fvcore": {"relu": 1, "softmax in z": 1}, "paper": {"softmax in z": 1}}
    assert made["nodes"][1]["flops"]["paper"] == (8 * 8 + 8) * 8 * 8
    net.write_text(net.read_text().replace("squashed", "singular"))
    assert main(command) == 2
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert out == ""
    assert line.startswith("error: z: singular_block: SingularBlock cannot be counted on 8x8x8: ")
    assert "linalg.inv" in line


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["build", "lite_hrnet_81"], "did you mean 'lite_hrnet_18'"),
        (["build", "nowhere.yaml"], "nowhere.yaml: "),
        (["build", "lite_hrnet_18", "--set", "stages.width=x"], "--set: stages.width: "),
        (["build", "lite_hrnet_18", "--set", "stages.width"], "--set: "),
        (["build", "lite_hrnet_18", "--set", "stages.modules=[1"], "--set: "),
        (["build", "lite_hrnet_18", "--input", "100x100"], "must be multiples of 32"),
        (["build", "lite_hrnet_18", "--outputs", "0"], "outputs: "),
        (["build", "lite_hrnet_18", "--weights", "none.pth"], "none.pth: "),
        (["train", "lite_hrnet_18", "--recipe", "quikc"], "did you mean 'quick'"),
        (["train", "lite_hrnet_18", "--data", "nowhere"], "nowhere"),
        (["eval", "nowhere"], "nowhere"),
        (["ablate", "table66"], "table6"),
        (["report", "tabel6"], "table6"),
        (["report", "table6", "--records", "nowhere"], "nowhere: --records: "),
        (["sample", "lite_hrnt"], "did you mean 'lite_hrnet'"),
        (["search", "lite_hrnet_qick"], "did you mean 'lite_hrnet_quick'"),
        (["search", "table6"], "table6.yaml:2:7: kind: "),
        (["ablate", "lite_hrnet_quick"], "lite_hrnet_quick.yaml:2:7: kind: "),
        (["best", "lite_hrnet_quick"], "searches/lite_hrnet_quick: "),
        (["list", "--plugin", "no_such_module"], "--plugin no_such_module"),
    ],
)
def test_a_mistake_leaves_with_2_says_why_and_prints_no_traceback(arguments, expected, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert expected in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


WRONG_CALLS = [
    ([], "archlab: ", "COMMAND"),
    (["bild"], "archlab: ", "'bild' (did you mean 'build'?)"),
    (["data", "synt"], "archlab data: ", "'synt' (did you mean 'synth'?)"),
    (["build"], "archlab build: ", "SPEC"),
    (["build", "lite_hrnet_18", "--jsn"], "archlab build: ", "--jsn (did you mean '--json'?)"),
    (["build", "lite_hrnet_18", "more"], "archlab build: ", "'more'"),
    (["build", "lite_hrnet_18", "--input", "256"], "archlab build: --input: ", "'256'"),
    (["build", "lite_hrnet_18", "--outputs", "x"], "archlab build: --outputs: ", "'x'"),
    (["eval", "runs/x", "--boxes", "detektor"], "archlab eval: --boxes: ", "'detektor' (did you mean 'detector'?)"),
    (["list", "spaecs"], "archlab list: KIND: ", "'spaecs' (did you mean 'spaces'?)"),
    (["search", "lite_hrnet_quick", "--engine", "rey"], "archlab search: --engine: ", "(did you mean 'ray'?)"),
    (["ablate", "--seeds", "a"], "archlab ablate: --seeds: ", "'a'"),
    (["sample", "lite_hrnet", "-n", "0"], "archlab sample: -n/--count: ", "'0'"),
    (["compare", "lite_hrnet_quick"], "archlab compare: ", "A"),
    (["list", "-v", "-q"], "archlab list: -q/--quiet: ", "-v/--verbose"),
]


@pytest.mark.parametrize(("arguments", "place", "names"), WRONG_CALLS, ids=lambda each: " ".join(each))
def test_a_wrong_call_leaves_with_2_and_one_line_that_names_the_nearest(arguments, place, names, capsys):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith(f"error: {place}")
    assert names in line


def test_list_names_what_there_is(capsys):
    assert main(["list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"lite_hrnet_30", "small_hrnet_w16", "skip_pose_net"} <= set(found["networks"])
    assert "base" not in found["networks"]
    assert {"table1", "table2", "table6", "table7"} <= set(found["studies"])
    assert {"lite_hrnet", "hybrid"} <= set(found["spaces"])
    assert {"quick", "gpu"} <= set(found["recipes"])
    assert {"conditional_channel_weighting", "fusion"} <= set(found["blocks"])
    assert main(["list"]) == 0
    assert "Lite-HRNet-30: Tables 1, 3, 6 and 7." in capsys.readouterr().out


def test_build_writes_a_drawing(tmp_path, capsys):
    import xml.etree.ElementTree as ElementTree

    assert main(["build", "lite_hrnet_18", "--draw", str(tmp_path / "net.svg"), "--json"]) == 0
    json.loads(capsys.readouterr().out)
    assert ElementTree.parse(tmp_path / "net.svg").getroot().tag.endswith("svg")


def test_build_says_whether_weights_fit(tmp_path, capsys):
    import torch

    torch.save(archlab.build(archlab.load("skip_pose_net")).state_dict(), tmp_path / "w.pt")
    assert main(["build", "skip_pose_net", "--weights", str(tmp_path / "w.pt"), "--json"]) == 0
    assert "archlab weights, every tensor fits" in capsys.readouterr().err
    assert main(["build", "small_hrnet_w16", "--weights", str(tmp_path / "w.pt")]) == 2


@pytest.mark.parametrize("kind", ["networks", "spaces", "recipes", "studies", "searches"])
def test_a_schema_is_valid_and_takes_what_archlab_ships(kind, capsys):
    import jsonschema

    from archlab import yamlio
    from archlab.ablation.load import study_names
    from archlab.core import builtin
    from archlab.search.space import space

    assert main(["schema", kind]) == 0
    made = json.loads(capsys.readouterr().out)
    validator = jsonschema.Draft202012Validator(made)
    validator.check_schema(made)
    files = {
        "networks": {n: p for n, p in builtin.names("search_spaces", "*/*.yaml").items() if n != "space"},
        "spaces": space.names(),
        "recipes": builtin.names("studies", "recipes/*.yaml"),
        "studies": builtin.names("studies", "*.yaml"),
        "searches": {n: p for n, p in builtin.names("studies", "*.yaml").items() if n not in study_names()},
    }[kind]
    assert files
    for path in files.values():
        validator.validate(yamlio.read(path).plain())
    assert not validator.is_valid({"version": 1, "unheard_of": 3})


def test_the_module_runs_as_a_program_from_any_folder(tmp_path):
    command = [sys.executable, "-m", "archlab", "build", "lite_hrnet_18", "--json"]
    made = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(made.stdout)["params"] == 1_130_769


def test_a_reader_that_goes_away_is_no_error():
    command = f"{sys.executable} -m archlab build lite_hrnet_30 --json | head -c 1"
    made = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert (made.stdout, made.stderr) == ("{", "")
