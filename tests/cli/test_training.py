"""`archlab train`, `eval` and `runs`: what would be done, what was done, and recipes changed on the way."""

from __future__ import annotations

import json
import shutil

import pytest
import yaml
from helpers import tiny

import archlab
from archlab.cli.app import main
from archlab.tasks.pose.data.coco import DETECTIONS
from archlab.training.recipe import load_recipe, recipe_hash
from archlab.training.runs import read_record

RECIPE = "input: [64, 64]\niterations: 4\nbatch: 4\nflip_test: false\nthreads: 1\nboxes: both\ncheckpoint_every: 2\n"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a network, a recipe and people."""
    monkeypatch.chdir(tmp_path)
    tiny.make_spec(tmp_path)
    (tmp_path / "short.yaml").write_text(RECIPE)
    return tmp_path


TRAIN = ["train", "tiny.yaml", "--recipe", "short.yaml", "--data", "people", "--device", "cpu"]


def said(capsys, *arguments):
    assert main(list(arguments)) == 0
    return json.loads(capsys.readouterr().out)


def test_a_dry_run_prints_what_is_resolved_and_writes_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    changes = ["--set", "ratio=4", "--recipe-set", "optimiser.lr=1e-4", "--recipe-set", "boxes=both"]
    arguments = ["train", "lite_hrnet_18", "--recipe", "smoke", *changes, "--seed", "7", "--dry-run"]
    plan = said(capsys, *arguments, "--json")
    assert (plan["action"], plan["folder"], plan["seed"]) == ("train", None, 7)
    assert plan["data"] == {"folder": "data/quick-18-8-1", "exists": False}
    assert plan["network"]["stages"]["unit"]["ratio"] == 4
    assert plan["network"]["input"] == [3, 64, 64]
    assert (plan["recipe"]["optimiser"]["lr"], plan["recipe"]["boxes"]) == (1e-4, "both")
    changed = load_recipe("smoke", changes={"optimiser.lr": 1e-4, "boxes": "both"})
    assert plan["recipe"]["hash"] == recipe_hash(changed) != recipe_hash(load_recipe("smoke"))
    assert main(arguments) == 0
    assert yaml.safe_load(capsys.readouterr().out) == plan
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_names_the_folder_and_knows_an_unfinished_run_from_a_finished_one(folder, capsys):
    tiny.make_data(folder)
    plan = said(capsys, *TRAIN, "--dry-run", "--json")
    assert plan["action"] == "train"
    made = said(capsys, *TRAIN, "--json", "--quiet")
    assert made["folder"] == plan["folder"]
    assert made == {"folder": plan["folder"], **json.loads((folder / plan["folder"] / "record.json").read_text())}
    assert (made["state"], made["spec"], made["samples"]) == ("done", "tiny", 16)
    assert said(capsys, *TRAIN, "--dry-run", "--json")["action"] == "reuse"
    assert said(capsys, *TRAIN, "--dry-run", "--json", "--fresh")["action"] == "train"
    (folder / plan["folder"] / "record.json").unlink()
    assert said(capsys, *TRAIN, "--dry-run", "--json")["action"] == "resume"
    assert said(capsys, *TRAIN, "--dry-run", "--json", "--recipe-set", "iterations=5")["action"] == "train"


def test_scoring_again_takes_changed_fields_and_leaves_the_run_as_it_is(folder, capsys):
    tiny.make_data(folder)
    run = said(capsys, *TRAIN, "--json", "--quiet")["folder"]
    before = {path: path.read_bytes() for path in (folder / run).iterdir()}
    scores = said(capsys, "eval", run, "--data", "people", "--boxes", "detector", "--json")
    assert set(scores) == {"detector_boxes"}
    assert scores == said(capsys, "eval", run, "--data", "people", "--recipe-set", "boxes=detector", "--json")
    assert scores["detector_boxes"] == read_record(folder / run).scores["detector_boxes"]
    assert {path: path.read_bytes() for path in (folder / run).iterdir()} == before


def test_detector_boxes_that_the_data_lacks_come_with_a_way_out(folder, capsys):
    people = tiny.make_data(folder)
    (people / DETECTIONS).unlink()
    assert main([*TRAIN, "--quiet"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: people: boxes: ")
    assert str(DETECTIONS) in line
    assert "--recipe-set boxes=ground_truth" in line
    assert not (folder / "runs").exists() or not list((folder / "runs").glob("*/record.json"))
    assert said(capsys, *TRAIN, "--recipe-set", "boxes=ground_truth", "--json")["state"] == "done"


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ("optimiser.lrr=1", "--recipe-set: optimiser.lrr: "),
        ("batch=x", "--recipe-set: batch: "),
        ("batch", "--recipe-set: "),
        ("batch.size=3", "--recipe-set: batch.size: "),
        ("optimiser=[1", "--recipe-set: "),
    ],
)
@pytest.mark.parametrize("command", [["train", "lite_hrnet_18"], ["ablate", "table6"]])
def test_a_change_that_makes_no_sense_is_named_with_its_option(command, change, place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*command, "--recipe-set", change]) == 2
    assert capsys.readouterr().err.startswith(f"error: {place}")
    assert list(tmp_path.iterdir()) == []


def test_runs_of_a_folder_are_a_list(folder, capsys):
    tiny.make_data(folder)
    run = archlab.train("tiny.yaml", "short.yaml", data="people", threads=1, pictures=False)
    shutil.copytree(run.folder, folder / "runs" / "copy")
    rows = said(capsys, "runs", "--json")
    assert {row["folder"] for row in rows} == {run.folder.name, "copy"}
    assert {(row["spec"], row["state"], row["score"]) for row in rows} == {
        ("tiny", "done", run.scores["ground_truth_boxes"]["AP"])
    }


@pytest.mark.parametrize("flag", ["--quiet", "--verbose"])
def test_a_training_is_silent_or_told_with_its_files(flag, folder, capsys):
    tiny.make_data(folder)
    capsys.readouterr()
    assert main([*TRAIN, "--json", flag]) == 0
    lines = capsys.readouterr().err.splitlines()
    if flag == "--quiet":
        assert lines == []
    else:
        assert {"read tiny.yaml", "read short.yaml"} <= set(lines)
        assert any(line.startswith("wrote runs/") and line.endswith("/record.json") for line in lines)
