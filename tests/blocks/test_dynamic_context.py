"""Dite-HRNet's pooling across resolutions: over runs of the flattened memory, as released, and over cells of the map."""

from __future__ import annotations

import pytest
import torch

from archlab.blocks.dynamic import _sums
from archlab.blocks.wiring import Map, Maps, Wiring, wire
from archlab.network.graph import Graph, Node
from archlab.network.module import build
from archlab.network.spec import Initialisation

CHANNELS, HEIGHT, WIDTH = 3, 4, 6
SIZE = (2, 3)


def pooled(pooling: str, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    def block(g: Wiring, xs: Maps) -> Map:
        values, weights = g.split(xs[0], [CHANNELS, 1])
        return _sums(g, values, weights, SIZE, pooling)

    wired = wire(block, ((CHANNELS + 1, HEIGHT, WIDTH),), True, ())
    node = Node("node", "block", (), ((-1, 0),), wired, wired.leaves, frozenset({0}))
    graph = Graph("g", (CHANNELS + 1, HEIGHT, WIDTH), CHANNELS, Initialisation(), (node,), (0, 0), ())
    return build(graph).double()(torch.cat([x, mask], dim=1))


@pytest.fixture
def maps() -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(0)
    return torch.randn(2, CHANNELS, HEIGHT, WIDTH).double(), torch.rand(2, 1, HEIGHT, WIDTH).double()


def test_cells_are_weighted_sums_over_regions_of_the_map(maps: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, mask = maps
    found = pooled("cells", x, mask)
    for row in range(2):
        for column in range(3):
            cell = (..., slice(2 * row, 2 * row + 2), slice(2 * column, 2 * column + 2))
            assert torch.allclose(found[..., row, column], (x[cell] * mask[cell]).sum((-2, -1)))


def test_runs_are_weighted_sums_over_consecutive_elements_of_memory(maps: tuple[torch.Tensor, torch.Tensor]) -> None:
    """Run r holds CHANNELS times 4 elements of x, and the 4 elements r of the mask, each for the 4 of a row."""
    x, mask = maps
    found = pooled("runs", x, mask)
    for sample in range(2):
        elements, weights = x[sample].flatten(), mask[sample].flatten()
        for run in range(6):
            for row in range(CHANNELS):
                start = (run * CHANNELS + row) * 4
                total = (elements[start : start + 4] * weights[4 * run : 4 * run + 4]).sum()
                assert torch.allclose(found[sample, row, run // 3, run % 3], total)


def test_they_differ_except_where_all_values_agree(maps: tuple[torch.Tensor, torch.Tensor]) -> None:
    x, mask = maps
    assert not torch.allclose(pooled("cells", x, mask), pooled("runs", x, mask), atol=0.1)
    ones = torch.ones_like(x), torch.full_like(mask, 0.5)
    assert torch.equal(pooled("cells", *ones), torch.full((2, CHANNELS, *SIZE), 2.0).double())
    assert torch.equal(pooled("cells", *ones), pooled("runs", *ones))
