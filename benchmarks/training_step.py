"""A training step of Lite-HRNet: as archlab runs it against as the released code executes it, in one run.

    python benchmarks/training_step.py --out benchmarks/results/training_step.json

The peer is the same network executed as the released code executes it: eager, float32, contiguous tensors, f_i0 of
every fusion evaluated twice, a shuffle as a concatenation and a copy, Adam as a loop over parameters. Ours evaluates
f_i0 once, shuffles in one copy, and steps Adam in its fused form; channels last where that is faster. On a CUDA device
ours also runs in bf16 and, captured once, as a CUDA graph. The variants take turns, so that a load on the machine meets
all of them; a time is the least of its turns, which noise can only raise.

Arithmetic at 3x256x192: the convolutions are 242.35 M multiply-adds an image with f_i0 twice and 198.63 M once, so a
machine bound by them gains 1.22; one bound by memory gains what is not read and written.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from common import Step, captured, describe, seconds
from rich.console import Console
from rich.table import Table
from torch import nn

import archlab
from archlab.data.targets import joints_mse
from archlab.files import write_json
from archlab.network import build


@dataclass(frozen=True)
class Variant:
    """One way to execute the step.

    `doubled`: how f_i0 is evaluated; `join`: shuffles in one copy; `graph`: captured as a CUDA graph.
    """

    name: str
    doubled: str = "once"
    join: bool = True
    channels_last: bool = False
    fused: bool = True
    bf16: bool = False
    graph: bool = False


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


RELEASED = Variant("released execution", doubled="twice", join=False, fused=False)
CPU = (RELEASED, Variant("ours, contiguous"), Variant("ours, channels last", channels_last=True))
CUDA = (
    RELEASED,
    Variant("ours, contiguous"),
    Variant("ours, channels last", channels_last=True),
    Variant("ours, channels last, bf16", channels_last=True, bf16=True),
    Variant("CUDA graph, float32", channels_last=True, graph=True),
    Variant("CUDA graph, bf16", channels_last=True, bf16=True, graph=True),
)


def make_step(variant: Variant, name: str, batch: int, size: tuple[int, int], device: torch.device) -> Step:
    """A step on fixed random tensors: forward, loss, backward, update."""
    torch.manual_seed(0)
    spec = archlab.load(name, input=(3, *size), doubled=variant.doubled)
    network: nn.Module = build(archlab.assemble(spec), join=variant.join).to(device)
    images = torch.randn(batch, 3, *size, device=device)
    if variant.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        images = images.contiguous(memory_format=torch.channels_last)
    targets = torch.rand(batch, 17, size[0] // 4, size[1] // 4, device=device)
    weights = torch.ones(batch, 17, 1, device=device)
    looped = {} if variant.fused else {"foreach": False}
    adam = torch.optim.Adam(network.parameters(), 2e-3, fused=variant.fused, capturable=variant.graph, **looped)

    def step() -> None:
        adam.zero_grad(set_to_none=not variant.graph)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=variant.bf16, cache_enabled=not variant.graph):
            heatmaps = network(images)
        joints_mse(heatmaps.float(), targets, weights).backward()  # type: ignore[no-untyped-call]
        adam.step()

    return captured(step) if variant.graph else step


def measure(name: str, batch: int, size: tuple[int, int], device: torch.device, turns: int, steps: int) -> list[Row]:
    """All variants of one network at one batch, turn by turn."""
    variants = CUDA if device.type == "cuda" else CPU
    best, peaks = dict.fromkeys(variants, float("inf")), dict.fromkeys(variants, None)
    made: dict[Variant, Step] = {}
    for variant in variants:
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        made[variant] = make_step(variant, name, batch, size, device)
        made[variant]()
        if device.type == "cuda":
            peaks[variant] = torch.cuda.max_memory_allocated() / 2**20  # type: ignore[assignment]
    for _ in range(turns):
        for variant in variants:
            best[variant] = min(best[variant], seconds(made[variant], steps, device))
    peer = best[RELEASED]
    return [Row(name, batch, v.name, best[v], batch / best[v], peaks[v], peer / best[v]) for v in variants]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["lite_hrnet_18", "lite_hrnet_30"])
    parser.add_argument("--batches", nargs="+", type=int, help="default: 64 512 on CUDA, 8 on a CPU")
    parser.add_argument("--size", nargs=2, type=int, default=(256, 192), metavar=("H", "W"))
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--steps", type=int, help="a turn; default: 10 on CUDA, 2 on a CPU")
    parser.add_argument("--threads", type=int, help="of the CPU; default: torch's own number")
    parser.add_argument("--out", type=Path)
    o = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if o.threads:
        torch.set_num_threads(o.threads)
    batches = o.batches or ([64, 512] if device.type == "cuda" else [8])
    steps = o.steps or (10 if device.type == "cuda" else 2)
    rows = [row for n in o.networks for b in batches for row in measure(n, b, tuple(o.size), device, o.turns, steps)]
    result = {
        **describe("training_step", device),
        "size": list(o.size),
        "turns": o.turns,
        "rows": [asdict(row) for row in rows],
    }
    table = Table("network", "batch", "variant", "ms a step", "images/s", "ratio", title=f"{result['device']}")
    for row in rows:
        figures = (f"{1e3 * row.seconds:.1f}", f"{row.images_per_second:.1f}", f"{row.ratio:.2f}")
        table.add_row(row.network, str(row.batch), row.variant, *figures)
    Console().print(table)
    if o.out:
        write_json(o.out, result)
    else:
        print(json.dumps(result))


if __name__ == "__main__":
    main()
