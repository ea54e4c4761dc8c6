"""The score of a trained network in the forms whose time is measured, by its task's own protocol."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from archlab.core.device import placed, using_threads
from archlab.core.errors import InputError, Problem
from archlab.deploy.bench.runtimes import Setting
from archlab.deploy.bench.session import Scored
from archlab.deploy.folded import fold
from archlab.tasks.metrics import headline
from archlab.training.evaluate import evaluate
from archlab.training.prepared import unequal_outputs
from archlab.training.trained import Trained

SCORED = ("eager", "folded", "onnxruntime")
"""The runtimes that are scored. Others run eager's own operators, and OpenVINO the model of ONNX Runtime."""


def score_forms(trained: Trained, runtimes: Sequence[str], setting: Setting, data: Path) -> list[Scored]:
    """Return the score of a network in each runtime that has arithmetic of its own, after eager in float32.

    Raises InputError if the data has another number of outputs than the network.
    """
    recipe, graph = trained.recipe, trained.graph
    if rule := unequal_outputs(recipe, data, graph.outputs, f"{graph.name} has"):
        raise InputError(Problem(rule, "--score", str(data)))
    name = str(setting.dtype).removeprefix("torch.")
    wanted = [("eager", "float32"), *((each, name) for each in runtimes if each in SCORED)]
    found: list[Scored] = []
    with using_threads(setting.threads if setting.device.type == "cpu" else None):
        for runtime, dtype in dict.fromkeys(wanted):
            if runtime != "onnxruntime" or (dtype, setting.device.type) == ("float32", "cpu"):
                figures = evaluate(_form(trained, runtime, dtype, setting), recipe, data, setting.device)
                metric, value = headline(recipe.task.metrics, figures) or (None, None)
                loss = found[0].value - value if found and None not in (found[0].value, value) else None  # type: ignore[operator]
                found.append(
                    Scored(graph.name, graph.hash, runtime, dtype, metric.title if metric else "", value, loss)
                )
    return found


def _form(trained: Trained, runtime: str, dtype: str, setting: Setting) -> nn.Module:
    """Return the network as a runtime runs it, taking and giving float32."""
    network = trained.network.float()
    placed(network, setting.device)
    if runtime == "onnxruntime":
        from archlab.deploy.onnx.file import export_onnx
        from archlab.deploy.onnx.quantize import InRuntime
        from archlab.deploy.onnx.session import session_of

        made = export_onnx(trained.network, trained.recipe, trained.names, dynamic_batch=True)
        return InRuntime(session_of(made.content))
    network.to(getattr(torch, dtype))
    return _Typed(fold(network) if runtime == "folded" else network, getattr(torch, dtype))


class _Typed(nn.Module):
    """A network of some type, which takes and gives float32."""

    def __init__(self, network: nn.Module, dtype: torch.dtype) -> None:
        super().__init__()
        self._network, self._dtype = network, dtype

    def forward(self, images: Tensor) -> Tensor:
        made: Tensor = self._network(images.to(self._dtype))
        return made.float()
