"""Recipe: how a network is trained and scored, as a YAML file says it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from archlab import yamlio
from archlab.core import builtin
from archlab.core.errors import InputError, Problem
from archlab.network.load import plain_fusion
from archlab.network.spec import Spec
from archlab.tasks.pose.data.crops import Augmentation
from archlab.tasks.pose.data.sets import Dataset
from archlab.tasks.pose.options import Crops, Decoding, Suppression, Targets
from archlab.training.runs import digest
from archlab.yamlio import Above, AtLeast, AtMost, Item, MultipleOf

Count = Annotated[int, AtLeast(1)]
Side = Annotated[int, AtLeast(32), MultipleOf(32)]
Share = Annotated[float, AtLeast(0), AtMost(1)]
Positive = Annotated[float, Above(0)]
Boxes = Literal["ground_truth", "detector"]
BoxesChoice = Literal["ground_truth", "detector", "both"]

DATA = Path("data")
"""Where embedded data is made: a folder for each, under the working folder."""
NOT_IDENTITY = (
    "name", "data", "seed", "eval_batch", "keep_gigabytes", "workers", "threads", "checkpoint_every",
    "checkpoint_seconds", "log_every", "execution",
)  # fmt: skip
"""What two runs may differ in and still be the same run; data and seed have places of their own in its fingerprint.

`execution` is here because, like `threads`, it computes the same and changes rounding at most.
"""
LATER = ("dataset", "crops", "targets", "decoding", "post_gaussian", "nms", "accumulate", "ema", "pipeline", "fusion")
"""Fields younger than recorded runs: at their defaults they are left out of the hash, which so stays what it was."""


@dataclass(frozen=True)
class EmbeddedData:
    """Synthetic people to train on when no data folder is named; they are made on first use."""

    level: Annotated[
        Literal["quick", "full"], "quick: one large, mildly posed person an image; full: crowds, clutter, all sizes."
    ]
    train: Annotated[int, AtLeast(1), "Images to train on."]
    val: Annotated[int, AtLeast(1), "Images to score on."]
    seed: Annotated[int, AtLeast(0), "What the images follow from, together with their index."] = 1

    @property
    def folder(self) -> str:
        return f"{self.level}-{self.train}-{self.val}-{self.seed}"


@dataclass(frozen=True)
class Optimiser:
    """The rule of a training step: Adam, or SGD with momentum."""

    name: Literal["adam", "sgd"] = "adam"
    lr: Annotated[float, Above(0), "The learning rate after warm-up and before any decay."] = 2e-3
    weight_decay: Annotated[
        float,
        AtLeast(0),
        "Added to the gradient, times the weight. With Adam it is known to wreck Lite-HRNet's result.",
    ] = 0.0
    momentum: Annotated[float, AtLeast(0), AtMost(1), "Of SGD only."] = 0.9
    betas: Annotated[tuple[Share, Share], "Of Adam only."] = (0.9, 0.999)


@dataclass(frozen=True)
class Schedule:
    """The course of the learning rate: a linear warm-up times a decay."""

    warm_up: Annotated[int, AtLeast(0), "Iterations until the rate has its full value."] = 0
    warm_up_start: Annotated[float, AtLeast(0), AtMost(1), "The share of the full rate at the first iteration."] = 0.001
    decay: Annotated[
        Literal["constant", "step", "cosine", "poly"],
        "step: times `factor` at each milestone; cosine: (1 + cos(pi t)) / 2; poly: (1 - t)^power; t goes from 0 to 1.",
    ] = "constant"
    milestones: Annotated[tuple[Count, ...], "In epochs or iterations, whichever the recipe's length is in."] = ()
    factor: Annotated[float, Above(0), "Of the step decay."] = 0.1
    power: Annotated[float, Above(0), "Of the poly decay."] = 0.9

    def problems(self, item: Item) -> Iterator[Problem]:
        if (self.decay == "step") != bool(self.milestones):
            yield item.problem("`decay: step` and `milestones` go together", "schedule")
        if list(self.milestones) != sorted(set(self.milestones)):
            yield item.problem("must rise from each to the next", "schedule.milestones")

    def at(self, iteration: int, *, total: int, unit: int) -> float:
        """The share of the full rate at an iteration, from 0, of `total`; milestones count `unit` iterations each.

        rise * decay with rise = 1 - (1 - i / warm_up) * (1 - warm_up_start) during warm-up, else 1.
        """
        rise = 1.0
        if iteration < self.warm_up:
            rise -= (1 - iteration / self.warm_up) * (1 - self.warm_up_start)
        return rise * self._decay(iteration, total, unit)

    def _decay(self, iteration: int, total: int, unit: int) -> float:
        if self.decay == "step":
            return self.factor ** sum(iteration >= milestone * unit for milestone in self.milestones)
        if self.decay == "cosine":
            return (1 + math.cos(math.pi * iteration / total)) / 2
        return (1 - iteration / total) ** self.power if self.decay == "poly" else 1.0


@dataclass(frozen=True)
class Recipe:
    """One way to train and score any network."""

    name: Annotated[str, "The file's name where this is left out."] = ""
    dataset: Annotated[
        Dataset, "How the data folder is laid out and scored: COCO's layout, also for other keypoints, or MPII's."
    ] = "coco"
    input: Annotated[tuple[Side, Side], "Height and width of a person's crop, pixels."] = (256, 192)
    epochs: Annotated[int | None, AtLeast(1), "The length of training; either this or `iterations`."] = None
    iterations: Annotated[int | None, AtLeast(1), "The length of training; either this or `epochs`."] = None
    batch: Annotated[int, AtLeast(1), "People a step; an epoch's last people that fill no batch are left out."] = 32
    accumulate: Annotated[
        int, AtLeast(1), "Micro-batches a step, one after the other in each process; the rate stays the whole batch's."
    ] = 1
    optimiser: Optimiser = Optimiser()
    schedule: Schedule = Schedule()
    fusion: Annotated[
        Literal["spec", "plain"],
        "Of branches: as the network's file says, or HRNet's plain sum in each of its `fusion` blocks.",
    ] = "spec"
    sigma: Annotated[float, Above(0), "Standard deviation of a target's Gaussian, heat-map pixels."] = 2.0
    crops: Annotated[
        Crops, "udp: sizes count from the first pixel's middle to the last's, and the flip test shifts nothing."
    ] = "released"
    targets: Annotated[
        Targets, "released: Gaussians around the nearest pixel; udp: around the true place; dark: and not cut off."
    ] = "released"
    augmentation: Annotated[Augmentation | None, "How training crops vary; null: not at all."] = None
    precision: Annotated[Literal["float32", "bf16"], "bf16: autocast, with weights kept in float32."] = "float32"
    execution: Annotated[
        Literal["eager", "graph", "compile"],
        "Of a step. graph: recorded once as a CUDA graph, of one process on a GPU; compile: by torch.compile, which on "
        "two CPU cores took over 7 minutes and gained nothing. Neither changes more than rounding.",
    ] = "eager"
    ema: Annotated[
        float | None, Above(0), AtMost(0.999999), "Decay of the averaged weights that are scored; null: none."
    ] = None
    flip_test: Annotated[bool, "Score the mean of the heat-maps of a crop and of its mirror image."] = True
    decoding: Annotated[
        Decoding,
        "Of a peak: a quarter pixel up the slopes, both axes or neither (released) or each by itself (axes, mmpose 1);"
        " a Newton step on the blurred map's logarithm (dark; udp in UDP's form).",
    ] = "released"
    post_gaussian: Annotated[
        Literal[0, 11], "The kernel of the paper's Gaussian filter before decoding; the released code has none."
    ] = 0
    nms: Annotated[
        Suppression, "Of doubles, by OKS 0.9: hard drops them; soft lowers scores and keeps the best 20 an image."
    ] = "hard"
    boxes: Annotated[BoxesChoice, "Whose boxes to score people in; each kind has its own scores."] = "ground_truth"
    validate_every: Annotated[
        int | None, AtLeast(1), "Score during training too, every so many epochs or iterations; null: only at the end."
    ] = None
    seed: Annotated[int, AtLeast(0), "Of the initial weights, the order of people, and augmentation."] = 1
    data: Annotated[EmbeddedData | None, "What to make when no data folder is named; null: one must be named."] = None
    pipeline: Annotated[
        Literal["samples", "batched"],
        "samples: each crop by itself, on the CPU; batched: people kept decoded, batches made at once on the device.",
    ] = "samples"
    keep_gigabytes: Annotated[float, AtLeast(0), "Of decoded people, on the device or in memory; batched only."] = 4.0
    eval_batch: Annotated[int | None, AtLeast(1), "People a batch in scoring; null: as in training."] = None
    workers: Annotated[int, AtLeast(0), "Threads that load data beside training; 0: none."] = 0
    threads: Annotated[
        int | None, AtLeast(1), "CPU threads; null: as many as PyTorch takes. Bits agree at equal numbers only."
    ] = None
    checkpoint_every: Annotated[int | None, AtLeast(1), "Iterations from one checkpoint to the next."] = None
    checkpoint_seconds: Annotated[float | None, AtLeast(0), "Seconds from one checkpoint to the next."] = 60.0
    log_every: Annotated[int, AtLeast(1), "Iterations from one line of metrics.jsonl to the next."] = 10

    def problems(self, item: Item) -> Iterator[Problem]:
        if (self.epochs is None) == (self.iterations is None):
            yield item.problem("a recipe says either `epochs` or `iterations`", "epochs")
        length = self.epochs or self.iterations or 0
        if self.dataset == "mpii" and self.boxes != "ground_truth":
            yield item.problem("MPII marks where people are and has no detector boxes: `ground_truth`", "boxes")
        if self.dataset == "mpii" and self.data is not None:
            yield item.problem("embedded people are in COCO's layout, not in MPII's", "data")
        if self.batch % self.accumulate:
            yield item.problem(f"{self.batch} people cannot be split into {self.accumulate} equal parts", "accumulate")
        if any(milestone >= length for milestone in self.schedule.milestones):
            yield item.problem(f"milestones must lie before the end, {length}", "schedule.milestones")

    @property
    def all_boxes(self) -> tuple[Boxes, ...]:
        return ("ground_truth", "detector") if self.boxes == "both" else (self.boxes,)


def load_recipe(name_or_path: str | Path) -> Recipe:
    """A recipe by its built-in name (`quick`) or its file. Raises InputError with every problem of the file."""
    path = builtin.find(name_or_path, "studies", "recipes/*.yaml", "recipe")
    recipe = yamlio.parse(yamlio.read(path), Recipe)
    return replace(recipe, name=recipe.name or path.stem)


def recipe_hash(recipe: Recipe) -> str:
    """A hash of what decides the result: not the name, nor how fast or in how many pieces the work is done."""
    plain, default = yamlio.to_plain(recipe), yamlio.to_plain(Recipe())
    said = {name: value for name, value in plain.items() if name not in LATER or value != default[name]}
    return digest({name: value for name, value in said.items() if name not in NOT_IDENTITY})


def in_recipe(spec: Spec, recipe: Recipe) -> Spec:
    """The network as the recipe trains it: with plain sums where it says `fusion: plain`. Again, it stays the same."""
    return plain_fusion(spec) if recipe.fusion == "plain" else spec


def data_folder(recipe: Recipe, root: Path | None) -> Path:
    """Return the data folder: `root`, which must exist, else that of the recipe's own data, which may not exist yet.

    Raises InputError if there is neither.
    """
    if root is not None:
        if not root.is_dir():
            raise InputError(Problem("no such data folder", "--data", str(root)))
        return root
    if recipe.data is None:
        raise InputError(Problem(f"the recipe {recipe.name!r} brings no data of its own: name a folder", "--data"))
    return DATA / recipe.data.folder


def ensure_data(recipe: Recipe, root: Path | None) -> Path:
    """Return the data folder as `data_folder` does; generate the recipe's own data if it does not exist yet."""
    folder = data_folder(recipe, root)
    if root is not None:
        return folder
    from archlab.tasks.pose.synthetic import generate

    wanted = recipe.data
    assert wanted
    return generate(folder, level=wanted.level, train=wanted.train, val=wanted.val, seed=wanted.seed)
