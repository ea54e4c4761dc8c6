"""The ONNX model of a network."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
from onnx import TensorProto, helper

import archlab
from archlab.deploy.onnx.builder import IMAGE, OUTPUT, Builder
from archlab.deploy.onnx.operators import nodes_of
from archlab.deploy.program import Program, lower
from archlab.deploy.simplify import simplify
from archlab.network.module import Network

IR_VERSION = 8
LANES = 16
"""The channels that ONNX Runtime packs together at most; of a map with another multiple it does less so."""


def model_of(
    network: Network, *, dynamic_batch: bool, opset: int, metadata: Mapping[str, str], whole: bool = True
) -> onnx.ModelProto:
    """Return a network in evaluation mode as an ONNX model: `image` (N, C, H, W) to `output`.

    dynamic_batch: N is free, else 1. whole: keep maps whole, as `simplify` does.
    Raises InputError if a user's module cannot be exported.
    """
    program = simplify(lower(network), lanes=LANES, whole=whole)
    b = Builder(opset)
    output = _add_all(b, program)
    batch = "batch" if dynamic_batch else 1
    graph = network.graph
    shape = graph.nodes[graph.output[0]].out_shapes[graph.output[1]]
    b.nodes[-1].output[0] = OUTPUT
    assert output == b.nodes[-1].name, "the last node makes the output"
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *each])
            for name, each in ((IMAGE, graph.input), (OUTPUT, shape))]  # fmt: skip
    made = helper.make_graph(b.nodes, graph.name, ends[:1], ends[1:], list(b.constants.values()))
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=IR_VERSION,
                              producer_name="archlab", producer_version=archlab.__version__)  # fmt: skip
    helper.set_model_props(model, dict(metadata))
    onnx.checker.check_model(model, full_check=True)
    return model


def _add_all(b: Builder, program: Program) -> str:
    """Add the nodes of all operators; return the name of the output."""
    names: dict[int, str] = {0: IMAGE}
    for op in program.ops:
        b.prefix = op.name
        names |= dict(zip(op.outputs, nodes_of(b, op, [names[v] for v in op.inputs]), strict=True))
    return names[program.output]
