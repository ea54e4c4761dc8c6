"""A user's module in an ONNX graph: as far as PyTorch's exporter goes."""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path

import onnx
import torch

from archlab.core.errors import InputError, Problem
from archlab.deploy.onnx.builder import Builder
from archlab.deploy.program import Op


def users_module(b: Builder, op: Op, xs: list[str]) -> list[str]:
    """Add the nodes of a user's module; return the names of its outputs.

    Raises InputError with the exporter's reason if it does not go that far.
    """
    assert op.module is not None
    graph = _exported(op, b.opset).graph
    names = dict(zip((i.name for i in graph.input), xs, strict=True))
    constants = {each.name: b.constant(onnx.numpy_helper.to_array(each), "weight") for each in graph.initializer}
    names |= constants
    for node in graph.node:
        made = b.copy(node, [names.get(name, name) for name in node.input])
        names |= dict(zip(node.output, made, strict=True))
    return [names[each.name] for each in graph.output]


def _exported(op: Op, opset: int) -> onnx.ModelProto:
    assert op.module is not None
    images = tuple(torch.zeros(2, *shape) for shape in op.in_shapes)
    inputs, outputs = ([f"{word}{i}" for i in range(len(each))] for word, each in (("in", images), ("out", op.outputs)))
    free = {name: {0: "batch"} for name in (*inputs, *outputs)}
    try:
        with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "module.onnx"
            warnings.simplefilter("ignore")
            torch.onnx.export(op.module, images, file, input_names=inputs, output_names=outputs, dynamic_axes=free,
                              opset_version=opset, dynamo=False)  # fmt: skip
            return onnx.load(file)
    except Exception as error:  # the exporter's own, or whatever the module raises
        reason = str(error).strip().split("\n")[0][:200] or type(error).__name__
        rule = f"PyTorch cannot export {type(op.module).__name__}: {reason}"
        raise InputError(Problem(rule, "--onnx")) from error
