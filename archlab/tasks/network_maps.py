"""A PyTorch network as a function of arrays."""

from __future__ import annotations

import torch
from torch import nn

from archlab.tasks.prediction import Floats, Maps


def maps_of(network: nn.Module, device: torch.device) -> Maps:
    """Return a function of images (N, C, H, W) float32 to the network's output; it is left in evaluation mode."""
    network.eval()

    @torch.inference_mode()
    def maps(images: Floats) -> Floats:
        found: torch.Tensor = network(torch.from_numpy(images).to(device))
        made: Floats = found.float().cpu().numpy()
        return made

    return maps
