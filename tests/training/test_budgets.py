"""One training scored at several budgets: what each score is, and that kills, resumes and extensions change none."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import tiny
from helpers.paths import REPOSITORY
from helpers.training import train

from archlab.core.errors import InputError
from archlab.training.budgets import Budget, budgets_in_steps, falling, samples_of
from archlab.training.evaluate import evaluate_run
from archlab.training.metrics_log import read_rows
from archlab.training.recipe import Recipe, load_recipe, recipe_hash
from archlab.training.runs import Record, find_runs, read_record
from archlab.training.saved import read_checkpoint
from archlab.training.schedule import Schedule

# Trains, and is killed by the signal that cannot be caught, right before or after a call to a method.
KILLED = """
import json, os, signal, sys
from pathlib import Path
from archlab.training.loop import _Walk
from archlab.training.metrics_log import MetricsLog
from archlab.training.schedule import Schedule
from archlab.training.state import State
from helpers import tiny
from helpers.training import train

folder, root, fields, (name, call, when, number) = Path(sys.argv[1]), Path(sys.argv[2]), *map(json.loads, sys.argv[3:])
fields["schedule"] = Schedule(**fields["schedule"])
owner = {"MetricsLog": MetricsLog, "State": State, "_Walk": _Walk}[name]
method, calls = getattr(owner, call), []

def called(self, *arguments, **named):
    if call != "append" or "budget" in arguments[0]:
        calls.append(call)
    dies = len(calls) == number and (call != "append" or "budget" in arguments[0])
    if dies and when == "before":
        os.kill(os.getpid(), signal.SIGKILL)
    result = method(self, *arguments, **named)
    if dies:
        os.kill(os.getpid(), signal.SIGKILL)
    return result

setattr(owner, call, called)
train(tiny.make_spec(folder), tiny.RECIPE.changed(**fields), root, out=folder / "runs")
"""
BRANCHES: dict[str, Any] = {
    "iterations": None, "budgets": (18, 32, 40), "cooldown": 0.5, "schedule": Schedule(warm_up=3), "checkpoint_every": None,
}  # fmt: skip
"""At 4 samples a step: 4, 8 and 10 steps, from the forks 2, 4 and 5; an epoch has 3 steps."""
AVERAGED: dict[str, Any] = {**BRANCHES, "cooldown": None, "ema": 0.9}
BOTH: dict[str, Any] = {**BRANCHES, "ema": 0.9}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make_data(tmp_path_factory.mktemp("budgets"))


@pytest.fixture(scope="module", params=[BRANCHES, AVERAGED, BOTH], ids=["branches", "averaged", "both"])
def whole(request: pytest.FixtureRequest, root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """The fields of a recipe, and its run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    return request.param, train(tiny.make_spec(folder), tiny.RECIPE.changed(**request.param), root, out=folder)


def weights(run: Path) -> dict[str, torch.Tensor]:
    state: dict[str, torch.Tensor] = torch.load(run / "checkpoint.pt", weights_only=True)["state_dict"]
    return state


def alike(one: Path, other: Path) -> None:
    """Assert that two runs have the same weights, states, losses and scores, bit for bit, each scored once."""
    records = [read_record(each) for each in (one, other)]
    assert records[0].budgets == records[1].budgets
    assert records[0].scores == records[1].scores == records[0].budgets[-1].scores
    states = [read_checkpoint(each / "checkpoint.pt") for each in (one, other)]
    for part in ("state_dict", "trained", "average"):
        assert (states[0][part] is None) == (states[1][part] is None)
        for name, value in (states[0][part] or {}).items():
            assert torch.equal(value, states[1][part][name]), (part, name)
    rows = [[_without_clock(row) for row in read_rows(each / "metrics.jsonl")] for each in (one, other)]
    assert rows[0] == rows[1]
    scored = [row["budget"]["budget"] for row in rows[0] if "budget" in row]
    assert scored == [each.budget for each in records[0].budgets]


def _without_clock(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("iteration", "epoch", "loss", "lr", "budget") if name in row}


def test_numbers_of_samples_are_read() -> None:
    read = [samples_of(text) for text in (8000, "8k", "1.2M", "0.5k", "1.0001k", "8K", "k", "-8k", "")]
    assert read == [8000, 8000, 1_200_000, 500, 0, 0, 0, 0, 0]


def test_a_budget_is_rounded_down_to_whole_steps_and_its_branch_takes_at_least_one() -> None:
    assert budgets_in_steps((10, 100), 4, 0.2) == (Budget(10, 2, 1), Budget(100, 25, 20))
    assert budgets_in_steps((10, 100), 4, None) == (Budget(10, 2, 2), Budget(100, 25, 25))
    assert list(falling(4)) == [1, 0.75, 0.5, 0.25]


def test_a_recipe_file_states_budgets_in_thousands(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("budgets: [8k, 16000, 0.1M]\nbatch: 16\ncooldown: 0.2\n")
    recipe = load_recipe(tmp_path / "mine.yaml")
    assert (recipe.budgets, recipe.cooldown, recipe.samples(0)) == ((8000, 16000, 100_000), 0.2, 100_000)
    (tmp_path / "again.yaml").write_text(recipe.to_yaml())
    assert load_recipe(tmp_path / "again.yaml") == recipe


def test_problems_of_budgets_are_reported_at_their_lines(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("budgets: [8x, 0, true]\ncooldown: 1.5\n")
    with pytest.raises(InputError) as caught:
        load_recipe(tmp_path / "mine.yaml")
    assert [(each.line, each.field) for each in caught.value.problems] == [
        (1, "budgets.0"), (1, "budgets.1"), (1, "budgets.2"), (2, "cooldown"),
    ]  # fmt: skip
    lines = ("batch: 16", "budgets: [32, 40]", "iterations: 9", "validate_every: 3", "schedule: {decay: cosine}")
    (tmp_path / "mine.yaml").write_text("\n".join(lines))
    with pytest.raises(InputError) as caught:
        load_recipe(tmp_path / "mine.yaml")
    assert {(each.line, each.field) for each in caught.value.problems} == {
        (3, "iterations"), (2, "budgets"), (4, "validate_every"), (5, "schedule.decay"),
    }  # fmt: skip
    (tmp_path / "mine.yaml").write_text("iterations: 9\ncooldown: 0.2")
    with pytest.raises(InputError, match="budgets"):
        load_recipe(tmp_path / "mine.yaml")


def test_budgets_are_no_part_of_a_recipes_identity_but_the_cooldown_is() -> None:
    recipe = tiny.RECIPE.changed(**BRANCHES)
    assert recipe_hash(recipe) == recipe_hash(recipe.changed(budgets=(18, 32, 40, 80)))
    assert recipe_hash(recipe) != recipe_hash(recipe.changed(cooldown=0.4)) != recipe_hash(tiny.RECIPE)


def test_the_record_holds_each_budget_with_its_true_samples_and_the_last_ones_weights(
    whole: tuple[Any, Path], root: Path
) -> None:
    record = read_record(whole[1])
    assert [(each.budget, each.samples) for each in record.budgets] == [(18, 16), (32, 32), (40, 40)]
    assert (record.state, record.samples) == ("done", 40)
    assert evaluate_run(whole[1], root, device="cpu") == record.scores == record.budgets[-1].scores
    assert record.terms == {}
    for each in record.budgets:
        terms = record.terms_of("ground_truth_boxes", each.budget)
        assert terms is not None
        assert terms.ratios["pck"].figure == each.scores["ground_truth_boxes"]["pck"]
    last = record.terms_of("ground_truth_boxes")
    assert last is not None
    assert last.plain() == record.budgets[-1].terms["ground_truth_boxes"]
    assert record.terms_of("ground_truth_boxes", 17) is None


def test_a_branch_is_a_training_that_decays_to_the_budget_from_its_fork(root: Path, tmp_path: Path) -> None:
    # Warm-up over by step 0: a training of one budget of 4 steps, all of it but the fork's steps in the branch.
    fields = {**BRANCHES, "schedule": Schedule(), "budgets": (16,)}
    alone = train(tiny.make_spec(tmp_path), tiny.RECIPE.changed(**fields), root, out=tmp_path / "alone")
    many = train(tiny.make_spec(tmp_path), tiny.RECIPE.changed(**fields | {"budgets": (16, 40)}), root, out=tmp_path)
    assert read_record(many).budgets[0] == read_record(alone).budgets[0]
    poly = tiny.RECIPE.changed(  # from 1 to 0 over 4 steps; the branch takes the last 90 %: 4 of 4 steps
        iterations=4, schedule=Schedule(decay="poly", power=1), checkpoint_every=None
    )
    decayed = train(tiny.make_spec(tmp_path), poly, root, out=tmp_path / "poly")
    branch = tiny.RECIPE.changed(**fields | {"cooldown": 0.9})
    one, other = weights(decayed), weights(train(tiny.make_spec(tmp_path), branch, root, out=tmp_path / "branch"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_branches_leave_the_main_line_as_it_is(root: Path, tmp_path: Path) -> None:
    spec = tiny.make_spec(tmp_path)
    straight = train(spec, tiny.RECIPE.changed(**BOTH | {"budgets": (40,)}), root, out=tmp_path / "straight")
    branched = train(spec, tiny.RECIPE.changed(**BOTH), root, out=tmp_path / "branched")
    states = [read_checkpoint(each / "checkpoint.pt") for each in (straight, branched)]
    for part in ("state_dict", "trained", "average"):
        assert all(torch.equal(value, states[1][part][name]) for name, value in states[0][part].items()), part
    assert any(not torch.equal(value, states[0]["trained"][name]) for name, value in states[0]["state_dict"].items())


PLACES: dict[str, tuple[str, str, str, int]] = {
    "in the first branch": ("_Walk", "_step", "after", 3),
    "on the main line after a branch": ("_Walk", "_step", "before", 6),
    "after a branch and before its checkpoint": ("State", "reach", "after", 2),
    "after a checkpoint and before the score": ("State", "save", "after", 2),
    "after the score and before its row": ("MetricsLog", "append", "before", 2),
    "after the last row and before the record": ("MetricsLog", "append", "after", 3),
}


@pytest.mark.parametrize(
    ("whole", "place"),
    [(BOTH, place) for place in PLACES]
    + [(each, "after a checkpoint and before the score") for each in (BRANCHES, AVERAGED)],
    indirect=["whole"],
    ids=[*PLACES, "after a checkpoint, without averages", "after a checkpoint, without branches"],
)
def test_a_run_killed_at_any_place_resumes_to_the_same_weights_and_scores(
    whole: tuple[Any, Path], root: Path, tmp_path: Path, place: str
) -> None:
    fields, run = whole
    plain = {**fields, "schedule": {"warm_up": 3}}
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(root), json.dumps(plain), json.dumps(PLACES[place])]
    killed = subprocess.run(command, cwd=REPOSITORY / "tests", capture_output=True, text=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    [record] = find_runs(tmp_path / "runs")
    assert record.state == "running"
    again = train(tiny.make_spec(tmp_path), tiny.RECIPE.changed(**fields), root, out=tmp_path / "runs")
    assert again == tmp_path / "runs" / record.fingerprint
    alike(run, again)


def extended(root: Path, tmp_path: Path, fields: Any, *, first: tuple[int, ...]) -> tuple[Path, Record]:
    """A run that is extended from its first budgets to all; its folder, and its record before."""
    spec, recipe = tiny.make_spec(tmp_path), tiny.RECIPE.changed(**fields)
    run = train(spec, recipe.changed(budgets=first), root, out=tmp_path)
    before = read_record(run)
    assert train(spec, recipe, root, out=tmp_path) == run
    return run, before


def test_more_budgets_extend_the_run_without_training_again(
    whole: tuple[Any, Path], root: Path, tmp_path: Path
) -> None:
    run, before = extended(root, tmp_path, whole[0], first=(18, 32))
    assert [each.budget for each in before.budgets] == [18, 32]
    alike(whole[1], run)
    stamp = (run / "checkpoint.pt").stat().st_mtime_ns
    recipe: Recipe = tiny.RECIPE.changed(**whole[0])
    for budgets in ((18,), (18, 32), (32, 40)):  # done, so nothing is trained
        assert train(tiny.make_spec(tmp_path), recipe.changed(budgets=budgets), root, out=tmp_path) == run
    assert (run / "checkpoint.pt").stat().st_mtime_ns == stamp
    assert [each.budget for each in read_record(run).budgets] == [18, 32, 40]


def test_a_budget_that_the_main_line_has_passed_is_refused(whole: tuple[Any, Path], root: Path, tmp_path: Path) -> None:
    spec, recipe = tiny.make_spec(tmp_path), tiny.RECIPE.changed(**whole[0])
    run = train(spec, recipe.changed(budgets=(18, 40)), root, out=tmp_path)
    before = (run / "record.json").read_bytes()
    with pytest.raises(InputError, match="past 32 samples") as caught:
        train(spec, recipe, root, out=tmp_path)
    assert [each.field for each in caught.value.problems] == ["budgets"]
    assert (run / "record.json").read_bytes() == before
    assert train(spec, recipe, root, out=tmp_path, resume=False) == run
    alike(whole[1], run)


def test_an_extension_that_is_stopped_leaves_the_record_and_its_weights(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, recipe = tiny.make_spec(tmp_path), tiny.RECIPE.changed(**BOTH | {"checkpoint_every": 1})
    run = train(spec, recipe.changed(budgets=(18,)), root, out=tmp_path)
    before, kept = read_record(run), weights(run)

    from archlab.core.signals import Stopped
    from archlab.training.loop import _Walk

    def stop(self: _Walk, budget: Budget) -> None:
        raise Stopped(signal.SIGTERM)

    monkeypatch.setattr(_Walk, "_branch", stop)
    with pytest.raises(Stopped):
        train(spec, recipe, root, out=tmp_path)
    state = read_checkpoint(run / "checkpoint.pt")
    assert (read_record(run), state["iteration"], state["budget"]) == (before, 4, 18)
    assert all(torch.equal(value, kept[name]) for name, value in weights(run).items())
