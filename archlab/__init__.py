"""archlab: write a network as YAML; build it, count it, train it, search its neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archlab.core.errors import InputError, Problem
from archlab.network.graph import assemble
from archlab.network.load import load
from archlab.network.spec import Spec

if TYPE_CHECKING:
    from archlab.counting.count import Cost
    from archlab.network.module import Network

__version__ = "0.1.0"
__all__ = ["InputError", "Problem", "Spec", "assemble", "build", "cost", "load", "load_released", "spec_hash"]


def build(spec: Spec) -> Network:
    """The network, (N, C, H, W) to (N, outputs, H', W'), its weights drawn from torch's global generator."""
    from archlab.network import module as network

    return network.build(assemble(spec))


def cost(spec: Spec) -> Cost:
    """Parameters, multiply-adds (fvcore's and the paper's) and activations, in total and by node."""
    from archlab.counting import count as counting

    return counting.cost(assemble(spec))


def spec_hash(spec: Spec) -> str:
    """The canonical hash of the network that a spec describes, 32 hexadecimal digits."""
    return assemble(spec).hash


def load_released(network: Network, state_dict: dict[str, Any]) -> None:
    """Load a checkpoint of the released Lite-HRNet code or of mmpose into a network, in place."""
    from archlab.network import checkpoint

    checkpoint.load_released(network, state_dict)
