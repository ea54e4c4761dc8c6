"""Score beside time: each form by the protocol of its task, against eager in float32."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from archlab.cli import main
from archlab.tasks.metrics import first_view
from archlab.training.runs import read_record

QUICK = ("--rounds", "1", "--threads", "1", "--device", "cpu", "--json")


def test_each_form_is_scored_by_the_runs_recipe(run: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runtimes = "eager,folded,onnxruntime"
    assert main(["bench", str(run), "--runtime", runtimes, "--score", str(root), *QUICK]) == 0
    made = json.loads(capsys.readouterr().out)
    assert [row["runtime"] for row in made["sessions"][0]["rows"]] == runtimes.split(",")
    eager, folded, runtime = made["scores"]
    record = read_record(run)
    assert {(each["network"], each["hash"], each["metric"]) for each in made["scores"]} == {
        (record.spec, record.spec_hash, "AP")
    }
    assert eager["value"] == pytest.approx(first_view(record.scores)["AP"])
    assert eager["loss"] is None
    for each in (folded, runtime):
        assert each["loss"] == pytest.approx(eager["value"] - each["value"])
        assert abs(each["loss"]) < 1.0


def test_a_type_is_scored_against_eager_in_float32(run: Path, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["bench", str(run), "--runtime", "folded", "--dtype", "float64", "--score", str(root)]
    assert main([*words, *QUICK]) == 0
    scores = json.loads(capsys.readouterr().out)["scores"]
    assert [(each["runtime"], each["dtype"]) for each in scores] == [("eager", "float32"), ("folded", "float64")]
    assert main([*words, *QUICK[:-1]]) == 0
    assert "against eager, float32" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["lite_hrnet_18", "--score", "{root}"], "--weights: lite_hrnet_18 has no weights"),
        (["lite_hrnet_18", "--weights", "w.pt"], "--weights: time does not depend on weights"),
        (["{run}", "{run}", "--weights", "w.pt", "--score", "{root}"], "--weights: the weights are of one network"),
        (["{run}", "--score", "{root}", "--input", "64x64"], "--input: a network is scored at the input"),
        (["{run}", "--score", "{root}/nowhere"], "nowhere: no such data folder"),
    ],
)
def test_what_cannot_be_scored_is_refused_before_anything_is_measured(
    words: list[str], error: str, run: Path, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = tmp_path / "latency.json"
    named = [word.format(run=run, root=root) for word in words]
    assert main(["bench", *named, *QUICK, "--save", str(saved)]) == 2
    assert error in capsys.readouterr().err
    assert not saved.exists()
