"""Several processes that train one network together, as torchrun starts them; one alone is the same with size 1."""

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
    """This process among `size` of them: `rank` from 0, `local` the same on its machine. Rank 0 alone writes.

    All its methods but the properties must be called by every process, in the same order.
    """

    rank: int = 0
    size: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        return self.rank == 0

    def device(self, device: torch.device) -> torch.device:
        """The process' own GPU of those of its machine."""
        if self.size > 1 and device.type == "cuda" and device.index is None:
            device = torch.device("cuda", self.local)
            torch.cuda.set_device(device)
        return device

    def parallel(self, network: nn.Module, device: torch.device) -> nn.Module:
        """`network`, whose gradients are the mean over processes; on GPUs its batch statistics are theirs together.

        On CPUs each process keeps statistics of its own share of the batch: SyncBatchNorm runs on GPUs only.
        """
        if self.size == 1:
            return network
        if device.type == "cuda":
            nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        return DistributedDataParallel(network, device_ids=[device.index] if device.type == "cuda" else None)

    def agree(self, network: nn.Module) -> None:
        """All processes take rank 0's running statistics, which are what a checkpoint holds."""
        if self.size > 1:
            for buffer in network.buffers():
                processes.broadcast(buffer, 0)

    def mean(self, values: Tensor) -> Tensor:
        """Elementwise, over processes."""
        if self.size == 1:
            return values
        total = values.clone()
        processes.all_reduce(total)
        return total / self.size

    def any(self, here: bool) -> bool:
        return any(self.gather(here))

    def gather(self, value: Any) -> list[Any]:
        """Each process' value, by rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        processes.all_gather_object(values, value)
        return values

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        """Rank 0 goes through the block before the others enter it."""
        if self.size > 1 and not self.first:
            processes.barrier()
        yield
        if self.size > 1 and self.first:
            processes.barrier()

    def progress(self, title: str, total: int, *, done: int = 0) -> AbstractContextManager[Advance]:
        """As archlab.progress, of rank 0 only."""
        return progress(title, total, done=done) if self.first else nullcontext(lambda *_: None)


ALONE = World()


def is_first_process() -> bool:
    """Whether this is the one process, of those that torchrun may have started, that prints a command's answer."""
    return os.environ.get("RANK", "0") == "0" or not all(name in os.environ for name in TORCHRUN)


@contextmanager
def joined(device_type: str) -> Iterator[World]:
    """The processes that torchrun started, by NCCL on GPUs and gloo elsewhere; without torchrun this one alone."""
    if not all(name in os.environ for name in TORCHRUN) or os.environ["WORLD_SIZE"] == "1":
        yield ALONE
        return
    world = World(*(int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK")))
    if device_type == "cuda":
        torch.cuda.set_device(world.local)
    processes.init_process_group("nccl" if device_type == "cuda" else "gloo")
    yield world
    # Not after an error: the others may never come to this point, and torchrun ends them when this process is gone.
    processes.barrier()
    processes.destroy_process_group()
