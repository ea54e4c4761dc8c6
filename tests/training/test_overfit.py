"""The whole chain on real pictures: a network that has seen eight people of COCO finds them again."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.training import fit, score_network

import archlab
from archlab.core.device import placed
from archlab.tasks.pose.data.coco import annotation_file, load_people
from archlab.tasks.pose.data.dataset import PoseDataset
from archlab.tasks.pose.metrics.coco import restricted, truth_of
from archlab.tasks.pose.score import Validation
from archlab.training.recipe import Recipe
from archlab.training.schedule import Optimiser, Schedule

PEOPLE = 8
RECIPE = Recipe.of(
    input=(256, 192),
    iterations=120,
    batch=PEOPLE,
    optimiser=Optimiser(lr=2e-3),
    schedule=Schedule(warm_up=20, decay="cosine"),
    flip_test=False,
    checkpoint_seconds=None,
)


@pytest.mark.slow
def test_lite_hrnet_18_overfits_eight_real_people_to_an_ap_over_90(shared: Path, tmp_path: Path) -> None:
    cpu, root = torch.device("cpu"), shared / "data" / "coco"
    everyone = load_people(root, "val2017", aspect=192 / 256)
    # The first with at least ten labelled joints: people whom a picture shows, not a hand at its border.
    people = everyone.subset(np.flatnonzero((everyone.visible > 0).sum(axis=1) >= 10)[:PEOPLE])
    torch.manual_seed(1)
    network = placed(archlab.build(archlab.load("lite_hrnet_18", input=(3, 256, 192))), cpu)
    dataset = PoseDataset(people, RECIPE.input, cache_bytes=10**9)
    annotations = restricted(json.loads(annotation_file(root, "val2017").read_text()), people)
    validation = Validation(truth_of(annotations), people, {"ground_truth": people})
    before = score_network(network, RECIPE, validation, cpu)["ground_truth_boxes"]
    fit(network, dataset, RECIPE.changed(threads=None), seed=1, folder=tmp_path, device=cpu)
    after = score_network(network, RECIPE, validation, cpu)["ground_truth_boxes"]
    print(before, after, (tmp_path / "metrics.jsonl").read_text().splitlines()[-1])
    assert (before["AP"] or 0.0) < 10
    assert (after["AP"] or 0.0) > 90
