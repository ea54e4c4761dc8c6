"""Layers that PyTorch does not have."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

AXES = {"channels": 1, "height": 2, "width": 3}


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


class ChannelNorm(nn.LayerNorm):
    """Layer normalisation over the channels of each position."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class LearnedScale(nn.Module):
    """x times the first numbers of a learned column (axis height) or row."""

    def __init__(self, axis: str, length: int) -> None:
        super().__init__()
        self.dimension = AXES[axis]
        self.weight = nn.Parameter(torch.ones(1, 1, *((length, 1) if axis == "height" else (1, length))))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight.narrow(self.dimension, 0, x.shape[self.dimension])


class DynamicConv(nn.Module):
    """Convolution of each sample by its own weighted sum of kernels. `weight`: (K, O, I / groups, k, k)."""

    def __init__(self, shape: tuple[int, int, int, int], *, stride: int, padding: int, groups: int) -> None:
        super().__init__()
        self.stride, self.padding, self.groups = stride, padding, groups
        kernels, width, inputs, kernel = shape
        self.weight = nn.Parameter(torch.empty(kernels, width, inputs, kernel, kernel))
        for each in self.weight:
            nn.init.kaiming_uniform_(each, a=5**0.5)

    def forward(self, x: Tensor, attention: Tensor) -> Tensor:
        samples, channels, height, breadth = x.shape
        kernels, width, *kernel = self.weight.shape
        mixed = torch.matmul(attention.flatten(1), self.weight.view(kernels, -1)).view(-1, *kernel)
        x = x.reshape(1, samples * channels, height, breadth)
        y = F.conv2d(x, mixed, None, self.stride, self.padding, 1, samples * self.groups)
        return y.view(samples, width, *y.shape[2:])


def dynamic_relu(x: Tensor, theta: Tensor) -> Tensor:
    """max(a_1 x + b_1, a_2 x + b_2); theta: (N, 4 C or 4, 1, 1), the four numbers of a channel together."""
    a1, a2, b1, b2 = theta.view(len(theta), -1, 4, 1, 1).unbind(2)
    return torch.maximum((a1 + 1) * x + b1 / 2, a2 * x + b2 / 2)


def weighted_runs(x: Tensor, weights: Tensor, size: tuple[int, int]) -> Tensor:
    """Weighted sums over runs of consecutive elements of memory; see `Wiring.weighted_runs`."""
    samples, channels, runs = len(x), x.shape[1], size[0] * size[1]
    summed = torch.matmul(x.reshape(samples, runs, channels, -1), weights.reshape(samples, runs, -1, 1))
    return summed.permute(0, 2, 1, 3).reshape(samples, channels, *size)


class MaxPoolFunction(nn.Module):
    """Maximum over windows as a function, which the paper's counter does not see."""

    def __init__(self, kernel: int, stride: int, padding: int) -> None:
        super().__init__()
        self.how = kernel, stride, padding

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, *self.how)


def mean(x: Tensor, axis: str) -> Tensor:
    """Mean over an axis, which keeps the side 1."""
    return x.mean((2, 3) if axis == "positions" else AXES[axis], keepdim=True)


def softmax(x: Tensor, axis: str, temperature: float) -> Tensor:
    """Softmax of x / temperature over an axis, or over all positions."""
    x = x if temperature == 1 else x / temperature
    return x.flatten(2).softmax(2).view_as(x) if axis == "positions" else x.softmax(AXES[axis])


def weighted_sum(x: Tensor, weights: Tensor, axis: str) -> Tensor:
    """sum of x * weights over an axis, as a product of matrices."""
    if axis == "positions":
        return torch.matmul(x.flatten(2).unsqueeze(2), weights.flatten(2).unsqueeze(3))
    if axis == "width":
        return torch.matmul(x, weights.transpose(2, 3))
    return torch.matmul(weights.transpose(2, 3), x)
