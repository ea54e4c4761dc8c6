"""archlab: write a network as YAML; build it, count it, train it, search its neighbours.

`build`, `cost` and `spec_hash` take a spec or its graph. To call several of them, assemble the spec once and carry the
graph, which also remembers its hash:

    graph = archlab.assemble(spec)
    network, cost, key = archlab.build(graph), archlab.cost(graph), graph.hash
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from archlab.core.errors import InputError, Problem
    from archlab.counting.count import Cost
    from archlab.network.graph import Graph, assemble
    from archlab.network.load import load
    from archlab.network.module import Network
    from archlab.network.spec import Spec

__version__ = "0.1.0"
__all__ = ["InputError", "Problem", "Spec", "assemble", "build", "cost", "load", "load_released", "spec_hash"]

_FROM = {
    "InputError": "archlab.core.errors",
    "Problem": "archlab.core.errors",
    "Spec": "archlab.network.spec",
    "assemble": "archlab.network.graph",
    "load": "archlab.network.load",
}
"""Public names and the modules that define them, each imported at first use."""


def build(spec: Spec | Graph) -> Network:
    """Return the network, (N, C, H, W) to (N, outputs, H', W'), with weights drawn from torch's global generator."""
    from archlab.network import module

    return module.build(_assembled(spec))


def cost(spec: Spec | Graph) -> Cost:
    """Return parameters, multiply-adds (fvcore's and the paper's) and activations, in total and by node."""
    from archlab.counting import count

    return count.cost(_assembled(spec))


def spec_hash(spec: Spec | Graph) -> str:
    """Return the canonical hash of a network, 32 hexadecimal digits."""
    return _assembled(spec).hash


def load_released(network: Network, state_dict: dict[str, Any]) -> None:
    """Load a checkpoint of the released Lite-HRNet code or of mmpose into a network, in place."""
    from archlab.network import checkpoint

    checkpoint.load_released(network, state_dict)


def _assembled(network: Spec | Graph) -> Graph:
    from archlab.network.graph import Graph, assemble

    return network if isinstance(network, Graph) else assemble(network)


def __getattr__(name: str) -> Any:
    if name not in _FROM:
        raise AttributeError(f"module 'archlab' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_FROM[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
