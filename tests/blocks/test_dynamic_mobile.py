"""Dynamic convolutions and dynamic ReLUs in MobileNetV2's block: what they come to in cases known by hand."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

import archlab
from archlab.network.load import load_text


def network(choice: str) -> nn.Module:
    text = (
        f"version: 1\ninput: [3, 16, 16]\noutputs: 8\nnodes: {{x: {{block: dynamic_residual, width: 8, {choice}}}}}\n"
    )
    torch.manual_seed(0)
    spec = load_text(text, "net", **{"initialisation.weights": "torch"})
    return archlab.build(spec).double().eval()


def test_equal_kernels_mix_to_one_of_them_whatever_their_weights() -> None:
    """softmax(...) sums to 1."""
    mixed, plain, image = network("kernels: 3"), network("kernels: 1"), torch.randn(2, 3, 16, 16).double()
    for name in ("expand", "depthwise", "project"):
        kernels = mixed.get_submodule(f"x.{name}.kernels").weight.data
        kernels[:] = plain.get_submodule(f"x.{name}.conv").weight.data
    mixed.last.load_state_dict(plain.last.state_dict())
    assert torch.allclose(mixed(image), plain(image), atol=1e-12)
    mixed.get_submodule("x.project.kernels").weight.data[1] += 1
    assert not torch.allclose(mixed(image), plain(image), atol=1e-3)


def test_a_dynamic_relu_whose_numbers_are_zero_is_a_relu() -> None:
    """(a_1, a_2, b_1, b_2) = (1, 0, 0, 0); with a bias z, a_1 = 1 + 2 sigmoid(z) - 1 in all channels."""
    dynamic = network("relu: dynamic")
    expand = dynamic.get_submodule("x.dynamic_relu.expand")
    nn.init.zeros_(expand.weight)
    nn.init.zeros_(expand.bias)
    seen: list[torch.Tensor] = []
    dynamic.get_submodule("x.depthwise.norm").register_forward_hook(lambda m, i, y: seen.append(y))
    dynamic.get_submodule("x.project.conv").register_forward_pre_hook(lambda m, i: seen.append(i[0]))
    image = torch.randn(2, 3, 16, 16).double()
    dynamic(image)
    assert torch.equal(seen[1], F.relu(seen[0]))
    expand.bias.data[::4] = 3.0
    dynamic(image)
    assert torch.allclose(seen[3], F.relu(seen[2]) * 2 * torch.sigmoid(torch.tensor(3.0)).double(), atol=1e-6)


def test_the_parameters_are_those_of_the_formulas() -> None:
    """18 hidden channels of 3: of K kernels, and of the attention of each; of a dynamic ReLU of ratio 8."""

    def count(choice: str) -> int:
        return sum(p.numel() for p in network(choice).parameters())

    attention = sum(c * (c // 4 + 1) + (c // 4 + 1) * 2 + 2 for c in (3, 18, 18))
    assert count("kernels: 2") - count("kernels: 1") == 3 * 18 + 9 * 18 + 18 * 8 + attention
    assert count("relu: dynamic") - count("kernels: 1") == 18 * 2 + 2 + 2 * 4 * 18 + 4 * 18
