"""The 1x1 convolution: the same values and gradients, as a product of matrices where no copy is needed."""

from __future__ import annotations

import copy
from collections import Counter

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

import archlab
from archlab.core.device import placed
from archlab.network.pointwise import Pointwise

CONVOLUTION = "aten.convolution.default"
CPU, LAST = torch.device("cpu"), torch.channels_last


class Operators(TorchDispatchMode):
    """Counts the operators that run."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.seen[str(func)] += 1
        return func(*args, **(kwargs or {}))


MAPS = {
    "one position": (torch.randn(4, 6, 1, 1), True),
    "channels last": (torch.randn(4, 6, 5, 7).contiguous(memory_format=LAST), True),
    "part of channels last": (torch.randn(4, 12, 5, 7).contiguous(memory_format=LAST)[:, 6:], True),
    "contiguous": (torch.randn(4, 6, 5, 7), False),
}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("kind", MAPS)
def test_a_map_is_multiplied_where_its_channels_are_adjacent_and_else_convolved(kind: str, bias: bool) -> None:
    x, multiplied = MAPS[kind]
    layer = Pointwise(6, 3, 1, bias=bias)
    with Operators() as operators:
        y = layer(x)
    assert operators.seen[CONVOLUTION] == (not multiplied)
    assert torch.allclose(y, F.conv2d(x, layer.weight, layer.bias), atol=1e-6)
    assert y.is_contiguous(memory_format=LAST if multiplied else torch.contiguous_format)


def test_only_1x1_convolutions_of_stride_1_without_groups_are_pointwise() -> None:
    for name in ("lite_hrnet_18", "small_hrnet_w16", "mobilenet_v2"):
        layers = [m for m in archlab.build(archlab.load(name)).modules() if isinstance(m, nn.Conv2d)]
        found = [m for m in layers if (m.kernel_size, m.stride, m.groups) == ((1, 1), (1, 1), 1)]
        assert found == [m for m in layers if isinstance(m, Pointwise)]
        assert 0 < len(found) < len(layers)


@pytest.mark.parametrize("name", ["lite_hrnet_18", "naive_lite_hrnet_18"])
def test_gradients_are_as_close_to_float64_as_those_of_convolutions(name: str) -> None:
    """In one memory format; channels last by itself has about twice the error of contiguous maps."""
    torch.manual_seed(0)
    network = archlab.build(archlab.load(name, input=(3, 64, 64)))
    for parameter in network.parameters():  # at the initial 0.001 everything would be too small to compare
        if parameter.dim() == 4:
            nn.init.kaiming_normal_(parameter)
    for layer in (m for m in network.modules() if isinstance(m, nn.ReLU)):
        layer.__class__ = nn.SiLU  # type: ignore[assignment]  # at a kink, rounding decides about a whole slope
    x = torch.randn(8, 3, 64, 64)
    exact = gradient(copy.deepcopy(network).double(), x.double())
    contiguous = error(gradient(convolved(network), x), exact)
    eager = error(gradient(placed(convolved(network), CPU), x), exact)
    ours = error(gradient(placed(network, CPU), x), exact)
    assert ours < 1.3 * eager
    assert ours < 3 * contiguous < 1e-4


def convolved(network: nn.Module) -> nn.Module:
    """Return a copy that runs every convolution as one."""
    network = copy.deepcopy(network)
    for layer in (m for m in network.modules() if isinstance(m, Pointwise)):
        layer.__class__ = nn.Conv2d  # type: ignore[assignment]
    return network


def gradient(network: nn.Module, x: Tensor) -> Tensor:
    """Return the gradient of a loss, all parameters as one vector."""
    loss = network(x).square().mean()
    return torch.cat([slope.flatten() for slope in torch.autograd.grad(loss, list(network.parameters()))])


def error(found: Tensor, reference: Tensor) -> float:
    """Return the norm of the difference over that of the reference."""
    return float((found.double() - reference).norm() / reference.norm())
