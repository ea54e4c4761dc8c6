from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState, create_trial

from archlab.core.errors import InputError
from archlab.search.config import SamplerForm
from archlab.search.samplers import GatedSampler, JudgedStudy, fittest, losses_of, parents_of, signed
from archlab.search.space.gate import check
from archlab.search.space.points import enumerate_points
from archlab.search.space.space import CostRange, Space, load_space

NAMES = ["random", "tpe", "nsga2", "nsga3", "gp", "evolution"]
NETWORK = """
version: 1
nodes:
  quarter: {block: conv, width: 8, kernel: 5, stride: 4}
  one: {block: conv, width: 8}
  two: {block: conv, width: 8}
  three: {block: conv, width: 8}
"""
SPACE = """
version: 1
base: net
vary:
  stem: {field: nodes.quarter.width, from: 4, to: 20, step: 4}
  width: {field: nodes.one.width, from: 2, to: 20, step: 2}
  kind: {field: nodes.two.block, choices: [conv, basic_block]}
  inner: {field: nodes.two.width, from: 2, to: 20, step: 2, when: {kind: conv}}
  kernel: {field: nodes.three.kernel, choices: [1, 3, 5]}
  fixed: {field: nodes.three.width, choices: [8]}
limits: {params: {max: 2500}}
"""
WIDE = """
version: 1
base: net
vary:
  stem: {field: nodes.quarter.width, from: 4, to: 32, step: 4}
  one: {field: nodes.one.width, from: 2, to: 16, step: 2}
  two: {field: nodes.two.width, from: 2, to: 16, step: 2}
  three: {field: nodes.three.width, from: 2, to: 16, step: 2}
  first: {field: nodes.one.kernel, choices: [1, 3, 5, 7]}
  second: {field: nodes.two.kernel, choices: [1, 3, 5, 7]}
  third: {field: nodes.three.kernel, choices: [1, 3, 5, 7]}
"""
PROPOSED = 24
FORM = SamplerForm(name="random", startup=6, population=6, tournament=3)


@pytest.fixture
def space(tmp_path: Path) -> Space:
    """About an eighth of its 1,650 points pass."""
    return written(tmp_path, SPACE)


def written(folder: Path, text: str) -> Space:
    (folder / "net.yaml").write_text(NETWORK)
    (folder / "space.yaml").write_text(text)
    return load_space(folder / "space.yaml")


def new_study(sampler: GatedSampler | None = None, **kwargs: Any) -> optuna.Study:
    return optuna.create_study(directions=["maximize", "minimize"], sampler=sampler, **kwargs)


def ask(study: optuna.Study, sampler: GatedSampler) -> optuna.Trial:
    study.sampler = sampler
    trial = study.ask()
    for parameter in sampler.space.parameters:
        if len(parameter.labels) > 1:
            trial.suggest_int(parameter.name, 0, len(parameter.labels) - 1)
    return trial


def score_of(trial: optuna.Trial | FrozenTrial) -> list[float]:
    """Something to learn, with a trade-off: wide is good, and costs."""
    p = trial.params
    return [p["width"] + 2.0 * p["stem"] - p["kernel"], float(p["width"] + p["stem"] + p["inner"])]


def go(study: optuna.Study, sampler: GatedSampler, trials: int) -> None:
    for _ in range(trials):
        trial = ask(study, sampler)
        study.tell(trial, score_of(trial))


def proposals(study: optuna.Study) -> list[dict[str, Any]]:
    return [trial.params for trial in study.get_trials(deepcopy=False)]


@pytest.mark.parametrize("name", NAMES)
def test_every_proposal_passes_and_no_network_comes_twice(space: Space, name: str) -> None:
    sampler = GatedSampler(space, replace(FORM, name=name), 1)
    study = new_study()
    for number in range(PROPOSED):
        trial = ask(study, sampler)
        found = sampler.accepted.pop(number)
        assert found.point == sampler.point(trial.params)
        assert sampler.parameters(found.point) == trial.params
        study.tell(trial, score_of(trial))
    looked = [check(space, sampler.point(params)) for params in proposals(study)]
    assert [found.excess for found in looked] == [0.0] * PROPOSED
    assert len({found.key for found in looked}) == PROPOSED
    assert sampler.gate.tried > 2 * PROPOSED, "the limit refuses most, or this shows nothing"


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_active_has_its_first_choice_in_a_trial(space: Space, name: str) -> None:
    sampler = GatedSampler(space, replace(FORM, name=name), 2)
    study = new_study()
    go(study, sampler, 30)
    without = [params for params in proposals(study) if params["kind"] == 1]  # a basic block, whose width is kept
    assert without
    assert {params["inner"] for params in without} == {0}
    assert all(set(params) == {"stem", "width", "kind", "inner", "kernel"} for params in proposals(study))


@pytest.mark.parametrize("name", NAMES)
def test_two_workers_on_one_study_never_propose_the_same_network(space: Space, name: str, tmp_path: Path) -> None:
    journal = JournalFileBackend(str(tmp_path / "study.journal"))
    new_study(study_name="pair", storage=JournalStorage(journal))
    form = replace(FORM, name=name)
    # As processes have it: each its own storage, study and sampler; their trials overlap.
    studies = [optuna.load_study(study_name="pair", storage=JournalStorage(journal)) for _ in range(2)]
    workers = [(study, GatedSampler(space, form, 1)) for study in studies]
    for _ in range(8):
        running = [(study, ask(study, sampler)) for study, sampler in workers]
        for study, trial in running:
            study.tell(trial, score_of(trial))
    keys = [check(space, workers[0][1].point(params)).key for params in proposals(workers[0][0])]
    assert len(set(keys)) == len(keys) == 16


@pytest.mark.parametrize("name", NAMES)
def test_a_study_goes_on_after_a_restart_and_repeats_nothing(space: Space, name: str) -> None:
    form = replace(FORM, name=name)
    through, restarted = new_study(), new_study()
    go(through, GatedSampler(space, form, 7), 18)
    go(restarted, GatedSampler(space, form, 7), 9)
    go(restarted, GatedSampler(space, form, 7), 9)
    assert proposals(restarted)[:9] == proposals(through)[:9]
    distinct = {tuple(params.values()) for params in proposals(restarted)}
    assert len(distinct) == 18
    if name != "gp":  # its fit begins anew
        assert proposals(restarted) == proposals(through)


@pytest.mark.parametrize("directions", [["maximize"], ["maximize", "minimize", "minimize"]])
@pytest.mark.parametrize("name", NAMES)
def test_one_objective_or_three_are_as_good_as_two(space: Space, name: str, directions: list[str]) -> None:
    sampler = GatedSampler(space, replace(FORM, name=name, startup=4, population=4), 1)
    study = optuna.create_study(directions=directions)
    for _ in range(7):
        trial = ask(study, sampler)
        study.tell(trial, [*score_of(trial), float(trial.params["kernel"])][: len(directions)])
    assert len({tuple(params.values()) for params in proposals(study)}) == 7


def test_other_seeds_propose_otherwise(space: Space) -> None:
    studies = [new_study(), new_study()]
    for seed, study in enumerate(studies):
        go(study, GatedSampler(space, FORM, seed), 5)
    assert proposals(studies[0]) != proposals(studies[1])


@pytest.mark.parametrize("name", NAMES)
def test_networks_to_start_from_come_first_once_and_over_restarts(space: Space, name: str) -> None:
    passing = [point for point in enumerate_points(space) if not check(space, point).refused]
    start = (passing[40], passing[3], passing[40], passing[77])
    study = new_study()
    for trials in (2, 3):
        go(study, GatedSampler(space, replace(FORM, name=name), 1, start), trials)
    sampler = GatedSampler(space, FORM, 1)
    points = [sampler.point(params) for params in proposals(study)]
    assert points[:3] == [passing[40], passing[3], passing[77]]
    assert len(set(points)) == 5


@pytest.mark.parametrize("name", NAMES)
def test_a_space_that_is_used_up_is_an_error_and_not_a_loop(tmp_path: Path, name: str) -> None:
    few = written(tmp_path, SPACE.replace("from: 2, to: 20, step: 2", "from: 2, to: 6, step: 2"))
    few = replace(few, limits={"params": CostRange(max=1000)})
    passing = {check(few, point).key for point in enumerate_points(few)} - {""}
    assert len(passing) == 14
    sampler = GatedSampler(few, replace(FORM, name=name), 1)
    study = new_study()
    go(study, sampler, len(passing))
    assert {check(few, sampler.point(params)).key for params in proposals(study)} == passing
    with pytest.raises(InputError, match="all 14 that do are taken"):
        ask(study, sampler)


def test_a_trial_of_which_only_some_parameters_were_kept_is_of_no_network(space: Space) -> None:
    sampler = GatedSampler(space, FORM, 1)
    study = new_study()
    study.ask().suggest_int("stem", 0, 4)
    go(study, sampler, 3)
    assert sampler.gate.distinct == 3


def finished(
    values: Sequence[float] | None, params: dict[str, int], state: TrialState = TrialState.COMPLETE, **attributes: Any
) -> FrozenTrial:
    sizes = {"stem": 5, "width": 10, "kind": 2, "inner": 10, "kernel": 3}
    full = {name: params.get(name, 0) for name in sizes}
    distributions = {name: optuna.distributions.IntDistribution(0, n - 1) for name, n in sizes.items()}
    return create_trial(state=state, values=values, params=full, distributions=distributions, user_attrs=attributes)


def rung(*values: float) -> list[dict[str, Any]]:
    return [{"label": "1", "values": list(values), "goes_on": True}, {"label": "2", "values": [0.0, 0.0]}]


def test_losses_are_those_of_the_first_rung_that_all_have_reached() -> None:
    study = new_study()
    assert signed([3.0, 4.0], study) == [-3.0, 4.0]
    stopped = finished(None, {}, TrialState.PRUNED, rungs=rung(5, 6))
    complete = finished([9.0, 9.0], {}, rungs=rung(7, 8))
    assert losses_of(stopped, study) == [-5.0, 6.0]
    assert losses_of(complete, study) == [-7.0, 8.0]
    assert losses_of(finished([1.0, 2.0], {}), study) == [-1.0, 2.0]
    assert losses_of(finished(None, {}, TrialState.FAIL, rungs=rung(1, 1)), study) is None
    assert losses_of(finished(None, {}, TrialState.PRUNED), study) is None


def test_parents_are_the_youngest_whatever_they_scored_and_the_best_ages() -> None:
    study = new_study()
    study.add_trial(finished([99.0, 0.0], {"stem": 4}))  # dominates all that follow
    for i in range(4):
        study.add_trial(finished([float(i), 1.0], {"width": i}))
        study.add_trial(finished(None, {}, TrialState.FAIL))
    study.add_trial(finished(None, {"width": 9}, TrialState.PRUNED, rungs=rung(1, 1)))
    assert [t.params["width"] for t in parents_of(study, replace(FORM, population=5))] == [0, 1, 2, 3, 9]
    assert [t.params["stem"] for t in parents_of(study, replace(FORM, population=6))] == [4, 0, 0, 0, 0, 0]
    assert parents_of(study, replace(FORM, population=9, startup=7)) == []
    assert len(parents_of(study, replace(FORM, population=9, startup=6))) == 6


def test_a_tournament_of_all_is_won_by_rank_and_among_equals_by_the_least_crowded() -> None:
    study = new_study()
    # Losses (-a, b): the second dominates the first; of the front, the two in the middle are crowded.
    rows = [(1.0, 9.0), (1.0, 1.0), (5.0, 5.0), (6.0, 6.0), (20.0, 20.0)]
    for a, b in rows:
        study.add_trial(finished([a, b], {}))
    form, parents = replace(FORM, tournament=5), study.get_trials()
    winners = {tuple(fittest(parents, study, form, Random(seed)).values) for seed in range(40)}
    assert winners == {(1.0, 1.0), (20.0, 20.0)}
    small = replace(FORM, tournament=1)
    assert {tuple(fittest(parents, study, small, Random(seed)).values) for seed in range(80)} == set(rows)


def test_evolution_changes_one_choice_of_a_parent_of_the_population(space: Space) -> None:
    sampler = GatedSampler(replace(space, limits={}), replace(FORM, name="evolution", population=2, tournament=2), 3)
    study = new_study()
    study.add_trial(finished([99.0, 0.0], {"stem": 4, "width": 9, "inner": 9, "kernel": 2}))  # the best, and too old
    study.add_trial(finished([1.0, 5.0], {"kind": 1}))
    study.add_trial(finished(None, {"stem": 2}, TrialState.PRUNED, rungs=rung(2, 4)))  # dominates the other parent
    for _ in range(4):
        trial = ask(study, sampler)  # left running: the parents stay
        changed = {name for name, value in trial.params.items() if value != {"stem": 2}.get(name, 0)}
        assert len(changed) == 1
        assert all(abs(trial.params[name] - {"stem": 2}.get(name, 0)) == 1 for name in changed - {"kernel"})


def test_samplers_see_a_stopped_trial_as_complete_with_what_it_scored() -> None:
    study = new_study()
    study.add_trial(finished(None, {}, TrialState.PRUNED, rungs=rung(5, 6)))
    study.add_trial(finished([9.0, 9.0], {}, rungs=rung(7, 8)))
    study.add_trial(finished([1.0, 2.0], {}))
    study.add_trial(finished(None, {}, TrialState.FAIL, rungs=rung(3, 3)))
    seen = JudgedStudy(study, {}).get_trials(states=[TrialState.COMPLETE])
    assert [trial.values for trial in seen] == [[5.0, 6.0], [7.0, 8.0], [1.0, 2.0]]
    assert [trial.state.name for trial in study.trials] == ["PRUNED", "COMPLETE", "COMPLETE", "FAIL"], "left as it was"


@pytest.mark.parametrize("name", ["tpe", "nsga2", "nsga3", "gp"])
def test_a_sampler_learns_from_a_study_of_which_all_trials_were_stopped(space: Space, name: str) -> None:
    sampler, chance = GatedSampler(space, replace(FORM, name=name), 5), GatedSampler(space, FORM, 5)
    study, other = new_study(), new_study()
    for at, worker in ((study, sampler), (other, chance)):
        for _ in range(9):
            trial = ask(at, worker)
            trial.set_user_attr("rungs", rung(*score_of(trial)))
            at.tell(trial, state=TrialState.PRUNED)
    assert proposals(study)[:6] == proposals(other)[:6], "by chance first"
    assert proposals(study)[6:] != proposals(other)[6:]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES[1:])
def test_scores_are_used_so_that_later_proposals_are_better_than_chance(tmp_path: Path, name: str) -> None:
    """The median distance to a target, over parameters that do not interact, of the last 20 of 60 proposals."""
    space = written(tmp_path, WIDE)
    target = {p.name: len(p.labels) // 3 for p in space.parameters}

    def distance(form: SamplerForm, seed: int) -> float:
        sampler, study = GatedSampler(space, form, seed), new_study()
        for _ in range(60):
            trial = ask(study, sampler)
            shares = [abs(trial.params[p.name] - target[p.name]) / len(p.labels) for p in space.parameters]
            study.tell(trial, [-sum(shares[:4]), sum(shares[4:])])
        return float(np.median([sum(map(abs, trial.values)) for trial in study.trials[40:]]))

    form = SamplerForm(name="random", startup=10, population=10, tournament=5)
    chance = np.mean([distance(form, seed) for seed in range(2)])
    found = np.mean([distance(replace(form, name=name), seed) for seed in range(2)])
    assert found < 0.75 * chance
