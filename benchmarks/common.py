"""What the benchmarks share: timing that waits for the device, CUDA graphs, and where a figure was measured."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import torch

import archlab

Step = Callable[[], Any]


def captured(step: Step) -> Step:
    """The step as a CUDA graph: warmed up on a side stream, recorded once, replayed as one launch."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        step()
    return graph.replay


def seconds(step: Step, steps: int, device: torch.device) -> float:
    """Mean seconds of a step over one turn."""
    synchronise(device)
    start = time.perf_counter()
    for _ in range(steps):
        step()
    synchronise(device)
    return (time.perf_counter() - start) / steps


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def describe(benchmark: str, device: torch.device) -> dict[str, Any]:
    name = torch.cuda.get_device_name() if device.type == "cuda" else cpu_name()
    threads = torch.get_num_threads() if device.type == "cpu" else None
    versions = {"python": platform.python_version(), "torch": torch.__version__, "archlab": archlab.__version__}
    return {"benchmark": benchmark, "date": date.today().isoformat(), "device": name, "threads": threads,
            "versions": versions}  # fmt: skip


def cpu_name() -> str:
    """The processor's model, as Linux gives it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    return next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
