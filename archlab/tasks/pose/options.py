"""The fields of a pose recipe: people, crops, targets, decoding, scoring. `released`: as in Lite-HRNet's code."""

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
    """Probabilities and sizes of the random changes of a training crop, in order of application.

    The defaults are those of the released Lite-HRNet. The paper states rotation within 30 degrees; its code draws from
    a normal of 30 degrees, clipped at twice that. A probability of 0 disables its step, as does a `scale` of 0.
    """

    shift_probability: Annotated[Share, "Of moving the box centre, drawn once when the data set is loaded."] = 0.3
    shift: Annotated[float, AtLeast(0), "The range of the move, as a share of the box: shift * (U - 0.5) * [w, h]."] = (
        0.4
    )
    flip_probability: Annotated[Share, "Of mirroring the image."] = 0.5
    half_body_probability: Annotated[Share, "Of cropping only the upper or the lower body."] = 0.3
    half_body_more_than: Annotated[int, AtLeast(0), "Half-body crops need more labelled joints than this."] = 8
    half_body_padding: Annotated[float, Above(0), "Padding of the box of the chosen joints, as a factor."] = 1.5
    scale: Annotated[float, AtLeast(0), AtMost(0.99), "s of the factor clip(1 + s * randn, 1 - s, 1 + s)."] = 0.25
    rotation_probability: Annotated[Share, "Of rotating the crop."] = 0.6
    rotation_degrees: Annotated[float, AtLeast(0), "r of the angle clip(r * randn, -2 r, 2 r)."] = 30.0


NO_AUGMENTATION = Augmentation(
    shift_probability=0.0, flip_probability=0.0, half_body_probability=0.0, scale=0.0, rotation_probability=0.0
)


@dataclass(frozen=True)
class EmbeddedData:
    """Synthetic people, generated on first use if no data folder is given."""

    level: Annotated[
        Literal["quick", "full"], "quick: one large person per image in simple poses; full: crowds, clutter, all sizes."
    ]
    train: Annotated[int, AtLeast(1), "The number of training images."]
    val: Annotated[int, AtLeast(1), "The number of validation images."]
    seed: Annotated[int, AtLeast(0), "Determines each image, together with its index."] = 1

    @property
    def folder(self) -> str:
        return f"{self.level}-{self.train}-{self.val}-{self.seed}"


@dataclass(frozen=True)
class PoseOptions:
    """The fields of a recipe that only pose has."""

    dataset: Annotated[
        Dataset, "Layout and figures of the data folder: COCO's, also for other keypoints; MPII's; LSP's as converted."
    ] = "coco"
    data: Annotated[EmbeddedData | None, "Generated if no data folder is given; null: a folder is required."] = None
    sigma: Annotated[float, Above(0), AtMost(100), "Standard deviation of a target's Gaussian, heat-map pixels."] = 2.0
    crops: Annotated[
        Crops, "udp: measure sizes between the centres of the first and last pixel; the flip test does not shift."
    ] = "released"
    targets: Annotated[
        Targets,
        "released: Gaussians centred on the nearest pixel; udp: centred on the exact position; dark: udp, not "
        "truncated.",
    ] = "released"
    augmentation: Annotated[Augmentation | None, "Random changes of training crops; null: none."] = None
    flip_test: Annotated[bool, "Average the heat-maps of a crop and of its mirror image in scoring."] = True
    decoding: Annotated[
        Decoding,
        "Sub-pixel position of a peak. released: 0.25 px toward the larger neighbour, both axes or neither; axes: the "
        "same per axis (mmpose 1); dark, udp: a Newton step on the logarithm of the blurred map.",
    ] = "released"
    post_gaussian: Annotated[
        Literal[0, 11], "Kernel of the paper's Gaussian filter before decoding; the released code uses none."
    ] = 0
    nms: Annotated[
        Suppression,
        "Suppression of duplicates at OKS 0.9. hard: drop them; soft: lower their scores and keep 20 per image.",
    ] = "hard"
    boxes: Annotated[BoxesChoice, "The boxes in which people are scored; each kind has its own scores."] = (
        "ground_truth"
    )

    def problems(self, item: Item) -> Iterator[Problem]:
        if self.dataset == "mpii" and self.boxes != "ground_truth":
            yield item.problem("MPII has no detector boxes; use `ground_truth`", "boxes")
        if self.dataset == "mpii" and self.data is not None:
            yield item.problem("synthetic people have COCO's layout; use `dataset: coco`", "data")

    @property
    def all_boxes(self) -> tuple[Boxes, ...]:
        """The kinds of boxes to score in."""
        return ("ground_truth", "detector") if self.boxes == "both" else (self.boxes,)
