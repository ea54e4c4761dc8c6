"""A network at another size of input, with the same weights."""

from __future__ import annotations

import torch
from torch import nn

from archlab.network.graph import assemble
from archlab.network.load import at_input
from archlab.network.module import Network


def at_size(network: nn.Module, size: tuple[int, int]) -> nn.Module:
    """Return the network for inputs of (H, W); it shares weights and statistics, and its mode is the network's.

    Operators that resize to a fixed size make a `Network` one of its size alone. A module of another class is returned
    unchanged. Raises InputError if the network's blocks do not fit the size.
    """
    if not isinstance(network, Network) or network.graph.input[1:] == size:
        return network
    spec = network.graph.spec
    assert spec is not None, "the graph was not assembled from a spec"
    with torch.random.fork_rng([]):  # on the meta device it would take several times as long
        made = Network(assemble(at_input(spec, (spec.input[0], *size))))
    for name, module in made.named_modules():
        own = network.get_submodule(name)
        module._parameters, module._buffers = own._parameters, own._buffers
    return made.train(network.training)
