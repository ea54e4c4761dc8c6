"""The outputs of a network in training: whether the task reads the auxiliary ones, and the sum of their losses."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from torch import Tensor

from archlab.core.errors import Problem
from archlab.network.graph import Graph
from archlab.network.spec import Spec
from archlab.training.recipe import Recipe
from archlab.training.step import Batch, Loss


def loss_of(recipe: Recipe, graph: Graph) -> Loss:
    """Return the loss of a network that is trained: the recipe's, with those of auxiliary outputs by their weights."""
    return partial(_weighted, recipe.loss, weights_of(recipe, graph)) if graph.training else recipe.loss


def weights_of(recipe: Recipe, graph: Graph) -> tuple[float, ...]:
    """Return the weight of each auxiliary output: the recipe's, or those of the network's file."""
    own = [weight for _, weight in graph.training.auxiliary] if graph.training else []
    return tuple(getattr(recipe.options, "auxiliary", ()) or own)


def _weighted(loss: Loss, weights: Sequence[float], outputs: Sequence[Any], batch: Batch) -> Tensor:
    """Return loss(main) + sum_k w_k loss(output k)."""
    main, *others = outputs
    losses = [weight * loss(output, batch) for weight, output in zip(weights, others, strict=True)]
    return sum(losses, loss(main, batch))


def wrong_auxiliary(spec: Spec, graph: Graph, recipe: Recipe) -> list[Problem]:
    """Return a problem for each auxiliary output that the task cannot read, and for weights of another number."""
    training, task = graph.training or graph, recipe.task
    main, *others = [training.nodes[node].out_shapes[which] for node, which in training.ends]
    rules = [task.cannot_read(shape, main) for shape in others]
    problems = [
        each.item.problem(rule, f"auxiliary.{each.name}")
        for each, rule in zip(spec.auxiliary, rules, strict=True)
        if rule
    ]
    weights = weights_of(recipe, graph)
    if len(weights) != len(others):
        rule = f"the network has {len(others)} auxiliary outputs, but the recipe weighs {len(weights)}"
        problems.append(Problem(f"{rule}: each needs a weight", "auxiliary", recipe.name))
    return problems
