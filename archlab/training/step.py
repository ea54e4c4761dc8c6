"""One update of the weights, run directly or recorded once as a CUDA graph and replayed as one launch."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from archlab.core import notes

Batch = dict[str, Tensor]
Loss = Callable[[Any, Batch], Tensor]
"""A task's loss: a scalar from the network's output and the batch."""
WARM_UP = 3
"""Runs on a side stream before a recording, as PyTorch's notes on CUDA graphs require; libraries initialise in them."""


@dataclass(frozen=True)
class Learner:
    """What a step updates: a network, with its optimiser and the task's loss."""

    network: nn.Module
    optimiser: torch.optim.Optimizer
    loss: Loss
    bf16: bool = False


def step(learner: Learner, *micro: Batch, lr: float, device: torch.device) -> Tensor:
    """Update the weights once by the mean gradient of equal micro-batches; return the mean loss.

    The loss stays on the device, so no step waits for it. lr: the rate of the whole batch.
    """
    set_rate(learner.optimiser, lr)
    here = [{name: batch[name].to(device, non_blocking=True) for name in inputs(batch)} for batch in micro]
    return update(learner, here)


def inputs(batch: Batch) -> list[str]:
    """Return the names of the tensors that the network and the loss read; the sample numbers stay on the host."""
    return [name for name in batch if name != "index"]


def set_rate(optimiser: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of the next update; fill a tensor in place, where a recorded update reads it.

    The rate is rounded to float32, the type of such a tensor, so direct and recorded updates are identical.
    """
    rate = float(np.float32(lr))
    for group in optimiser.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def update(learner: Learner, micro: Sequence[Batch]) -> Tensor:
    """Do what `step` does with batches on the device and the optimiser's current rate; nothing waits for the device.

    Autocast does not cache weights cast to bf16, as PyTorch requires in a recording; each weight is used once anyway.
    """
    network = learner.network
    learner.optimiser.zero_grad(set_to_none=True)
    losses = []
    for number, batch in enumerate(micro, start=1):
        images = batch["image"]
        with _gradients_kept_here(network, number < len(micro)):
            with torch.autocast(images.device.type, dtype=torch.bfloat16, enabled=learner.bf16, cache_enabled=False):
                output = network(images)
            loss = learner.loss(output, batch) / len(micro)
            loss.backward()  # type: ignore[no-untyped-call]
        losses.append(loss.detach())
    learner.optimiser.step()
    return torch.stack(losses).sum()


def _gradients_kept_here(network: nn.Module, kept: bool) -> AbstractContextManager[None]:
    """Skip the exchange of gradients between processes, except at a step's last micro-batch."""
    parallel = kept and isinstance(network, DistributedDataParallel)
    return cast(DistributedDataParallel, network).no_sync() if parallel else nullcontext()


class FixedStep:
    """A step on fixed buffers, recorded as a CUDA graph at the first call.

    Each call copies a batch into the buffers and replays the graph. A batch whose shapes differ from the first one's
    runs through `step`, with one note on stderr. On a CPU the same update runs on the same buffers without a graph.
    The optimiser must be recordable (`make_optimiser`).
    """

    def __init__(self, learner: Learner, device: torch.device) -> None:
        self.learner, self.device = learner, device
        self._buffers: list[Batch] = []
        self._run: Callable[[], Tensor] | None = None
        self._noted = False

    def __call__(self, *micro: Batch, lr: float) -> Tensor:
        if self._run is None:
            self._buffers = [_buffers(batch, self.device) for batch in micro]
        if [_shapes(batch) for batch in micro] != [_shapes(buffer) for buffer in self._buffers]:
            self._note("a batch of another shape runs without the CUDA graph")
            return step(self.learner, *micro, lr=lr, device=self.device)
        for buffer, batch in zip(self._buffers, micro, strict=True):
            for name in buffer:
                buffer[name].copy_(batch[name], non_blocking=True)
        set_rate(self.learner.optimiser, lr)
        self._run = self._run or self._made()
        return self._run().clone()  # the next replay overwrites it

    def _made(self) -> Callable[[], Tensor]:
        """Return the function that updates the weights from the buffers."""

        def run() -> Tensor:
            return update(self.learner, self._buffers)

        if self.device.type != "cuda":
            return run
        with torch.cuda.device(self.device):
            with put_back(self.learner.network, self.learner.optimiser):
                warm_up(run)
            return recorded(run)

    def _note(self, message: str) -> None:
        """Print a message on stderr, once."""
        if not self._noted:
            notes.note(message)
        self._noted = True


def _buffers(batch: Batch, device: torch.device) -> Batch:
    return {name: torch.empty_like(batch[name], device=device) for name in inputs(batch)}


def _shapes(batch: Batch) -> list[tuple[torch.Size, torch.dtype]]:
    return [(batch[name].shape, batch[name].dtype) for name in inputs(batch)]


@contextmanager
def put_back(network: nn.Module, optimiser: torch.optim.Optimizer, *others: nn.Module) -> Iterator[None]:
    """Restore weights, running statistics, the optimiser's state and random numbers after the block.

    Tensors are restored in place, so a recording has the same addresses. State that the optimiser created in the
    block is set to 0, the initial value of Adam and SGD: a first step with momentum gives b = mu * 0 + g = g.
    """
    tensors = [tensor for each in (network, *others) for tensor in (*each.parameters(), *each.buffers())]
    values = [tensor.detach().clone() for tensor in tensors]
    moments = {id(tensor): tensor.clone() for tensor in _moments(optimiser)}
    device = tensors[0].device
    try:
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            yield
    finally:
        optimiser.zero_grad(set_to_none=True)
        with torch.no_grad():
            for tensor, value in zip(tensors, values, strict=True):
                tensor.copy_(value)
            for tensor in _moments(optimiser):
                if id(tensor) in moments:
                    tensor.copy_(moments[id(tensor)])
                else:
                    tensor.zero_()


def _moments(optimiser: torch.optim.Optimizer) -> list[Tensor]:
    return [value for state in optimiser.state.values() for value in state.values() if isinstance(value, Tensor)]


def warm_up(work: Callable[[], Any]) -> None:
    """Run the work WARM_UP times on a side stream, as a recording requires."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side), warnings.catch_warnings():
        # PyTorch warns once that a recordable optimiser takes a step outside a recording.
        warnings.filterwarnings("ignore", "This instance was constructed with capturable")
        for _ in range(WARM_UP):
            work()
    torch.cuda.current_stream().wait_stream(side)


def recorded(work: Callable[[], Any]) -> Callable[[], Any]:
    """Record the warmed-up work as a CUDA graph; return a function that replays it.

    Each call returns the recorded result, in the same memory. Other threads continue during the recording; those that
    load batches allocate pinned memory, which would break a recording in PyTorch's default mode, `global`.
    """
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        made = work()

    def replay() -> Any:
        graph.replay()
        return made

    return replay
