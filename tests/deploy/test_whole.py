"""Splits and shuffles as an order of channels, and sums of enlarged maps: the same function without them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch
from torch import Tensor

import archlab
from archlab.deploy.bench.settle import settle
from archlab.deploy.folded import Folded
from archlab.deploy.order import joined, padded, part
from archlab.deploy.program import IMAGE, Program, lower
from archlab.deploy.simplify import simplify
from archlab.network.module import Network

BLOCKS = """
def _unit(g, x, gate="sigmoid"):
    kept, moving = g.halves(x)
    weights = g.conv(g.global_pool(moving), moving.channels, bias=True, name="gate")
    moving = g.depthwise_norm(g.multiply(moving, g.act(weights, gate)))
    return g.shuffle(g.concat(kept, moving))


def followed_by_convolution(g, xs):
    return g.conv(_unit(g, g.conv(xs[0], 20, name="before")), 8, name="after")


def followed_by_norm(g, xs):
    return g.layer_norm(_unit(g, g.conv(xs[0], 20, name="before")))


def around_a_sum(g, xs):
    x = g.conv(xs[0], 20, name="before")
    return g.add(x, g.conv(xs[0], 20, name="other"), _unit(g, x), scales=(1, 3, 1))


def at_the_end(g, xs):
    return _unit(g, g.conv(xs[0], 20, name="before"))


def without_a_gate_that_can_be_one(g, xs):
    return g.conv(_unit(g, g.conv(xs[0], 20, name="before"), gate="silu"), 8, name="after")


def enlarged(g, xs):
    terms = [g.conv(xs[0], 8, kernel=3, stride=1, name="fine")]
    for k, factor in enumerate((2, 4, 8)):
        coarse = g.conv(g.avg_pool(xs[0], kernel=factor, stride=factor), 8, name=f"coarse{k}")
        terms.append(g.upsample(coarse, factor))
    return g.add(*terms)


BLOCKS = {name: block for name, block in globals().items() if name[0] != "_" and callable(block)}
"""
WHOLE = {"followed_by_convolution": 0, "followed_by_norm": 1, "around_a_sum": 1, "at_the_end": 0}
"""Blocks with the number of values in them whose order no convolution can make: a norm's input, and a value read twice."""


def network_of(folder: Path, block: str) -> tuple[Network, Tensor]:
    """Return a settled network of one block in float64, and two images."""
    plugin = folder / f"{folder.name}.py"  # a name of its own, since modules stay imported
    plugin.write_text(BLOCKS)
    (folder / "net.yaml").write_text(f"version: 1\nnodes: {{a: {block}}}\n")
    spec = archlab.load(folder / "net.yaml", plugin=[str(plugin)], input=(3, 16, 24), outputs=2)
    torch.manual_seed(0)
    network = archlab.build(spec).double()
    return network, settle(network, (16, 24))[:2]


def kinds(program: Program) -> Counter[str]:
    return Counter(op.kind for op in program.ops)


def orders(program: Program) -> int:
    """Return how often a convolution does nothing but put channels into an order."""
    return sum(op.name.startswith("order") for op in program.ops)


@pytest.mark.parametrize("lanes", [1, 16])
@pytest.mark.parametrize("block", WHOLE)
def test_a_unit_works_on_the_whole_map(block: str, lanes: int, tmp_path: Path) -> None:
    network, x = network_of(tmp_path, block)
    program = simplify(lower(network), lanes=lanes)
    assert not {"split", "interleave"} & set(kinds(program))
    assert orders(program) == WHOLE[block]
    with torch.inference_mode():
        expected = network(x)
        assert (Folded(program).eval()(x) - expected).abs().max() < 1e-12 * expected.abs().max()


def test_a_gate_that_no_bias_takes_to_one_keeps_the_split(tmp_path: Path) -> None:
    network, x = network_of(tmp_path, "without_a_gate_that_can_be_one")
    program = simplify(lower(network))
    assert kinds(program)["split"] == kinds(program)["interleave"] == 1
    with torch.inference_mode():
        assert torch.allclose(Folded(program).eval()(x), network(x), rtol=0, atol=1e-12)


def test_zeros_fill_up_the_maps_that_convolutions_make(tmp_path: Path) -> None:
    network, _ = network_of(tmp_path, "followed_by_convolution")
    widths = {lanes: [op.out_shapes[0][0] for op in simplify(lower(network), lanes=lanes).ops] for lanes in (1, 16)}
    assert sorted(set(widths[1])) == [2, 8, 20]
    assert sorted(set(widths[16])) == [2, 16, 32]


def test_coarse_terms_are_added_before_they_are_enlarged(tmp_path: Path) -> None:
    """The full size is made of one term and not of three: 2 of the 3 sums are at a half and a quarter of it."""
    network, x = network_of(tmp_path, "enlarged")
    program = simplify(lower(network))
    full = [op for op in program.ops if op.kind in ("upsample", "resize") and op.out_shapes[0][1:] == (16, 24)]
    assert len(full) == 1
    assert sorted(op.out_shapes[0][1:] for op in program.ops if op.kind == "add") == [(4, 6), (8, 12), (16, 24)]
    with torch.inference_mode():
        expected = network(x)
        assert (Folded(program).eval()(x) - expected).abs().max() < 1e-12 * expected.abs().max()


def test_lite_hrnet_has_neither_splits_nor_shuffles() -> None:
    program = simplify(lower(archlab.build(archlab.load("lite_hrnet_18", input=(3, 64, 64))).eval()), lanes=16)
    assert not {"split", "interleave"} & set(kinds(program))
    assert orders(program) == 0
    made = {IMAGE}
    for op in program.ops:
        assert made.issuperset(op.inputs)
        made.update(op.outputs)


def test_units_with_1x1_convolutions_keep_their_halves() -> None:
    """On the whole map a 1x1 convolution costs four times as much."""
    before = lower(archlab.build(archlab.load("naive_lite_hrnet_18", input=(3, 64, 64))).eval())
    assert kinds(simplify(before))["interleave"] == kinds(before)["interleave"] == 49


def test_orders() -> None:
    assert padded(5, 4) == (0, 1, 2, 3, 4, -1, -1, -1)
    assert part((2, 0, 3, -1, 1), 2, 2) == (0, -1, 1, -1, -1)
    assert joined([(1, -1, 0), (0, 1)], [2, 2]) == (1, -1, 0, 2, 3)
