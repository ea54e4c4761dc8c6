"""Networks of 1 or 4 input channels: built and counted as they state, refused where RGB images are read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import search_study, tiny
from helpers.refused import refused
from helpers.training import train

import archlab
from archlab.ablation.load import load_ablation
from archlab.ablation.run import AblationOptions, ablate
from archlab.cli.app import main
from archlab.core.errors import InputError, Problem
from archlab.network.load import load_at
from archlab.search.load import load_search
from archlab.search.space.space import load_space

NETWORK = """\
version: 1
input: [{channels}, 64, 64]
outputs: 17
nodes:
  quarter: {{block: conv, width: 8, kernel: 5, stride: 4}}
  more: {{block: basic_block}}
"""
ABLATION = """\
kind: ablation
title: Networks
source: Nowhere
recipe: tiny.yaml
rows:
  - {name: Three, spec: net3.yaml}
  - {name: Other, spec: net1.yaml}
  - {name: Another, spec: net4.yaml}
"""


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_data(tmp_path_factory.mktemp("channels"))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for channels in (1, 3, 4):
        (tmp_path / f"net{channels}.yaml").write_text(NETWORK.format(channels=channels), encoding="utf-8")
    (tmp_path / "child.yaml").write_text("version: 1\nextends: net1\n", encoding="utf-8")
    (tmp_path / "tiny.yaml").write_text(tiny.RECIPE.changed(iterations=2).to_yaml(), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def params(capsys: pytest.CaptureFixture[str], *arguments: str) -> int:
    assert main(["build", *arguments, "--json"]) == 0
    found: int = json.loads(capsys.readouterr().out)["params"]
    return found


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_build_keeps_the_channels_that_a_file_states_also_at_another_size(
    folder: Path, capsys: pytest.CaptureFixture[str], channels: int
) -> None:
    name = f"net{channels}.yaml"
    own, three = params(capsys, name), params(capsys, "net3.yaml")
    assert own - three == (channels - 3) * 5 * 5 * 8
    assert params(capsys, name, "--input", "128x96") == own
    assert load_at(name, (128, 96)).input == (channels, 128, 96)
    assert archlab.load(name, input=(3, 128, 96)).input == (3, 128, 96)


def test_a_size_gives_three_channels_to_a_network_that_states_no_input(folder: Path) -> None:
    (folder / "own.yaml").write_text("version: 1\nextends: lite_hrnet_18\n", encoding="utf-8")
    assert load_at("own.yaml", (64, 64)).input == (3, 64, 64)


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
@pytest.mark.parametrize(("name", "file"), [("net1", "net1"), ("net4", "net4"), ("child", "net1")])
def test_training_refuses_other_channels_with_one_line_that_names_the_file_and_the_field(
    folder: Path, people: Path, capsys: pytest.CaptureFixture[str], name: str, file: str, dry: list[str]
) -> None:
    assert main(["train", f"{name}.yaml", "--recipe", "tiny.yaml", "--data", str(people), *dry]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{file}.yaml:2:" in line
    assert "input" in line
    assert not (folder / "runs").exists()


def test_training_refuses_other_channels_before_it_generates_data_and_of_a_spec_in_memory(folder: Path) -> None:
    recipe = tiny.RECIPE.changed(iterations=2)
    with refused("3", "1", file="net1.yaml", line=2, field="input"):
        train("net1.yaml", recipe)
    with refused("3", "4", file="net4.yaml", line=2, field="input"):
        train(archlab.load("net4.yaml"), recipe)
    assert not (folder / "data").exists()
    assert not (folder / "runs").exists()


def test_a_changed_number_of_channels_is_refused_at_the_change(
    folder: Path, people: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "net3.yaml", "--recipe", "tiny.yaml", "--data", str(people)]
    assert main([*command, "--set", "input.0=1"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--set" in line
    assert "input" in line


def test_evaluation_refuses_a_run_whose_network_has_other_channels(folder: Path, people: Path) -> None:
    run = train("net3.yaml", tiny.RECIPE.changed(iterations=2), people)
    (run / "spec.yaml").write_text(NETWORK.format(channels=1), encoding="utf-8")
    with refused("3", "1", file=run / "spec.yaml", line=2, field="input"):
        archlab.evaluate(run, data=people)


def test_an_ablation_refuses_all_rows_of_other_channels_before_anything_is_trained(folder: Path, people: Path) -> None:
    (folder / "study.yaml").write_text(ABLATION, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        ablate(["study.yaml"], AblationOptions(data=people))
    assert [(each.field, each.file, each.line) for each in caught.value.problems] == [
        ("input", "net1.yaml", 2),
        ("input", "net4.yaml", 2),
    ]
    assert not (folder / "runs").exists()


@pytest.mark.parametrize(("name", "value"), [("input", "[1, 64, 64]"), ("input.0", "4"), ("input.1", "32")])
def test_a_row_cannot_change_its_networks_input(folder: Path, name: str, value: str) -> None:
    text = ABLATION.replace("spec: net1.yaml", f"spec: net3.yaml, fields: {{{name}: {value}}}")
    (folder / "study.yaml").write_text(text, encoding="utf-8")
    with refused(file="study.yaml", line=7, field=f"rows.fields.{name}"):
        load_ablation("study.yaml")


def problems(study: Path) -> list[Problem]:
    with pytest.raises(InputError) as caught:
        load_search(study)
    return list(caught.value.problems)


def test_a_search_refuses_a_space_whose_base_has_other_channels(tmp_path: Path, people: Path) -> None:
    made = search_study.make(tmp_path, people)
    base = (tmp_path / "base.yaml").read_text()
    assert "input" not in base
    (tmp_path / "base.yaml").write_text(base.replace("version: 1\n", "version: 1\ninput: [1, 64, 64]\n"))
    (found,) = problems(made.study)
    assert (found.file, found.field) == (str(tmp_path / "base.yaml"), "input")
    assert load_space(tmp_path / "space.yaml").document.entries["input"].plain() == [1, 64, 64]


def test_a_search_refuses_each_choice_of_other_channels_and_no_other(tmp_path: Path, people: Path) -> None:
    made = search_study.make(tmp_path, people)
    lines = "vary:\n  image:\n    field: input\n    choices:\n      - [3, 64, 64]\n      - [1, 64, 64]\n      - [4, 64, 64]\n"
    space = (tmp_path / "space.yaml").read_text()
    base = (tmp_path / "base.yaml").read_text()
    (tmp_path / "base.yaml").write_text(base.replace("version: 1\n", "version: 1\ninput: [3, 64, 64]\n"))
    (tmp_path / "space.yaml").write_text(space.replace("vary:\n", lines))
    number = (tmp_path / "space.yaml").read_text().splitlines().index("      - [1, 64, 64]") + 1
    found = problems(made.study)
    assert [(each.file, each.line, each.field) for each in found] == [
        (str(tmp_path / "space.yaml"), number, "input"),
        (str(tmp_path / "space.yaml"), number + 1, "input"),
    ]
