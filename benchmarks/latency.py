"""Latency of Lite-HRNet in inference: as archlab runs it against the released execution, in one run.

    python benchmarks/latency.py --out benchmarks/results/latency.json

The peer evaluates f_i0 of every fusion twice and shuffles in two copies, eager, float32, contiguous. Ours evaluates it
once and shuffles in one copy; channels last; on a CUDA device also in bf16 and as a CUDA graph, which replaces some
1,100 launches by one. The variants take turns; a time is the least of its turns.
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

import archlab
from archlab.files import write_json
from archlab.network import build


@dataclass(frozen=True)
class Variant:
    """One way to run the network."""

    name: str
    doubled: str = "once"
    join: bool = True
    channels_last: bool = False
    bf16: bool = False
    graph: bool = False


@dataclass(frozen=True)
class Row:
    """Measured: seconds a call, and the ratio to the released execution."""

    network: str
    batch: int
    variant: str
    seconds: float
    images_per_second: float
    ratio: float


RELEASED = Variant("released execution", doubled="twice", join=False)
CPU = (RELEASED, Variant("ours, contiguous"), Variant("ours, channels last", channels_last=True))
CUDA = (
    *CPU,
    Variant("ours, channels last, bf16", channels_last=True, bf16=True),
    Variant("CUDA graph, float32", channels_last=True, graph=True),
    Variant("CUDA graph, bf16", channels_last=True, bf16=True, graph=True),
)


def make_call(variant: Variant, name: str, batch: int, size: tuple[int, int], device: torch.device) -> Step:
    """A forward pass on fixed random images."""
    torch.manual_seed(0)
    spec = archlab.load(name, input=(3, *size), doubled=variant.doubled)
    network = build(archlab.assemble(spec), join=variant.join).to(device).eval()
    images = torch.randn(batch, 3, *size, device=device)
    if variant.channels_last:
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        images = images.contiguous(memory_format=torch.channels_last)

    @torch.no_grad()
    def call() -> None:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=variant.bf16, cache_enabled=not variant.graph):
            network(images)

    call()
    return captured(call) if variant.graph else call


def measure(name: str, batch: int, size: tuple[int, int], device: torch.device, turns: int, calls: int) -> list[Row]:
    """All variants of one network at one batch, turn by turn."""
    variants = CUDA if device.type == "cuda" else CPU
    made = {variant: make_call(variant, name, batch, size, device) for variant in variants}
    best = dict.fromkeys(variants, float("inf"))
    for _ in range(turns):
        for variant in variants:
            best[variant] = min(best[variant], seconds(made[variant], calls, device))
    peer = best[RELEASED]
    return [Row(name, batch, v.name, best[v], batch / best[v], peer / best[v]) for v in variants]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["lite_hrnet_18", "lite_hrnet_30"])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 32])
    parser.add_argument("--size", nargs=2, type=int, default=(256, 192), metavar=("H", "W"))
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--calls", type=int, help="a turn; default: 50 on CUDA, 3 on a CPU")
    parser.add_argument("--threads", type=int, help="of the CPU; default: torch's own number")
    parser.add_argument("--out", type=Path)
    o = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if o.threads:
        torch.set_num_threads(o.threads)
    calls = o.calls or (50 if device.type == "cuda" else 3)
    rows = [row for n in o.networks for b in o.batches for row in measure(n, b, tuple(o.size), device, o.turns, calls)]
    result = {**describe("latency", device), "size": list(o.size), "turns": o.turns, "rows": [asdict(r) for r in rows]}
    table = Table("network", "batch", "variant", "ms a call", "images/s", "ratio", title=result["device"])
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
