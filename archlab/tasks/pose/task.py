"""Pose estimation as a task: keypoints of people, decoded from heat-maps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from archlab.core import notes
from archlab.tasks.base import Context
from archlab.tasks.metrics import Metric, Scores, View
from archlab.tasks.pose.options import EmbeddedData, PoseOptions
from archlab.tasks.terms import Scored

if TYPE_CHECKING:
    from torch import Tensor, nn

    from archlab.blocks.wiring import Shape
    from archlab.tasks.base import Batch
    from archlab.tasks.pose.data.coco import People
    from archlab.tasks.pose.samples import PoseSamples
    from archlab.tasks.pose.score import Validation
    from archlab.tasks.pose.unlabelled import Poses
    from archlab.tasks.prediction import Looks, Maps, Picture

GROUND_TRUTH, DETECTOR = "ground_truth_boxes", "detector_boxes"
_WEIGHTED = "without pelvis and thorax, each joint weighted by how often it is labelled"
OKS = ("coco", "lsp")
"""Data sets that are scored by object keypoint similarity."""
_TABLE, _NOWHERE = frozenset({"table"}), frozenset[str]()


def _coco(name: str, title: str, uses: frozenset[str], *, views: tuple[str, ...] = ()) -> Metric:
    return Metric(name, title, title, uses=uses, views=views, datasets=OKS)  # type: ignore[arg-type]


METRICS = (
    Metric("ap", "AP", "AP", datasets=OKS),
    _coco("ap50", "AP50", _TABLE),
    _coco("ap75", "AP75", _TABLE),
    _coco("apm", "APM", _NOWHERE),
    _coco("apl", "APL", _NOWHERE),
    _coco("ar", "AR", _TABLE),
    Metric(
        "mean_oks",
        "mean_oks",
        "mean OKS",
        "OKS",
        colour="#2a9d5c",
        uses=frozenset({"objective", "curve", "table"}),
        views=(GROUND_TRUTH,),
        datasets=OKS,
        meaning="the mean over people",
    ),
    Metric(
        "pckh",
        "mean_weighted",
        "PCKh@0.5",
        views=(GROUND_TRUTH,),
        datasets=("mpii",),
        meaning=f"the share of joints within 0.5 of the head's size, {_WEIGHTED}",
    ),
    Metric("pckh_plain", "mean_plain", "PCKh@0.5, plain mean", uses=frozenset(), datasets=("mpii",)),
    Metric(
        "pckh_0.10",
        "mean_weighted_threshold_0.10",
        "PCKh@0.1",
        uses=frozenset({"table"}),
        views=(GROUND_TRUTH,),
        datasets=("mpii",),
        meaning=f"the share of joints within 0.1 of the head's size, {_WEIGHTED}",
    ),
    Metric("pckh_0.11", "mean_weighted_threshold_0.11", "PCKh@0.11", uses=frozenset(), datasets=("mpii",)),
    Metric(
        "pck_torso",
        "pck_torso",
        "PCK@0.2 of the torso",
        "PCK torso",
        colour="#7b4fa3",
        views=(GROUND_TRUTH,),
        datasets=("lsp",),
        meaning="the share of joints within 0.2 of the distance from right hip to left shoulder, over people with both",
    ),
    Metric(
        "pck",
        "pck",
        "PCK@0.1",
        "PCK",
        colour="#c8553d",
        views=(GROUND_TRUTH,),
        meaning="the share of joints within 0.1 of the box's longer side (on MPII, of the square that its scale spans)",
    ),
)
"""COCO's figures, mean OKS, MPII's PCKh (weighted and plain means), LSP's PCK of the torso, PCK at 0.1 of the box."""


class Pose:
    """Keypoints of people: one top-down crop per person, one heat-map per keypoint."""

    name = "pose"
    unit = "people"
    outputs_are = "keypoints"
    options = PoseOptions
    metrics = METRICS
    views = (View(GROUND_TRUTH, "ground-truth boxes"), View(DETECTOR, "detector boxes"))
    baselines: Mapping[str, str] = {"mean_pose": "the mean pose"}
    formats = ("coco",)
    boxed = True

    def generate(self, data: EmbeddedData, folder: Path) -> Path:
        from archlab.tasks.pose.synthetic import generate

        return generate(folder, level=data.level, train=data.train, val=data.val, seed=data.seed)

    def kind(self, root: Path, options: PoseOptions) -> str:
        from archlab.tasks.pose.data import sets

        return sets.kind(root, options.dataset)

    def fingerprint(self, root: Path, options: PoseOptions) -> str:
        from archlab.tasks.pose.data import sets

        return sets.fingerprint(root, options.dataset)

    def outputs(self, root: Path | None, options: PoseOptions) -> int | None:
        from archlab.tasks.pose.data import sets

        return sets.labelled_keypoints(options.dataset, root)

    def output_names(self, root: Path, options: PoseOptions) -> tuple[str, ...] | None:
        from archlab.tasks.pose.data import sets

        return sets.keypoint_names(options.dataset, root)

    def count(self, root: Path, options: PoseOptions, input: tuple[int, int]) -> int:
        return len(self._people(root, options, input))

    def training(
        self, root: Path, context: Context[PoseOptions], *, seed: int, folder: Path | None = None, augment: bool = True
    ) -> PoseSamples:
        from archlab.tasks.pose.samples import pose_samples

        people = self._people(root, context.options, context.input)
        _say(people.notes, context)
        return pose_samples(people, context, seed=seed, folder=folder, augment=augment)

    def cannot_read(self, output: Shape, main: Shape) -> str | None:
        """Return a rule unless an output has the size of the main one, which is that of the target maps."""
        (height, width), found = main[1:], output[1:]
        return None if output == main else f"pose reads heat-maps of {height}x{width}, not {found[0]}x{found[1]}"

    def loss(self, output: Tensor, batch: Batch, options: PoseOptions) -> Tensor:
        """Return the mean square of weighted heat-map differences (`joints_mse`)."""
        from archlab.tasks.pose.targets import joints_mse

        return joints_mse(output.float(), batch["target"], batch["weight"])

    def validation(self, root: Path, context: Context[PoseOptions]) -> Validation:
        from archlab.tasks.pose.score import load_validation

        validation = load_validation(root, context.options, context.input)
        _say((note for people in (validation.truth, *validation.boxes.values()) for note in people.notes), context)
        return validation

    def score(
        self,
        network: nn.Module,
        validation: Validation,
        context: Context[PoseOptions],
        *,
        results: Path | None = None,
        first_view: bool = False,
    ) -> Scored:
        from archlab.tasks.pose.score import score_network

        return score_network(network, validation, context, results=results, first_view=first_view)

    def baseline(self, samples: PoseSamples, validation: Validation) -> dict[str, Scores]:
        from archlab.tasks.pose.score import score_mean_pose

        return {"mean_pose": score_mean_pose(samples.people, validation)}

    def draw(
        self, network: nn.Module, validation: Validation, context: Context[PoseOptions], title: str, path: Path
    ) -> None:
        from archlab.core.distributed import ALONE
        from archlab.core.figures import save_figure
        from archlab.tasks.pose import pictures
        from archlab.tasks.pose.predict import predict

        some = pictures.spread(validation.truth)
        found = predict(network, some, replace(context, world=ALONE))
        save_figure(pictures.predictions(some, found.points, found.heights, context.input, title), path)

    def predict(
        self,
        network: nn.Module,
        pictures: Iterable[Picture],
        context: Context[PoseOptions],
        names: Sequence[str] | None,
        outputs: int,
    ) -> Iterator[Poses]:
        from archlab.tasks.network_maps import maps_of
        from archlab.tasks.prediction import Looks

        looks = Looks(context.options, context.input, context.batch)
        return self.predict_by(maps_of(network, context.device), pictures, looks, names, outputs)

    def predict_by(
        self,
        maps: Maps,
        pictures: Iterable[Picture],
        looks: Looks[PoseOptions],
        names: Sequence[str] | None,
        outputs: int,
    ) -> Iterator[Poses]:
        from archlab.tasks.pose.layouts import layout_of
        from archlab.tasks.pose.unlabelled import predict_pictures

        return predict_pictures(maps, pictures, looks, layout_of(names, outputs))

    def pictures(self, validation: Validation, count: int) -> list[Picture]:
        from archlab.tasks.pose.pictures import pictures_of

        return pictures_of(validation.truth, count)

    def predicted_names(self, names: Sequence[str] | None, outputs: int, options: PoseOptions) -> tuple[str, ...]:
        from archlab.tasks.pose.layouts import layout_of

        return layout_of(names, outputs).names

    def _people(self, root: Path, options: PoseOptions, input: tuple[int, int]) -> People:
        from archlab.tasks.pose.data import sets

        return sets.training_people(root, options.dataset, aspect=input[1] / input[0])


def _say(texts: Iterable[str], context: Context[PoseOptions]) -> None:
    """Print each text once as a note, in rank 0 only."""
    if context.world.first:
        for text in dict.fromkeys(texts):
            notes.note(text)


POSE = Pose()
