"""The fields of a segmentation recipe: pictures, augmentation, loss, scoring."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from archlab.core.errors import Problem
from archlab.tasks.segmentation.classes import Dataset, Weight
from archlab.yamlio import Above, AtLeast, AtMost, Item, Length

Share = Annotated[float, AtLeast(0), AtMost(1)]
Factor = Annotated[float, Above(0)]


@dataclass(frozen=True)
class WindowAugmentation:
    """The random changes of a training picture, in order of application; the defaults are the paper's."""

    scale: Annotated[tuple[Factor, Factor], "The range of the factor of its size, drawn uniformly."] = (0.5, 2.0)
    flip_probability: Annotated[Share, "Of mirroring the picture."] = 0.5
    colour: Annotated[
        float,
        AtLeast(0),
        AtMost(0.99),
        "c of the factors of brightness, contrast and saturation, drawn from 1 - c to 1 + c.",
    ] = 0.0

    def problems(self, item: Item) -> Iterator[Problem]:
        if self.scale[0] > self.scale[1]:
            yield item.entries["scale"].problem("the smallest factor must come first", "augmentation.scale")


@dataclass(frozen=True)
class StreetsData:
    """Synthetic street scenes, generated on first use if no data folder is given."""

    train: Annotated[int, AtLeast(1), "The number of training pictures."]
    val: Annotated[int, AtLeast(1), "The number of validation pictures."]
    height: Annotated[int, AtLeast(64), AtMost(448), "Pixels; a picture is twice as wide."] = 192
    seed: Annotated[int, AtLeast(0), "Determines each picture, together with its index."] = 1

    @property
    def folder(self) -> str:
        return f"streets-{self.height}-{self.train}-{self.val}-{self.seed}"


@dataclass(frozen=True)
class SegmentationOptions:
    """The fields of a recipe that only segmentation has."""

    dataset: Annotated[
        Dataset, "The classes of a data folder without a classes.yaml; the layout is Cityscapes' for all."
    ] = "cityscapes"
    data: Annotated[StreetsData | None, "Generated if no data folder is given; null: a folder is required."] = None
    split: Annotated[Literal["val", "test"], "The pictures that are scored."] = "val"
    size: Annotated[
        Literal["picture", "input"],
        "picture: work at the pictures' own size; input: resize every picture to the network's input first. Scores are "
        "at the labels' size either way.",
    ] = "picture"
    stride: Annotated[
        int, AtLeast(1), "Whole pictures are padded to multiples of it, with ignored pixels: the network's stride."
    ] = 32
    augmentation: Annotated[WindowAugmentation | None, "Random changes of training pictures; null: none."] = None
    class_weights: Annotated[
        tuple[Weight, ...] | None, "The weight of each class in the loss; null: those of classes.yaml, or 1."
    ] = None
    loss_at: Annotated[
        Literal["label", "network"],
        "label: logits are resized to the label's size, bilinearly; network: the label is reduced to the logits' size.",
    ] = "label"
    auxiliary: Annotated[
        tuple[Factor, ...], "The weight of each auxiliary output's loss, in place of those in the network's file."
    ] = ()
    flip_test: Annotated[bool, "Average the class probabilities of a picture and of its mirror image."] = False
    scales: Annotated[
        tuple[Factor, ...], Length(1), "Average the class probabilities of a picture at these factors of its size."
    ] = (1.0,)
