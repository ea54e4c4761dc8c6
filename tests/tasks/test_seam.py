"""A task that archlab has never seen is trained, killed, scored, tabled and searched through the command line alone."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import dots_task
from helpers.paths import REPOSITORY

from archlab.cli import main
from archlab.search.results import read_result
from archlab.tasks import find_task
from archlab.training.metrics_log import read_rows
from archlab.training.recipe import load_recipe, recipe_hash
from archlab.training.runs import Record, Run, find_runs

PLUGIN = str(REPOSITORY / "tests" / "helpers" / "dots_task.py")
FILES = {
    "net.yaml": """\
version: 1
nodes:
  quarter: {block: conv, width: 8, kernel: 5, stride: 4}
  more: {block: basic_block, repeat: 1}
""",
    "dots.yaml": """\
task: dots
input: [32, 32]
epochs: 3
batch: 8
optimiser: {lr: 1e-2}
data: {train: 48, val: 16}
validate_every: 1
log_every: 2
checkpoint_every: 2
threads: 1
""",
    "table.yaml": """\
kind: ablation
title: Counting dots
source: a test
recipe: dots.yaml
rows:
  - {name: Narrow, spec: net.yaml}
""",
    "space.yaml": """\
version: 1
title: Tiny networks
base: net.yaml
vary:
  width: {field: nodes.quarter.width, from: 8, to: 32, step: 8}
  kernel: {field: nodes.quarter.kernel, choices: [3, 5]}
""",
    "search.yaml": """\
kind: search
space: space.yaml
recipe: dots.yaml
objectives: {count_error: minimize, macs: minimize}
trials: 3
sampler: {name: random}
rungs: {at: [{epochs: 1}], eta: 1.5}
proxies: [gradient_norm]
""",
}
KILL = """
import os, signal, sys
from archlab.core import plugins
task = plugins.load(sys.argv[1])
batches = task.DotsSamples.batches
def dying(self, rows):
    for number, batch in enumerate(batches(self, rows)):
        if len(rows) > 2 and number == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        yield batch
task.DotsSamples.batches = dying
from archlab.cli import main
from archlab.search.results import read_result
sys.exit(main(sys.argv[2:]))
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


TRAIN = ("train", "net.yaml", "--recipe", "dots.yaml", "--plugin", PLUGIN)


def trained(runs: str) -> Record:
    assert main([*TRAIN, "--runs", runs]) == 0
    (record,) = find_runs(Path(runs))
    return record


def test_a_task_of_a_plug_in_is_found_by_its_name_and_its_recipe_is_flat_and_hashed_with_it(folder: Path) -> None:
    recipe = load_recipe("dots.yaml", plugin=[PLUGIN])
    assert type(recipe.task).__name__ == "Dots"
    assert (recipe.options.data.train, recipe.epochs, recipe.input) == (48, 3, (32, 32))
    brighter = recipe.changed(brightness=2.0)
    assert recipe_hash(brighter) != recipe_hash(recipe)
    (folder / "copy.yaml").write_text(brighter.to_yaml())
    assert load_recipe("copy.yaml", plugin=[PLUGIN]) == brighter.changed(name="dots")


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("task: dotz\n", (1, 7, "task")),
        ("task: dots\nsigma: 2.0\nepochs: 1\n", (2, 1, "sigma")),
        ("task: dots\nepochs: 1\nbrightness: 0\n", (3, 13, "brightness")),
    ],
)
def test_a_recipe_is_held_to_the_fields_of_its_own_task(
    folder: Path, text: str, place: tuple[int, int, str], capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "wrong.yaml").write_text(text)
    assert main(["train", "net.yaml", "--recipe", "wrong.yaml", "--plugin", PLUGIN]) == 2
    line, column, field = place
    assert capsys.readouterr().err.splitlines()[0].startswith(f"error: wrong.yaml:{line}:{column}: {field}: ")


def test_it_trains_validates_and_scores_by_its_own_figures(folder: Path) -> None:
    record = trained("runs")
    assert (record.state, record.task, record.samples, record.outputs) == ("done", "dots", 3 * 48, 1)
    assert (record.train_samples, record.val_samples) == (48, 16)
    assert record.data["kind"] == "synthetic dots"
    assert set(record.scores) == {"pictures"}
    assert set(record.scores["pictures"]) == {"count_error", "exact"}
    assert set(record.baseline) == {"mean_count"}
    run = folder / "runs" / record.fingerprint
    rows = read_rows(run / "metrics.jsonl")
    assert [row["iteration"] for row in rows if "validation" in row] == [6, 12, 18]
    assert rows[-1]["validation"] == record.scores
    assert {path.name for path in run.iterdir()} >= {"curves.png", "predictions.png", "checkpoint.pt", "recipe.yaml"}
    labels = [text.get_text() for text in Run(run, (PLUGIN,)).curves().axes[1].get_legend().get_texts()]
    assert [label.split(":")[0] for label in labels] == [
        "count error", "exact counts", "count error of the mean count", "exact counts of the mean count",
    ]  # fmt: skip


def test_it_learns_to_count_better_than_the_mean(folder: Path) -> None:
    (folder / "long.yaml").write_text(FILES["dots.yaml"].replace("epochs: 3", "epochs: 60"))
    assert main(["train", "net.yaml", "--recipe", "long.yaml", "--plugin", PLUGIN, "--runs", "runs"]) == 0
    (record,) = find_runs(Path("runs"))
    found, guessed = record.scores["pictures"]["count_error"], record.baseline["mean_count"]["count_error"]
    assert found is not None
    assert guessed is not None
    assert found < 0.75 * guessed


def test_killed_and_resumed_it_has_the_same_weights(folder: Path) -> None:
    whole = trained("whole")
    killed = subprocess.run(
        [sys.executable, "-c", KILL, PLUGIN, *TRAIN, "--runs", "killed"], capture_output=True, check=False
    )
    assert killed.returncode == -9
    (left,) = find_runs(Path("killed"))
    assert left.state == "running"
    resumed = trained("killed")
    assert (resumed.state, resumed.scores) == ("done", whole.scores)
    one, other = (
        torch.load(Path(runs, whole.fingerprint, "checkpoint.pt"), weights_only=True)["state_dict"]
        for runs in ("whole", "killed")
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_finished_run_is_scored_again_and_writes_its_results(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = trained("runs")
    capsys.readouterr()
    run = f"runs/{record.fingerprint}"
    assert main(["eval", run, "--plugin", PLUGIN, "--results", "counts.json", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == record.scores
    assert len(json.loads(Path("counts.json").read_text())) == 16


def test_a_table_shows_its_figures_beside_the_costs(folder: Path) -> None:
    command = ["ablate", "table.yaml", "--plugin", PLUGIN, "--seeds", "1,2", "--jobs", "1", "--device", "cpu"]
    assert main(command) == 0
    with Path("results/table.csv").open(encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    records = find_runs(Path("runs"))
    assert len(records) == 2
    narrow = [record.scores["pictures"]["count_error"] or 0 for record in records if not record.fields]
    assert float(lines[0]["pictures_count_error"]) == pytest.approx(sum(narrow) / 2)
    text = Path("results/table.md").read_text()
    assert "count error" in text
    assert "exact counts" in text
    assert "48 pictures for training" in text
    assert "count error in dots" in text


@pytest.mark.slow
def test_a_search_minimises_its_error_through_rungs_proxies_and_the_report(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["search", "search.yaml", "--plugin", PLUGIN, "--jobs", "1", "--device", "cpu"]) == 0
    result = read_result(folder / "searches" / "search" / "result.json")
    assert len(result.candidates) == 3
    assert result.complete
    assert [(each.name, each.direction) for each in result.scores] == [
        ("count_error", "minimize"), ("exact", "maximize"),
    ]  # fmt: skip
    for candidate in result.candidates:
        assert candidate.rungs[0].keys() == {"count_error", "exact"}
        assert candidate.proxies["gradient_norm"] > 0
    for candidate in result.complete:
        assert candidate.values == {"count_error": candidate.rungs[-1]["count_error"], "macs": candidate.cost["macs"]}
    errors = {c.number: c.values["count_error"] for c in result.complete}
    front = result.front()
    assert front["count_error"].min() == min(errors.values())
    assert not any(
        (other.values["count_error"], other.cost["macs"]) < (row["count_error"], row["macs"])
        and other.cost["macs"] <= row["macs"]
        for _, row in front.iterrows()
        for other in result.complete
    )
    best = min(errors, key=lambda number: (errors[number], number))
    text = (folder / "searches" / "search" / "search.md").read_text()
    assert f"The best by count error is number {best}" in text
    capsys.readouterr()
    assert main(["best", "searches/search", "--objective", "count_error", "-n", "1", "--json"]) == 0
    assert [each["number"] for each in json.loads(capsys.readouterr().out)] == [best]


def test_an_objective_of_another_task_or_direction_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = FILES["search.yaml"].replace(
        "{count_error: minimize, macs: minimize}", "{count_error: maximize, pck: maximize}"
    )
    (folder / "search.yaml").write_text(text)
    assert main(["search", "search.yaml", "--plugin", PLUGIN]) == 2
    told = capsys.readouterr().err
    assert "search.yaml:4:27: objectives.count_error: must be minimize" in told
    assert "search.yaml:4:37: objectives.pck: " in told


def test_the_built_in_task_is_the_default() -> None:
    assert find_task("pose") is load_recipe("quick").task
    assert dots_task.TASKS["dots"].name == "dots"
