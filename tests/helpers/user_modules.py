"""Users' modules: with work inside and outside of layers, and ones that cannot be counted or give no maps."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Attention over positions; its projection is the only layer."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.qkv = nn.Conv2d(in_channels, 3 * in_channels, 1)

    def projected(self, x: Tensor) -> Any:
        return self.qkv(x).flatten(2).transpose(1, 2).chunk(3, -1)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.projected(x)
        weights = (q @ k.transpose(1, 2) / x.shape[1] ** 0.5).softmax(-1)
        return (weights @ v).transpose(1, 2).reshape(x.shape)


class Einsum(Attention):
    """The same sums, by einsum."""

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.projected(x)
        weights = (torch.einsum("bqc,bkc->bqk", q, k) / x.shape[1] ** 0.5).softmax(-1)
        return torch.einsum("bqk,bkc->bqc", weights, v).transpose(1, 2).reshape(x.shape)


class Functions(nn.Module):
    """Two convolutions with F.relu."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.a = nn.Conv2d(in_channels, 96, 1)
        self.b = nn.Conv2d(96, in_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.b(F.relu(self.a(x))))


class Layers(Functions):
    """The same with layers."""

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        self.r1, self.r2 = nn.ReLU(), nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.r2(self.b(self.r1(self.a(x))))


class Shared(Functions):
    """The same with one ReLU, called twice, under two names and with a keyword."""

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels)
        self.r1 = self.r2 = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.r2(input=self.b(self.r1(self.a(x))))


class Weights(nn.Module):
    """A parameter that a function uses twice; no layer."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros(in_channels, in_channels, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(F.conv2d(x, self.w), self.w)


class Dynamic(nn.Module):
    """A depthwise convolution whose kernels a layer computes, with the channels in the place of the batch."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.kernels = nn.Linear(in_channels, in_channels * 9)

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        kernels = self.kernels(x.mean((2, 3))).view(n * c, 1, 3, 3)
        return F.conv2d(x.reshape(1, n * c, h, w), kernels, padding=1, groups=n * c).view(n, c, h, w)


class Folded(nn.Module):
    """A layer that is called on a batch of maps, one a channel."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.transpose(0, 1)).sum(1, keepdim=True).transpose(0, 1)


class Pools(nn.Module):
    """Every kind of layer that pools or resizes."""

    def __init__(self) -> None:
        super().__init__()
        self.average, self.largest, self.mean = (
            nn.AvgPool2d(2),
            nn.MaxPool2d((2, 3), (2, 2), (0, 1)),
            nn.AdaptiveAvgPool2d(1),
        )
        self.larger, self.near, self.smooth = (
            nn.AdaptiveAvgPool2d(8),
            nn.Upsample(scale_factor=2),
            nn.Upsample(None, 2, "bilinear"),
        )

    def forward(self, x: Tensor) -> Tensor:
        near = self.near(self.largest(x) + self.larger(x))
        return near * self.mean(x) + self.smooth(self.average(x))


class Sides(nn.Module):
    """Layers of one and of three sides, transposed and grouped ones among them."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.line = nn.Sequential(nn.Conv1d(in_channels, in_channels, 3, padding=1, groups=2), nn.BatchNorm1d(in_channels),
                                  nn.ConvTranspose1d(in_channels, in_channels, 2, stride=2, groups=2), nn.MaxPool1d(2))  # fmt: skip
        self.space = nn.Conv3d(1, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.space(self.line(x.flatten(2)).view_as(x)[:, None])[:, 0]


class Standardised(nn.Conv2d):
    """A layer of a class of the user's, which computes more than its class."""

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels, in_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight - self.weight.mean((1, 2, 3), keepdim=True), self.bias)


class Lazy(nn.Module):
    """A layer that takes its width from what it is called on."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.LazyConv2d(24, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Unused(nn.Module):
    """A layer that is never called, one whose method is called, and parameters that are no layer."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.idle, self.used = nn.Conv2d(3, 3, 3), nn.Conv2d(in_channels, in_channels, 1)
        self.scale = nn.ParameterList([nn.Parameter(torch.ones(1))])

    def forward(self, x: Tensor) -> Tensor:
        return self.used.forward(x)


class Squared(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x * x


class Own(nn.Module):
    """An operator of the user's own, one in place, and a recurrent layer."""

    def __init__(self, in_channels: int) -> None:
        super().__init__()
        self.rows = nn.GRU(in_channels, in_channels, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        x = Squared.apply(x).clone().relu_().clamp(max=6)
        return self.rows(x.flatten(2).transpose(1, 2))[0].transpose(1, 2).reshape(x.shape)


class Moved(nn.Module):
    """Values that are moved only, by sizes that are computed."""

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        return x.reshape(n, c // 2, 2, h * w).transpose(1, 2).reshape(n, c, h, w)


class Vector(nn.Module):
    """A product that fvcore's rule for matrices does not take."""

    def forward(self, x: Tensor) -> Tensor:
        return x * (x.flatten(2).transpose(1, 2)[0] @ torch.ones(x.shape[1])).view(1, 1, *x.shape[2:])


class Singular(nn.Module):
    """An inverse, which the zeros that it is counted on do not have."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.linalg.inv(x)


class Scripted(nn.Module):
    """A compiled layer, which no hook can see."""

    def __init__(self) -> None:
        super().__init__()
        self.act = torch.jit.script(nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return self.act(x)


class Silent(nn.Module):
    """A failure without words, where there are values."""

    def forward(self, x: Tensor) -> Tensor:
        if x.device.type == "cpu":
            raise AssertionError
        return x


class Mapping(nn.Module):
    def forward(self, x: Tensor) -> Any:
        return {"out": x}


class Nothing(nn.Module):
    def forward(self, x: Tensor) -> Any:
        return None


class Half(nn.Module):
    def forward(self, x: Tensor) -> Any:
        return x, None


class Empty(nn.Module):
    def forward(self, x: Tensor) -> Any:
        return ()
