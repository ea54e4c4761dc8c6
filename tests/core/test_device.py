"""The choice of a device, and the memory format of a network on it."""

import pytest
import torch
from helpers.refused import refused
from torch import nn

from archlab.core.device import pick_device, placed

CUDA = pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))
DEVICES = ["cpu", CUDA]


@pytest.mark.parametrize("device", DEVICES)
def test_a_network_is_placed_channels_last(device: str) -> None:
    network = placed(nn.Conv2d(8, 4, 3), torch.device(device))
    weight = next(network.parameters())
    assert weight.device.type == device
    assert weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", ["gpu", "cuda:99", "meta:x"])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with refused(f"'{name}'"):
        pick_device(name)
