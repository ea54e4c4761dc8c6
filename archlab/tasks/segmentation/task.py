"""Semantic segmentation as a task: a class for every pixel, scored by mean intersection over union."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from archlab.core.errors import InputError, Problem
from archlab.tasks.base import Context
from archlab.tasks.metrics import Metric, Scores, View
from archlab.tasks.segmentation.options import SegmentationOptions, StreetsData
from archlab.tasks.terms import Scored

if TYPE_CHECKING:
    from torch import Tensor, nn

    from archlab.blocks.wiring import Shape
    from archlab.tasks.base import Batch
    from archlab.tasks.prediction import Looks, Maps, Picture
    from archlab.tasks.segmentation.classes import Classes
    from archlab.tasks.segmentation.data.layout import Pictures
    from archlab.tasks.segmentation.samples import PictureSamples
    from archlab.tasks.segmentation.unlabelled import LabelMap

METRICS = (
    Metric(
        "miou",
        "miou",
        "mIoU",
        meaning="the mean over classes of intersection over union, from one confusion matrix over the set",
    ),
    Metric(
        "pixel_accuracy",
        "pixel_accuracy",
        "pixel accuracy",
        "pixels",
        colour="#2a9d5c",
        meaning="the share of labelled pixels whose class is right",
    ),
    Metric("frequency_weighted_iou", "frequency_weighted_iou", "frequency-weighted IoU", uses=frozenset()),
)


class Segmentation:
    """Classes of pixels: a picture's window in training, whole pictures in scoring, one map of logits a class."""

    name = "segmentation"
    unit = "pictures"
    outputs_are = "classes"
    options = SegmentationOptions
    metrics = METRICS
    views = (View("pictures"),)
    baselines: Mapping[str, str] = {"mean_layout": "the most frequent class at each place"}
    formats = ("cityscapes",)
    boxed = False

    def generate(self, data: StreetsData, folder: Path) -> Path:
        from archlab.tasks.segmentation.streets import generate

        return generate(folder, train=data.train, val=data.val, height=data.height, seed=data.seed)

    def kind(self, root: Path, options: SegmentationOptions) -> str:
        from archlab.tasks.generated import REQUEST

        return "synthetic streets" if (root / REQUEST).is_file() else options.dataset

    def fingerprint(self, root: Path, options: SegmentationOptions) -> str:
        from archlab.tasks.segmentation.data.layout import fingerprint

        return fingerprint(root)

    def outputs(self, root: Path | None, options: SegmentationOptions) -> int | None:
        return len(_classes(root, options))

    def output_names(self, root: Path, options: SegmentationOptions) -> tuple[str, ...] | None:
        return _classes(root, options).names

    def count(self, root: Path, options: SegmentationOptions, input: tuple[int, int]) -> int:
        return len(_pictures(root, "train", options))

    def training(
        self,
        root: Path,
        context: Context[SegmentationOptions],
        *,
        seed: int,
        folder: Path | None = None,
        augment: bool = True,
    ) -> PictureSamples:
        from archlab.tasks.segmentation.data.layout import check_labels
        from archlab.tasks.segmentation.samples import PictureSamples

        pictures = _pictures(root, "train", context.options)
        check_labels(pictures)
        return PictureSamples(pictures, context, seed=seed, folder=folder, augment=augment)

    def cannot_read(self, output: Shape, main: Shape) -> str | None:
        return None  # logits of any size are resized to the label's

    def loss(self, output: Tensor, batch: Batch, options: SegmentationOptions) -> Tensor:
        """Return the cross-entropy (`segmentation_loss`)."""
        from archlab.tasks.segmentation.loss import segmentation_loss

        return segmentation_loss(output, batch["label"], batch["class_weight"][0], options)

    def validation(self, root: Path, context: Context[SegmentationOptions]) -> Pictures:
        from archlab.tasks.segmentation.data.layout import check_labels

        pictures = _pictures(root, context.options.split, context.options)
        check_labels(pictures)
        return pictures

    def score(
        self,
        network: nn.Module,
        validation: Pictures,
        context: Context[SegmentationOptions],
        *,
        results: Path | None = None,
        first_view: bool = False,
    ) -> Scored:
        from archlab.tasks.segmentation.score import score_network

        return score_network(network, validation, context, results=results)

    def baseline(self, samples: PictureSamples, validation: Pictures) -> dict[str, Scores]:
        from archlab.tasks.segmentation.score import score_layout

        return {"mean_layout": score_layout(samples.pictures, validation)}

    def draw(
        self,
        network: nn.Module,
        validation: Pictures,
        context: Context[SegmentationOptions],
        title: str,
        path: Path,
    ) -> None:
        from archlab.core.distributed import ALONE
        from archlab.core.figures import save_figure
        from archlab.tasks.segmentation import pictures
        from archlab.tasks.segmentation.predict import predict

        some = pictures.spread(validation)
        found = {
            int(index): classes.cpu().numpy().astype("uint8")
            for batch in predict(network, some, replace(context, world=ALONE))
            for index, classes in zip(batch.index, batch.found, strict=True)
        }
        save_figure(pictures.predictions(some, [found[i] for i in range(len(some))], title), path)

    def predict(
        self,
        network: nn.Module,
        pictures: Iterable[Picture],
        context: Context[SegmentationOptions],
        names: Sequence[str] | None,
        outputs: int,
    ) -> Iterator[LabelMap]:
        from archlab.tasks.segmentation.classes import classes_for
        from archlab.tasks.segmentation.unlabelled import predict_pictures

        return predict_pictures(network, pictures, context, classes_for(names, outputs, context.options.dataset))

    def predict_by(
        self,
        maps: Maps,
        pictures: Iterable[Picture],
        looks: Looks[SegmentationOptions],
        names: Sequence[str] | None,
        outputs: int,
    ) -> Iterator[LabelMap]:
        from archlab.tasks.segmentation.classes import classes_for
        from archlab.tasks.segmentation.unlabelled import predict_by

        return predict_by(maps, pictures, looks, classes_for(names, outputs, looks.options.dataset))

    def pictures(self, validation: Pictures, count: int) -> list[Picture]:
        from archlab.tasks.segmentation.pictures import pictures_of

        return pictures_of(validation, count)

    def predicted_names(
        self, names: Sequence[str] | None, outputs: int, options: SegmentationOptions
    ) -> tuple[str, ...]:
        from archlab.tasks.segmentation.classes import classes_for

        return classes_for(names, outputs, options.dataset).names


def _classes(root: Path | None, options: SegmentationOptions) -> Classes:
    """Return the classes of the data. Raises InputError if the recipe has another number of class weights."""
    from archlab.tasks.segmentation.classes import read_classes

    classes = read_classes(root, options.dataset)
    if options.class_weights and len(options.class_weights) != len(classes):
        rule = f"has {len(options.class_weights)} entries for the {len(classes)} classes of this data"
        raise InputError(Problem(rule, "class_weights", str(root or "")))
    return classes


def _pictures(root: Path, split: str, options: SegmentationOptions) -> Pictures:
    from archlab.tasks.segmentation.data.layout import load_pictures

    return load_pictures(root, split, options.dataset)


SEGMENTATION = Segmentation()
