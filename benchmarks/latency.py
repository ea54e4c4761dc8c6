"""Latency of Lite-HRNet in inference: as archlab runs it against the released execution, in one run.

    python benchmarks/latency.py --out benchmarks/results/latency.json

The peer evaluates f_i0 of every fusion twice and shuffles in two copies, eager, float32, contiguous. Ours evaluates it
once and shuffles in one copy; channels last; on a CUDA device also in bf16 and as a CUDA graph, which replaces some
1,100 launches by one. The variants take turns; a time is the least of its turns.
"""

from __future__ import annotations

import torch
from common import Case, Step, Variant, captured, run


def inference(case: Case, variant: Variant) -> Step:
    """A forward pass in evaluation mode on fixed random images."""
    network, images = case.make(variant)
    network.eval()

    @torch.no_grad()
    def call() -> None:
        with torch.autocast(case.device.type, torch.bfloat16, variant.bf16, cache_enabled=not variant.graph):
            network(images)

    return captured(call) if variant.graph else call


if __name__ == "__main__":
    run("latency", __doc__ or "", inference, cpu=(1, 32, 2), cuda=(1, 32, 50))
