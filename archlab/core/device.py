"""The device that networks run on: its choice, its name and its number of CPU threads."""

from __future__ import annotations

import platform
import subprocess
import sys
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

    On a CPU channels last saves time by itself, and 1x1 convolutions are then products of matrices (`Pointwise`);
    `reports/benchmarks.md` has both. The gain on a GPU is not measured yet.
    """
    network = network.to(device)
    return channels_last(network) if device.type in {"cpu", "cuda"} else network


def channels_last(module: nn.Module) -> nn.Module:
    """Lay a module's four-dimensional weights out channels last; `Module.to` fails if any has five dimensions."""
    for weight in (*module.parameters(), *module.buffers()):
        if weight.dim() == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    return module


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
    """Return the processor's model from Linux's /proc/cpuinfo or macOS's sysctl, else what `platform` knows."""
    try:
        listed = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        listed = ""
    return model_of(listed) or _apple_model() or platform.processor() or platform.machine()


def model_of(cpuinfo: str) -> str:
    """Return the model in the text of /proc/cpuinfo, empty if it names none.

    x86 and MIPS state a name. Arm states the numbers of maker and part, which differ between big and little cores:
    `Arm 0x41 0xd0c`. POWER and RISC-V state it as `cpu` and `uarch`.
    """
    pairs = [line.split(":", 1) for line in cpuinfo.splitlines() if ":" in line]
    fields: dict[str, dict[str, None]] = {}
    for name, value in ((name.strip(), value.strip()) for name, value in pairs):
        fields.setdefault(name, {})[value] = None
    for name in ("model name", "cpu model", "cpu", "uarch"):
        if name in fields:
            return next(iter(fields[name]))
    if "CPU part" not in fields:
        return ""
    return " ".join(["Arm", *fields.get("CPU implementer", {}), *fields["CPU part"]])


def _apple_model() -> str:
    """Return the processor's name on macOS, as `Apple M2`; empty elsewhere."""
    if sys.platform != "darwin":
        return ""
    command = ["/usr/sbin/sysctl", "-n", "machdep.cpu.brand_string"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""
