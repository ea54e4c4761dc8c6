"""The ways to run a network, by name: each prepares a network for some images and returns a pass to be timed."""

from __future__ import annotations

import shutil
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from archlab.core.device import placed
from archlab.deploy.folded import fold
from archlab.deploy.onnx.metadata import check_installed
from archlab.network.module import Network

Pass = Callable[[], Any]


class Skipped(Exception):  # noqa: N818
    """A runtime that this machine or device does not have; the message is the reason."""


@dataclass(frozen=True)
class Prepared:
    """A forward pass.

    launches: the operators that it launches, views left out. peak_mib: the most memory that tensors made in it take at
    a time. None if the runtime does not show them.
    """

    run: Pass
    launches: int | None = None
    peak_mib: float | None = None


@dataclass(frozen=True)
class Setting:
    """Where and how networks run. batch: images a pass. threads: of the CPU."""

    device: torch.device
    batch: int
    threads: int
    dtype: torch.dtype = torch.float32


def prepare(runtime: str, network: Network, setting: Setting) -> Prepared:
    """Return a network's forward pass on fixed images. Raises Skipped with the reason if the runtime is not there."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(setting.batch, *network.graph.input, generator=generator)
    return RUNTIMES[runtime](network.eval(), images, setting)


def _eager(network: nn.Module, images: Tensor, setting: Setting) -> Prepared:
    network = placed(network, setting.device).to(setting.dtype)
    return _torch(network, _on_device(images, setting))


def _folded(network: Network, images: Tensor, setting: Setting) -> Prepared:
    placed(network, setting.device).to(setting.dtype)
    return _torch(fold(network), _on_device(images, setting))


def _compiled(network: nn.Module, images: Tensor, setting: Setting) -> Prepared:
    """Compile the network, which takes minutes."""
    if setting.device.type == "cpu" and not shutil.which("g++"):
        raise Skipped("torch.compile needs a C++ compiler")
    made = torch.compile(placed(network, setting.device).to(setting.dtype))
    run = _inference(made, _on_device(images, setting))
    try:
        with redirect_stderr(StringIO()):
            run()
    except Exception as error:
        raise Skipped(f"torch.compile failed: {str(error).splitlines()[0]}") from None
    return Prepared(run)


def _cuda_graph(network: nn.Module, images: Tensor, setting: Setting) -> Prepared:
    """Replay the recorded launches of a forward pass."""
    if setting.device.type != "cuda":
        raise Skipped("a CUDA graph needs a CUDA device")
    from archlab.training.step import recorded, warm_up

    run = _inference(placed(network, setting.device).to(setting.dtype), _on_device(images, setting))
    warm_up(run)
    return Prepared(recorded(run), 1)


def _onnx_runtime(network: Network, images: Tensor, setting: Setting) -> Prepared:
    """Run the exported model in ONNX Runtime, in float32 on the CPU."""
    _check_float_on_cpu("ONNX Runtime", setting)
    check_installed("--runtime")
    from archlab.deploy.onnx.session import session_of

    session = session_of(_exported(network, setting), setting.threads)
    feed = {session.get_inputs()[0].name: images.numpy()}
    return Prepared(lambda: session.run(None, feed))


def _openvino(network: Network, images: Tensor, setting: Setting) -> Prepared:
    """Run the exported model in OpenVINO, in float32 on the CPU."""
    _check_float_on_cpu("OpenVINO", setting)
    check_installed("--runtime", ["onnx", "openvino"], extra="openvino")
    import openvino

    core = openvino.Core()
    model = core.read_model(_exported(network, setting), b"")
    how = {"INFERENCE_NUM_THREADS": setting.threads, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(model, "CPU", how).create_infer_request()
    feed = {0: images.numpy()}
    return Prepared(lambda: request.infer(feed, share_inputs=True))


def _check_float_on_cpu(runtime: str, setting: Setting) -> None:
    if setting.device.type != "cpu" or setting.dtype != torch.float32:
        raise Skipped(f"{runtime} is measured on the CPU in float32")


def _exported(network: Network, setting: Setting) -> bytes:
    from archlab.deploy.onnx.file import DEFAULT
    from archlab.deploy.onnx.model import model_of

    model = model_of(network, dynamic_batch=setting.batch > 1, opset=DEFAULT, metadata={})
    made: bytes = model.SerializeToString()
    return made


def _torch(network: nn.Module, images: Tensor) -> Prepared:
    run = _inference(network, images)
    with _Watch() as watch:
        run()
    return Prepared(run, watch.launches, round(watch.peak / 2**20, 3))


def _inference(network: Callable[..., Any], images: Tensor) -> Pass:
    @torch.inference_mode()
    def run() -> Any:
        return network(images)

    return run


def _on_device(images: Tensor, setting: Setting) -> Tensor:
    return images.to(setting.device, setting.dtype).contiguous(memory_format=torch.channels_last)


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the operators that run, views left out, and the most bytes that the tensors they make take at a time."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.launches = 0
        self.peak = 0
        self._held = 0
        self._live: Counter[int] = Counter()
        self._foreign: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._foreign.update(address for _, address, _ in _memory(args) if address not in self._live)
        made = func(*args, **(kwargs or {}))
        self.launches += not func.is_view
        for tensor, address, size in _memory(made):
            if address not in self._foreign:
                self._held += 0 if address in self._live else size
                self._live[address] += 1
                weakref.finalize(tensor, self._drop, address, size)
        self.peak = max(self.peak, self._held)
        return made

    def _drop(self, address: int, size: int) -> None:
        self._live[address] -= 1
        if not self._live[address]:
            del self._live[address]
            self._held -= size


def _memory(values: Any) -> Iterator[tuple[Tensor, int, int]]:
    """Yield each tensor with the address and the bytes of its memory; packed weights have none that can be seen."""
    for value in tree_leaves(values):
        if isinstance(value, Tensor) and value.layout == torch.strided:
            storage = value.untyped_storage()
            yield value, storage.data_ptr(), storage.nbytes()


RUNTIMES: Mapping[str, Callable[[Network, Tensor, Setting], Prepared]] = {
    "eager": _eager,
    "folded": _folded,
    "compile": _compiled,
    "cudagraph": _cuda_graph,
    "onnxruntime": _onnx_runtime,
    "openvino": _openvino,
}
