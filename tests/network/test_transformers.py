"""ResNet-50 and MobileNetV2 as our systems have them, with random weights of the modules of `transformers`."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from helpers.parity import call_order, difference, load
from torch import nn

import archlab

pytestmark = pytest.mark.slow
SIZE = (64, 96)


def resnet50() -> nn.Module:
    from transformers import ResNetConfig, ResNetModel

    return ResNetModel(ResNetConfig())


def mobilenet_v2() -> nn.Module:
    """As torchvision's: padded on both sides, not as TensorFlow does, and with the usual epsilon."""
    from transformers import MobileNetV2Config, MobileNetV2Model

    config = MobileNetV2Config(tf_padding=False, layer_norm_eps=1e-5, finegrained_output=True)
    return MobileNetV2Model(config, add_pooling_layer=False)


# Ours, up to the last map of theirs, whose channels are the outputs.
SYSTEMS = [
    (resnet50, "simple_baseline_r50", 2048,
     {"output": "layer4_more", "nodes.layer4_more.repeat": 1, "last": {"block": "bottleneck", "width": 512}}),
    (mobilenet_v2, "mobilenet_v2", 1280,
     {"output": "s32c", "last": {"block": "conv", "width": 1280, "kernel": 1, "act": "relu6"}}),
]  # fmt: skip


@pytest.mark.parametrize(("theirs", "name", "outputs", "fields"), SYSTEMS, ids=[each[1] for each in SYSTEMS])
def test_our_blocks_with_their_weights_give_their_map(
    theirs: Any, name: str, outputs: int, fields: dict[str, Any]
) -> None:
    torch.manual_seed(0)
    public = with_statistics(theirs()).eval()
    image = torch.randn(2, 3, *SIZE)
    names = {module: scope for scope, module in public.named_modules()}
    order = [names[layer] for layer in call_order(public, image)]
    ours = archlab.build(archlab.load(name, input=(3, *SIZE), outputs=outputs, **fields)).eval()
    layers = call_order(ours, image)
    assert len(layers) == len(order) > 50
    weights = {key: value for key, value in public.state_dict().items() if "num_batches" not in key}
    for scope, layer in zip(order, layers, strict=True):
        load(layer, scope, weights)
    with torch.no_grad():
        assert difference(ours(image), public(image).last_hidden_state) < 1e-5


def with_statistics(network: nn.Module) -> nn.Module:
    """Return the network with random norms, so that no part of one is an identity."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor in (module.weight.data, module.running_var):
                tensor.uniform_(0.5, 1.5)
            for tensor in (module.bias.data, module.running_mean):
                tensor.normal_(std=0.1)
    return network
