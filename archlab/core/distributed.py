"""The processes that train one network together, as torchrun starts them; a single process has size 1."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as processes
from torch.nn.parallel import DistributedDataParallel

from archlab.core.progress import Advance, progress

TORCHRUN = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class World:
    """This process's place among `size` processes. Only rank 0 writes files.

    rank: its number, from 0. local: its number on its machine, from 0.
    Every process must call the methods, properties excepted, in the same order.
    """

    rank: int = 0
    size: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        return self.rank == 0

    def device(self, device: torch.device) -> torch.device:
        """Return the GPU of this process; a CPU, or a GPU with an index, is returned unchanged."""
        if self.size > 1 and device.type == "cuda" and device.index is None:
            device = torch.device("cuda", self.local)
            torch.cuda.set_device(device)
        return device

    def parallel(self, network: nn.Module, device: torch.device) -> nn.Module:
        """Wrap the network so that its gradients are the mean over processes; on GPUs, also its batch statistics.

        On CPUs each process has the statistics of its own share of the batch: SyncBatchNorm runs on GPUs only.
        """
        if self.size == 1:
            return network
        if device.type == "cuda":
            nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return DistributedDataParallel(network, device_ids=[device.index] if device.type == "cuda" else None)

    def agree(self, network: nn.Module) -> None:
        """Copy rank 0's running statistics to all processes, because a checkpoint holds those."""
        if self.size > 1:
            for buffer in network.buffers():
                processes.broadcast(buffer, 0)

    def mean(self, values: Tensor) -> Tensor:
        """Return the elementwise mean over processes."""
        if self.size == 1:
            return values
        total = values.clone()
        processes.all_reduce(total)
        return total / self.size

    def any(self, here: bool) -> bool:
        """Return whether `here` is true in any process."""
        return any(self.gather(here))

    def gather(self, value: Any) -> list[Any]:
        """Return every process's value, by rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        processes.all_gather_object(values, value)
        return values

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """Run the block in rank 0 first, then in the other processes."""
        if self.size > 1 and not self.first:
            processes.barrier()
        yield
        if self.size > 1 and self.first:
            processes.barrier()

    def progress(self, title: str, total: int, *, done: int = 0) -> AbstractContextManager[Advance]:
        """Show progress as `core.progress` does, in rank 0 only."""
        return progress(title, total, done=done) if self.first else nullcontext(lambda *_: None)


ALONE = World()


def is_first_process() -> bool:
    """Return whether this process prints a command's output: rank 0 under torchrun, or the only process."""
    return os.environ.get("RANK", "0") == "0" or not all(name in os.environ for name in TORCHRUN)


@contextmanager
def joined(device_type: str) -> Iterator[World]:
    """Connect the processes that torchrun started, by NCCL on GPUs and gloo elsewhere; else yield ALONE."""
    if not all(name in os.environ for name in TORCHRUN) or os.environ["WORLD_SIZE"] == "1":
        yield ALONE
        return
    world = World(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))
    if device_type == "cuda":
        torch.cuda.set_device(world.local)
    processes.init_process_group("nccl" if device_type == "cuda" else "gloo")
    yield world
    # Not in a `finally`: after an error the others may never reach the barrier, and torchrun ends them anyway.
    processes.barrier()
    processes.destroy_process_group()
