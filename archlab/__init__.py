"""archlab: write a network as YAML; build it, count it, train it, search its neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archlab.errors import InputError, Problem
from archlab.graph import assemble
from archlab.spec import Spec
from archlab.specfile import load

if TYPE_CHECKING:
    from archlab.counting import Cost
    from archlab.network import Network

__version__ = "0.1.0"
__all__ = ["InputError", "Problem", "Spec", "assemble", "build", "cost", "load", "load_released", "spec_hash"]


def build(spec: Spec) -> Network:
    """The network, (N, C, H, W) to (N, outputs, H', W'), its weights drawn from torch's global generator."""
    from archlab import network

    return network.build(assemble(spec))


def cost(spec: Spec) -> Cost:
    """Parameters, multiply-adds (fvcore's and the paper's) and activations, in total and by node."""
    from archlab import counting

    return counting.cost(assemble(spec))


def spec_hash(spec: Spec) -> str:
    """The canonical hash of the network that a spec describes, 32 hexadecimal digits."""
    return assemble(spec).hash


def load_released(network: Network, state_dict: dict[str, Any]) -> None:
    """Load a checkpoint of the released Lite-HRNet code or of mmpose into a network, in place."""
    from archlab import checkpoint

    checkpoint.load_released(network, state_dict)
