"""The committed records and search results agree with today's code: recipe hashes, spec hashes and fingerprints."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.paths import REPOSITORY

import archlab
from archlab.core import builtin
from archlab.network.load import load_text
from archlab.search.results import Candidate, read_result
from archlab.training.recipe import in_recipe, load_recipe, recipe_hash
from archlab.training.runs import fingerprint, read_record

RECIPES = {
    "camvid_192x256": "84c8881f9a67ef41",
    "coco_256x192": "876fa18ddd014228",
    "coco_384x288": "7831761b61d17d92",
    "gpu": "a7860c418a7b0d7a",
    "gpu_128x96": "6f6b55024f971357",
    "lsp_96": "4ab193a7ef7aa041",
    "mpii_256x256": "860dfcd0715d9974",
    "quick": "1d2f21f81f2bb7c2",
    "quick_search": "34b39e22b7f102e5",
    "quick_streets": "32e2b904b5587ecd",
    "smoke": "71f36e03faa46203",
}
"""The hashes under which runs were recorded: another hash makes their records unknown to a study."""
RECORDS = sorted((REPOSITORY / "reports" / "records").glob("*.json"))
RESULTS = sorted((REPOSITORY / "reports" / "searches").glob("*/result.json"))


def test_there_are_records_and_results_to_check() -> None:
    assert len(RECORDS) >= 13
    assert len(RESULTS) >= 2


def test_every_recipe_of_a_recorded_run_keeps_its_hash() -> None:
    assert {name: recipe_hash(load_recipe(name)) for name in RECIPES} == RECIPES
    assert set(builtin.names("studies", "recipes/*.yaml")) >= set(RECIPES)


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_has_the_hashes_and_the_fingerprint_that_its_run_would_have_today(path: Path) -> None:
    record = read_record(path)
    assert record.recipe_hash == RECIPES[record.recipe]
    recipe = load_recipe(record.recipe)
    spec = archlab.load(record.spec, input=record.input, outputs=record.outputs, **record.fields)
    assert archlab.spec_hash(in_recipe(spec, recipe)) == record.spec_hash
    weights = record.weights.split()[-1] if record.weights else ""
    parts = {"spec_hash": record.spec_hash, "recipe_hash": record.recipe_hash, "data": record.data["fingerprint"]}
    assert fingerprint(**parts, seed=record.seed, weights=weights) == record.fingerprint == path.stem


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.parent.name)
def test_a_search_result_has_the_hashes_and_costs_that_its_networks_have_today(path: Path) -> None:
    result = read_result(path)
    assert result.study == path.parent.name
    assert result.recipe in RECIPES
    candidates: list[Candidate] = [*result.candidates, *result.references]
    assert len(candidates) >= 24
    for candidate in candidates:
        spec = load_text(candidate.spec, name=candidate.name)
        assert archlab.spec_hash(spec) == candidate.hash, candidate.name
        cost = archlab.cost(spec)
        assert (cost.params, cost.flops["fvcore"], cost.activations) == tuple(
            candidate.cost[name] for name in ("params", "macs", "activations")
        )
