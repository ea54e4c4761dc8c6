"""The shipped recipes and the first network of segmentation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from helpers import street_folder, tiny
from helpers.training import train

import archlab
from archlab.core import builtin
from archlab.tasks.segmentation.classes import CAMVID, CITYSCAPES
from archlab.training.recipe import load_recipe
from archlab.training.runs import read_record

NAMES = [
    name for name in builtin.names("studies", "recipes/*.yaml") if load_recipe(name).task.name == "segmentation"
]  # fmt: skip


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_shipped_recipe_trains_a_few_steps_and_is_scored(name: str, tmp_path: Path):
    recipe = load_recipe(name)
    small = recipe.changed(
        iterations=2, batch=2, workers=0, threads=1, log_every=1, validate_every=None,
        schedule=replace(recipe.schedule, warm_up=0),
    )  # fmt: skip
    root = street_folder.write(tmp_path / "streets", train=2, val=2)
    run = train(tiny.make_spec(tmp_path, size=recipe.input, outputs=3), small, root, out=tmp_path / "runs")
    record = read_record(run)
    assert (record.state, record.samples) == ("done", 4)
    assert 0 < (record.scores["pictures"]["miou"] or 0) < 100


def test_the_protocol_of_the_paper_is_a_recipe():
    recipe = load_recipe("cityscapes_512x1024")
    optimiser, schedule = recipe.optimiser, recipe.schedule
    assert (recipe.input, recipe.iterations, recipe.batch) == ((512, 1024), 160_000, 16)
    assert (optimiser.name, optimiser.lr, optimiser.momentum, optimiser.weight_decay) == ("sgd", 1e-2, 0.9, 5e-4)
    assert (schedule.decay, schedule.power, schedule.warm_up) == ("poly", 0.9, 0)
    assert schedule.at(40_000, total=160_000, unit=1) == pytest.approx(0.75**0.9)
    augmentation = recipe.options.augmentation
    assert (augmentation.scale, augmentation.flip_probability, augmentation.colour) == ((0.5, 2.0), 0.5, 0.0)
    assert (recipe.options.flip_test, recipe.options.scales) == (False, (1.0,))


@pytest.mark.parametrize(
    ("name", "params", "paper", "fvcore"),
    [
        ("lite_hrnet_18_seg", 1_130_851, 2_296_315_264, 2_340_490_368),
        ("lite_hrnet_30_seg", 1_763_799, 3_569_699_672, 3_651_302_496),
        ("small_hrnet_w16_seg", 1_540_579, 8_456_448_000, 8_467_562_496),
    ],
)
def test_the_networks_for_cityscapes_have_the_costs_of_their_descriptions(
    name: str, params: int, paper: int, fvcore: int
):
    cost = archlab.cost(archlab.load(name))
    assert (cost.params, cost.flops["paper"], cost.flops["fvcore"]) == (params, paper, fvcore)


def test_generated_data_and_a_folder_without_classes_have_the_outputs_of_the_data_set(tmp_path: Path):
    for name, classes in (("cityscapes_512x1024", CITYSCAPES), ("camvid_384x480", CAMVID)):
        recipe = load_recipe(name)
        assert recipe.task.outputs(tmp_path, recipe.options) == len(classes)
        assert recipe.task.output_names(tmp_path, recipe.options) == classes.names
