"""What a search would do: found without writing anything, refused as running it would be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from helpers import search_study
from helpers.search_study import Tiny

from archlab.core.errors import InputError
from archlab.search import run
from archlab.search.plan import plan_search


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tiny:
    monkeypatch.chdir(tmp_path)
    return search_study.make(tmp_path, search_study.people(tmp_path))


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() if path.is_file() else b"" for path in folder.rglob("*")}


@pytest.mark.parametrize("storage", [None, "sqlite:///{folder}/study.db"])
def test_a_plan_writes_nothing_and_counts_what_is_finished(storage: str | None, tiny: Tiny) -> None:
    given = {"storage": storage.format(folder=tiny.folder)} if storage else {}
    before = contents(tiny.folder)
    assert (plan_search(tiny.options(**given)).finished, plan_search(tiny.options(**given)).left) == (0, 8)
    assert contents(tiny.folder) == before
    assert run.worker(tiny.options(trials=2, **given)) == 0
    before = contents(tiny.folder)
    plan = plan_search(tiny.options(trials=5, **given))
    assert (plan.trials, plan.finished, plan.left) == (5, 2, 3)
    assert contents(tiny.folder) == before


def test_a_plan_holds_the_resolved_recipe_and_space_as_plain_data(tiny: Tiny) -> None:
    tiny.write("tiny.yaml", ("trials: 8", "trials: 8\nlimits: {params: {max: 2e6}}"))
    plain = plan_search(tiny.options()).as_json()
    assert json.loads(json.dumps(plain)) == plain
    assert plain["space"]["size"] == search_study.POINTS
    assert plain["space"]["parameters"] == {"width": [8, 16, 24, 32], "kernel": [3, 5, 7], "blocks": [1, 2, 3, 4]}
    assert plain["space"]["limits"] == {"params": [None, 2e6]}
    assert (plain["recipe"]["iterations"], plain["recipe"]["batch"]) == (6, 4)
    assert plain["sampler"]["name"] == "random"
    assert plain["rungs"] == ["2 iterations", "4 iterations"]
    assert plain["trials"] == {"total": 8, "finished": 0, "left": 8}
    assert plain["data"] == {"folder": str(tiny.data), "exists": True}
    assert plain["folder"] == str(tiny.out / "tiny")


def test_data_that_would_be_generated_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan = plan_search(run.SearchOptions("lite_hrnet_quick", device="cpu"))
    assert not plan.data_exists
    assert plan.root.parts[0] == "data"
    assert list(tmp_path.iterdir()) == []


def test_a_plan_is_refused_as_the_search_would_be(tiny: Tiny) -> None:
    assert run.worker(tiny.options(trials=1)) == 0
    tiny.write("recipe.yaml", ("1e-3", "2e-3"))
    with pytest.raises(InputError, match="another recipe;"):
        plan_search(tiny.options())
    with pytest.raises(InputError, match=r"--trials: .*found 0"):
        plan_search(tiny.options(trials=0))
