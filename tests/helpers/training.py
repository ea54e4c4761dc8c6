"""Pose training in one call, by the values that a test varies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from archlab.core.distributed import ALONE, World
from archlab.core.signals import StopRequest
from archlab.tasks.metrics import Scores
from archlab.tasks.pose import predict as predicting
from archlab.tasks.pose import score as scoring
from archlab.tasks.pose.data.coco import People
from archlab.tasks.pose.data.dataset import PoseDataset
from archlab.tasks.pose.samples import PoseSamples
from archlab.tasks.pose.task import POSE
from archlab.tasks.terms import Scored
from archlab.training import loop, run
from archlab.training import step as stepping
from archlab.training.evaluate import context_of
from archlab.training.metrics_log import MetricsLog
from archlab.training.options import RunOptions
from archlab.training.recipe import Recipe

CPU = torch.device("cpu")


def train(spec: Any, recipe: Recipe, data: Path | None = None, **options: Any) -> Path:
    """Train; return the run's folder. Without pictures, which take longer than a tiny training, unless asked for."""
    return run.train(spec, recipe, data, RunOptions(**{"pictures": False, **options})).folder


def samples_of(
    dataset: PoseDataset, recipe: Recipe, folder: Path | None = None, device: torch.device = CPU, world: World = ALONE
) -> PoseSamples:
    return PoseSamples(dataset, context_of(recipe, device, world), folder)


def fit(
    network: nn.Module,
    dataset: PoseDataset,
    recipe: Recipe,
    *,
    folder: Path,
    seed: int = 1,
    device: torch.device = CPU,
    world: World = ALONE,
    stop: StopRequest | None = None,
    board: bool = False,
    validate: loop.Validate | None = None,
    rungs: Sequence[int] = (),
    judge: loop.Judge | None = None,
) -> MetricsLog:
    samples = samples_of(dataset, recipe, folder, device, world)
    training = loop.Training(network, samples, recipe.loss, recipe, seed, folder, device, world)
    score = validate and (lambda network: Scored(validate(network)))
    return loop.fit(training, loop.Exam(score, score, tuple(rungs), judge), stop=stop, board=board)


def learner(network: nn.Module, optimiser: torch.optim.Optimizer, *, bf16: bool = False) -> stepping.Learner:
    return stepping.Learner(network, optimiser, Recipe.of(epochs=1).loss, bf16)


def step(
    network: nn.Module, optimiser: torch.optim.Optimizer, *micro: Any, lr: float, bf16: bool, device: torch.device
) -> Tensor:
    return stepping.step(learner(network, optimiser, bf16=bf16), *micro, lr=lr, device=device)


def training_people(root: Path, recipe: Recipe) -> People:
    return POSE._people(root, recipe.options, recipe.input)


def load_validation(root: Path, recipe: Recipe) -> scoring.Validation:
    return scoring.load_validation(root, recipe.options, recipe.input)


def predict(
    network: nn.Module,
    people: People,
    recipe: Recipe,
    device: torch.device,
    *,
    world: World = ALONE,
    kept: predicting.Kept | None = None,
) -> predicting.Keypoints:
    return predicting.predict(network, people, context_of(recipe, device, world), kept=kept)


def score_network(
    network: nn.Module,
    recipe: Recipe,
    validation: scoring.Validation,
    device: torch.device,
    *,
    results: Path | None = None,
    world: World = ALONE,
) -> dict[str, Scores]:
    return scoring.score_network(network, validation, context_of(recipe, device, world), results=results).figures
