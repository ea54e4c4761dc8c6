"""A tiny network that fails on request, and its training by pose samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from helpers import tiny
from helpers.training import fit
from torch import Tensor, nn

from archlab.tasks.pose.data.dataset import PoseDataset
from archlab.training.recipe import Recipe

CPU = torch.device("cpu")


class Breaks(Exception):  # noqa: N818
    """Stands for anything that ends a process between two steps."""


class FaultyNet(nn.Module):
    """A network of two convolutions and dropout, which draws random numbers.

    breaks_at, nan_at: the training step at which it raises, or its maps are NaN. most: the largest batch for which
    memory suffices. 0: no such fault.
    """

    def __init__(self, *, breaks_at: int = 0, nan_at: int = 0, most: int = 0) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 5, stride=4, padding=2)
        self.norm = nn.BatchNorm2d(8)
        self.drop = nn.Dropout(0.2)
        self.last = nn.Conv2d(8, 17, 3, padding=1)
        self.calls, self.breaks_at, self.nan_at, self.most = 0, breaks_at, nan_at, most

    def forward(self, image: Tensor) -> Tensor:
        self.calls += self.training
        if self.calls == self.breaks_at:
            raise Breaks
        if self.most and len(image) > self.most:
            torch.empty(2**60)  # no machine has it: a real refusal of the allocator
        maps: Tensor = self.last(self.drop(self.norm(self.first(image)).relu()))
        return maps * torch.nan if self.calls == self.nan_at else maps


def trained(
    dataset: PoseDataset,
    folder: Path,
    recipe: Recipe = tiny.RECIPE,
    *,
    breaks_at: int = 0,
    nan_at: int = 0,
    most: int = 0,
    **options: Any,
) -> FaultyNet:
    """Train the network in the folder, from its checkpoint if there is one; return it."""
    folder.mkdir(exist_ok=True)
    torch.manual_seed(5)
    network = FaultyNet(breaks_at=breaks_at, nan_at=nan_at, most=most)
    fit(network, dataset, recipe, seed=5, folder=folder, device=CPU, **options)
    return network


def assert_same(first: nn.Module, second: nn.Module) -> None:
    """Assert that two networks have the same weights and statistics, bit for bit."""
    one, other = first.state_dict(), second.state_dict()
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name
