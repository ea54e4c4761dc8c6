"""The fields of a pose recipe: people, crops, targets, decoding, scoring; `released` is Lite-HRNet's own code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from archlab.core.errors import Problem
from archlab.yamlio import Above, AtLeast, AtMost, Item

Dataset = Literal["coco", "mpii", "lsp"]
Crops = Literal["released", "udp"]
Targets = Literal["released", "dark", "udp"]
Decoding = Literal["released", "axes", "dark", "udp"]
Suppression = Literal["hard", "soft"]
Boxes = Literal["ground_truth", "detector"]
BoxesChoice = Literal["ground_truth", "detector", "both"]
Share = Annotated[float, AtLeast(0), AtMost(1)]


@dataclass(frozen=True)
class Augmentation:
    """Probabilities and sizes of the random changes of a training crop, in the order in which they are applied.

    The defaults are the released Lite-HRNet's. The paper prints rotation within 30 degrees; its code draws a normal
    of 30 degrees cut at twice that. A probability of 0 switches its step off, and so does a `scale` of 0.
    """

    shift_probability: Annotated[Share, "Of moving the box centre, drawn once when the data set is loaded."] = 0.3
    shift: Annotated[float, AtLeast(0), "Of the box, from end to end: the move is shift * (U - 0.5) * [w, h]."] = 0.4
    flip_probability: Annotated[Share, "Of mirroring the image."] = 0.5
    half_body_probability: Annotated[Share, "Of cropping the upper or the lower body alone."] = 0.3
    half_body_more_than: Annotated[int, AtLeast(0), "Labelled joints that a person must exceed for that."] = 8
    half_body_padding: Annotated[float, Above(0), "Of the box of the chosen joints."] = 1.5
    scale: Annotated[float, AtLeast(0), AtMost(0.99), "s of the factor clip(1 + s * randn, 1 - s, 1 + s)."] = 0.25
    rotation_probability: Annotated[Share, "Of turning the crop."] = 0.6
    rotation_degrees: Annotated[float, AtLeast(0), "r of the angle clip(r * randn, -2 r, 2 r)."] = 30.0


NO_AUGMENTATION = Augmentation(
    shift_probability=0.0, flip_probability=0.0, half_body_probability=0.0, scale=0.0, rotation_probability=0.0
)


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
class PoseOptions:
    """The fields of a pose recipe that no other task has."""

    dataset: Annotated[
        Dataset,
        "The data folder's layout and figures: COCO's, also for other keypoints; MPII's; LSP's as converted.",
    ] = "coco"
    data: Annotated[EmbeddedData | None, "What to make when no data folder is named; null: one must be named."] = None
    sigma: Annotated[float, Above(0), "Standard deviation of a target's Gaussian, heat-map pixels."] = 2.0
    crops: Annotated[
        Crops, "udp: sizes count from the first pixel's middle to the last's, and the flip test shifts nothing."
    ] = "released"
    targets: Annotated[
        Targets, "released: Gaussians around the nearest pixel; udp: around the true place; dark: and not cut off."
    ] = "released"
    augmentation: Annotated[Augmentation | None, "How training crops vary; null: not at all."] = None
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

    def problems(self, item: Item) -> Iterator[Problem]:
        if self.dataset == "mpii" and self.boxes != "ground_truth":
            yield item.problem("MPII marks where people are and has no detector boxes: `ground_truth`", "boxes")
        if self.dataset == "mpii" and self.data is not None:
            yield item.problem("embedded people are in COCO's layout, not in MPII's", "data")

    @property
    def all_boxes(self) -> tuple[Boxes, ...]:
        return ("ground_truth", "detector") if self.boxes == "both" else (self.boxes,)
