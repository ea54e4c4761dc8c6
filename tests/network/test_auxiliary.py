"""Auxiliary outputs: in training a network gives them too, in evaluation it computes and counts the main one alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.refused import refused

import archlab
from archlab.network.checkpoint import load_for_finetuning, load_weights
from archlab.network.load import load_text
from archlab.network.resized import at_size

PLAIN = """\
version: 1
input: [3, 32, 32]
outputs: 5
nodes:
  quarter: {block: conv, width: 8, kernel: 5, stride: 4}
  more: {block: basic_block}
"""
NETWORK = f"""\
{PLAIN}\
  side: {{block: conv, from: quarter, width: 4, stride: 2}}
output: more
auxiliary:
  coarse: {{from: side, weight: 0.4}}
  deep: {{from: quarter, block: fcn_head, width: 6}}
"""
COARSE = (9 * 8 * 4 + 2 * 4) + (4 * 5 + 5)
DEEP = (9 * 8 * 6 + 2 * 6) + (6 * 5 + 5)


def graph(text: str = NETWORK, **fields: object) -> archlab.Graph:
    return archlab.assemble(load_text(text, "net", **fields))


def trained(text: str = NETWORK) -> archlab.network.module.Network:
    torch.manual_seed(0)
    return archlab.build(graph(text, **{"initialisation.weights": "torch"}).training)


def test_training_gives_every_output_and_evaluation_the_main_one_alone(tmp_path: Path) -> None:
    network, image = trained(), torch.randn(2, 3, 32, 32)
    main, coarse, deep = network(image)
    assert [tuple(each.shape) for each in (main, coarse, deep)] == [(2, 5, 8, 8), (2, 5, 4, 4), (2, 5, 8, 8)]
    torch.save({"state_dict": network.state_dict()}, tmp_path / "weights.pt")
    alone = archlab.build(graph())
    load_weights(alone, tmp_path / "weights.pt")
    assert torch.equal(network.eval()(image), alone.eval()(image))
    assert not [name for name in alone.state_dict() if name.startswith(("auxiliary", "side"))]
    network.get_submodule("side.conv").forward = None  # nothing calls it
    assert torch.equal(
        at_size(network, (64, 64))(torch.ones(1, 3, 64, 64)), at_size(alone, (64, 64))(torch.ones(1, 3, 64, 64))
    )
    assert torch.equal(network(image), alone(image))


def test_the_cost_is_that_of_the_main_output_and_the_parameters_of_the_others_stand_alone() -> None:
    cost, plain = archlab.cost(graph()), archlab.cost(graph(PLAIN))
    assert cost.total == plain.total
    assert (cost.auxiliary_params, plain.auxiliary_params, cost.unread) == (COARSE + DEEP, 0, ())
    assert sum(p.numel() for p in trained().parameters()) == cost.params + cost.auxiliary_params


def test_the_hash_is_of_what_is_trained() -> None:
    """Names and order of declaration have no effect; the weight of a loss has."""
    assert graph(auxiliary=None).hash == graph(PLAIN).hash
    assert graph().hash != graph(PLAIN).hash
    assert graph(**{"auxiliary.coarse.weight": 0.5}).hash != graph().hash
    assert graph(NETWORK.replace("coarse", "other").replace("side", "aside")).hash == graph().hash


MISTAKES = [
    ("coarse: {from: side, weight: 0.4}", "coarse: {weight: 0.4}", 10, "auxiliary.coarse"),
    ("coarse: {from: side, weight: 0.4}", "coarse: {from: sied}", 10, "auxiliary.coarse.from"),
    ("weight: 0.4", "weight: 0", 10, "auxiliary.coarse.weight"),
    ("width: 6", "widht: 6", 11, "auxiliary.deep.widht"),
    ("block: fcn_head, width: 6", "block: fcn_heda", 11, "auxiliary.deep"),
    ("block: fcn_head, width: 6", "block: conv, width: 6", 11, "auxiliary.deep"),
    ("deep:", "last:", 11, "auxiliary.last"),
    ("more: {block", "auxiliary: {block", 6, "nodes.auxiliary"),
]


@pytest.mark.parametrize(("good", "wrong", "line", "field"), MISTAKES, ids=[each[3] for each in MISTAKES])
def test_a_mistake_has_its_line_and_field(good: str, wrong: str, line: int, field: str) -> None:
    assert good in NETWORK
    with refused(file="net", line=line, field=field):
        graph(NETWORK.replace(good, wrong))


def test_a_high_resolution_network_has_none() -> None:
    with refused(field="auxiliary"):
        archlab.load("lite_hrnet_18", auxiliary={"a": {"from": "stem"}})


def test_weights_without_an_auxiliary_output_begin_it_anew_and_the_rest_is_loaded(tmp_path: Path) -> None:
    torch.save({"state_dict": archlab.build(graph()).state_dict()}, tmp_path / "main.pt")
    network = trained()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    load_for_finetuning(network, tmp_path / "main.pt")
    kept = {name for name, value in network.state_dict().items() if torch.equal(value, before[name])}
    weights = {name.rpartition(".conv.")[0] for name in kept if name.endswith("conv.weight")}
    assert weights == {"side", "auxiliary.coarse", "auxiliary.deep.conv0", "auxiliary.deep"}
