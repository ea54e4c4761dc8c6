"""Batch norms that a step gives one value per channel, of which there is no variance."""

from __future__ import annotations

import torch

from archlab.core.errors import InputError, Problem, is_of_one_value
from archlab.network.graph import Graph
from archlab.network.module import build
from archlab.training.loop import Plan
from archlab.training.recipe import Recipe


def check_norms(graph: Graph, recipe: Recipe, course: Plan) -> None:
    """Raise InputError if micro-batches are single samples and a batch norm sees one value per channel of them."""
    if course.batch == course.parts and (name := of_one_value(graph)):
        rule = (
            f"micro-batches are single {recipe.task.unit}, of which the norm {name} sees one value per channel:"
            " it needs 2"
        )
        raise InputError(Problem(rule, "batch", recipe.name))


def of_one_value(graph: Graph) -> str:
    """Return the name of the first layer that fails on one image as it sees one value per channel; empty if none."""
    network, entered = build(graph.training or graph), [""]
    for name, module in network.named_modules():
        module.register_forward_pre_hook(lambda module, inputs, name=name: entered.append(name))
    try:
        with torch.no_grad():
            network(torch.zeros(1, *graph.input))
    except ValueError as error:
        if not is_of_one_value(error):
            raise
        return entered[-1]
    return ""
