"""Every shipped recipe trains, on people in its data set's layout, and MPII is scored by PCKh."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers import tiny
from helpers.lsp_folder import source as lsp_source
from helpers.mpii_folder import write_split
from helpers.pose_networks import Oracle
from helpers.refused import refused
from helpers.training import load_validation, score_network, train, training_people
from torch import Tensor, nn

from archlab.core import builtin
from archlab.tasks.pose.data import coco, mpii
from archlab.tasks.pose.data.dataset import PoseDataset
from archlab.tasks.pose.data.lsp import write_lspet
from archlab.tasks.pose.decode_gpu import flip_back
from archlab.tasks.pose.metrics.coco import score_coco, truth_of
from archlab.tasks.pose.metrics.pckh import GROUPS, pckh_figures, read_predictions, read_truth
from archlab.tasks.pose.score import score_mean_pose
from archlab.training.evaluate import evaluate, evaluate_run
from archlab.training.metrics_log import read_rows
from archlab.training.recipe import Recipe, load_recipe
from archlab.training.runs import read_record

CPU = torch.device("cpu")
PCKH = {
    *GROUPS, "mean_weighted", "mean_plain", "mean_weighted_threshold_0.10", "mean_weighted_threshold_0.11",
}  # fmt: skip


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same few synthetic people in COCO's layout and in MPII's."""
    folder = tmp_path_factory.mktemp("protocols")
    roots = {"coco": tiny.make_data(folder), "mpii": folder / "mpii"}
    roots["mpii"].mkdir()
    for split, ours in (("train2017", "train"), ("val2017", "valid")):
        write_split(roots["mpii"], ours, coco.load_people(roots["coco"], split, aspect=1.0))
    roots["lsp"] = folder / "lsp"
    write_lspet(lsp_source(folder, "lspet"), roots["lsp"])
    return roots


RECIPES = sorted(builtin.names("studies", "recipes/*.yaml"))


@pytest.mark.parametrize("name", [name for name in RECIPES if load_recipe(name).task.name == "pose"])
def test_every_shipped_recipe_trains_a_few_steps_and_is_scored(
    name: str, roots: dict[str, Path], tmp_path: Path
) -> None:
    recipe = load_recipe(name)
    small = recipe.changed(
        execution="eager",  # a CUDA graph needs a GPU
        epochs=None,
        iterations=None if recipe.budgets else 2,
        budgets=(4,) if recipe.budgets else (),
        batch=2,
        eval_batch=6,
        workers=0,
        threads=1,
        log_every=1,
        schedule=replace(recipe.schedule, decay="constant", milestones=()),
        validate_every=None,
    )
    spec = tiny.make_spec(
        tmp_path, size=recipe.input, outputs={"coco": 17, "mpii": 16, "lsp": 14}[recipe.options.dataset]
    )
    run = train(spec, small, roots[recipe.options.dataset], out=tmp_path / "runs")
    record = read_record(run)
    assert (record.state, record.samples) == ("done", 4)
    assert record.data["kind"] == {"coco": "synthetic quick", "mpii": "mpii", "lsp": "lsp"}[recipe.options.dataset]
    assert set(record.scores) == {f"{kind}_boxes" for kind in recipe.options.all_boxes}
    for scores in [*record.scores.values(), record.baseline["mean_pose"]]:
        assert {"coco": "AP", "mpii": "mean_weighted", "lsp": "pck_torso"}[recipe.options.dataset] in scores
    assert evaluate_run(run, roots[recipe.options.dataset]) == record.scores


MPII = load_recipe("mpii_256x256").changed(flip_test=False, eval_batch=100)


def test_the_right_heat_maps_score_a_pckh_of_a_hundred_and_the_mean_pose_less(
    roots: dict[str, Path], tmp_path: Path
) -> None:
    root = roots["mpii"]
    validation = load_validation(root, MPII)
    oracle = Oracle(PoseDataset(validation.truth, MPII.input))
    scores = evaluate(oracle, MPII, root, CPU, results=tmp_path / "pred.mat")["ground_truth_boxes"]
    assert set(scores) == {*PCKH, "pck"}
    assert [scores[name] for name in ("mean_weighted", "mean_plain", "pck")] == pytest.approx([100, 100, 100])
    poor = score_mean_pose(training_people(root, MPII), validation)
    assert poor["mean_weighted"] is not None
    assert poor["mean_weighted"] < 80
    # What is written is counted from 1, as others read it, and scores the same.
    truth = read_truth(mpii.truth_file(root))
    again = pckh_figures(read_predictions(tmp_path / "pred.mat", len(truth)), truth)
    assert {name: again[name] for name in PCKH} == {name: scores[name] for name in PCKH}


def test_without_the_mat_no_pckh_is_measured_and_that_is_said(
    roots: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(roots["mpii"], tmp_path / "mpii")
    (tmp_path / "mpii" / "annot" / "gt_valid.mat").unlink()
    validation = load_validation(tmp_path / "mpii", MPII)
    assert "gt_valid.mat" in capsys.readouterr().err
    oracle = Oracle(PoseDataset(validation.truth, MPII.input))
    assert score_network(oracle, MPII, validation, CPU) == {"ground_truth_boxes": {"pck": 100.0}}


def test_a_mat_of_other_people_is_refused(roots: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(roots["mpii"], tmp_path / "mpii")
    people = coco.load_people(roots["coco"], "val2017", aspect=1.0)
    write_split(tmp_path / "other", "valid", people.subset(np.arange(len(people) - 1)))
    shutil.copy(tmp_path / "other" / "annot" / "gt_valid.mat", tmp_path / "mpii" / "annot" / "gt_valid.mat")
    with refused(len(people) - 1, len(people), file=tmp_path / "mpii" / "annot" / "gt_valid.mat"):
        load_validation(tmp_path / "mpii", MPII)


def test_mpii_is_not_scored_in_boxes_that_it_does_not_have(roots: dict[str, Path]) -> None:
    with refused("`boxes: ground_truth`"):
        load_validation(roots["mpii"], MPII.changed(boxes="both"))


def test_annotations_of_another_category_are_left_out_and_crowds_need_no_keypoints(roots: dict[str, Path]) -> None:
    people = coco.load_people(roots["coco"], "val2017", aspect=1.0)
    file = coco.annotation_file(roots["coco"], "val2017")
    results = [
        {
            "image_id": int(image),
            "category_id": 1,
            "score": 1.0,
            "keypoints": np.pad(j, ((0, 0), (0, 1))).ravel().tolist(),
        }
        for image, j in zip(people.image_ids, people.joints, strict=True)
    ]
    alone = score_coco(file, results)
    assert alone["AP50"] is not None
    document = json.loads(file.read_bytes())
    dog = {"id": 10**6, "image_id": int(people.image_ids[0]), "category_id": 18, "bbox": [0, 0, 9, 9], "area": 81}
    mixed = document | {
        "annotations": [*document["annotations"], dog],
        "categories": [*document["categories"], {"id": 18}],
    }
    assert score_coco(truth_of(mixed, category=1), results) == alone
    crowd = dog | {"category_id": 1, "iscrowd": 1}
    crowded = truth_of(document | {"annotations": [*document["annotations"], crowd]}, category=1)
    assert crowded.crowd.sum() == 1
    assert score_coco(crowded, results) == alone


@pytest.mark.parametrize("form", ["udp", "dark"])
def test_the_unbiased_forms_find_the_truth_more_closely_than_the_released_one(
    form: Any, roots: dict[str, Path]
) -> None:
    plain = Recipe.of(input=(128, 96), iterations=1, flip_test=False)
    other = plain.changed(crops="udp" if form == "udp" else "released", targets=form, decoding=form)
    found = []
    for recipe in (plain, other):
        validation = load_validation(roots["coco"], recipe)
        samples = PoseDataset(
            validation.truth, recipe.input, crops=recipe.options.crops, targets=recipe.options.targets
        )
        found.append(score_network(Oracle(samples), recipe, validation, CPU)["ground_truth_boxes"]["mean_oks"])
    assert found[0] is not None
    assert found[1] is not None
    assert found[0] < 98 < 99.5 < found[1]
    # Read back by the other arithmetic, UDP's crops are off.
    if form == "udp":
        confused = score_network(Oracle(samples), other.changed(crops="released"), validation, CPU)
        assert (confused["ground_truth_boxes"]["mean_oks"] or 0) < found[1] - 1


def test_with_udp_the_flip_test_shifts_nothing(roots: dict[str, Path]) -> None:
    recipe = Recipe.of(input=(128, 96), iterations=1, crops="udp", targets="udp", decoding="udp")
    validation = load_validation(roots["coco"], recipe)
    samples = PoseDataset(validation.truth, recipe.input, crops="udp", targets="udp")
    oracle = Oracle(samples)

    class Mirrored(nn.Module):
        """Knows which of its two calls is with the mirrored images, and answers it with mirrored maps."""

        calls = 0

        def forward(self, image: Tensor) -> Tensor:
            self.calls += 1
            maps: Tensor = oracle(image)
            return maps if self.calls % 2 else flip_back(maps, validation.truth.layout.flip_order, shift=False)

    unshifted = score_network(Mirrored(), recipe, validation, CPU)["ground_truth_boxes"]["mean_oks"]
    alone = score_network(oracle, recipe.changed(flip_test=False), validation, CPU)["ground_truth_boxes"]["mean_oks"]
    assert unshifted == pytest.approx(alone, abs=1e-6)
    # The released flip test, which shifts, halves the maps' agreement: a control that the shift would show.
    released = score_network(Mirrored(), recipe.changed(crops="released"), validation, CPU)
    assert (released["ground_truth_boxes"]["mean_oks"] or 0) < (alone or 0) - 0.5


def test_a_recipe_trains_with_every_option_at_once_and_may_filter_and_suppress_softly(
    roots: dict[str, Path], tmp_path: Path
) -> None:
    recipe = tiny.RECIPE.changed(
        iterations=2,
        crops="udp",
        targets="udp",
        decoding="udp",
        post_gaussian=11,
        nms="soft",
        boxes="both",
    )
    run = train(tiny.make_spec(tmp_path), recipe, roots["coco"], out=tmp_path / "runs")
    assert load_recipe(run / "recipe.yaml") == recipe
    plain = train(
        tiny.make_spec(tmp_path), tiny.RECIPE.changed(iterations=2, boxes="both"), roots["coco"], out=tmp_path / "runs"
    )
    assert run != plain
    losses = [[row["loss"] for row in read_rows(r / "metrics.jsonl") if "loss" in row] for r in (run, plain)]
    assert losses[0] != losses[1]
