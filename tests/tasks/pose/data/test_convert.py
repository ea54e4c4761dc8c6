"""Data sets of the user's own: a plug-in writes them in COCO's layout and they are read like any other."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from helpers.paths import REPOSITORY

from archlab.cli.app import main
from archlab.tasks.generated import hidden_folder

MODULE = f"""
import json, sys
sys.path.insert(0, {str(REPOSITORY / "tests")!r})
from helpers.coco_folder import document, write

def counted(source, out):
    for split in ("train2017", "val2017"):
        write(out, document(int(source.read_text())), split=split)

def half(source, out):
    write(out, document(), split="train2017")

def late(source, out):
    counted(source, out)
    counted(source, out.parent / "new")

DATASETS = {{"counted": counted, "half": half, "late": late}}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "my_data.py").write_text(MODULE)
    (tmp_path / "source.txt").write_text("4")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("my_data", None)
    return tmp_path


def run(*arguments):
    return main(["data", "convert", *arguments, "--plugin", "my_data"])


def test_a_data_set_of_ones_own_is_written_read_and_trained_on(folder, capsys):
    from archlab.training.runs import find_runs

    assert run("counted", "source.txt", "--out", "data/mine") == 0
    assert "train2017: 4 labelled people" in capsys.readouterr().out
    (folder / "tiny.yaml").write_text("input: [64, 64]\niterations: 2\nbatch: 2\n")
    assert main(["train", "skip_pose_net", "--recipe", "tiny.yaml", "--data", "data/mine"]) == 0
    (record,) = find_runs(folder / "runs")
    assert (record.state, record.data["root"], record.data["val_people"]) == ("done", "mine", 4)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["counte", "source.txt", "--out", "new"], "no data set is called 'counte' (did you mean 'counted'?)"),
        (["counted", "nothing.txt", "--out", "new"], "nothing.txt: SOURCE: no such file or folder"),
        (["counted", "source.txt", "--out", "."], ".: --out: "),
        (["half", "source.txt", "--out", "new"], "person_keypoints_val2017.json"),
    ],
)
def test_a_mistake_is_named_and_leaves_nothing_behind(arguments, expected, folder, capsys):
    before = sorted(path.name for path in folder.iterdir())
    assert run(*arguments) == 2
    assert expected in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir() if path.name != "__pycache__") == before


def test_a_folder_that_another_process_made_meanwhile_is_kept(folder, capsys):
    assert run("late", "source.txt", "--out", "new") == 2
    assert "new: --out: exists already; name a new folder" in capsys.readouterr().err
    assert (folder / "new" / "val2017").is_dir()
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_the_hidden_folder_of_a_killed_conversion_is_removed(folder):
    abandoned = hidden_folder(folder / "new")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left = abandoned.rename(abandoned.with_name(abandoned.name.replace(f".{os.getpid()}.", f".{dead.pid}.")))
    assert run("counted", "source.txt", "--out", "new") == 0
    assert not left.exists()


def test_a_data_set_is_listed(folder, capsys):
    assert main(["list", "datasets", "--plugin", "my_data"]) == 0
    assert "counted" in capsys.readouterr().out
