"""Random weights and float64 outputs of public code, loaded into our networks by the order in which layers are called."""

from __future__ import annotations

import io
import lzma
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import archlab


def fixture(shared: Path, name: str) -> dict[str, Any]:
    """Return a file of ../shared/fixtures/systems: its weights, the order of its layers, an input and an output."""
    file = shared / "fixtures" / "systems" / f"{name}.pt.xz"
    found: dict[str, Any] = torch.load(io.BytesIO(lzma.decompress(file.read_bytes())), weights_only=True)
    return found


def rebuilt(network: str, known: dict[str, Any], outputs: int, **fields: Any) -> nn.Module:
    """Return our network at the fixture's input with its weights, in float64 and evaluation mode."""
    _, *shape = known["input"].shape
    made = archlab.build(archlab.load(network, input=tuple(shape), outputs=outputs, **fields)).double().eval()
    layers = call_order(made, known["input"].double())
    assert len(layers) == len(known["order"])
    for name, layer in zip(known["order"], layers, strict=True):
        load(layer, name, known["state_dict"])
    return made


def call_order(network: nn.Module, image: Tensor) -> list[nn.Module]:
    """Return the modules that hold weights themselves, in the order of their first calls."""
    found: dict[nn.Module, None] = {}
    own = [m for m in network.modules() if any(True for _ in m.parameters(recurse=False))]
    hooks = [m.register_forward_pre_hook(lambda module, _: found.setdefault(module)) for m in own]
    with torch.no_grad():
        network(image)
    for hook in hooks:
        hook.remove()
    return list(found)


def load(layer: nn.Module, name: str, weights: dict[str, Tensor]) -> None:
    """Copy the tensors called `name.X` into the layer's X; a single tensor goes into the layer's only one."""
    prefix = name + "."
    given = {key.removeprefix(prefix): t for key, t in weights.items() if key.rpartition(".")[0] == name}
    own = dict([*layer.named_parameters(recurse=False), *layer.named_buffers(recurse=False)])
    own.pop("num_batches_tracked", None)
    if len(own) == len(given) == 1:
        given = dict(zip(own, given.values(), strict=True))
    assert {k: t.numel() for k, t in own.items()} == {k: t.numel() for k, t in given.items()}, name
    with torch.no_grad():
        for key, tensor in own.items():
            tensor.copy_(given[key].reshape(tensor.shape))


def difference(ours: Tensor, theirs: Tensor) -> float:
    """Return the largest difference over the root mean square of the right output."""
    assert ours.shape == theirs.shape
    return float((ours - theirs).abs().max() / theirs.square().mean().sqrt())
