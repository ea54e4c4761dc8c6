"""A network of seconds, a data set of a few people and a recipe of a few steps, for the tests of training."""

from pathlib import Path

import torch

import archlab
from archlab.tasks.pose.synthetic import generate
from archlab.training.recipe import Recipe
from archlab.training.schedule import Schedule

NETWORK = """
version: 1
nodes:
  quarter: {block: conv, width: 8, kernel: 5, stride: 4}
  more: {block: basic_block}
"""
PEOPLE = 14
RECIPE = Recipe.of(
    name="tiny",
    input=(64, 64),
    iterations=10,
    batch=4,  # 3 steps an epoch, and 2 people left out
    schedule=Schedule(warm_up=3, decay="cosine"),
    checkpoint_every=2,
    checkpoint_seconds=None,
    log_every=4,
    threads=1,
)


def make_spec(folder: Path, *, size: int | tuple[int, int] = 64, outputs: int = 17) -> archlab.Spec:
    path = folder / "tiny.yaml"
    path.write_text(NETWORK)
    height, width = (size, size) if isinstance(size, int) else size
    return archlab.load(path, input=(3, height, width), outputs=outputs)


def make_data(folder: Path) -> Path:
    return generate(folder / "people", level="quick", train=PEOPLE, val=6, seed=3)


def lively_weights(folder: Path) -> Path:
    """Return a file of weights whose heat-maps have high peaks, so that people are found."""
    torch.manual_seed(0)
    network = archlab.build(make_spec(folder))
    for parameter in network.parameters():
        if parameter.dim() == 4:
            torch.nn.init.kaiming_normal_(parameter)
    torch.save(network.state_dict(), folder / "lively.pt")
    return folder / "lively.pt"
