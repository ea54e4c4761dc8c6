"""What the benchmarks of a network share: its variants, timing that waits for the device, and where that was."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

import archlab
from archlab.core.files import write_json
from archlab.network.module import build
from archlab.network.pointwise import Pointwise
from archlab.training.step import recorded, warm_up

Step = Callable[[], Any]


@dataclass(frozen=True)
class Variant:
    """One way to execute a network.

    `doubled`: how f_i0 is evaluated; `join`: shuffles in one copy; `fused`: the optimiser's form; `products`: 1x1
    convolutions as products of matrices where the memory allows; `graph`: captured as a CUDA graph.
    """

    name: str
    doubled: str = "once"
    join: bool = True
    fused: bool = True
    products: bool = True
    channels_last: bool = False
    bf16: bool = False
    graph: bool = False


RELEASED = Variant("released execution", doubled="twice", join=False, fused=False, products=False)
COMMON = (
    RELEASED,
    Variant("ours, contiguous", products=False),
    Variant("ours, channels last", products=False, channels_last=True),
)
CPU = (*COMMON, Variant("ours, channels last, 1x1 as products", channels_last=True))
CUDA = (
    *COMMON,
    Variant("ours, channels last, bf16", channels_last=True, bf16=True),
    Variant("CUDA graph, float32", channels_last=True, graph=True),
    Variant("CUDA graph, bf16", channels_last=True, bf16=True, graph=True),
)


@dataclass(frozen=True)
class Row:
    """Measured: seconds a step, images a second, peak memory (MiB; CUDA only), and the ratio to the released form."""

    network: str
    batch: int
    variant: str
    seconds: float
    images_per_second: float
    peak_mib: float | None
    ratio: float


@dataclass(frozen=True)
class Case:
    """A network at a batch, on random images of a size."""

    network: str
    batch: int
    size: tuple[int, int]
    device: torch.device

    def make(self, variant: Variant) -> tuple[nn.Module, Tensor]:
        """The network as the variant executes it, in training mode, and its images."""
        torch.manual_seed(0)
        spec = archlab.load(self.network, input=(3, *self.size), doubled=variant.doubled)
        network: nn.Module = build(archlab.assemble(spec), join=variant.join).to(self.device)
        for layer in (m for m in network.modules() if isinstance(m, Pointwise) and not variant.products):
            layer.__class__ = nn.Conv2d  # type: ignore[assignment]
        images = torch.randn(self.batch, 3, *self.size, device=self.device)
        if variant.channels_last:
            network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            images = images.contiguous(memory_format=torch.channels_last)
        return network, images


def captured(step: Step) -> Step:
    """The step as a CUDA graph, as archlab records a training's: replayed as one launch."""
    warm_up(step)
    return recorded(step)


def measure(case: Case, make_step: Callable[[Case, Variant], Step], turns: int, steps: int) -> list[Row]:
    """All variants, turn by turn, so that a load on the machine meets all of them; the least of a variant's turns."""
    on_gpu = case.device.type == "cuda"
    variants = CUDA if on_gpu else CPU
    best: dict[Variant, float] = dict.fromkeys(variants, float("inf"))
    peaks: dict[Variant, float | None] = dict.fromkeys(variants)
    made: dict[Variant, Step] = {}
    for variant in variants:
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        made[variant] = make_step(case, variant)
        made[variant]()
        if on_gpu:
            peaks[variant] = torch.cuda.max_memory_allocated() / 2**20
    for _ in range(turns):
        for variant in variants:
            best[variant] = min(best[variant], seconds(made[variant], steps, case.device))
    rate, peer = case.batch, best[RELEASED]
    return [Row(case.network, rate, v.name, best[v], rate / best[v], peaks[v], peer / best[v]) for v in variants]


def seconds(step: Step, steps: int, device: torch.device) -> float:
    """Mean seconds of a step over one turn: of the processor with one CPU thread, else of the wall clock."""
    clock = time.process_time if on_one_core(device) else time.perf_counter
    synchronise(device)
    start = clock()
    for _ in range(steps):
        step()
    synchronise(device)
    return (clock() - start) / steps


def on_one_core(device: torch.device) -> bool:
    return device.type == "cpu" and torch.get_num_threads() == 1


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def describe(benchmark: str, device: torch.device) -> dict[str, Any]:
    """Where and when: device, threads, versions, date."""
    name = torch.cuda.get_device_name() if device.type == "cuda" else cpu_name()
    threads = torch.get_num_threads() if device.type == "cpu" else None
    versions = {"python": platform.python_version(), "torch": torch.__version__, "archlab": archlab.__version__}
    when = date.today().isoformat()
    return {"benchmark": benchmark, "date": when, "device": name, "threads": threads, "versions": versions}


def cpu_name() -> str:
    """The processor's model, as Linux gives it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def run(
    name: str, about: str, make_step: Callable[[Case, Variant], Step], *, cpu: Sequence[int], cuda: Sequence[int]
) -> None:
    """The command line of a benchmark: measure, print a table, write JSON. `cpu`, `cuda`: batches and steps a turn."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["lite_hrnet_18", "lite_hrnet_30"])
    parser.add_argument("--batches", nargs="+", type=int)
    parser.add_argument("--size", nargs=2, type=int, default=(256, 192), metavar=("H", "W"))
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--steps", type=int, help="a turn")
    parser.add_argument("--threads", type=int, help="of the CPU; default: torch's own number")
    parser.add_argument("--out", type=Path)
    o = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if o.threads:
        torch.set_num_threads(o.threads)
    *batches, steps = cuda if device.type == "cuda" else cpu
    cases = [Case(network, batch, tuple(o.size), device) for network in o.networks for batch in o.batches or batches]
    rows = [row for case in cases for row in measure(case, make_step, o.turns, o.steps or steps)]
    asked = {"asked": " ".join(sys.argv[1:]), "load_average": round(os.getloadavg()[0], 1)}
    figures = {"size": list(o.size), "turns": o.turns, "rows": [asdict(row) for row in rows]}
    result = {**describe(name, device), **asked, **figures}
    table = Table("network", "batch", "variant", "ms", "images/s", "ratio", title=result["device"])
    for row in rows:
        shown = (f"{1e3 * row.seconds:.1f}", f"{row.images_per_second:.1f}", f"{row.ratio:.2f}")
        table.add_row(row.network, str(row.batch), row.variant, *shown)
    Console().print(table)
    if o.out:
        write_json(o.out, result)
    else:
        print(json.dumps(result))
