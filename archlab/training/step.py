"""One update of the weights, and the same recorded once as a CUDA graph and replayed as one launch."""

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
"""A task's: the scalar loss of the network's output for a batch."""
WARM_UP = 3
"""Runs on a side stream before a recording, as PyTorch's notes on CUDA graphs ask for; libraries set up in them."""


@dataclass(frozen=True)
class Learner:
    """What a step updates and by what: a network, its optimiser and the task's loss."""

    network: nn.Module
    optimiser: torch.optim.Optimizer
    loss: Loss
    bf16: bool = False


def step(learner: Learner, *micro: Batch, lr: float, device: torch.device) -> Tensor:
    """One update of the weights by the mean gradient of micro-batches of equal size, one after the other.

    Returns the mean loss, which stays on the device so that no step waits for it. The rate is the whole batch's.
    """
    set_rate(learner.optimiser, lr)
    here = [{name: batch[name].to(device, non_blocking=True) for name in inputs(batch)} for batch in micro]
    return update(learner, here)


def inputs(batch: Batch) -> list[str]:
    """Return the names of what the network and the loss read; the samples' numbers stay on the host."""
    return [name for name in batch if name != "index"]


def set_rate(optimiser: torch.optim.Optimizer, lr: float) -> None:
    """The learning rate of the next update; a tensor is filled in place, for a recorded update reads it there.

    Rounded to float32, which such a tensor holds, so that an update is the same in either form.
    """
    rate = float(np.float32(lr))
    for group in optimiser.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def update(learner: Learner, micro: Sequence[Batch]) -> Tensor:
    """As `step`, of what is on the device already and at the rate that the optimiser has; nothing in it waits.

    Weights are not kept cast to bf16 between their uses, which PyTorch asks for in a recording: each is used once.
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
    """Processes exchange gradients once a step, at its last micro-batch."""
    parallel = kept and isinstance(network, DistributedDataParallel)
    return cast(DistributedDataParallel, network).no_sync() if parallel else nullcontext()


class FixedStep:
    """`step` on buffers that stay where they are, recorded as a CUDA graph at its first call.

    Each call copies a batch into the buffers and replays. Every batch must have the first one's shapes; another is
    worked on by `step` itself, which is said once. On a CPU nothing can be recorded, and the same update runs on the
    same buffers. The optimiser must be one that can be recorded (`make_optimiser` in loop.py).
    """

    def __init__(self, learner: Learner, device: torch.device) -> None:
        self.learner, self.device = learner, device
        self._buffers: list[Batch] = []
        self._run: Callable[[], Tensor] | None = None
        self._said = False

    def __call__(self, *micro: Batch, lr: float) -> Tensor:
        if self._run is None:
            self._buffers = [_buffers(batch, self.device) for batch in micro]
        if [_shapes(batch) for batch in micro] != [_shapes(buffer) for buffer in self._buffers]:
            self._say("a batch of another shape is worked on without the CUDA graph")
            return step(self.learner, *micro, lr=lr, device=self.device)
        for buffer, batch in zip(self._buffers, micro, strict=True):
            for name in buffer:
                buffer[name].copy_(batch[name], non_blocking=True)
        set_rate(self.learner.optimiser, lr)
        self._run = self._run or self._made()
        return self._run().clone()  # the next replay writes over it

    def _made(self) -> Callable[[], Tensor]:
        """What updates the weights by what is in the buffers."""

        def run() -> Tensor:
            return update(self.learner, self._buffers)

        if self.device.type != "cuda":
            return run
        with torch.cuda.device(self.device):
            with put_back(self.learner.network, self.learner.optimiser):
                warm_up(run)
            return recorded(run)

    def _say(self, message: str) -> None:
        if not self._said:
            notes.note(message)
        self._said = True


def _buffers(batch: Batch, device: torch.device) -> Batch:
    return {name: torch.empty_like(batch[name], device=device) for name in inputs(batch)}


def _shapes(batch: Batch) -> list[tuple[torch.Size, torch.dtype]]:
    return [(batch[name].shape, batch[name].dtype) for name in inputs(batch)]


@contextmanager
def put_back(network: nn.Module, optimiser: torch.optim.Optimizer) -> Iterator[None]:
    """After the block, weights, running statistics, the optimiser's state and random numbers are what they were.

    In place, so that what is recorded later finds them where they lie. What the optimiser has made in the block is set
    to 0, from which Adam and SGD begin: a first step with momentum takes b = mu * 0 + g, the same as b = g.
    """
    tensors = [*network.parameters(), *network.buffers()]
    values = [tensor.detach().clone() for tensor in tensors]
    moments = {id(tensor): tensor.clone() for tensor in _moments(optimiser)}
    device = tensors[0].device
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        yield
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
    """Run the work on a side stream, as a recording wants it."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side), warnings.catch_warnings():
        # That an optimiser which can be recorded takes a step unrecorded, once.
        warnings.filterwarnings("ignore", "This instance was constructed with capturable")
        for _ in range(WARM_UP):
            work()
    torch.cuda.current_stream().wait_stream(side)


def recorded(work: Callable[[], Any]) -> Callable[[], Any]:
    """The work, warmed up before, as a CUDA graph: what it launches is recorded, not run, and each call replays it.

    A call returns what the work has returned, in the same memory each time. Other threads go on while it is recorded:
    those that load batches take pinned memory, by which a recording of PyTorch's usual mode, `global`, would fail.
    """
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, capture_error_mode="thread_local"):
        made = work()

    def replay() -> Any:
        graph.replay()
        return made

    return replay
