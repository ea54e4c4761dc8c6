"""The whole file: what it holds, imports, copied sources, classes, the network last."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from archlab.deploy.plain.calls import trace
from archlab.deploy.plain.classes import Classes, camel
from archlab.deploy.plain.copied import Sources
from archlab.deploy.plain.layers import is_function, layer
from archlab.deploy.plain.text import ClassText, doc_of
from archlab.network.graph import Graph

TORCH = {
    r"\btorch\.": "import torch",
    r"\bTensor\b": "from torch import Tensor, nn",
    r"\bF\.": "from torch.nn import functional as F",
}
"""What shows that an import of torch is needed."""


def python_source(graph: Graph) -> str:
    """Return a network as a Python file that needs PyTorch alone; the last class is the network, without arguments.

    Its state dict has the network's keys, and its outputs are equal to the bit.
    Raises InputError if a user's module cannot be copied.
    """
    assert graph.spec is not None, "the graph was not assembled from a spec"
    sources = Sources()
    for leaf in (leaf for node in graph.nodes for leaf in node.leaves if not is_function(leaf)):
        if (copied := layer(leaf).copied) is not None:
            sources.add(copied)
    classes = Classes(trace(graph, is_function), sources.texts)
    blocks = {node.name: node.function for node in graph.spec.nodes}
    classes.root.name = _unused(camel(graph.name), {*sources.texts, *(each.name for each in classes.by_key.values())})
    texts = []
    for each in classes.by_key.values():
        last = each is classes.root
        doc = _about(graph) if last else doc_of(each, blocks)
        texts.append(
            "\n".join(ClassText(classes, each, sources).lines(doc, list(_initial(graph)) if last else [])) + "\n"
        )
    body = "\n\n".join([*sources.texts.values(), *texts])
    return "\n".join([*_header(graph, classes.root.name), *_imports(sources, body), "", "", body])


def _unused(name: str, taken: Collection[str]) -> str:
    return f"{name}Network" if name in taken else name


def _about(graph: Graph) -> str:
    end = graph.nodes[graph.output[0]].out_shapes[graph.output[1]]
    (_, *size), (outputs, *out) = graph.input, end
    return f"(N, {graph.input[0]}, {size[0]}, {size[1]}) to (N, {outputs}, {out[0]}, {out[1]})."


def _header(graph: Graph, name: str) -> Iterator[str]:
    yield f'"""{graph.name} in plain PyTorch: `network = {name}()`.'
    yield ""
    yield "State-dict keys and outputs are those of the network in archlab, whose canonical hash is"
    yield f"{graph.hash}."
    yield '"""'
    yield ""
    yield "from __future__ import annotations"
    yield ""


def _imports(sources: Sources, body: str) -> Iterator[str]:
    standard = {"import torch", "from torch import Tensor", "from torch import nn", *TORCH.values()}
    others = sorted(sources.imports - standard)
    yield from others
    if others:
        yield ""
    yield from (line for pattern, line in TORCH.items() if re.search(pattern, body))


def _initial(graph: Graph) -> Iterator[str]:
    """Yield the lines that draw the initial weights as archlab does."""
    how = graph.initialisation
    if how.weights == "torch":
        return
    kinds = {leaf.kind for node in graph.nodes for leaf in node.leaves}
    found = {"conv": "nn.Conv2d", "deconv": "nn.ConvTranspose2d", "dynamic_conv": "DynamicConv"}
    names = [name for kind, name in found.items() if kind in kinds]
    yield "        for module in self.modules():"
    yield f"            if isinstance(module, {' | '.join(names)}):"
    yield f"                nn.init.normal_(module.weight, std={how.std})"
    if any(leaf.get("bias", False) for node in graph.nodes for leaf in node.leaves if leaf.kind in found):
        bias = 'getattr(module, "bias", None)' if "dynamic_conv" in kinds else "module.bias"
        yield f"                if {bias} is not None:"
        yield "                    nn.init.zeros_(module.bias)"
