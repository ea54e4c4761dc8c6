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

import torch
from common import Case, Step, Variant, captured, run

from archlab.tasks.pose.targets import joints_mse
from archlab.training.step import Batch, Learner, update


def training_step(case: Case, variant: Variant) -> Step:
    """Forward, loss, backward and update on fixed random tensors."""
    network, images = case.make(variant)
    height, width = case.size
    batch = {
        "image": images,
        "target": torch.rand(case.batch, 17, height // 4, width // 4, device=case.device),
        "weight": torch.ones(case.batch, 17, 1, device=case.device),
    }
    looped = {} if variant.fused else {"foreach": False}
    adam = torch.optim.Adam(network.parameters(), 2e-3, fused=variant.fused, capturable=variant.graph, **looped)

    learner = Learner(network, adam, joints_loss, variant.bf16)

    def step() -> torch.Tensor:
        return update(learner, [batch])

    return captured(step) if variant.graph else step


def joints_loss(output: torch.Tensor, batch: Batch) -> torch.Tensor:
    """The pose task's loss."""
    return joints_mse(output.float(), batch["target"], batch["weight"])


if __name__ == "__main__":
    run("training_step", __doc__ or "", training_step, cpu=(8, 2), cuda=(64, 512, 10))
