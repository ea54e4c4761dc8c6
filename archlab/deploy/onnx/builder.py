"""The ONNX graph as it grows: nodes, constants and their names."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from torch import Tensor

IMAGE, OUTPUT = "image", "output"


class Builder:
    """Collects nodes and constants. Every constant of equal content is kept once.

    opset: the version of ONNX's operators. prefix: the layer that nodes are named after.
    """

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.prefix = ""
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self._known: dict[tuple[str, tuple[int, ...], bytes], str] = {}
        self._taken: dict[str, int] = {}

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of one output; return the output's name."""
        return self.add_many(kind, *inputs, outputs=1, **attributes)[0]

    def add_many(self, kind: str, *inputs: str, outputs: int, **attributes: Any) -> list[str]:
        """Add a node; return the names of its outputs."""
        name = self._unique(f"{self.prefix}/{kind}")
        names = [name if outputs == 1 else f"{name}.{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, name, **attributes))
        return names

    def copy(self, node: onnx.NodeProto, inputs: list[str]) -> list[str]:
        """Add a copy of another graph's node with inputs of this one; return the names of its outputs."""
        attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
        return self.add_many(node.op_type, *inputs, outputs=len(node.output), **attributes)

    def constant(self, value: Tensor | NDArray[Any] | list[int] | list[float] | float, what: str = "") -> str:
        """Return the name of a constant: float32, or int64 for a list of whole numbers."""
        array = np.ascontiguousarray(_array(value))
        key = str(array.dtype), array.shape, array.tobytes()
        if key not in self._known:
            name = self._unique(f"{self.prefix}.{what}" if what else f"constant{len(self.constants)}")
            self._known[key] = name
            self.constants[name] = numpy_helper.from_array(array, name)
        return self._known[key]

    def reshape(self, x: str, *shape: int) -> str:
        """Add a Reshape; 0 keeps a side, so that no batch size is fixed, and -1 follows from the others."""
        return self.add("Reshape", x, self.constant(list(shape)))

    def _unique(self, name: str) -> str:
        count = self._taken[name] = self._taken.get(name, 0) + 1
        return name if count == 1 else f"{name}_{count}"


def _array(value: Any) -> NDArray[Any]:
    if isinstance(value, Tensor):
        return value.detach().cpu().numpy().astype(np.float32)
    if isinstance(value, list) and all(isinstance(each, int) for each in value):
        return np.array(value, np.int64)
    return np.asarray(value, np.float32)
