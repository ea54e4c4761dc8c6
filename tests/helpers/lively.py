"""Weights with which every layer matters: maps neither vanish nor grow without bound."""

from __future__ import annotations

import torch
from torch import nn

from archlab.core import builtin

SHIPPED = sorted(set(builtin.names("search_spaces", "*/*.yaml")) - {"base", "space"})


def lively(network: nn.Module, seed: int = 0) -> nn.Module:
    """Draw weights, biases and statistics of norms; return the network in evaluation mode."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                drawn = torch.randn(value.shape, generator=generator)
                spread = 0.5 * value[0].numel() ** -0.5 if value.ndim > 1 else 0.1
                value.copy_(1 + 0.1 * drawn.abs() if name.endswith(("norm.weight", "var")) else spread * drawn)
    return network.eval()
