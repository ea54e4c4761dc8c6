"""Measured time in a search: as an objective, as a limit, once per network, and predicted before it is measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import optuna
import pytest
import torch
from helpers import search_study
from helpers.refused import refused

import archlab
from archlab.deploy.bench.predict import Predictor, fit, milliseconds_of, read_predictor
from archlab.deploy.bench.runtimes import Setting
from archlab.network.graph import assemble
from archlab.search.config import LatencyForm
from archlab.search.latency import PredictedLimit, Stopwatch
from archlab.search.load import load_search
from archlab.search.recovery import CANDIDATE, REASON
from archlab.search.results import read_result
from archlab.search.run import run_search
from archlab.search.space.gate import Gate, check
from archlab.search.space.points import sample
from archlab.search.space.space import CostRange, load_space
from archlab.search.trial import Bench, timed

SETTING = Setting(torch.device("cpu"), 1, 1)
OBJECTIVES = ("objectives: {pck: maximize, params: minimize}", "objectives: {pck: maximize, latency: minimize}")
FAST = "latency: {runtime: folded, rounds: 3}"


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return search_study.people(tmp_path_factory.mktemp("people"))


@pytest.fixture
def tiny(tmp_path: Path, people: Path) -> search_study.Tiny:
    return search_study.make(tmp_path, people)


@pytest.mark.slow
def test_a_search_with_a_latency_limit_measures_each_network_once(tiny: search_study.Tiny) -> None:
    tiny.write("tiny.yaml", OBJECTIVES, ("trials: 8", f"trials: 3\nlimits: {{latency: {{max: 1000}}}}\n{FAST}"))
    run_search(tiny.study, data=tiny.data, out=tiny.out, device="cpu", jobs=2)
    result = read_result(tiny.out / "tiny" / "result.json")
    assert len(result.candidates) == 3
    assert result.latency == "cpu 1 threads batch 1 folded"
    (folder,) = (tiny.out / "tiny" / "latency").iterdir()
    kept = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    predictor = [name for name in kept if name.startswith("predictor_")]
    assert len(predictor) == 1
    measured = {name: found["milliseconds"] for name, found in kept.items() if name not in predictor}
    assert {c.hash: c.cost["latency"] for c in result.candidates} == measured
    assert all(c.values["latency"] == c.cost["latency"] for c in result.complete)


def test_a_candidate_that_is_too_slow_is_stopped_before_it_is_trained(tiny: search_study.Tiny, people: Path) -> None:
    tiny.write("tiny.yaml", ("trials: 8", f"trials: 2\nlimits: {{latency: {{max: 0.0001}}}}\n{FAST}"))
    search = load_search(tiny.study, data=people)
    trial = optuna.create_study().ask()
    trial.set_user_attr(CANDIDATE, {"hash": "x", "cost": {"macs": 1.0}})
    spec = archlab.load("skip_pose_net", input=(3, 64, 64))
    with pytest.raises(optuna.TrialPruned, match="its latency is"):
        timed(Bench(search, tiny.folder / "runs"), trial, spec)
    kept = trial.user_attrs[CANDIDATE]["cost"]
    assert kept.keys() == {"macs", "latency"}
    assert f"{kept['latency']:.2f} ms" in trial.user_attrs[REASON]


def test_a_space_whose_networks_are_all_predicted_too_slow_has_no_candidate(tiny: search_study.Tiny) -> None:
    space = load_space(tiny.folder / "space.yaml", input=(64, 64))
    slow = PredictedLimit(CostRange(max=1.0), Predictor({"conv 1x1": (1.0, 0.0, 0.0)}, 0.0, 100.0, 0.1))
    with refused(f"and {search_study.POINTS} were refused by a prediction"):
        Gate(space, exact=True, refuses=slow).sample(Random(0))


def test_what_was_measured_is_read_again(tmp_path: Path) -> None:
    watch = Stopwatch(LatencyForm(rounds=3), tmp_path)
    spec = archlab.load("skip_pose_net", input=(3, 64, 64))
    first = watch.milliseconds(spec)
    assert first > 0
    (path,) = tmp_path.rglob("*.json")
    path.write_text(path.read_text().replace(str(first), "123.5"))
    assert watch.milliseconds(spec) == 123.5
    assert Stopwatch(LatencyForm(rounds=3, runtime="eager"), tmp_path).milliseconds(spec) != 123.5


def test_the_gate_refuses_what_is_predicted_to_be_too_slow(tiny: search_study.Tiny) -> None:
    space = load_space(tiny.folder / "space.yaml", input=(64, 64))
    predictor = Predictor({"conv 1x1": (0.0, 1.0, 0.0)}, 1.0, 0.0, 0.05)
    times = sorted(predictor.milliseconds(assemble(check(space, sample(space, Random(i))).spec)) for i in range(20))  # type: ignore[arg-type]
    limit = times[len(times) // 2]
    gate = Gate(space, exact=True, refuses=PredictedLimit(CostRange(max=limit), predictor))
    passed = [gate.sample(Random(i)) for i in range(8)]
    assert all(predictor.milliseconds(assemble(found.spec)) <= limit * 1.1 for found in passed if found.spec)
    assert gate.reasons["latency"] > 0


def test_a_limit_is_held_to_within_the_predictors_error() -> None:
    predictor = Predictor({}, 1.0, 0.0, 0.2)
    both = PredictedLimit(CostRange(min=10.0, max=20.0), predictor)
    assert [both._breaks(each) for each in (7.9, 8.1, 15.0, 23.9, 24.1)] == [True, False, False, False, True]
    assert PredictedLimit(CostRange(max=20.0), replace(predictor, error=0.0))._breaks(22.1)


def test_a_predictor_orders_networks_as_measured(tmp_path: Path) -> None:
    """Fitted to four sizes of a network, it predicts others: the larger one is slower."""
    sizes = [archlab.assemble(archlab.load("skip_pose_net", input=(3, side, side))) for side in (32, 64, 96, 160, 224)]
    predictor = fit(sizes[:2] + sizes[3:4], "folded", SETTING, rounds=2)
    assert predictor.milliseconds(sizes[2]) < predictor.milliseconds(sizes[4])
    assert predictor.milliseconds(sizes[4]) == pytest.approx(
        milliseconds_of(sizes[4], "folded", SETTING, rounds=5), rel=1.0
    )
    predictor.save(tmp_path / "p.json")
    assert read_predictor(tmp_path / "p.json") == predictor


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        (FAST, "latency", "is read by a limit or an objective"),
        ("limits: {latency: {max: 5}}\nlatency: {runtime: fold}", "latency.runtime", "fold"),
        ("limits: {latncy: {max: 5}}", "limits.latncy", "no cost is called 'latncy'"),
    ],
)
def test_a_wrong_setting_is_reported_at_its_field(
    change: str, field: str, message: str, tiny: search_study.Tiny, people: Path
) -> None:
    tiny.write("tiny.yaml", ("trials: 8", f"trials: 8\n{change}"))
    with refused(message, field=field):
        load_search(tiny.study, data=people)


def test_a_search_without_latency_keeps_its_parts(tiny: search_study.Tiny, people: Path) -> None:
    assert "latency" not in load_search(tiny.study, data=people).parts("")
    tiny.write("tiny.yaml", OBJECTIVES)
    assert "latency" in load_search(tiny.study, data=people).parts("")
