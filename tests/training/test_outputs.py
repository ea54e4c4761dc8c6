"""Training with auxiliary outputs: the sum of their losses, outputs that no task reads, and a whole run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from helpers import tiny
from helpers.refused import refused
from helpers.training import train

import archlab
from archlab.network.load import load_text
from archlab.training.outputs import loss_of, weights_of, wrong_auxiliary
from archlab.training.prepared import check_fit
from archlab.training.recipe import Recipe, load_recipe
from archlab.training.runs import read_record
from archlab.training.trained import open_network

AUXILIARY = """
auxiliary:
  early: {from: quarter, weight: 0.5}
  same: {from: more, block: fcn_head, width: 4}
"""
STREETS = load_recipe("quick_streets")


def spec(text: str = tiny.NETWORK + AUXILIARY) -> archlab.Spec:
    return load_text(text, "net.yaml", input=(3, 64, 64), outputs=17)


class Sums:
    """A recipe whose loss is the sum of an output."""

    options = None

    @staticmethod
    def loss(output, batch):
        return output.sum()


def test_the_loss_is_the_main_ones_and_those_of_the_others_by_their_weights() -> None:
    outputs = [torch.tensor([2.0]), torch.tensor([4.0]), torch.tensor([8.0])]
    assert loss_of(Sums, archlab.assemble(spec()))(outputs, {}) == 2 + 0.5 * 4 + 8
    assert loss_of(Sums, archlab.assemble(spec(tiny.NETWORK)))(outputs[1], {}) == 4


def test_a_recipes_weights_replace_the_networks_and_have_its_number() -> None:
    network = archlab.assemble(spec())
    assert weights_of(STREETS, network) == (0.5, 1.0)
    weighed = STREETS.changed(auxiliary=(0.1, 0.2))
    assert (weights_of(weighed, network), wrong_auxiliary(spec(), network, weighed)) == ((0.1, 0.2), [])
    for wrong in ((0.1,), (0.1, 0.2, 0.3)):
        (problem,) = wrong_auxiliary(spec(), network, STREETS.changed(auxiliary=wrong))
        assert (problem.field, problem.file) == ("auxiliary", "quick_streets")
        assert f" {len(wrong)}" in problem.message


def test_an_output_that_the_task_cannot_read_is_a_line_of_the_networks_file(tmp_path: Path) -> None:
    smaller = tiny.NETWORK + "  side: {block: conv, width: 4, stride: 2}\noutput: more\nauxiliary: {a: {from: side}}\n"
    root = tiny.make_data(tmp_path)
    with refused("16x16", "8x8", file="net.yaml", line=8, field="auxiliary.a"):
        check_fit(spec(smaller), tiny.RECIPE, root)
    assert wrong_auxiliary(spec(smaller), archlab.assemble(spec(smaller)), STREETS) == []


def test_a_run_trains_all_outputs_and_is_scored_and_opened_by_the_main_one(tmp_path: Path) -> None:
    recipe = replace(tiny.RECIPE, iterations=4)
    root = tiny.make_data(tmp_path)
    folder = train(spec(), recipe, root, out=tmp_path / "runs")
    record, cost = read_record(folder), archlab.cost(spec())
    assert (record.state, record.cost["params"]) == ("done", cost.params)
    assert record.cost["auxiliary_params"] == cost.auxiliary_params > 0
    saved = torch.load(folder / "checkpoint.pt", weights_only=True)["state_dict"]
    first = {name: value for name, value in archlab_weights(recipe).items() if name.startswith("auxiliary.")}
    assert first
    assert all(not torch.equal(saved[name], value) for name, value in first.items() if name.endswith("weight"))
    assert open_network(folder).network(torch.zeros(1, 3, 64, 64)).shape == (1, 17, 16, 16)


def archlab_weights(recipe: Recipe) -> dict[str, torch.Tensor]:
    torch.manual_seed(recipe.seed)
    return archlab.build(archlab.assemble(spec()).training).state_dict()
