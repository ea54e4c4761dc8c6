"""Weights as of a trained network, so that values neither vanish nor explode and time is that of real weights."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from archlab.network.module import Network


def settle(network: Network, size: tuple[int, int], *, count: int = 8) -> Tensor:
    """Draw a network's weights and take its norms' statistics from `count` random images, which are returned.

    The images differ in colour and contrast, as photographs do: else norms after global pools divide by next to
    nothing. Weights as they are drawn for training are so small that values become denormal, which CPUs compute slowly.
    Leaves the network in evaluation mode.
    """
    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            gain = 1.0 if layer.bias is None else 0.3  # without a norm after it
            nn.init.kaiming_normal_(layer.weight, nonlinearity="linear").data.mul_(gain)
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.momentum = None  # the mean of what is seen
        nn.init.normal_(norm.weight, 1.0, 0.1)
        nn.init.normal_(norm.bias, 0.0, 0.1)
    like = next(network.parameters())
    images = varied(count, size).to(like)
    with torch.no_grad():
        network.train()(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()
    return images


def varied(count: int, size: tuple[int, int]) -> Tensor:
    """Return random float64 images (N, 3, H, W), each with a mean and a contrast per channel of its own."""
    mean, contrast = torch.randn(count, 3, 1, 1).double(), torch.rand(count, 3, 1, 1).double()
    return mean + 2 * contrast * torch.randn(count, 3, *size).double()
