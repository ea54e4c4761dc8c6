"""The device that networks run on: its choice, its name and its number of CPU threads."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from archlab.core.errors import InputError


def pick_device(name: str | None = None) -> torch.device:
    """Return the named device; without a name CUDA if there is one, else Apple's MPS, else the CPU.

    Raises InputError if the device cannot be used.
    """
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"the device {name!r} cannot be used: {str(error).splitlines()[0]}") from None
    return device


def placed(network: nn.Module, device: torch.device) -> nn.Module:
    """Move the network to the device, channels last on CPUs and CUDA.

    On a CPU, channels last reduces the time of a step to 0.83 for Small HRNet and to 0.98 for Lite-HRNet. The gain on a
    GPU, whose bf16 convolutions are designed for it, is not measured yet.
    """
    network = network.to(device)
    if device.type in {"cpu", "cuda"}:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


def device_name(device: torch.device) -> str:
    """Return the device's type and model: `cpu: Intel(R) Xeon(R) Processor`."""
    if device.type == "cuda":
        return f"cuda: {torch.cuda.get_device_name(device)}"
    return f"{device.type}: {_processor()}"


@contextmanager
def using_threads(count: int | None) -> Iterator[None]:
    """Give PyTorch `count` CPU threads inside the block; None changes nothing."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _processor() -> str:
    """Return the processor's model from Linux's /proc/cpuinfo, else from Python's `platform`."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
