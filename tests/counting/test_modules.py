"""A user's module: what each counter sees in it, what it passes over, and modules that cannot be counted."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from helpers.user_modules import (
    Attention,
    Dynamic,
    Einsum,
    Empty,
    Folded,
    Functions,
    Half,
    Layers,
    Lazy,
    Mapping,
    Moved,
    Nothing,
    Own,
    Pools,
    Scripted,
    Shared,
    Sides,
    Silent,
    Singular,
    Standardised,
    Unused,
    Vector,
    Weights,
)
from torch import nn

import archlab
from archlab.blocks import BLOCKS, registry
from archlab.core.errors import InputError
from archlab.counting import table
from archlab.counting.count import NodeCost
from archlab.counting.fast import tally

POSITIONS = 16 * 16


MODULES = (Attention, Einsum, Functions, Layers, Shared, Weights, Dynamic, Folded, Pools, Sides, Standardised, Lazy,
           Unused, Own, Moved)  # fmt: skip


def read(tmp_path: Any, monkeypatch: Any, node: str, *classes: type[nn.Module]) -> archlab.Spec:
    known = {**BLOCKS, **{each.__name__.lower(): registry.as_block(each) for each in classes}}
    monkeypatch.setattr(registry, "blocks", lambda plugin=(): known)
    (tmp_path / "net.yaml").write_text(
        f"version: 1\ninput: [3, 64, 64]\nnodes:\n  a: {{block: conv, width: 24, stride: 4}}\n  z: {node}\n"
    )
    return archlab.load(tmp_path / "net.yaml")


@pytest.fixture
def counted(tmp_path, monkeypatch):
    """Return the cost of node z, 24 channels at 16x16, whose block is a module."""

    def cost_of(module: type[nn.Module], node: str = "") -> NodeCost:
        spec = read(tmp_path, monkeypatch, node or module.__name__.lower(), module)
        cost = archlab.cost(spec)
        assert tally(spec)[0] == cost.total
        return cost.nodes[1]

    return cost_of


PAPER = {
    Attention: (24 * 72 + 72) * POSITIONS,
    Einsum: 460_800,
    Functions: 1_210_368,
    Layers: 1_241_088,
    Shared: 1_210_368 + 24 * POSITIONS,
    Weights: 0,
    Dynamic: 24 * 24 * 9,
    Folded: 24 * (2 * 9 + 2) * POSITIONS,
    Pools: 24 * 8 * 8 * (6 + 4 + 3 * 3) + 2 * POSITIONS + 24 * 17 * 17,
    Sides: 24 * POSITIONS * (12 * 3 + 1) + 2 * 24 * POSITIONS + 24 * POSITIONS * (12 * 2) + 24 * 2 * POSITIONS
    + 24 * POSITIONS * 2 + 24 * POSITIONS * 28,
    Standardised: (24 * 24 + 24) * POSITIONS,
    Lazy: (24 * 24 + 24) * POSITIONS,
    Unused: 0,
    Own: 0,
    Moved: 0,
}  # fmt: skip


@pytest.mark.parametrize("module", MODULES)
def test_the_papers_counter_sees_the_last_call_of_each_layer_and_no_function(module, counted):
    assert counted(module).flops["paper"] == PAPER[module]


PASSED_OVER = {
    Attention: ({"div": 1, "softmax": 1}, {"div": 1, "matmul": 2, "softmax": 1}),
    Einsum: ({"div": 1, "softmax": 1}, {"div": 1, "einsum": 2, "softmax": 1}),
    Functions: ({"relu": 2}, {"relu": 2}),
    Layers: ({"relu": 2}, {}),
    Shared: ({"relu": 2}, {}),
    Weights: ({}, {"convolution": 2}),
    Dynamic: ({"mean": 1}, {"convolution": 1, "mean": 1}),
    Folded: ({"sum": 1}, {"sum": 1}),
    Pools: ({"add": 2, "avg_pool2d": 1, "max_pool2d": 1, "mul": 1},
            {"add": 2, "mul": 1}),
    Sides: ({"max_pool1d": 1, "view_as": 1}, {"view_as": 1}),
    Standardised: ({"mean": 1, "sub": 1}, {"mean": 1, "sub": 1}),
    Lazy: ({}, {}),
    Unused: ({}, {"convolution": 1}),
    Own: ({"Squared": 1, "clamp": 1, "clone": 1, "gru": 1, "relu": 1},
          {"Squared": 1, "clamp": 1, "clone": 1, "gru": 1, "relu": 1}),
    Moved: ({}, {}),
}  # fmt: skip


@pytest.mark.parametrize("module", MODULES)
def test_operators_that_a_counter_gives_nothing_for_are_named_with_their_calls(module, counted):
    node = counted(module)
    assert (node.uncounted["fvcore"], node.uncounted["paper"]) == PASSED_OVER[module]


@pytest.mark.parametrize("module", MODULES)
def test_what_fvcore_passes_over_is_what_its_own_analysis_passes_over_besides_arithmetic_on_sizes(module, counted):
    made = module(24).eval() if module not in (Lazy, Pools, Moved, Folded) else module().eval()
    made(torch.zeros(1, 24, 16, 16))
    analysis = FlopCountAnalysis(made, (torch.zeros(1, 24, 16, 16),)).unsupported_ops_warnings(False)
    analysis.uncalled_modules_warnings(False)
    node = counted(module)
    assert node.flops["fvcore"] == analysis.total()
    passed = {kind.split("::")[-1].removeprefix("PythonOp.").strip("_") for kind in analysis.unsupported_ops()}
    assert passed - set(node.uncounted["fvcore"]) <= {"pow", "mul"}
    assert set(node.uncounted["fvcore"]) - passed <= {"relu", "clamp"}


def test_a_layer_that_is_no_layers_part_is_a_block_of_its_own(counted):
    node = counted(nn.Conv2d, "{block: conv2d, out_channels: 24, kernel_size: 3, padding: 1}")
    assert node.flops == {"fvcore": 24 * 24 * 9 * POSITIONS, "paper": (24 * 24 * 9 + 24) * POSITIONS}
    assert node.uncounted == {"fvcore": {}, "paper": {}}


def test_layers_with_parameters_that_are_not_called_are_named_and_their_parameters_count(counted):
    node = counted(Unused)
    assert node.uncalled == ("idle", "used")
    assert node.params == (3 * 3 * 9 + 3) + (24 * 24 + 24) + 1
    assert counted(Layers).uncalled == ()


def test_operators_inside_modules_are_named_by_node_where_operators_are(tmp_path, monkeypatch):
    spec = read(tmp_path, monkeypatch, "{block: attention, repeat: 6}\n  y: unused", Attention, Unused)
    graph = archlab.assemble(spec)
    cost = archlab.cost(graph)
    assert cost.uncounted == {
        "fvcore": {"relu": 1} | {f"{kind} in z.{i}": 1 for i in range(6) for kind in ("div", "softmax")},
        "paper": {f"{kind} in z.{i}": n for i in range(6) for kind, n in (("div", 1), ("matmul", 2), ("softmax", 1))}
        | {"convolution in y": 1},
    }
    assert cost.uncalled == ("idle in y", "used in y")
    made = table.as_json(graph, cost)
    assert (made["uncounted"], made["uncalled"]) == (cost.uncounted, ["idle in y", "used in y"])
    lines = table.remarks(graph, cost)
    few = "in z.0, z.1, z.2 and 3 more"
    assert f"fvcore counts nothing for relu (1), div {few} (6), softmax {few} (6)." in lines
    assert (
        f"paper counts nothing for convolution in y (1), div {few} (6), matmul {few} (12), softmax {few} (6)." in lines
    )
    assert sum("idle in y, used in y" in line for line in lines) == 1


def test_counting_draws_nothing_from_the_generator_of_the_weights(counted):
    class Fresh(Functions):
        """A class that nothing has counted before."""

    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    counted(Fresh)
    assert torch.rand(4).equal(expected)


REASONS = {
    Vector: "in matmul_flop_jit: ",
    Singular: "linalg.inv: ",
    Scripted: "ScriptModules",
    Silent: "AssertionError in forward",
}


@pytest.mark.parametrize("module", REASONS)
def test_a_module_that_cannot_be_counted_is_refused_with_its_node_and_the_reason(module, tmp_path, monkeypatch):
    spec = read(tmp_path, monkeypatch, module.__name__.lower(), module)
    with pytest.raises(InputError) as caught:
        archlab.cost(spec)
    with pytest.raises(InputError) as faster:
        tally(spec)
    (problem,), (placed,) = caught.value.problems, faster.value.problems
    assert (problem.field, placed.field) == ("z", "z")
    assert (placed.line, placed.message) == (5, problem.message)
    assert REASONS[module] in problem.message
    assert "\n" not in problem.message


@pytest.mark.parametrize(
    ("module", "found"), [(Mapping, "dict"), (Nothing, "NoneType"), (Half, "tuple with NoneType"), (Empty, "tuple")]
)
def test_a_module_that_returns_no_maps_is_refused_at_its_line(module, found, tmp_path, monkeypatch):
    with pytest.raises(InputError) as caught:
        archlab.assemble(read(tmp_path, monkeypatch, module.__name__.lower(), module))
    (problem,) = caught.value.problems
    assert (problem.field, problem.line) == ("z", 5)
    assert f"returns {found};" in problem.message
