"""Layers that PyTorch does not have."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

AXES = {"height": 2, "width": 3}


class HardSwish6(nn.Module):
    """x * relu6(x + 3) / 6 with a ReLU6 of its own, which the paper's counter sees."""

    def __init__(self) -> None:
        super().__init__()
        self.relu6 = nn.ReLU6()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x * self.relu6(x + 3) / 6
        return y


class HalfHardSigmoid(nn.Module):
    """(x + 1) / 2, clipped to 0 and 1: the hard sigmoid of mmcv 1.3; torch's is (x + 3) / 6."""

    def forward(self, x: Tensor) -> Tensor:
        return ((x + 1) / 2).clamp(0, 1)


class PooledTo(nn.Module):
    """Adaptive average pooling as a function."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(x, self.size)


def mean(x: Tensor, axis: str) -> Tensor:
    """Mean over an axis, which keeps the side 1."""
    return x.mean((2, 3) if axis == "positions" else AXES[axis], keepdim=True)


def softmax(x: Tensor, axis: str) -> Tensor:
    """Softmax over an axis, or over all positions."""
    return x.flatten(2).softmax(2).view_as(x) if axis == "positions" else x.softmax(AXES[axis])


def weighted_sum(x: Tensor, weights: Tensor, axis: str) -> Tensor:
    """sum of x * weights over an axis, as a product of matrices."""
    if axis == "positions":
        return torch.matmul(x.flatten(2).unsqueeze(2), weights.flatten(2).unsqueeze(3))
    if axis == "width":
        return torch.matmul(x, weights.transpose(2, 3))
    return torch.matmul(weights.transpose(2, 3), x)
